#include "ffctl/job/check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "ffctl/job/schema.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::ctl {
namespace {

constexpr int kDependenciesMax = 256;
constexpr std::size_t kLabelBytesMax = 4096, kNodesNamedMax = 100'000;
constexpr std::uint64_t kYear10000Ms = 253'402'300'800'000;

bool letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool made_of(std::string_view text, std::string_view others) {
  return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [&](char c) {
    return letter_or_digit(c) || others.find(c) != std::string_view::npos;
  });
}

class Checker {
 public:
  explicit Checker(const JobSpec& spec) : spec_(spec) {}

  std::optional<SpecFault> run() {
    // Sizes first: the rest looks at every byte.
    if (const std::size_t bytes = spec_.ByteSizeLong(); bytes > kJobBytesMax)
      fault("job", fmt::format("its description takes {} bytes, at most {} are taken (put scripts and data into files "
                               "that all nodes see)",
                               bytes, kJobBytesMax));
    if (!found_) head();
    if (!found_) placement();
    if (!found_) program();
    if (!found_) times();
    if (!found_) rest();
    return std::move(found_);
  }

 private:
  void fault(std::string_view key, std::string what) {
    if (!found_) found_ = SpecFault{std::string(key), std::move(what)};
  }
  // Text in UTF-8 without zero bytes; `line`: without line ends and other control characters.
  void text(std::string_view key, std::string_view value, bool line = false) {
    if (value.find('\0') != std::string_view::npos) return fault(key, "has a zero byte");
    for (std::size_t at = 0; at < value.size();) {
      const report::CodePoint point = report::decode_utf8(value, at);
      if (!point.valid) return fault(key, fmt::format("byte {} is no UTF-8 text", at));
      if (line && (point.value < 0x20 || point.value == 0x7f))
        return fault(key, fmt::format("byte {} is a control character", at));
      at += point.bytes;
    }
  }
  // Between the bounds of the key's schema.
  void range(std::string_view key, std::uint64_t value) {
    const config::Key& known = job_schema().keys()[*job_schema().find(key)];
    const auto number = static_cast<double>(value);
    if ((known.min && number < *known.min) || (known.max && number > *known.max))
      fault(key, fmt::format("{} is out of range ({})", value, config::range_text(known)));
  }
  template <class Enum>
  void word(std::string_view key, Enum value) {
    const auto* const values = google::protobuf::GetEnumDescriptor<Enum>();
    if (static_cast<int>(value) == 0 || values->FindValueByNumber(static_cast<int>(value)) == nullptr)
      fault(key, fmt::format("{} is none of the known ones", static_cast<int>(value)));
  }

  void head() {
    if (!plain_name(spec_.name())) fault("name", "is not [A-Za-z0-9._-]{1,255}");
    if (!spec_.queue().empty() && !plain_name(spec_.queue())) fault("queue", "is not [A-Za-z0-9._-]{1,255}");
    word("priority", spec_.priority());
    const Resources& wants = spec_.resources();
    range("resources.nodes", wants.nodes());
    range("resources.gpus_per_node", wants.gpus_per_node());
    range("resources.cpus_per_node", wants.cpus_per_node());
    range("resources.pids", wants.pids());
  }

  void placement() {
    const Placement& where = spec_.placement();
    for (const std::string& label : where.require()) {
      text("placement.require", label, true);
      if (label.empty() || label.size() > 255) fault("placement.require", "has a label that is not of 1 to 255 bytes");
    }
    for (const auto& [key, nodes] :
         {std::pair{"placement.exclude", &where.exclude()}, {"placement.only", &where.only()}}) {
      if (static_cast<std::size_t>(nodes->size()) > kNodesNamedMax) fault(key, "names too many nodes");
      for (const std::string& node : *nodes)
        if (!plain_name(node)) return fault(key, "has a word that is no name of a node ([A-Za-z0-9._-]{1,255})");
    }
    if (where.only().empty()) return;
    const auto distinct = static_cast<std::uint32_t>(where.only_size());
    if (distinct < spec_.resources().nodes())
      fault("placement.only",
            fmt::format("names {} nodes, and the job asks for {}", distinct, spec_.resources().nodes()));
    for (const std::string& node : where.only())
      if (std::ranges::find(where.exclude(), node) != where.exclude().end())
        fault("placement.only", fmt::format("'{}' is excluded as well", node));
  }

