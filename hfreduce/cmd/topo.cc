// `hfreduce topo`: the machine as collectives see it. One list of facts, shown as a table or as JSON.
#include <fmt/core.h>

#include <cstdio>
#include <memory>

#include "hfreduce/cmd/commands.hpp"
#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/cli/output.hpp"
#include "libcommon/machine/machine.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/table.hpp"

namespace ff::hfreduce::cmd {
namespace {

struct Options {
  cli::OutputOptions output{"table", {"table", "json"}};
  std::string root;
};

std::string or_unknown(const std::string& text) { return text.empty() ? "unknown" : text; }

std::string nic_text(const machine::Nic& nic) {
  std::string text = or_unknown(nic.state);
  text += nic.bits_per_second ? fmt::format(", {:g} Gbit/s", static_cast<double>(*nic.bits_per_second) / 1e9)
                              : ", speed unknown";
  text += fmt::format(", MTU {}", nic.mtu_bytes);
  if (nic.numa_node) text += fmt::format(", NUMA node {}", *nic.numa_node);
  return text;
}

std::string text_report(const machine::Machine& m) {
  report::Table table("ff.topo/1", {{.key = "object", .title = "OBJECT"}, {.key = "value", .title = "VALUE"}});
  auto row = [&](std::string object, std::string value) { table.add_row({std::move(object), std::move(value)}); };
  row("host", or_unknown(m.host));
  row("kernel", or_unknown(m.kernel));
  row("cpu", or_unknown(m.cpu_model));
  row("vector path", std::string(cpu::isa_name(cpu::best_isa())));
  row("sockets", std::to_string(m.sockets));
  row("cores", m.cores_allowed > 0 ? fmt::format("{} online, {} allowed", m.cores_online, m.cores_allowed)
                                   : fmt::format("{} online", m.cores_online));
  row("memory", format_byte_size(m.memory_bytes));
  for (const machine::NumaNode& node : m.nodes)
    row(fmt::format("numa node {}", node.id),
        fmt::format("cores {}, {}", node.cpus, format_byte_size(node.memory_bytes)));
  for (const machine::Cache& cache : m.caches)
    row(fmt::format("L{} {}", cache.level, cache.type),
        fmt::format("{} x {}, each for {} cores", cache.instances, format_byte_size(cache.bytes),
                    cache.cpus_sharing_one));
  for (const machine::Nic& nic : m.nics) row("nic " + nic.name, nic_text(nic));
  row("cross-memory copies", !m.yama_ptrace_scope        ? "allowed within a user (no yama)"
                             : *m.yama_ptrace_scope == 0 ? "allowed within a user (yama 0)"
                             : *m.yama_ptrace_scope == 1 ? "by leave of the peer, which hfreduce gives (yama 1)"
                                                         : fmt::format("forbidden (yama {})", *m.yama_ptrace_scope));
  row("huge pages", or_unknown(m.thp));
  row("huge pages, shared memory", or_unknown(m.thp_shmem));
  row("tcp congestion control", or_unknown(m.tcp_congestion_control));
  return table.render(report::Format::kTable);
}

std::string json_report(const machine::Machine& m) {
  report::JsonWriter json(2);
  json.begin_object();
  json.field("schema", "ff.topo/1").field("host", m.host.c_str()).field("kernel", m.kernel.c_str());
  json.field("cpu", m.cpu_model.c_str()).field("isa", cpu::isa_name(cpu::best_isa()));
  json.field("sockets", m.sockets).field("cores_online", m.cores_online).field("cores_allowed", m.cores_allowed);
  json.field("memory_bytes", m.memory_bytes);
  json.key("numa_nodes").begin_array();
  for (const machine::NumaNode& node : m.nodes)
    json.begin_object()
        .field("id", node.id)
        .field("cpus", node.cpus.c_str())
        .field("memory_bytes", node.memory_bytes)
        .end_object();
  json.end_array().key("caches").begin_array();
  for (const machine::Cache& cache : m.caches)
    json.begin_object()
        .field("level", cache.level)
        .field("type", cache.type.c_str())
        .field("bytes", cache.bytes)
        .field("instances", cache.instances)
        .field("cpus_sharing_one", cache.cpus_sharing_one)
        .end_object();
  json.end_array().key("nics").begin_array();
  for (const machine::Nic& nic : m.nics) {
    json.begin_object()
        .field("name", nic.name.c_str())
        .field("state", nic.state.c_str())
        .field("mtu_bytes", nic.mtu_bytes);
    json.key("bits_per_second");
    nic.bits_per_second ? json.value(*nic.bits_per_second) : json.null();
    json.key("numa_node");
    nic.numa_node ? json.value(*nic.numa_node) : json.null();
    json.end_object();
  }
  json.end_array().key("yama_ptrace_scope");
  m.yama_ptrace_scope ? json.value(*m.yama_ptrace_scope) : json.null();
  json.field("thp", m.thp.c_str()).field("thp_shmem", m.thp_shmem.c_str());
  json.field("tcp_cc", m.tcp_congestion_control.c_str());
  json.end_object();
  return json.take() + "\n";
}

Result<int> run_topo(const Options& options) {
  FF_TRY_ASSIGN(const report::Format format, options.output.format());
  const machine::Machine machine = machine::read_machine(options.root);
  const std::string text = format == report::Format::kJson ? json_report(machine) : text_report(machine);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return cli::kExitOk;
}

}  // namespace

cli::Command topo_command() {
  auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "topo";
  command.summary = "Show the cores, caches, memory and network cards that collectives run on";
  command.options = {{.names = "--root",
                      .target = &options->root,
                      .help = "Folder that holds sys/ and proc/ of a machine",
                      .value_name = "DIR",
                      .hidden = true}};
  options->output.add_to(command);
  command.examples = {{"hfreduce topo", "this machine"}, {"hfreduce topo --json | jq .caches", "for a script"}};
  command.run = [options] { return run_topo(*options); };
  return command;
}

}  // namespace ff::hfreduce::cmd
