#include "hfreduce/cmd/array_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ff::hfreduce::cmd {

Result<ArraySource> ArraySource::open(const std::string& path, bool raw) {
  ArraySource source;
  source.name_ = path == "-" ? "standard input" : fmt::format("'{}'", path);
  source.fd_ = STDIN_FILENO;
  if (path != "-") {
    source.owned_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source.owned_) return fail(errno_error(fmt::format("open '{}'", path)));
    source.fd_ = source.owned_.get();
  }
  struct stat status{};
  if (::fstat(source.fd_, &status) != 0) return fail(errno_error(source.name_));
  if (S_ISDIR(status.st_mode)) return fail(Errc::kInvalidArgument, fmt::format("{}: a folder", source.name_));
  if (S_ISREG(status.st_mode)) {
    const off_t at = ::lseek(source.fd_, 0, SEEK_CUR);  // standard input may be a file that was read in part
    if (at >= 0) source.bytes_ = static_cast<std::uint64_t>(std::max<off_t>(0, status.st_size - at));
  }
  if (!raw) {
    if (auto read = source.read_header(); !read) return fail(std::move(read).error().context(source.name_));
  }
  return source;
}

Result<> ArraySource::read_header() {
  auto more = [&](std::size_t bytes) -> Result<> {
    const std::size_t had = front_.size();
    if (bytes <= had) return {};
    front_.resize(bytes);
    FF_TRY_ASSIGN(const std::size_t got, read_fd(std::as_writable_bytes(std::span(front_)).subspan(had)));
    front_.resize(had + got);
    return {};
  };
  FF_TRY(more(npy::kPreambleBytes));
  if (!npy::has_magic(front_)) return {};
  FF_TRY_ASSIGN(const std::uint64_t offset, npy::data_offset(front_));
  FF_TRY(more(offset));
  FF_TRY_ASSIGN(npy::Header header, npy::parse(front_));
  FF_TRY_ASSIGN(const std::size_t element, npy::element_bytes(header.descr));
  FF_TRY_ASSIGN(const std::uint64_t elements, header.elements());
  const std::uint64_t data = elements * element;
  if (bytes_ && *bytes_ != offset + data)
    return fail(Errc::kCorrupt, fmt::format("its header promises {} bytes of data and {} are there", data,
                                            *bytes_ < offset ? 0 : *bytes_ - offset));
  bytes_ = data;
  header_ = std::move(header);
  front_.clear();
  return {};
}

Result<DType> ArraySource::element_type(std::optional<DType> wanted) const {
  if (header_) {
    auto type = npy::element_type(header_->descr, wanted);
    if (!type) return fail(std::move(type).error().context(name_));
    return *type;
  }
  if (!wanted)
    return fail(Errc::kInvalidArgument, fmt::format("{}: raw data (say what it holds: --type float)", name_));
  if (bytes_ && *bytes_ % dtype_size(*wanted) != 0)
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: {} bytes are no whole number of {} elements", name_, *bytes_, dtype_name(*wanted)));
  return *wanted;
}

Result<std::size_t> ArraySource::read_fd(std::span<std::byte> out) {
  std::size_t got = 0;
  while (got < out.size()) {
    const ssize_t n = ::read(fd_, out.data() + got, out.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error("read"));
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

Result<std::size_t> ArraySource::read(std::span<std::byte> out) {
  if (ended_) return std::size_t{0};
  if (header_ && out.size() > *bytes_ - taken_) out = out.first(*bytes_ - taken_);
  const std::size_t early = std::min(front_.size(), out.size());
  if (early > 0) std::memcpy(out.data(), front_.data(), early);
  front_.erase(0, early);
  auto rest = read_fd(out.subspan(early));
  if (!rest) return fail(std::move(rest).error().context(name_));
  const std::size_t got = early + *rest;
  taken_ += got;
  if (got < out.size() || (header_ && taken_ == *bytes_)) ended_ = true;
  if (header_ && got < out.size())
    return fail(Errc::kCorrupt, fmt::format("{}: ends {} bytes early", name_, *bytes_ - taken_));
  return got;
}

Result<bool> ArraySink::check(const std::string& path, bool force) {
  if (path == "-") {
    if (::isatty(STDOUT_FILENO) != 0)
      return fail(Errc::kInvalidArgument, "output: the terminal cannot show binary data (use -o FILE, or a pipe)");
    return true;
  }
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    const std::string folder = parent_folder(path);
    if (::access(folder.c_str(), W_OK | X_OK) != 0) return fail(errno_error(fmt::format("create '{}'", path)));
    return false;
  }
  if (S_ISDIR(status.st_mode)) return fail(Errc::kInvalidArgument, fmt::format("'{}': a folder", path));
  if (!S_ISREG(status.st_mode)) return true;
  if (!force) return fail(Errc::kAlreadyExists, fmt::format("'{}': exists (--force replaces it)", path));
  return false;
}

Result<ArraySink> ArraySink::create(const std::string& path, bool force) {
  FF_TRY_ASSIGN(const bool direct, check(path, force));
  ArraySink sink;
  sink.path_ = path;
  if (path == "-") return sink;
  if (direct) {
    sink.owned_.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!sink.owned_) return fail(errno_error(fmt::format("open '{}'", path)));
  } else {
    FF_TRY_ASSIGN(sink.file_, AtomicFile::create(path, 0666));
  }
  return sink;
}

Result<> ArraySink::write(std::span<const std::byte> bytes) {
  if (file_) return file_->write(bytes);
  FF_TRY_CTX(write_all(owned_ ? owned_.get() : STDOUT_FILENO, bytes),
             path_ == "-" ? "standard output" : fmt::format("'{}'", path_));
  return {};
}

Result<> ArraySink::commit() { return file_ ? file_->commit() : Result<>(); }

}  // namespace ff::hfreduce::cmd
