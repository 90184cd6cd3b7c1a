#include "hfreduce/npy/npy.hpp"

#include <fmt/core.h>

#include <charconv>
#include <limits>

namespace ff::hfreduce::npy {
namespace {

constexpr std::size_t kDimensionsMax = 64;  // NumPy's own limit

Error corrupt(std::string_view what) { return Error(Errc::kCorrupt, fmt::format(".npy header: {}", what)); }

// Reads the one form of Python dictionary that NumPy writes: string keys, and as values strings, booleans and tuples of
// integers. A step that fails leaves `ok` false and the rest has no effect.
struct Cursor {
  std::string_view text;
  bool ok = true;

  void skip_spaces() {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\n'))
      text.remove_prefix(1);
  }
  bool accept(char c) {
    skip_spaces();
    if (text.empty() || text.front() != c) return false;
    text.remove_prefix(1);
    return true;
  }
  void expect(char c) { ok = accept(c) && ok; }
  bool accept_word(std::string_view word) {
    skip_spaces();
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    return true;
  }

  std::string quoted() {
    skip_spaces();
    const char quote = text.empty() ? '\0' : text.front();
    const auto end = quote == '\'' || quote == '"' ? text.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) {
      ok = false;
      return {};
    }
    std::string word(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
    return word;
  }

  bool boolean() {
    if (accept_word("True")) return true;
    ok = accept_word("False") && ok;
    return false;
  }

  std::uint64_t integer() {
    skip_spaces();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) ok = false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    accept('L');  // Python 2 wrote long integers so
    return value;
  }

  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> out;
    expect('(');
    while (ok && !accept(')')) {
      out.push_back(integer());
      if (out.size() > kDimensionsMax) ok = false;
      if (accept(',')) continue;
      expect(')');
      break;
    }
    return out;
  }
};

struct Kind {
  char order = '|';
  char letter = '\0';
  std::size_t bytes = 0;
};

Result<Kind> parse_descr(std::string_view descr) {
  Kind kind;
  std::string_view rest = descr;
  if (!rest.empty() && (rest[0] == '<' || rest[0] == '>' || rest[0] == '|' || rest[0] == '=')) {
    kind.order = rest[0];
    rest.remove_prefix(1);
  }
  if (rest.size() < 2) return fail(Errc::kUnsupported, fmt::format("dtype '{}': not a plain type", descr));
  kind.letter = rest[0];
  const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), kind.bytes);
  if (error != std::errc() || end != rest.data() + rest.size() || kind.bytes == 0 || kind.bytes > 16)
    return fail(Errc::kUnsupported, fmt::format("dtype '{}': not a plain type", descr));
  if (kind.order == '>' && kind.bytes > 1)
    return fail(Errc::kUnsupported, fmt::format("dtype '{0}': big-endian (in NumPy: a.astype('<{1}'))", descr, rest));
  return kind;
}

}  // namespace

bool has_magic(std::string_view bytes) { return bytes.starts_with(kMagic); }

Result<std::uint64_t> data_offset(std::string_view preamble) {
  if (!has_magic(preamble)) return fail(corrupt("not a .npy file (no magic)"));
  if (preamble.size() < kPreambleBytes) return fail(corrupt("the file ends in it"));
  auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(preamble[i])); };
  const std::uint64_t major = byte(6);
  if (major < 1 || major > 3) return fail(corrupt(fmt::format("version {}.{} is not known", major, byte(7))));
  const std::uint64_t length =
      major == 1 ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > kHeaderBytesMax) return fail(corrupt(fmt::format("{} bytes long", length)));
  const std::uint64_t offset = (major == 1 ? 10 : 12) + length;
  // A dictionary of three keys cannot be shorter; it also keeps the preamble inside the header.
  if (length < 16) return fail(corrupt(fmt::format("only {} bytes long", length)));
  return offset;
}

