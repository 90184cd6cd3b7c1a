#include "ffs/meta/housekeeping.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "ffs/meta/namespace_answers.hpp"
#include "libcommon/log/log.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::size_t kPage = 100;
constexpr std::size_t kTreeBatch = 8;  // entries taken out of a tree in one transaction: fits 128 operations
constexpr const char* kLeaseName = "ffs/housekeeping";
constexpr std::size_t kNotedMax = 10'000;
constexpr runtime::Duration kClockSkew = std::chrono::minutes(5);  // between services that are in order

// What a round has come to: it goes on after failures of single things, and tells the first. It is over only when its
// own context is: a chain that is down gives timeouts too.
class Round {
 public:
  void done() { ++count_; }
  std::uint64_t count() const { return count_; }
  void failed(Error error) {
    if (!error_) error_ = std::move(error);
  }
  Result<std::uint64_t> result() {
    if (error_) return fail(std::move(*error_));
    return count_;
  }

 private:
  std::uint64_t count_ = 0;
  std::optional<Error> error_;
};

User remover(const GarbageRecord& garbage) {
  User user;
  user.set_uid(garbage.uid());
  user.set_gid(garbage.gid());
  *user.mutable_groups() = garbage.groups();
  return user;
}

// Those of before answers were of a user are shorter, and no answer any more.
bool is_answer(std::string_view key) {
  return key.size() == keys::kAnswerKeyBytes || key.size() == keys::kAnswerKeyBytes - sizeof(std::uint32_t);
}

Layout layout_of(const InodeRecord& record) {
  return {.table = TableId{record.layout().table()},
          .table_version = record.layout().table_version(),
          .chunk_bytes = record.layout().chunk_bytes(),
          .stripe = record.layout().stripe()};
}

}  // namespace

Housekeeping::Housekeeping(Namespace& names, SessionSource& sessions, HousekeepingOptions options)
    : names_(names), sessions_(sessions), options_(options) {}

Task<Result<>> Housekeeping::run() {
  while (true) {
    auto lease = co_await names_.store().acquire_lease(kLeaseName, "metad", options_.lease);
    if (lease) FF_CO_TRY(co_await rounds(**lease));
    FF_CO_TRY(co_await runtime::sleep(options_.pause));
  }
}

// Returns when the lease is lost; an error only when it is cancelled.
Task<Result<>> Housekeeping::rounds(kv::Lease& lease) {
  using Work = Task<Result<std::uint64_t>> (Housekeeping::*)();
  constexpr Work kWorks[] = {&Housekeeping::finish_truncates, &Housekeeping::prune_sessions,
                             &Housekeeping::collect_garbage, &Housekeeping::empty_trash, &Housekeeping::forget_answers};
  while (lease.held()) {
    for (const Work work : kWorks) {
      (void)co_await runtime::with_timeout(options_.round_limit, "housekeeping", (this->*work)());
      FF_CO_TRY(co_await runtime::not_cancelled());
    }
    FF_CO_TRY(co_await runtime::sleep(options_.pause));
  }
  co_return {};
}

// ---- garbage -------------------------------------------------------------------------------------------------------

Task<Result<std::uint64_t>> Housekeeping::collect_garbage() {
  FF_CO_TRY(co_await mend_garbage_times());
  Round round;
  std::uint64_t at_start = 0;
  kv::KeyRange due = keys::garbage_until(names_.wall_now());
  const bool resumed = !garbage_from_.empty() && garbage_from_ > due.begin && garbage_from_ < due.end;
  if (resumed) due.begin = garbage_from_;
  while (true) {
    FF_CO_TRY_ASSIGN(const auto page,
                     co_await names_.transact<kv::RangeResult>([due] [[clang::coro_wrapper]] (View & view) {
                       return view.range(due, {.limit = kPage, .mode = kv::Read::kSnapshot});
                     }));
    for (const kv::KeyValue& pair : page.pairs) {
      // Where the next round begins if this one is cut off: what takes long must not keep the rest waiting for ever.
      garbage_from_ = pair.key + '\0';
      auto garbage = pair.key.size() == keys::kPrefixBytes + 16
                         ? decode_record<GarbageRecord>(pair.value, "garbage")
                         : Result<GarbageRecord>(fail(Errc::kCorrupt, "garbage: a key of another length (run fffsck)"));
      if (!garbage) {
        note_bad("garbage", pair.key, garbage.error());
        round.failed(std::move(garbage).error());
        continue;
      }
      const InodeId id{keys::number_at(pair.key, keys::kPrefixBytes + 8)};
      Step step = Step::kMore;
      while (step == Step::kMore) {
        auto made = co_await runtime::with_timeout(
            options_.item_limit, "garbage",
            garbage->tree() ? take_apart(pair.key, id, *garbage) : destroy_one(pair.key, id, *garbage));
        FF_CO_TRY(co_await runtime::not_cancelled());
        if (!made) {
          round.failed(std::move(made).error());
          break;
        }
        step = *made;
        if (step != Step::kLater) round.done();
      }
    }
    if (!page.pairs.empty()) {
      due.begin = page.pairs.back().key + '\0';
      continue;
    }
    garbage_from_.clear();
    // Trees have put their directories behind what was due: another pass, as long as one gets somewhere.
    if (round.count() == at_start) co_return round.result();
    at_start = round.count();
    due = keys::garbage_until(names_.wall_now());
  }
}

