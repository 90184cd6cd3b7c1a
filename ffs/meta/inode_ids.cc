#include "ffs/meta/inode_ids.hpp"

#include "ffs/meta/keys.hpp"
#include "ffs/meta/records.hpp"
#include "libcommon/kv/atomic.hpp"

namespace ff::ffs {

using runtime::Task;

Task<Result<InodeId>> InodeIds::next() {
  if (next_ == end_) {
    FF_CO_TRY_ASSIGN(const auto lock, co_await mutex_.lock());
    if (next_ == end_) {
      FF_CO_TRY_ASSIGN(const std::uint64_t first, co_await take_block());
      next_ = first;
      end_ = first + kInodeBlock;
    }
  }
  co_return InodeId{next_++};
}

// After a commit whose outcome is unknown another block is taken; the first one may stay unused.
Task<Result<std::uint64_t>> InodeIds::take_block() {
  const auto shard = static_cast<unsigned>(env_.rng().below(kInodeShards));
  co_return co_await kv::transact(env_, store_, {.timeout = timeout_, .retry_maybe_committed = true},
                                  [shard](kv::Transaction& transaction) -> Task<Result<std::uint64_t>> {
                                    const std::string key = keys::id_blocks(shard);
                                    FF_CO_TRY_ASSIGN(const auto value, co_await transaction.get(key));
                                    std::uint64_t taken = 0;
                                    if (value) {
                                      FF_CO_TRY_ASSIGN(taken, decode_count(*value, "inode numbers"));
                                    }
                                    transaction.set(key, kv::encode_counter(taken + 1));
                                    co_return (taken * kInodeShards + shard + 1) * kInodeBlock;
                                  });
}

}  // namespace ff::ffs
