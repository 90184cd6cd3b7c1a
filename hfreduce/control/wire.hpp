// The control plane's wire format: small framed messages between a rank (member) and the coordinator.
//
// Frame    magic "HFRC" (u32), version (u8), type (u8), reserved (u16, 0), length of the body (u32); body. Little
// endian. Bodies   fixed-width integers and strings (u32 length + bytes) in the order of the functions below. Safety
// Lengths are bounded (kBodyBytesMax); a reader never goes past the body; unknown types and newer versions are errors.
// Threads  Value types; a FrameReader belongs to one connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hfreduce/op.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::control {

inline constexpr std::uint32_t kMagic = 0x43524648;  // "HFRC"
inline constexpr std::uint8_t kWireVersion = 1;
inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kBodyBytesMax = 16 << 20;

// Numbers are on the wire; never reused.
enum class MessageType : std::uint8_t {
  kHello = 1,      // member: who I am
  kWelcome = 2,    // coordinator: the table of all ranks
  kReject = 3,     // coordinator: why not
  kExchange = 4,   // member: my string of an all-gather
  kExchanged = 5,  // coordinator: all strings
  kReport = 6,     // member: something is wrong
  kProbe = 7,      // coordinator: what are you doing?
  kState = 8,      // member: this
  kVerdict = 9,    // coordinator: what it was
  kBye = 10,       // leaving in good order; from a member with its last state, from the coordinator empty
};

struct Message {
  MessageType type = MessageType::kHello;
  std::string body;
};

std::string encode_frame(MessageType type, std::string_view body);

// Cuts a byte stream into messages.
class FrameReader {
 public:
  void append(std::string_view bytes) { buffer_.append(bytes); }
  // nullopt: not complete yet. kCorrupt: not our protocol; kUnsupported: another version of it.
  Result<std::optional<Message>> next();
  // Bytes that next() has not given out.
  std::size_t buffered() const noexcept { return buffer_.size() - start_; }

 private:
  std::string buffer_;
  std::size_t start_ = 0;
};

// What a member is doing, as it answers a probe.
struct OpState {
  bool running = false;  // inside call `seq`; otherwise `seq` is the last finished one
  std::uint64_t seq = 0;
  Collective kind = Collective::kBarrier;
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  std::int32_t root = -1;
  std::uint64_t count = 0;
  Phase phase = Phase::kIdle;
  std::int32_t waiting_for = -1;
};
// "all_reduce #17 (float, sum, 1024 elements)"
std::string describe(const OpState& state);

struct Hello {
  std::string token;
  std::int32_t rank = 0;
  std::int32_t size = 1;
  std::string host;
  std::string host_id;
  std::string address;  // data listener
  std::uint16_t port = 0;
  std::uint16_t reserve_port = 0;  // where this rank would coordinate the survivors, same address
  std::int64_t pid = 0;
};

struct Report {
  std::uint8_t kind = 0;  // Trouble::Kind
  std::int32_t suspect = -1;
  std::string detail;
};

struct Verdict {
  Errc code = Errc::kUnavailable;
  std::string message;
  std::vector<int> lost;  // ranks that are dead, stopped or cut off
};

std::string encode(const Hello& hello);
std::string encode(const std::vector<Hello>& table);  // tokens left out
std::string encode(const OpState& state, std::uint64_t probe);
std::string encode(const Report& report);
std::string encode(const Verdict& verdict);
std::string encode_strings(std::uint64_t round, const std::vector<std::string>& strings);
std::string encode_number(std::uint64_t number);

// kCorrupt when the body does not parse to its end.
Result<Hello> decode_hello(std::string_view body);
Result<std::vector<Hello>> decode_table(std::string_view body);
struct ProbedState {
  std::uint64_t probe = 0;
  OpState state;
};
Result<ProbedState> decode_state(std::string_view body);
Result<Report> decode_report(std::string_view body);
Result<Verdict> decode_verdict(std::string_view body);
struct NumberedStrings {
  std::uint64_t round = 0;
  std::vector<std::string> strings;
};
Result<NumberedStrings> decode_strings(std::string_view body);
Result<std::uint64_t> decode_number(std::string_view body);

}  // namespace ff::hfreduce::control
