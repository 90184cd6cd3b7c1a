#include "ffs/client/file_system.hpp"

#include <fmt/core.h>

#include "ffs/mgmt/routing_client.hpp"
#include "ffs/storage/storage_client.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::uint32_t kListPage = 1000;

std::uint64_t session_number(Rng& rng) {
  std::uint64_t number = 0;
  while (number == 0) number = rng.next();
  return number;
}

void set_layout(LayoutInfo& to, const Layout& layout) {
  to.set_table(number(layout.table));
  to.set_table_version(layout.table_version);
  to.set_chunk_bytes(layout.chunk_bytes);
  to.set_stripe(layout.stripe);
}

}  // namespace

FileSystem::FileSystem(runtime::Env& env, FileSystemOptions options) : env_(env), options_(std::move(options)) {}
FileSystem::~FileSystem() = default;

Task<Result<std::unique_ptr<FileSystem>>> FileSystem::connect(runtime::Env& env, FileSystemOptions options) {
  std::unique_ptr<FileSystem> fs(new FileSystem(env, std::move(options)));
  const std::uint64_t session = session_number(env.rng());
  fs->manager_ = std::make_unique<MgmtClient>(
      env, fs->options_.managers,
      MgmtClientOptions{.cluster = fs->options_.cluster, .token = fs->options_.caller.token});
  Result<> started = co_await fs->manager_->start(fs->options_.timeout);
  if (started) started = fs->manager_->keep_session(session, fs->options_.what, fs->options_.host);
  if (!started) {
    co_await fs->stop();
    std::string asked;
    for (const net::PeerAddress& manager : fs->options_.managers) asked += (asked.empty() ? "" : ", ") + manager.text();
    co_return fail(std::move(started).error().context("file system of " + asked));
  }
  fs->storage_ =
      std::make_unique<StorageClient>(env, *fs->manager_, StorageClientOptions{.timeout = fs->options_.timeout});
  fs->meta_ = std::make_unique<MetaCalls>(env, *fs->manager_, fs->options_.caller, session, fs->options_.timeout);
  co_return std::move(fs);
}

Task<void> FileSystem::stop() {
  if (meta_ != nullptr) co_await meta_->stop();
  if (storage_ != nullptr) co_await storage_->stop();
  if (manager_ != nullptr) co_await manager_->stop();
}

std::shared_ptr<const RoutingView> FileSystem::routing() const noexcept { return manager_->current(); }

Task<Result<std::shared_ptr<const RoutingView>>> FileSystem::newer_routing(runtime::Duration timeout) {
  const auto view = manager_->current();
  co_return co_await manager_->newer_than(view == nullptr ? 0 : view->version(), timeout);
}

Task<Result<std::unique_ptr<File>>> FileSystem::open(std::string path, OpenFlags flags) {
  FF_CO_TRY_ASSIGN(path, clean_path(path));
  OpenRequest request;
  *request.mutable_where() = at(std::move(path));
  request.set_read(flags.read);
  request.set_write(flags.write);
  request.set_create(flags.create);
  request.set_exclusive(flags.exclusive);
  request.set_truncate(flags.truncate);
  request.set_mode(flags.mode);
  if (flags.layout) set_layout(*request.mutable_layout(), *flags.layout);
  FF_CO_TRY_ASSIGN(OpenReply reply, co_await meta_->open(std::move(request)));
  co_return std::unique_ptr<File>(new File(*this, std::move(reply), flags.write));
}

Task<Result<Attributes>> FileSystem::stat(std::string path, bool follow) {
  FF_CO_TRY_ASSIGN(path, clean_path(path));
  StatRequest request;
  *request.mutable_where() = at(std::move(path), follow);
  FF_CO_TRY_ASSIGN(StatReply reply, co_await meta_->stat(std::move(request)));
  co_return std::move(*reply.mutable_attributes());
}

Task<Result<>> FileSystem::list(std::string path, bool attributes, std::function<bool(const Entry&)> visit) {
  FF_CO_TRY_ASSIGN(path, clean_path(path));
  std::string after;
  while (true) {
    ListRequest request;
    *request.mutable_where() = at(path);
    request.set_after(after);
    request.set_limit(kListPage);
    request.set_with_attributes(attributes);
    FF_CO_TRY_ASSIGN(const ListReply reply, co_await meta_->list(std::move(request)));
    for (const Entry& entry : reply.entries()) {
      if (!visit(entry)) co_return {};
    }
    if (!reply.more() || reply.entries().empty()) co_return {};
    after = reply.entries(reply.entries_size() - 1).name();
  }
}

}  // namespace ff::ffs
