// The words of priorities, phases, launchers and the like: those of the enums of job.proto in lower case, joined by
// '-'. Job files, options, tables, events and pages all use these and no others.
//
//   above-normal    per-node    node-fail, watchdog (of RetryOn)    after-ok    running    timed-out
//
// Threads: pure.
#pragma once

#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <string_view>
#include <vector>

#include "ffctl/proto/job.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

// "ABOVE_NORMAL" -> "above-normal".
std::string lower_name(std::string_view enum_name);
// Those of the values but the zero one, by number from 1 on.
std::vector<std::string> make_words(const google::protobuf::EnumDescriptor& values);
template <class Enum>
const std::vector<std::string>& words_of() {
  static const std::vector<std::string> words = make_words(*google::protobuf::GetEnumDescriptor<Enum>());
  return words;
}
// Empty for the zero value and for numbers that have no name.
template <class Enum>
std::string word_of(Enum value) {
  const std::vector<std::string>& words = words_of<Enum>();
  const auto index = static_cast<std::size_t>(value);
  return index == 0 || index > words.size() ? "" : words[index - 1];
}
// Its place in the list, from 1. kInvalidArgument: "'hihg' is no priority (did you mean 'high'?) (one of idle, ...)".
Result<int> parse_word(const std::vector<std::string>& words, std::string_view text, std::string_view what);
template <class Enum>
Result<Enum> parse_word(std::string_view text, std::string_view what) {
  FF_TRY_ASSIGN(const int value, parse_word(words_of<Enum>(), text, what));
  return static_cast<Enum>(value);
}

std::string phase_text(JobPhase phase);
// Of a job that is done, its result; else its phase.
std::string state_text(const Job& job);
std::string priority_text(Priority priority);
const std::vector<std::string>& phase_words();
const std::vector<std::string>& priority_words();
Result<JobPhase> parse_phase(std::string_view text);
Result<Priority> parse_priority(std::string_view text);

}  // namespace ff::ctl
