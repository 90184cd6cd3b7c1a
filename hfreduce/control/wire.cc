#include "hfreduce/control/wire.hpp"

#include <fmt/core.h>

#include <concepts>
#include <cstring>

namespace ff::hfreduce::control {
namespace {

class Writer {
 public:
  template <std::integral T>
  Writer& number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      out_.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
    return *this;
  }
  Writer& string(std::string_view text) {
    number(static_cast<std::uint32_t>(text.size()));
    out_.append(text);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads fields in order; after the first that does not fit, every further one is zero and done() is an error.
class Reader {
 public:
  explicit Reader(std::string_view body) : rest_(body) {}

  template <std::integral T>
  T number() {
    if (rest_.size() < sizeof(T)) return spoil<T>();
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    rest_.remove_prefix(sizeof(T));
    return static_cast<T>(value);
  }
  std::string string() {
    const auto length = number<std::uint32_t>();
    if (length > rest_.size()) return spoil<std::string>();
    std::string text(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return text;
  }
  // A number of an enum with `count` values.
  template <class E>
  E choice(int count) {
    const auto value = number<std::uint8_t>();
    if (value >= count) return spoil<E>();
    return static_cast<E>(value);
  }
  // How many items follow; each takes at least `bytes_min`, so that a lie cannot make us allocate.
  std::size_t count(std::size_t bytes_min) {
    const auto n = number<std::uint32_t>();
    if (n > rest_.size() / bytes_min) return spoil<std::size_t>();
    return n;
  }
  Result<> done(std::string_view what) const {
    if (spoiled_ || !rest_.empty()) return fail(Errc::kCorrupt, fmt::format("control message '{}' is malformed", what));
    return {};
  }

 private:
  template <class T>
  T spoil() {
    spoiled_ = true;
    rest_ = {};
    return T{};
  }
  std::string_view rest_;
  bool spoiled_ = false;
};

void put(Writer& out, const Hello& h, bool with_token) {
  out.string(with_token ? h.token : "").number(h.rank).number(h.size).string(h.host).string(h.host_id);
  out.string(h.address).number(h.port).number(h.reserve_port).number(h.pid);
}

Hello get_hello(Reader& in) {
  Hello h;
  h.token = in.string();
  h.rank = in.number<std::int32_t>();
  h.size = in.number<std::int32_t>();
  h.host = in.string();
  h.host_id = in.string();
  h.address = in.string();
  h.port = in.number<std::uint16_t>();
  h.reserve_port = in.number<std::uint16_t>();
  h.pid = in.number<std::int64_t>();
  return h;
}

}  // namespace

std::string encode_frame(MessageType type, std::string_view body) {
  Writer out;
  out.number(kMagic).number(kWireVersion).number(static_cast<std::uint8_t>(type)).number(std::uint16_t{0});
  out.number(static_cast<std::uint32_t>(body.size()));
  std::string frame = out.take();
  frame.append(body);
  return frame;
}

Result<std::optional<Message>> FrameReader::next() {
  const std::string_view rest = std::string_view(buffer_).substr(start_);
  if (rest.size() < kHeaderBytes) return std::optional<Message>();
  Reader in(rest.substr(0, kHeaderBytes));
  const auto magic = in.number<std::uint32_t>();
  const auto version = in.number<std::uint8_t>();
  const auto type = in.number<std::uint8_t>();
  const auto reserved = in.number<std::uint16_t>();
  const auto length = in.number<std::uint32_t>();
  if (magic != kMagic || reserved != 0 || length > kBodyBytesMax)
    return fail(Errc::kCorrupt, "peer does not speak the hfreduce control protocol");
  if (version != kWireVersion)
    return fail(Errc::kUnsupported, fmt::format("peer speaks control protocol version {}, this build speaks {} "
                                                "(run the same version everywhere)",
                                                version, kWireVersion));
  if (type < static_cast<std::uint8_t>(MessageType::kHello) || type > static_cast<std::uint8_t>(MessageType::kBye))
    return fail(Errc::kCorrupt, fmt::format("control message of unknown type {}", type));
  if (rest.size() < kHeaderBytes + length) return std::optional<Message>();
  Message message{static_cast<MessageType>(type), std::string(rest.substr(kHeaderBytes, length))};
  start_ += kHeaderBytes + length;
  if (start_ == buffer_.size() || start_ > kBodyBytesMax) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  return std::optional<Message>(std::move(message));
}

std::string describe(const OpState& s) {
  const auto name = collective_name(s.kind);
  if (s.kind == Collective::kBarrier) return fmt::format("{} #{}", name, s.seq);
  const bool reduces = s.kind == Collective::kAllReduce || s.kind == Collective::kReduce ||
                       s.kind == Collective::kReduceScatter || s.kind == Collective::kReduceScatterV;
  return fmt::format("{} #{} ({}{}{}, {} elements{})", name, s.seq, dtype_name(s.dtype), reduces ? ", " : "",
                     reduces ? op_name(s.op) : "", s.count, s.root >= 0 ? fmt::format(", root {}", s.root) : "");
}

std::string encode(const Hello& hello) {
  Writer out;
  put(out, hello, true);
  return out.take();
}

std::string encode(const std::vector<Hello>& table) {
  Writer out;
  out.number(static_cast<std::uint32_t>(table.size()));
  for (const Hello& h : table) put(out, h, false);
  return out.take();
}

std::string encode(const OpState& s, std::uint64_t probe) {
  Writer out;
  out.number(probe).number(static_cast<std::uint8_t>(s.running)).number(s.seq);
  out.number(static_cast<std::uint8_t>(s.kind)).number(static_cast<std::uint8_t>(s.dtype));
  out.number(static_cast<std::uint8_t>(s.op)).number(s.root).number(s.count);
  out.number(static_cast<std::uint8_t>(s.phase)).number(s.waiting_for);
  return out.take();
}

std::string encode(const Report& report) {
  Writer out;
  out.number(report.kind).number(report.suspect).string(report.detail);
  return out.take();
}

std::string encode(const Verdict& verdict) {
  Writer out;
  out.number(static_cast<std::uint8_t>(verdict.code)).string(verdict.message);
  out.number(static_cast<std::uint32_t>(verdict.lost.size()));
  for (const int rank : verdict.lost) out.number(static_cast<std::int32_t>(rank));
  return out.take();
}

std::string encode_strings(std::uint64_t round, const std::vector<std::string>& strings) {
  Writer out;
  out.number(round).number(static_cast<std::uint32_t>(strings.size()));
  for (const std::string& s : strings) out.string(s);
  return out.take();
}

std::string encode_number(std::uint64_t number) { return Writer().number(number).take(); }

Result<Hello> decode_hello(std::string_view body) {
  Reader in(body);
  Hello hello = get_hello(in);
  FF_TRY(in.done("hello"));
  return hello;
}

Result<std::vector<Hello>> decode_table(std::string_view body) {
  Reader in(body);
  std::vector<Hello> table(in.count(40));
  for (Hello& h : table) h = get_hello(in);
  FF_TRY(in.done("welcome"));
  return table;
}

Result<ProbedState> decode_state(std::string_view body) {
  Reader in(body);
  ProbedState out;
  out.probe = in.number<std::uint64_t>();
  OpState& s = out.state;
  s.running = in.number<std::uint8_t>() != 0;
  s.seq = in.number<std::uint64_t>();
  s.kind = in.choice<Collective>(kCollectiveCount);
  s.dtype = in.choice<DType>(kDTypeCount);
  s.op = in.choice<ReduceOp>(kReduceOpCount);
  s.root = in.number<std::int32_t>();
  s.count = in.number<std::uint64_t>();
  s.phase = in.choice<Phase>(static_cast<int>(Phase::kDone) + 1);
  s.waiting_for = in.number<std::int32_t>();
  FF_TRY(in.done("state"));
  return out;
}

Result<Report> decode_report(std::string_view body) {
  Reader in(body);
  Report report;
  report.kind = in.choice<std::uint8_t>(5);
  report.suspect = in.number<std::int32_t>();
  report.detail = in.string();
  FF_TRY(in.done("report"));
  return report;
}

Result<Verdict> decode_verdict(std::string_view body) {
  Reader in(body);
  Verdict verdict;
  verdict.code = in.choice<Errc>(static_cast<int>(Errc::kInternal) + 1);
  verdict.message = in.string();
  verdict.lost.resize(in.count(4));
  for (int& rank : verdict.lost) rank = in.number<std::int32_t>();
  FF_TRY(in.done("verdict"));
  return verdict;
}

Result<NumberedStrings> decode_strings(std::string_view body) {
  Reader in(body);
  NumberedStrings out;
  out.round = in.number<std::uint64_t>();
  out.strings.resize(in.count(4));
  for (std::string& s : out.strings) s = in.string();
  FF_TRY(in.done("exchange"));
  return out;
}

Result<std::uint64_t> decode_number(std::string_view body) {
  Reader in(body);
  const auto number = in.number<std::uint64_t>();
  FF_TRY(in.done("number"));
  return number;
}

}  // namespace ff::hfreduce::control
