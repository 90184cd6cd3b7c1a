#include "ffs/cmd/stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "libcommon/runtime/scope.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

// Large enough that a piece is spread over several chunks and chains.
constexpr std::size_t kPiece = 8u << 20;
constexpr int kWaitMs = 100;

// Fills as much as the source gives: pipes give little at a time.
Task<Result<std::size_t>> fill(ByteSource& source, std::span<std::byte> into) {
  std::size_t got = 0;
  while (got < into.size()) {
    FF_CO_TRY_ASSIGN(const std::size_t more, co_await source.read(into.subspan(got)));
    if (more == 0) break;
    got += more;
  }
  co_return got;
}

}  // namespace

LocalSource::LocalSource(runtime::Env& env, UniqueFd fd, int number, std::string name)
    : env_(env), fd_(std::move(fd)), number_(number), name_(std::move(name)) {}

Result<std::unique_ptr<LocalSource>> LocalSource::open(runtime::Env& env, const std::string& path) {
  if (path == "-") return std::make_unique<LocalSource>(env, UniqueFd(), STDIN_FILENO, "standard input");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(errno_error(path));
  const int number = fd.get();
  return std::make_unique<LocalSource>(env, std::move(fd), number, path);
}

Task<Result<std::size_t>> LocalSource::read(std::span<std::byte> into) {
  // What blocks is not cancelled, and a pipe may be silent for ever: each wait for it is short.
  const auto blocking = [number = number_, into]() -> std::pair<std::optional<ssize_t>, int> {
    pollfd ready{.fd = number, .events = POLLIN, .revents = 0};
    const int events = ::poll(&ready, 1, kWaitMs);
    if (events == 0 || (events < 0 && errno == EINTR)) return {std::nullopt, 0};
    const ssize_t got = ::read(number, into.data(), into.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {std::nullopt, 0};
    return {got, errno};
  };
  while (true) {
    FF_CO_TRY_ASSIGN(const auto result, co_await runtime::offload(env_, blocking));
    if (!result.first) continue;
    if (*result.first < 0) co_return fail(errno_error(name_, result.second));
    co_return static_cast<std::size_t>(*result.first);
  }
}

std::unique_ptr<LocalSink> LocalSink::into(runtime::Env& env, AtomicFile file) {
  return std::unique_ptr<LocalSink>(new LocalSink(env, std::make_unique<AtomicFile>(std::move(file))));
}

std::unique_ptr<LocalSink> LocalSink::standard_output(runtime::Env& env) {
  return std::unique_ptr<LocalSink>(new LocalSink(env, nullptr));
}

Task<Result<>> LocalSink::write(std::span<const std::byte> from) {
  FF_CO_TRY_ASSIGN(Result<> written, co_await runtime::offload(env_, [this, from]() -> Result<> {
                     return file_ != nullptr ? file_->write(from) : write_all(STDOUT_FILENO, from);
                   }));
  co_return written;
}

Task<Result<>> LocalSink::commit() {
  if (file_ == nullptr) co_return {};
  FF_CO_TRY_ASSIGN(Result<> done, co_await runtime::offload(env_, [this] { return file_->commit(); }));
  co_return done;
}

Task<Result<std::size_t>> FileSource::read(std::span<std::byte> into) {
  FF_CO_TRY_ASSIGN(const std::size_t got, co_await file_.read(offset_, into));
  offset_ += got;
  co_return got;
}

Task<Result<>> FileSink::write(std::span<const std::byte> from) {
  FF_CO_TRY(co_await file_.write(offset_, from));
  offset_ += from.size();
  co_return {};
}

Task<Result<std::uint64_t>> pump(ByteSource& source, ByteSink& sink, std::function<void(std::uint64_t)> moved) {
  std::vector<std::byte> now(kPiece), next(kPiece);
  std::uint64_t total = 0;
  FF_CO_TRY_ASSIGN(std::size_t bytes, co_await fill(source, now));
  while (bytes > 0) {
    auto [written, read] = co_await runtime::when_all(sink.write(std::span(now).first(bytes)), fill(source, next));
    if (!written) co_return fail(std::move(written).error());
    total += bytes;
    moved(bytes);
    if (!read) co_return fail(std::move(read).error());
    bytes = *read;
    std::swap(now, next);
  }
  co_return total;
}

}  // namespace ff::ffs