  void program() {
    const RunSpec& run = spec_.run();
    if (run.command().empty() && run.script().empty())
      fault("run.command", "is empty (say what to run: a list in a file, or words after --)");
    if (!run.command().empty() && run.command(0).empty()) fault("run.command", "its first word is empty");
    for (const std::string& one : run.command()) text("run.command", one);
    text("run.script", run.script());
    if (!run.script().empty() && !run.script().starts_with("#!"))
      fault("run.script", "does not begin with '#!' and the path of an interpreter");
    text("run.workdir", run.workdir(), true);
    if (!run.workdir().starts_with('/')) fault("run.workdir", "is not absolute (nodes have other folders)");
    for (const auto& [name, value] : run.environment()) {
      text("run.env", name, true);
      if (name.empty() || name.find('=') != std::string::npos)
        fault("run.env", fmt::format("'{}' cannot be the name of a variable", found_ ? "" : name));
      text("run.env", value);
    }
    word("run.launcher", run.launcher());
    if (run.ranks_per_node() < 1) fault("run.ranks_per_node", "0 is out of range (at least 1)");
    range("run.ranks_per_node", run.ranks_per_node());
    if (run.launcher() == PER_NODE && run.ranks_per_node() > 1)
      fault("run.ranks_per_node", "more than one need run.launcher: per-rank or torchrun");
  }

  void times() {
    const TimeSpec& time = spec_.time();
    const PreemptionSpec& preemption = spec_.preemption();
    for (const auto& [key, value] : {std::pair{"time.limit", time.limit_ms()},
                                     {"time.estimate", time.estimate_ms()},
                                     {"time.no_output", time.no_output_ms()},
                                     {"time.no_progress", time.no_progress_ms()},
                                     {"preemption.grace", preemption.grace_ms()},
                                     {"preemption.max_grace", preemption.max_grace_ms()},
                                     {"preemption.min_run", preemption.min_run_ms()},
                                     {"retry.backoff", spec_.retry().backoff_ms()}})
      if (value > kTenYearsMs) fault(key, "is longer than ten years");
    if (time.limit_ms() != 0 && time.estimate_ms() > time.limit_ms())
      fault("time.estimate", "is longer than time.limit");
    if (time.begin_ms() >= kYear10000Ms) fault("time.begin", "is after the year 9999");
    if (preemption.max_grace_ms() < preemption.grace_ms())
      fault("preemption.max_grace", "is shorter than preemption.grace");
    word("preemption.mode", preemption.mode());
    range("preemption.budget", preemption.budget());
  }

  void rest() {
    if (spec_.retry().on_size() > RetryOn_ARRAYSIZE) fault("retry.on", "says something twice");
    for (const int on : spec_.retry().on()) word("retry.on", static_cast<RetryOn>(on));
    range("retry.max", spec_.retry().max());
    if (spec_.depends_size() > kDependenciesMax)
      fault("depends", fmt::format("{} are more than {}", spec_.depends_size(), kDependenciesMax));
    for (const Dependency& one : spec_.depends()) {
      word("depends", one.condition());
      if (one.job() == 0) fault("depends", "0 is no number of a job");
    }
    for (const auto& [name, value] : spec_.labels()) {
      if (!label_name(name)) fault("labels", "has a name that is not [A-Za-z0-9._:/-]{1,255}");
      text("labels", value, true);
      if (value.size() > kLabelBytesMax)
        fault("labels", fmt::format("'{}' is longer than {} bytes", found_ ? "" : name, kLabelBytesMax));
    }
    text("checkpoint", spec_.checkpoint(), true);
  }

  const JobSpec& spec_;
  std::optional<SpecFault> found_;
};

}  // namespace

bool plain_name(std::string_view text) noexcept { return made_of(text, "._-"); }
bool label_name(std::string_view text) noexcept { return made_of(text, "._-/:"); }

std::optional<SpecFault> check_spec(const JobSpec& spec) { return Checker(spec).run(); }

}  // namespace ff::ctl
