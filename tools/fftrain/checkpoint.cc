#include "tools/fftrain/checkpoint.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::fftrain {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kSuffix = ".ckpt";
constexpr std::string_view kTemporary = ".ckpt.tmp";  // and what AtomicFile adds

// "step-00000120.ckpt" -> 120.
std::optional<std::uint64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  std::uint64_t step = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (code != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return step;
}

bool is_temporary(std::string_view name) {
  return name.starts_with(kPrefix) && name.find(kTemporary) != std::string_view::npos;
}

}  // namespace

Result<> write_checkpoint(const std::string& path, const CheckpointHeader& header,
                          const TrainingState<const float>& state) {
  FF_TRY_ASSIGN(Files* const files, files_of(path));
  const auto head = encode_header(header);
  std::vector<std::span<const std::byte>> parts = {head};
  for (const std::span<const float> part : {state.weights, state.first, state.second}) {
    FF_ASSERT(part.size() == header.parameters, part.size(), header.parameters);
    parts.push_back(std::as_bytes(part));
  }
  std::uint32_t crc = 0;
  for (const std::span<const std::byte> part : parts) crc = crc32c(crc, part.data(), part.size());
  parts.push_back(std::as_bytes(std::span(&crc, 1)));
  return files->write(path, parts);
}

Result<CheckpointHeader> read_checkpoint(const std::string& path, const ModelConfig& expected,
                                         const TrainingState<float>& state) {
  const std::string what = "checkpoint '" + path + "'";
  FF_TRY_ASSIGN(Files* const files, files_of(path));
  auto file = files->open(path);
  if (!file) return fail(std::move(file).error().context("checkpoint"));
  std::array<std::byte, kHeaderBytes> head;
  FF_TRY_CTX((*file)->read(head), what);
  auto header = decode_header(head, (*file)->size());
  if (!header) return fail(std::move(header).error().context(what));
  if (header->model != expected)
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: was written by --layers {} --heads {} --dim {} --ctx {} (use the same, or another "
                            "--checkpoint)",
                            what, header->model.layers, header->model.heads, header->model.dim, header->model.ctx));

  std::uint32_t crc = crc32c(0, head.data(), head.size());
  for (const std::span<float> part : {state.weights, state.first, state.second}) {
    FF_ASSERT(part.size() == header->parameters, part.size(), header->parameters);
    const std::span<std::byte> bytes = std::as_writable_bytes(part);
    FF_TRY_CTX((*file)->read(bytes), what);
    crc = crc32c(crc, bytes.data(), bytes.size());
  }
  std::uint32_t stored = 0;
  FF_TRY_CTX((*file)->read(std::as_writable_bytes(std::span(&stored, 1))), what);
  if (crc != stored) return fail(Errc::kCorrupt, what + ": checksum does not match");
  return *header;
}

Result<CheckpointFolder> CheckpointFolder::open(const std::string& path) {
  FF_TRY_ASSIGN(Files* const files, files_of(path));
  auto owner = files->own_folder(path);
  if (!owner) return fail(std::move(owner).error().context("checkpoint folder"));
  CheckpointFolder folder(*files, path, *std::move(owner));
  // Ours alone now: a temporary file can only be a killed writer's.
  FF_TRY_ASSIGN(const auto names, folder.names());
  for (const std::string& name : names)
    if (is_temporary(name)) (void)files->remove(path + "/" + name);
  return folder;
}

Result<std::vector<std::string>> CheckpointFolder::names() const {
  auto names = files_->names(path_);
  if (!names) return fail(std::move(names).error().context("checkpoint folder"));
  return names;
}

Result<std::vector<std::uint64_t>> CheckpointFolder::steps() const {
  FF_TRY_ASSIGN(const auto all, names());
  std::vector<std::uint64_t> steps;
  for (const std::string& name : all)
    // Only names that we would write ourselves: "step-7.ckpt" is somebody else's.
    if (const auto step = step_of(name); step && file_of(*step) == path_ + "/" + name) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string CheckpointFolder::file_of(std::uint64_t step) const {
  return fmt::format("{}/{}{:08}{}", path_, kPrefix, step, kSuffix);
}

Result<> CheckpointFolder::save(const CheckpointHeader& header, const TrainingState<const float>& state) {
  FF_TRY(write_checkpoint(file_of(header.step), header, state));
  FF_TRY_ASSIGN(const auto present, steps());
  // The new one is durable before an old one goes. Higher steps, which a resumed run has refused as damaged, stay until
  // they are overwritten: nothing is removed that might still be wanted.
  const auto end = std::upper_bound(present.begin(), present.end(), header.step);
  const auto count = static_cast<std::size_t>(end - present.begin());
  for (std::size_t i = 0; i + kKept < count; ++i) (void)files_->remove(file_of(present[i]));
  return {};
}

Result<std::optional<CheckpointHeader>> CheckpointFolder::load_latest(
    const ModelConfig& expected, const TrainingState<float>& state, const std::function<void(const Error&)>& refused) {
  FF_TRY_ASSIGN(const auto present, steps());
  for (auto step = present.rbegin(); step != present.rend(); ++step) {
    auto header = read_checkpoint(file_of(*step), expected, state);
    if (header && header->step != *step)
      header = fail(Errc::kCorrupt, fmt::format("checkpoint '{}': holds step {}", file_of(*step), header->step));
    if (header) return std::optional(*header);
    // Only damage makes an older one the better one; what cannot be read now (EIO, EACCES) may be sound.
    if (header.error().code() != Errc::kCorrupt) return fail(header.error());
    refused(header.error());
  }
  if (present.empty()) return std::optional<CheckpointHeader>();
  return fail(Errc::kCorrupt,
              fmt::format("checkpoint folder '{}': none of its {} checkpoints is usable (remove them to "
                          "begin anew)",
                          path_, present.size()));
}

}  // namespace ff::fftrain