// Once for each key.
void Housekeeping::note_bad(const char* what, const std::string& key, const Error& error) {
  if (noted_.size() < kNotedMax && noted_.insert(key).second)
    log::warn("housekeeping: {} at '{}': {}", what, printable_name(key), error.message());
}

// A service whose clock was ahead has put things further into the future than anything may lie: by this clock they are
// due after the longest delay.
Task<Result<>> Housekeeping::mend_garbage_times() {
  const std::int64_t latest =
      names_.wall_now() + std::max(names_.options().garbage_delay, options_.open_garbage_pause).count();
  kv::KeyRange beyond = keys::garbage_all();
  beyond.begin = keys::garbage_until(latest).end;
  FF_CO_TRY_ASSIGN(const auto page,
                   co_await names_.transact<kv::RangeResult>([beyond] [[clang::coro_wrapper]] (View & view) {
                     return view.range(beyond, {.limit = kPage, .mode = kv::Read::kSnapshot});
                   }));
  for (const kv::KeyValue& pair : page.pairs) {
    if (pair.key.size() != keys::kPrefixBytes + 16) continue;  // told by the round itself
    FF_CO_TRY(co_await names_.transact<void>([&](View& view) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto still, co_await view.get(pair.key));
      if (!still) co_return {};
      view.transaction().clear(pair.key);
      view.transaction().set(keys::garbage(latest, InodeId{keys::number_at(pair.key, keys::kPrefixBytes + 8)}), *still);
      co_return {};
    }));
  }
  co_return {};
}

Task<Result<Housekeeping::Step>> Housekeeping::destroy_one(std::string key, InodeId id, GarbageRecord garbage) {
  using Found = std::optional<Inode>;
  FF_CO_TRY_ASSIGN(const Found found, co_await names_.transact<Found>([&](View& view) -> Task<Result<Found>> {
    // Moved already, by an attempt of this that was in doubt, or by another service.
    FF_CO_TRY_ASSIGN(const auto still, co_await view.get(key));
    if (!still) co_return std::nullopt;
    FF_CO_TRY_ASSIGN(Found inode, co_await view.find(id));
    if (!inode || inode->record.links() > 0) {
      view.transaction().clear(key);
      co_return std::nullopt;
    }
    FF_CO_TRY_ASSIGN(const bool open, co_await view.has_sessions(id, false));
    if (!open) co_return inode;
    view.transaction().clear(key);
    view.discard(*inode, garbage, options_.open_garbage_pause);
    co_return std::nullopt;
  }));
  if (!found) co_return Step::kLater;
  // Nobody can open it any more, so it stays as it is: chunks first, then what leads to them. A file in its inode may
  // have chunks too, of a writer that died while it moved the content there.
  if (found->is_file() && found->record.has_layout()) {
    FF_CO_TRY(co_await names_.chunks().remove_all(id, layout_of(found->record), found->record.truncate_epoch() + 1));
  }
  co_return co_await names_.transact<Step>([&](View& view) -> Task<Result<Step>> {
    FF_CO_TRY_ASSIGN(const Found inode, co_await view.find(id));
    if (inode && inode->record.links() == 0) view.destroy(*inode);
    view.transaction().clear(key);
    co_return Step::kGone;
  });
}

