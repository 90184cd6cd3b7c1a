// TcpListener: the one implementation of NetListener. A thread of its own accepts connections, checks their
// preamble and answers it, and keeps the socket until the engine that it is for asks for it.
//
// Strangers  A connection must bring a right preamble within kStrangerTime, or it is closed; at most kStrangersMax
//            wait for that at a time, further ones wait in the kernel's backlog. The thread sleeps when nothing
//            happens.
// Threads    take() from any thread.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hfreduce/net/frame.hpp"
#include "hfreduce/net/net_engine.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::net {

class TcpListener final : public NetListener {
 public:
  static constexpr std::chrono::seconds kStrangerTime{5};
  static constexpr std::size_t kStrangersMax = 256;
  // Authenticated connections that no engine asked for yet. Far beyond any group's need; more are refused.
  static constexpr std::size_t kParkedMax = 65536;

  struct Key {
    std::uint32_t group_id = 0;
    int lane = 0;
    int from = 0;
    int to = 0;
    auto operator<=>(const Key&) const = default;
  };

  static Result<std::unique_ptr<TcpListener>> start(const std::string& address, const std::string& token);
  ~TcpListener() override;

  Endpoint endpoint() const override { return endpoint_; }
  const std::string& token() const noexcept { return token_; }
  // The connection for `key`; waits for it at most `wait`. An empty descriptor if it has not come.
  UniqueFd take(const Key& key, std::chrono::milliseconds wait);

 private:
  struct Stranger {
    UniqueFd fd;
    Deadline deadline;
    std::size_t got = 0;
    PreambleBytes bytes{};
  };
  enum class Step { kWait, kDrop, kDone };

  TcpListener(UniqueFd listen, UniqueFd stop, Endpoint endpoint, std::string token);
  void serve();
  // False when the process has no descriptor left for now.
  bool accept_all();
  Step read_preamble(Stranger& stranger);
  bool admit(Stranger& stranger);

  UniqueFd listen_, stop_;
  Endpoint endpoint_;
  std::string token_;
  std::vector<Stranger> strangers_;  // of the thread
  std::mutex mutex_;                 // guards parked_
  std::condition_variable arrived_;
  std::map<Key, UniqueFd> parked_;
  std::thread thread_;
};

}  // namespace ff::hfreduce::net
