// What the requests of updates and forwards become while they run: their messages, their bytes, their answers. They
// belong to the task that runs them, which goes on when the caller is gone.
#pragma once

#include "ffs/storage/target.hpp"

namespace ff::ffs {

struct Target::UpdateBatch {
  UpdateRequest request;
  runtime::DiskBuffer memory;
  UpdateReply reply;
  std::shared_ptr<void> admitted;  // see Target::admit_bytes()
  runtime::Time deadline{};
};

struct Target::ForwardBatch {
  ForwardRequest request;
  runtime::DiskBuffer memory;
  ForwardReply reply;
  std::shared_ptr<void> admitted;
  runtime::Time deadline{};  // when the sender has given up
};

// Takes the call's bulk memory, all of it, into new aligned memory.
runtime::Task<Result<>> pull_updates(rpc::ServerCall& call, runtime::Disk& disk, runtime::DiskBuffer& memory);
// What is wrong with it; empty: nothing. kDamaged: its bytes changed on the way, which may not happen again.
inline constexpr const char* kDamaged = "the bytes were damaged on the way";
std::string check_update(const UpdateOp& op, std::span<const std::byte> bulk);
// Without version and chain version. REQUIRES: check_update() is content. The data stays in `bulk`.
ChunkUpdate to_update(const UpdateOp& op, std::span<const std::byte> bulk);

}  // namespace ff::ffs
