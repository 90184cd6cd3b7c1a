// Meeting: where the ranks of one driver meet between timed batches, in a small shared file.
//
// Why not the library's own barrier: it would be part of what is measured, differ from library to library, and leave
// its messages and spinning threads behind.
//
// Threads   One object a rank (process), used by one thread.
// Failure   A rank that waits longer than the limit ends its process with status 3 and a line on stderr: in a
//           measurement the others are of no use without it.
#pragma once

#include <cstdint>
#include <string>

namespace ff::peers {

class Meeting {
 public:
  // `path`: a file in which nobody has met yet (empty, or not there), the same for all `size` ranks.
  Meeting(const std::string& path, int size);
  ~Meeting();
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  // Returns once all ranks have called it.
  void barrier();
  // The largest of the ranks' values, on every rank. Also a barrier.
  std::uint64_t max(std::uint64_t value);
  // Rank 0 leaves a text of at most 255 bytes; the others wait for it. Once a meeting.
  void publish(const std::string& text);
  std::string await_text();

 private:
  struct Shared;
  void wait_while(const void* word, std::uint32_t value);

  Shared* shared_ = nullptr;
  int size_ = 0;
  unsigned round_ = 0;
};

}  // namespace ff::peers