Task<Result<Housekeeping::Step>> Housekeeping::take_apart(std::string key, InodeId id, GarbageRecord garbage) {
  FF_CO_TRY_ASSIGN(const InodeId fresh, co_await names_.fresh_id(true));
  co_return co_await names_.transact<Step>([&](View& view) -> Task<Result<Step>> {
    FF_CO_TRY_ASSIGN(const auto still, co_await view.get(key));
    FF_CO_TRY_ASSIGN(auto directory, co_await view.find(id));
    if (!still || !directory || directory->record.links() > 0) {
      view.transaction().clear(key);
      co_return Step::kGone;
    }
    FF_CO_TRY_ASSIGN(const auto entries, co_await view.range(keys::dirents(id), {.limit = kTreeBatch}));
    if (entries.pairs.empty()) {
      FF_CO_TRY_ASSIGN(const bool charged, co_await view.has_charges(*directory));
      view.transaction().clear(key);
      if (charged) {
        view.discard(*directory, garbage, options_.open_garbage_pause);
        co_return Step::kLater;
      }
      view.destroy(*directory);
      co_return Step::kGone;
    }
    const User user = remover(garbage);
    if (!allows(user, directory->record, kMayRead | kMayWrite | kMaySearch) || directory->record.immutable()) {
      // The remover could not have done it entry by entry: its owner finds it in the trash.
      directory->record.set_links(1);
      view.transaction().clear(key);
      FF_CO_TRY(co_await put_into_trash(view, directory->record.uid(), directory->record.gid(), "refused", *directory,
                                        fresh));
      co_return Step::kGone;
    }
    for (const kv::KeyValue& pair : entries.pairs) {
      const std::string name(keys::dirent_name(pair.key));
      FF_CO_TRY_ASSIGN(const DirentRecord entry, decode_record<DirentRecord>(pair.value, "entry"));
      FF_CO_TRY_ASSIGN(Inode child, co_await view.inode_of(id, name, entry));
      view.remove_entry(*directory, name, child);
      if (!may_remove_entry(user, directory->record, child.record) || child.record.immutable()) {
        FF_CO_TRY(co_await put_into_trash(view, child.record.uid(), child.record.gid(), name, child, fresh));
        co_return Step::kMore;  // at most one in a transaction: `fresh` is one number
      }
      if (child.is_directory()) {
        child.record.set_links(0);
        view.change(child);
        view.discard(child, garbage, runtime::Duration::zero());
      } else {
        view.drop_link(child, names_.options().garbage_delay);
      }
    }
    co_return Step::kMore;
  });
}

// ---- truncates, sessions -------------------------------------------------------------------------------------------

Task<Result<std::uint64_t>> Housekeeping::finish_truncates() {
  Round round;
  kv::KeyRange rest = keys::truncating_all();
  if (truncates_from_ > rest.begin && truncates_from_ < rest.end) rest.begin = truncates_from_;
  while (true) {
    FF_CO_TRY_ASSIGN(const auto page,
                     co_await names_.transact<kv::RangeResult>([rest] [[clang::coro_wrapper]] (View & view) {
                       return view.range(rest, {.limit = kPage, .mode = kv::Read::kSnapshot});
                     }));
    for (const kv::KeyValue& pair : page.pairs) {
      truncates_from_ = pair.key + '\0';
      if (pair.key.size() != keys::kPrefixBytes + 8) {
        note_bad("truncate", pair.key, Error(Errc::kCorrupt, "a key of another length (run fffsck)"));
        continue;
      }
      const InodeId id{keys::number_at(pair.key, keys::kPrefixBytes)};
      auto due = co_await names_.transact<bool>([&](View& view) -> Task<Result<bool>> {
        FF_CO_TRY_ASSIGN(const auto inode, co_await view.find(id));
        if (!inode) co_return false;
        // Of a clock that was ahead: finishing it early is harmless.
        const std::int64_t changed = inode->record.changed();
        co_return changed > view.now() || changed + options_.truncate_grace.count() <= view.now();
      });
      FF_CO_TRY(co_await runtime::not_cancelled());
      if (due && !*due) continue;
      auto finished = due ? co_await runtime::with_timeout(options_.item_limit, "truncate", names_.finish_truncate(id))
                          : Result<>(fail(std::move(due).error()));
      FF_CO_TRY(co_await runtime::not_cancelled());
      if (finished) {
        round.done();
      } else {
        round.failed(std::move(finished).error());
      }
    }
    if (!page.more) {
      truncates_from_.clear();
      co_return round.result();
    }
    rest.begin = page.pairs.back().key + '\0';
  }
}

