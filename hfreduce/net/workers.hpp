// Workers: threads that wait to help with the calls of an engine; one function at a time on all of them.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ff::hfreduce::net {

class Workers {
 public:
  // `helpers` threads, none for 0. They sleep while there is nothing to do.
  explicit Workers(int helpers);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // function(0) here, function(1) .. function(count - 1) on helpers; returns when all have. REQUIRES count - 1 <=
  // helpers.
  void run(int count, const std::function<void(int)>& function);

 private:
  void serve(int number);

  std::mutex mutex_;  // guards all below but threads_
  std::condition_variable begin_, end_;
  const std::function<void(int)>* function_ = nullptr;
  int count_ = 0, running_ = 0;
  unsigned generation_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ff::hfreduce::net
