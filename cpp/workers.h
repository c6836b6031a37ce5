// A fixed set of threads that share out the items of a loop; the calling thread is one of them.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace go {

class Workers {
 public:
  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const { return static_cast<int>(threads_.size()) + 1; }
  // Calls work(item, thread) once for every item in [0, count), in any order; returns when all are done.
  // The first exception is thrown again here. One call at a time.
  void for_each(size_t count, const std::function<void(size_t item, int thread)>& work);

 private:
  void loop(int thread);
  void drain(int thread);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(size_t, int)>* work_ = nullptr;
  size_t count_ = 0, chunk_ = 1;
  std::atomic<size_t> next_{0};
  uint64_t round_ = 0;
  int busy_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
};

}  // namespace go
