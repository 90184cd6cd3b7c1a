// Setup: from options to a mapped group.
#pragma once

#include <string>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/shm/group.hpp"
#include "hfreduce/shm/shm_engine.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::shm {

// kInvalidArgument for what cannot be meant.
Result<> check(const ShmOptions& options, const std::string& token);

// Collective. The memory is mapped; nothing has been said in it yet.
Result<Group> set_up_group(const ShmOptions& options, const std::string& token, FailureSource& failure,
                           const Deadline& deadline);

// This rank's facts, for the others. Allows them to read this process's memory where the yama module asks for that.
Member describe_member();

// CPUs that any rank of the group may run on. REQUIRES all members' facts published.
int usable_cores(const Group& group) noexcept;

}  // namespace ff::hfreduce::shm