// Who is alive is asked after a page was read: a client that is not among them then has come before, and is gone. One
// that came since would look the same.
Task<Result<std::uint64_t>> Housekeeping::prune_sessions() {
  std::set<std::uint64_t> live;
  Round round;
  kv::KeyRange rest = keys::sessions_by_client();
  if (sessions_from_ > rest.begin && sessions_from_ < rest.end) rest.begin = sessions_from_;
  while (true) {
    FF_CO_TRY_ASSIGN(const auto page,
                     co_await names_.transact<kv::RangeResult>([rest] [[clang::coro_wrapper]] (View & view) {
                       return view.range(rest, {.limit = kPage, .mode = kv::Read::kSnapshot});
                     }));
    if (page.pairs.empty()) {
      sessions_from_.clear();
      co_return round.result();
    }
    rest.begin = page.pairs.back().key + '\0';
    bool asked = false;
    for (const kv::KeyValue& pair : page.pairs) {
      if (pair.key.size() != keys::kPrefixBytes + 24) {
        sessions_from_ = pair.key + '\0';
        note_bad("session", pair.key, Error(Errc::kCorrupt, "a key of another length (run fffsck)"));
        continue;
      }
      const std::uint64_t client = keys::number_at(pair.key, keys::kPrefixBytes);
      if (!asked && !live.contains(client)) {
        FF_CO_TRY_ASSIGN(live, co_await sessions_.live_clients());
        asked = true;
      }
      sessions_from_ = pair.key + '\0';
      if (live.contains(client)) {
        // All its others are passed over.
        if (client == std::numeric_limits<std::uint64_t>::max()) co_return round.result();
        rest.begin = keys::sessions_of_client(client + 1).begin;
        break;
      }
      const InodeId inode{keys::number_at(pair.key, keys::kPrefixBytes + 8)};
      auto ended = co_await runtime::with_timeout(
          options_.item_limit, "session",
          end_session(client, inode, keys::number_at(pair.key, keys::kPrefixBytes + 16)));
      FF_CO_TRY(co_await runtime::not_cancelled());
      if (!ended) {
        round.failed(std::move(ended).error());
      } else if (*ended) {
        round.done();
      }
    }
  }
}

// What a writer had acknowledged and not told yet is asked of the chunks.
Task<Result<bool>> Housekeeping::end_session(std::uint64_t client, InodeId inode, std::uint64_t handle) {
  const std::string key = keys::session(inode, client, handle);
  const std::string of_client = keys::session_of_client(client, inode, handle);
  struct Seen {
    bool young = false;
    std::optional<Inode> written;
  };
  FF_CO_TRY(co_await names_.finish_truncate(inode));
  FF_CO_TRY_ASSIGN(const Seen seen, co_await names_.transact<Seen>([&](View& view) -> Task<Result<Seen>> {
    FF_CO_TRY_ASSIGN(const auto value, co_await view.get(key));
    if (!value) co_return Seen();
    FF_CO_TRY_ASSIGN(SessionRecord session, decode_record<SessionRecord>(*value, "session"));
    if (session.opened() > view.now()) {
      // Of a clock that was ahead: by this one it begins to age now.
      session.set_opened(view.now());
      view.transaction().set(key, encode_record(session));
      co_return Seen{true, {}};
    }
    if (session.opened() + options_.session_grace.count() > view.now()) co_return Seen{true, {}};
    FF_CO_TRY_ASSIGN(auto file, co_await view.find(inode));
    // Its chunks are not cut yet: their length says nothing.
    if (file && file->record.has_truncating()) co_return Seen{true, {}};
    const bool written =
        session.write() && file && file->is_file() && !file->record.inlined() && file->record.has_layout();
    co_return Seen{false, written ? std::move(file) : std::nullopt};
  }));
  if (seen.young) co_return false;
  std::uint64_t length = 0;
  if (seen.written) {
    FF_CO_TRY_ASSIGN(length, co_await names_.chunks().length(inode, layout_of(seen.written->record)));
  }
  FF_CO_TRY(co_await names_.transact<void>([&](View& view) -> Task<Result<>> {
    view.transaction().clear(key);
    view.transaction().clear(of_client);
    if (!seen.written) co_return {};
    FF_CO_TRY_ASSIGN(auto file, co_await view.find(inode));
    if (!file || file->record.has_truncating()) co_return {};
    const std::uint64_t settled = settled_length(file->record.size(), file->record.truncate_epoch(), length,
                                                 seen.written->record.truncate_epoch());
    if (settled == file->record.size()) co_return {};
    view.resize(*file, settled);
    file->record.set_modified(view.now());
    view.change(*file);
    co_return {};
  }));
  co_return true;
}

// ---- answers, trash ------------------------------------------------------------------------------------------------

