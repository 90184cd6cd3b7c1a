#include "ffctl/job/words.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/cli/suggestion.hpp"

namespace ff::ctl {

std::string lower_name(std::string_view enum_name) {
  std::string out(enum_name);
  for (char& c : out) c = c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

std::vector<std::string> make_words(const google::protobuf::EnumDescriptor& values) {
  std::vector<std::string> words;
  for (int i = 1; i < values.value_count(); ++i) {
    std::string word = lower_name(values.value(i)->name());
    // Names of enums share one space: ON_WATCHDOG stands beside a result of that name.
    if (word.starts_with("on-")) word.erase(0, 3);
    words.push_back(std::move(word));
  }
  return words;
}

Result<int> parse_word(const std::vector<std::string>& words, std::string_view text, std::string_view what) {
  const auto found = std::ranges::find(words, text);
  if (found != words.end()) return static_cast<int>(found - words.begin()) + 1;
  std::string list;
  for (const std::string& one : words) list += (list.empty() ? "" : ", ") + one;
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is no {}{} (one of {})", text, what, cli::did_you_mean(text, words), list));
}

std::string phase_text(JobPhase phase) { return word_of(phase); }
std::string state_text(const Job& job) {
  return job.phase() == DONE && job.result() != RESULT_NONE ? word_of(job.result()) : word_of(job.phase());
}
std::string priority_text(Priority priority) { return word_of(priority); }

const std::vector<std::string>& phase_words() { return words_of<JobPhase>(); }
const std::vector<std::string>& priority_words() { return words_of<Priority>(); }
Result<JobPhase> parse_phase(std::string_view text) { return parse_word<JobPhase>(text, "phase"); }
Result<Priority> parse_priority(std::string_view text) { return parse_word<Priority>(text, "priority"); }

}  // namespace ff::ctl
