#include "tools/fftrain/text_data.hpp"

#include <dirent.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/rng.hpp"
#include "tools/fftrain/files.hpp"

namespace ff::fftrain {
namespace {

constexpr std::size_t kTextBytesMax = std::size_t{4} << 30;

double unigram_entropy(std::string_view text) {
  if (text.empty()) return 0.0;
  std::array<std::uint64_t, 256> counts{};
  for (const char c : text) ++counts[static_cast<unsigned char>(c)];
  double bits = 0.0;
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    const double p = static_cast<double>(count) / static_cast<double>(text.size());
    bits -= p * std::log2(p);
  }
  return bits;
}

// "-" is standard input.
Result<std::string> read_text(const std::string& path, std::size_t bytes_max) {
  if (!path.starts_with(kFfsPrefix)) return read_file(path, bytes_max);
  FF_TRY_ASSIGN(Files* const files, files_of(path));
  FF_TRY_ASSIGN(const auto file, files->open(path));
  if (file->size() > bytes_max) return fail(Errc::kExhausted, path + ": larger than 4 GiB of text in all");
  std::string text(file->size(), '\0');
  FF_TRY(file->read(std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace

TextData::TextData(std::string text)
    : text_(std::move(text)), crc_(crc32c(0, text_.data(), text_.size())), unigram_bits_(unigram_entropy(text_)) {}

std::span<const std::uint8_t> TextData::bytes() const noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text_.data()), text_.size()};
}

Result<std::vector<std::string>> list_text_files(const std::string& folder) {
  struct CloseDir {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(folder.c_str()));
  if (!dir) return fail(errno_error("open folder '" + folder + "'"));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) names.emplace_back(entry->d_name);
  if (errno != 0) return fail(errno_error("read folder '" + folder + "'"));
  std::sort(names.begin(), names.end());

  std::vector<std::string> paths;
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    struct stat info;
    // A dangling link is no text; it is passed over like a folder is.
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (seen.emplace(info.st_dev, info.st_ino).second) paths.push_back(path);
  }
  return paths;
}

Result<TextData> TextData::load(const std::vector<std::string>& paths) {
  std::vector<std::string> files = paths;
  if (files.empty()) {
    auto listed = list_text_files(kDefaultTextFolder);
    if (!listed) return fail(std::move(listed).error().context("--text: no file given and the default cannot be used"));
    files = std::move(*listed);
  }
  std::string text;
  for (const std::string& file : files) {
    FF_TRY_ASSIGN(const std::string bytes, read_text(file, kTextBytesMax - text.size()));
    text += bytes;
  }
  return TextData(std::move(text));
}

std::uint64_t sequence_start(const BatchShape& shape, std::int64_t step, std::int64_t index, std::uint64_t text_bytes) {
  // One number names the sequence among all of the run; Rng's seeding spreads neighbouring numbers apart.
  const auto number = static_cast<std::uint64_t>(step) * static_cast<std::uint64_t>(shape.sequences) +
                      static_cast<std::uint64_t>(index);
  Rng seeds(shape.seed);
  Rng rng(seeds.next() ^ number);
  return rng.below(text_bytes - static_cast<std::uint64_t>(shape.length));
}

void fill_batch(Batch& batch, const TextData& text, const BatchShape& shape, std::int64_t step, int rank, int world) {
  batch.tokens.clear();
  batch.targets.clear();
  const std::span<const std::uint8_t> bytes = text.bytes();
  const auto length = static_cast<std::size_t>(shape.length);
  for (std::int64_t i = rank; i < shape.sequences; i += world) {
    const auto sequence = bytes.subspan(sequence_start(shape, step, i, bytes.size()), length + 1);
    batch.tokens.insert(batch.tokens.end(), sequence.begin(), sequence.end() - 1);
    batch.targets.insert(batch.targets.end(), sequence.begin() + 1, sequence.end());
  }
}

}  // namespace ff::fftrain