// Those of a client are in the order of its requests, so the old ones come first.
Task<Result<std::uint64_t>> Housekeeping::forget_answers() {
  std::uint64_t forgotten = 0;
  kv::KeyRange rest = keys::answers();
  while (true) {
    FF_CO_TRY_ASSIGN(const auto page,
                     co_await names_.transact<kv::RangeResult>([rest] [[clang::coro_wrapper]] (View & view) {
                       return view.range(rest, {.limit = kPage, .mode = kv::Read::kSnapshot});
                     }));
    if (page.pairs.empty()) co_return forgotten;
    const std::string& first = page.pairs.front().key;
    if (!is_answer(first)) {
      note_bad("answer", first, Error(Errc::kCorrupt, "a key of another length (run fffsck)"));
      rest.begin = first + '\0';
      continue;
    }
    const std::uint64_t client = keys::number_at(first, keys::kPrefixBytes);
    kv::KeyRange old{first, first};
    std::uint64_t count = 0;
    for (const kv::KeyValue& pair : page.pairs) {
      if (!is_answer(pair.key) || keys::number_at(pair.key, keys::kPrefixBytes) != client) break;
      const auto answer = decode_record<AnswerRecord>(pair.value, "answer");
      // One that cannot be read answers nobody; one of a clock that was ahead could stay for ever. Both are as good as
      // old, for nobody repeats a request for so long.
      if (!answer) note_bad("answer", pair.key, answer.error());
      const std::int64_t now = names_.wall_now();
      const bool fresh = answer && answer->expires() > now &&
                         answer->expires() <= now + names_.options().answers_kept.count() + kClockSkew.count();
      if (fresh) break;
      old.end = pair.key + '\0';
      ++count;
    }
    if (count > 0) {
      FF_CO_TRY(co_await names_.transact<void>([&](View& view) -> Task<Result<>> {
        view.transaction().clear_range(old);
        co_return {};
      }));
      forgotten += count;
      rest.begin = old.end;
    } else {
      if (client == std::numeric_limits<std::uint64_t>::max()) co_return forgotten;
      rest.begin = keys::answers_of_client(client + 1).begin;
    }
  }
}

Task<Result<std::uint64_t>> Housekeeping::empty_trash() {
  if (options_.trash_kept == runtime::Duration::zero()) co_return 0;
  Round round;
  const auto each = [](Namespace& names, InodeId directory, std::string after) -> Task<Result<kv::RangeResult>> {
    kv::KeyRange range = keys::dirents(directory);
    if (!after.empty()) range.begin = after + '\0';
    co_return co_await names.transact<kv::RangeResult>([range] [[clang::coro_wrapper]] (View & view) {
      return view.range(range, {.limit = kPage, .mode = kv::Read::kSnapshot});
    });
  };
  std::string after_user;
  while (true) {
    FF_CO_TRY_ASSIGN(const auto users, co_await each(names_, kTrashInode, after_user));
    if (users.pairs.empty()) co_return round.result();
    after_user = users.pairs.back().key;
    for (const kv::KeyValue& user : users.pairs) {
      const auto own = decode_record<DirentRecord>(user.value, "entry");
      if (!own) {
        note_bad("entry of the trash", user.key, own.error());
        round.failed(own.error());
        continue;
      }
      std::string after;
      while (true) {
        FF_CO_TRY_ASSIGN(const auto page, co_await each(names_, InodeId{own->inode()}, after));
        if (page.pairs.empty()) break;
        after = page.pairs.back().key;
        for (const kv::KeyValue& pair : page.pairs) {
          const auto entry = decode_record<DirentRecord>(pair.value, "entry");
          auto old = entry ? co_await names_.transact<bool>([&](View& view) -> Task<Result<bool>> {
            FF_CO_TRY_ASSIGN(const auto inode, co_await view.find(InodeId{entry->inode()}));
            co_return inode && inode->record.changed() + options_.trash_kept.count() <= view.now();
          })
                           : Result<bool>(fail(entry.error()));
          FF_CO_TRY(co_await runtime::not_cancelled());
          if (!old) {
            note_bad("entry of the trash", pair.key, old.error());
            round.failed(std::move(old).error());
            continue;
          }
          if (!*old) continue;
          RemoveRequest remove;
          remove.mutable_where()->set_base(own->inode());
          remove.mutable_where()->set_path(std::string(keys::dirent_name(pair.key)));
          remove.set_recursive(true);
          auto removed = co_await names_.remove(std::move(remove));
          if (removed) {
            round.done();
          } else if (!is_posix(removed.error())) {
            FF_CO_TRY(co_await runtime::not_cancelled());
            round.failed(std::move(removed).error());
          }
        }
      }
    }
  }
}

}  // namespace ff::ffs
