// What a launcher and its agents say to each other: one JSON array of strings a line, the first string is the verb.
//
//   ["out","3","1","text\n"]
//
// A string carries bytes: code points 0 to 255 stand for the byte of that value, so output that is not UTF-8 passes
// unchanged and a line is pure ASCII. Nothing else of JSON is spoken, so the reader is small enough to trust with
// whatever a login shell prints on the other side.
//
// Verbs to an agent
//   bind ADDRESS WIDE       bind the rendezvous socket there; WIDE "1": ranks on other machines must reach it
//   start KEY VALUE ...     start the ranks (start_spec.hpp)
//   stop SIGNO              signal the ranks' process groups, SIGKILL after the grace period
//   kill                    SIGKILL now
//   ping MILLISECONDS       the launcher lives; when no other ping follows in this time, it is dead
//   stdin BYTES, stdin_end  for rank 0, when its standard input is forwarded
// Verbs from an agent
//   hello VERSION           first
//   bound ADDRESS PORT      answer to bind
//   out RANK 1|2 BYTES      output of a rank
//   stdin_taken COUNT       bytes of stdin handed to rank 0 (flow control)
//   exit RANK CODE SIGNO    a rank ended; SIGNO is 0 unless a signal ended it
//   error TEXT CODE         the agent cannot go on; it kills its ranks; CODE is the exit code that fits
//   end                     all ranks are gone and their output has been sent
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::hfreduce::run {

inline constexpr const char* kProtocolVersion = "2";

using Message = std::vector<std::string>;

// With the newline at the end.
std::string encode_message(const Message& message);
// A line without its newline. kCorrupt for anything but a non-empty array of strings.
Result<Message> decode_message(std::string_view line);

// Cuts a byte stream into messages. A line longer than kLineMax is kCorrupt.
class MessageReader {
 public:
  static constexpr std::size_t kLineMax = 4u << 20;

  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // Nothing when the next line is not complete yet.
  Result<std::optional<Message>> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;
};

// The integer that a message's field holds, within [min, max]; kCorrupt otherwise.
Result<int> message_int(const Message& message, std::size_t index, int min, int max);

}  // namespace ff::hfreduce::run
