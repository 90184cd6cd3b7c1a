#include "ffbench/ffs/cluster_facts.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffbench/ffs/ffs_disk.hpp"
#include "ffbench/ffs/until_stopped.hpp"
#include "ffs/blocking/cluster_access.hpp"
#include "libcommon/net/network.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

Task<Result<FfsPath>> look_at(ffs::FileSystem& fs, std::string path) {
  FfsPath found{.path = path};
  const auto attributes = co_await fs.stat(path_inside(path));
  if (!attributes && attributes.error().code() == Errc::kNotFound) co_return found;
  if (!attributes) co_return fail(Error(attributes.error()).context(path));
  found.exists = true;
  found.folder = attributes->type() == ffs::DIRECTORY;
  found.bytes = attributes->size();
  if (!found.folder && attributes->type() != ffs::REGULAR)
    co_return fail(Errc::kInvalidArgument, path + ": is neither a file nor a folder");
  co_return found;
}

Task<Result<ClusterAnswer>> ask(ffs::FileSystem& fs, std::vector<std::string> paths) {
  ClusterAnswer answer{.facts = facts_of(*fs.routing()), .paths = {}};
  for (std::string& path : paths) {
    FF_CO_TRY_ASSIGN(FfsPath found, co_await look_at(fs, std::move(path)));
    answer.paths.push_back(std::move(found));
  }
  co_return answer;
}

Task<Result<ClusterAnswer>> connect_and_ask(runtime::Env& env, ffs::FileSystemOptions options,
                                            std::vector<std::string> paths) {
  FF_CO_TRY_ASSIGN(const auto fs, co_await ffs::FileSystem::connect(env, std::move(options)));
  auto answer = co_await ask(*fs, std::move(paths));
  co_await fs->stop();
  co_return answer;
}

Task<Result<ClusterAnswer>> run(runtime::RealEnv& env, ffs::FileSystemOptions options, std::vector<std::string> paths,
                                std::stop_token stop) {
  auto answer = co_await until_stopped(std::move(stop), connect_and_ask(env, std::move(options), std::move(paths)));
  co_await env.network().stop();
  co_return answer;
}

std::string hexadecimal(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

}  // namespace

Result<ClusterAnswer> ask_cluster(const ffs::ClusterFile& cluster, std::vector<std::string> paths,
                                  runtime::Duration timeout, std::stop_token stop) {
  for (const std::string& path : paths) FF_TRY(ffs::clean_path(path_inside(path)));
  FF_TRY_ASSIGN(ffs::FileSystemOptions options, ffs::client_options(cluster, "ffbench", timeout));
  FF_TRY_ASSIGN(const auto env, ffs::make_cluster_env(cluster, "client", 0));
  return env->run(run(*env, std::move(options), std::move(paths), std::move(stop)));
}

ClusterFacts facts_of(const ffs::RoutingView& view) {
  const ffs::Routing& routing = view.message();
  ClusterFacts facts{.cluster = hexadecimal(routing.cluster()),
                     .nodes = static_cast<std::size_t>(routing.nodes_size()),
                     .nodes_alive = static_cast<std::size_t>(std::ranges::count_if(
                         routing.nodes(), [](const ffs::NodeInfo& node) { return node.alive(); })),
                     .storage_nodes = view.nodes_with(ffs::ROLE_STORED).size(),
                     .chains = static_cast<std::size_t>(routing.chains_size())};
  for (int i = 0; i < routing.chains_size(); ++i) {
    const ffs::Chain* const chain = view.chain(ffs::ChainId{routing.chains(i).chain()});
    const std::size_t serving = chain->serving().size();
    facts.replicas_least = i == 0 ? serving : std::min(facts.replicas_least, serving);
    facts.replicas_most = std::max(facts.replicas_most, serving);
    facts.replicas_meant = std::max(facts.replicas_meant, chain->members.size());
  }
  return facts;
}

std::optional<LayoutFacts> layout_facts(const ffs::Attributes& attributes) {
  if (!attributes.has_layout()) return std::nullopt;
  return LayoutFacts{.chunk_bytes = attributes.layout().chunk_bytes(), .stripe = attributes.layout().stripe()};
}

void note_cluster(Document& document, const ClusterFacts& facts, const std::optional<LayoutFacts>& layout) {
  const auto count = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  FieldGroup group{"ffs",
                   {{"cluster", facts.cluster},
                    {"nodes", count(facts.nodes)},
                    {"nodes_alive", count(facts.nodes_alive)},
                    {"storage_nodes", count(facts.storage_nodes)},
                    {"chains", count(facts.chains)},
                    {"replicas", count(facts.replicas_meant)},
                    {"replicas_serving_least", count(facts.replicas_least)}}};
  if (layout) {
    group.fields.emplace_back("chunk_bytes", static_cast<std::int64_t>(layout->chunk_bytes));
    group.fields.emplace_back("stripe", static_cast<std::int64_t>(layout->stripe));
  }
  document.machine.push_back(std::move(group));
  if (facts.replicas_least < facts.replicas_meant)
    document.warnings.push_back(
        fmt::format("the file system is not whole: some chain has {} of {} replicas that serve (see `ffs status`)",
                    facts.replicas_least, facts.replicas_meant));
}

}  // namespace ff::bench
