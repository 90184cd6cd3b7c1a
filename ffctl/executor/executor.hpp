// Executor: an engine that others run (Slurm), asked with the same questions as an ffctld. The commands of ffctl know
// neither: MasterSession::ask() sends a question to the masters, or to an Executor where one was chosen.
//
// Questions  Those below. Each answers as the method of the service ff.ctl.Master does that has its request, with the
//            same codes of errors; what the engine has nothing for is kInvalidArgument that names the key. All other
//            methods are refused by the session, with lacks().
// Deadlines  `until` bounds an answer, but that of a submission of several jobs: there it bounds each of them.
// Threads    Those of the Env. One question at a time, or several.
#pragma once

#include <string>
#include <string_view>

#include "ffctl/proto/master.pb.h"
#include "libcommon/runtime/task.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::ctl {

class Executor {
 public:
  virtual ~Executor() = default;

  // "slurm".
  virtual std::string_view name() const noexcept = 0;

  virtual runtime::Task<Result<SubmitReply>> answer(const SubmitRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<ListJobsReply>> answer(const ListJobsRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<WaitJobsReply>> answer(const WaitJobsRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<ControlReply>> answer(const ControlRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<ExplainReply>> answer(const ExplainRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<ListNodesReply>> answer(const ListNodesRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<ControlNodeReply>> answer(const ControlNodeRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<ReadLogReply>> answer(const LogRequest& request, runtime::Time until) = 0;
  virtual runtime::Task<Result<StatusReply>> answer(const StatusRequest& request, runtime::Time until) = 0;
};

}  // namespace ff::ctl