Result<Header> parse(std::string_view bytes) {
  FF_TRY_ASSIGN(const std::uint64_t offset, data_offset(bytes));
  if (bytes.size() < offset) return fail(corrupt("the file ends in it"));
  const std::size_t begin = bytes[6] == 1 ? 10 : 12;
  Cursor cursor{bytes.substr(begin, offset - begin)};
  Header header;
  bool has_descr = false, has_order = false, has_shape = false;
  cursor.expect('{');
  while (cursor.ok && !cursor.accept('}')) {
    const std::string key = cursor.quoted();
    cursor.expect(':');
    if (key == "descr" && !has_descr) {
      cursor.skip_spaces();
      if (cursor.text.starts_with('[')) return fail(Errc::kUnsupported, ".npy header: a structured dtype");
      header.descr = cursor.quoted();
      has_descr = true;
    } else if (key == "fortran_order" && !has_order) {
      header.fortran_order = cursor.boolean();
      has_order = true;
    } else if (key == "shape" && !has_shape) {
      header.shape = cursor.tuple();
      has_shape = true;
    } else {
      return fail(corrupt(fmt::format("key '{}' is unknown or twice there", key.substr(0, 40))));
    }
    if (!cursor.accept(',')) {
      cursor.expect('}');
      break;
    }
  }
  cursor.skip_spaces();
  if (!cursor.ok || !cursor.text.empty()) return fail(corrupt("not the dictionary that NumPy writes"));
  if (!has_descr || !has_order || !has_shape) return fail(corrupt("descr, fortran_order or shape is missing"));
  FF_TRY(header.elements());
  return header;
}

std::string format(const Header& header) {
  std::string shape;
  for (const std::uint64_t extent : header.shape) shape += fmt::format("{}, ", extent);
  if (header.shape.size() > 1) shape.resize(shape.size() - 2);
  if (header.shape.size() == 1) shape.pop_back();
  std::string dictionary = fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': ({}), }}", header.descr,
                                       header.fortran_order ? "True" : "False", shape);
  const bool long_form = dictionary.size() + 64 > 65535;
  const std::size_t front = long_form ? 12 : 10;
  const std::size_t total = (front + dictionary.size() + 1 + 63) / 64 * 64;
  dictionary.resize(total - front - 1, ' ');
  dictionary += '\n';
  std::string out(kMagic);
  out += long_form ? '\x02' : '\x01';
  out += '\0';
  for (std::size_t i = 0; i < front - 8; ++i) out += static_cast<char>(dictionary.size() >> (8 * i) & 0xff);
  return out + dictionary;
}

Result<std::uint64_t> Header::elements() const {
  std::uint64_t product = 1;
  const std::size_t bytes = element_bytes(descr).value_or(1);
  const std::uint64_t limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / bytes;
  bool any_zero = false;
  for (const std::uint64_t extent : shape) any_zero = any_zero || extent == 0;
  if (any_zero) return 0;
  for (const std::uint64_t extent : shape) {
    if (product > limit / extent) return fail(Errc::kInvalidArgument, ".npy header: the shape is too large");
    product *= extent;
  }
  return product;
}

Result<std::size_t> element_bytes(std::string_view descr) {
  FF_TRY_ASSIGN(const Kind kind, parse_descr(descr));
  return kind.bytes;
}

Result<DType> element_type(std::string_view descr, std::optional<DType> wanted) {
  FF_TRY_ASSIGN(const Kind kind, parse_descr(descr));
  std::optional<DType> said;
  if (kind.letter == 'f' && kind.bytes == 4) said = DType::kFloat32;
  if (kind.letter == 'f' && kind.bytes == 8) said = DType::kFloat64;
  if (kind.letter == 'f' && kind.bytes == 2) said = DType::kFloat16;
  if (kind.letter == 'i' && kind.bytes == 1) said = DType::kInt8;
  if (kind.letter == 'i' && kind.bytes == 4) said = DType::kInt32;
  if (kind.letter == 'i' && kind.bytes == 8) said = DType::kInt64;
  if (kind.letter == 'u' && kind.bytes == 1) said = DType::kUint8;
  // Raw bytes, and unsigned integers of the same width, may hold what NumPy has no name for.
  const bool carrier = (kind.letter == 'V' || kind.letter == 'u') && kind.bytes <= 2;
  if (wanted && carrier && dtype_size(*wanted) == kind.bytes && (is_low_type(*wanted) || wanted == said))
    return *wanted;
  if (!said && carrier)
    return fail(Errc::kInvalidArgument, fmt::format("dtype '{}': raw bytes (say what they are: --type {})", descr,
                                                    kind.bytes == 2 ? "bfloat16" : "fp8_e4m3 or fp8_e5m2"));
  if (!said) return fail(Errc::kUnsupported, fmt::format("dtype '{}': not a type that can be reduced", descr));
  if (wanted && wanted != said)
    return fail(Errc::kInvalidArgument,
                fmt::format("dtype '{}' is {}, not {}", descr, dtype_name(*said), dtype_name(*wanted)));
  return *said;
}

}  // namespace ff::hfreduce::npy
