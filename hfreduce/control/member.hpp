// Member: a rank's side of the control plane. Joins through the coordinator, takes part in exchanges during setup,
// answers probes from its own thread (so that a rank which computes is told apart from one that is stopped), and is the
// FailureSource of the rank's engines.
//
// Threads  join() and exchange() from the thread that sets up; report(), failed(), verdict() from any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/control/flight_recorder.hpp"
#include "hfreduce/control/wire.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/net/address.hpp"

namespace ff::hfreduce::control {

class Member final : public FailureSource {
 public:
  // How long report() waits for the coordinator's verdict before it declares the coordinator itself lost.
  static constexpr std::chrono::milliseconds kVerdictWait{2000};

  // Connects only. The connection tells which of our addresses reaches the others (local_address()).
  static Result<std::unique_ptr<Member>> connect(const net::Address& coordinator, const Deadline& deadline);
  // Says goodbye and ends the thread.
  ~Member() override;

  std::string local_address() const { return local_address_; }

  // Sends `hello`, waits for all ranks; afterwards the member's thread serves. `recorder` outlives the member.
  // kUnavailable or kTimeout name the missing ranks, kInvalidArgument a hello that does not fit.
  Result<std::vector<Hello>> join(const Hello& hello, FlightRecorder* recorder, const Deadline& deadline);

  // All-gather of one string a rank. Collective, in the same order on every rank.
  Result<std::vector<std::string>> exchange(std::string mine, const Deadline& deadline);

  bool failed() const noexcept override { return failed_.load(std::memory_order_relaxed); }
  Error verdict() const override;
  Error report(const Trouble& trouble) override;
  std::vector<int> lost_ranks() const;

  // Ends the connection without a goodbye, as a killed process does.
  void cut();

 private:
  explicit Member(UniqueFd fd, UniqueFd wake, std::string local);
  Result<Message> receive(const Deadline& deadline);
  void serve();
  bool handle(Message message);
  void coordinator_gone(std::string_view how);
  void settle(Verdict verdict);
  void send(MessageType type, std::string_view body);

  UniqueFd fd_;
  UniqueFd wake_;
  std::string local_address_;
  FrameReader reader_;
  FlightRecorder* recorder_ = nullptr;
  std::vector<Hello> table_;
  int rank_ = 0;

  std::mutex send_mutex_;     // one writer of fd_ at a time
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Verdict verdict_;
  bool coordinator_left_ = false;
  std::uint64_t round_ = 0;
  bool exchanged_ready_ = false;
  std::vector<std::string> exchanged_;

  std::atomic<bool> failed_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace ff::hfreduce::control
