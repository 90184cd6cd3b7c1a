// Coordinator: the rendezvous and the judge of a communicator. It runs as one thread in the process of rank 0.
//
// Life      Gathers all ranks (until the deadline), gives each the table; then serves exchanges, probes the ranks when
// one
//           reports trouble or its connection ends, decides once (decide.hpp) and tells every rank the verdict.
// Cost      Idle it sleeps in poll(2). No collective data passes through it.
// Strangers A connection must bring a valid hello with the token within 5 s; at most kStrangersMax wait at a time, and
//           none may send more than kHelloBytesMax before that. Without descriptors or memory for another connection
//           the listener rests for kAcceptRest.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hfreduce/control/decide.hpp"
#include "hfreduce/control/wire.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::control {

class Coordinator {
 public:
  static constexpr std::size_t kStrangersMax = 1024;
  static constexpr std::size_t kHelloBytesMax = 4096;
  static constexpr std::chrono::milliseconds kAcceptRest{100};

  struct Options {
    int size = 1;
    std::string token;
    Deadline join_deadline = Deadline::after(std::chrono::seconds(60));
    std::chrono::milliseconds probe_wait{1000};  // how long a rank may take to answer a probe
  };

  // Takes over a listening, non-blocking socket. kIo when the thread's wake-up descriptor cannot be made.
  static Result<std::unique_ptr<Coordinator>> start(UniqueFd listener, const Options& options);
  // Says goodbye to the ranks that are still there and ends the thread.
  ~Coordinator();

 private:
  struct Peer {
    UniqueFd fd;
    FrameReader reader;
    std::string outbox;  // what the socket did not take yet
    Deadline hello_by;
    bool joined = false;
    bool left = false;
    bool answered = false;
    Hello hello;
    OpState state;
    std::string exchange;  // this round's string
    bool has_exchange = false;
  };

  Coordinator(UniqueFd listener, UniqueFd wake, const Options& options);
  void serve();
  int wait_ms() const;
  void accept_strangers();
  void drop_closed();
  void read_from(Peer& peer);
  bool drain(Peer& peer);
  void handle(Peer& peer, Message message);
  void handle_hello(Peer& peer, const std::string& body);
  void handle_exchange(Peer& peer, const std::string& body);
  void handle_report(Peer& peer, const std::string& body);
  void handle_bye(Peer& peer, const std::string& body);
  void lose(Peer& peer);
  void welcome_when_complete();
  void give_up_joining();
  void start_probe(const Trouble& trouble, int reporter);
  void finish_probe_when_ready();
  void announce(const Verdict& verdict);
  void send(Peer& peer, MessageType type, std::string_view body);
  void flush(Peer& peer);
  std::vector<MemberView> view() const;

  Options options_;
  UniqueFd listener_;
  UniqueFd wake_;
  std::atomic<bool> stop_{false};
  std::vector<std::unique_ptr<Peer>> strangers_;
  std::vector<std::unique_ptr<Peer>> ranks_;  // by rank; null until joined
  std::size_t joined_ = 0;
  std::uint64_t refused_tokens_ = 0;
  Deadline accept_from_ = Deadline(Deadline::Clock::time_point{});
  bool welcomed_ = false;
  bool judged_ = false;
  std::uint64_t round_ = 0;
  struct Probe {
    Trouble trouble;
    int reporter = -1;
    Deadline until;
  };
  std::unique_ptr<Probe> probe_;
  std::uint64_t probe_id_ = 0;
  std::thread thread_;
};

}  // namespace ff::hfreduce::control
