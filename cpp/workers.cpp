// The thread pool behind Pool::collect.
#include "workers.h"

#include <algorithm>

namespace go {

Workers::Workers(int threads) {
  for (int i = 1; i < threads; ++i) threads_.emplace_back([this, i] { loop(i); });
}

Workers::~Workers() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::for_each(size_t count, const std::function<void(size_t, int)>& work) {
  if (count == 0) return;
  const bool alone = threads_.empty() || count == 1;  // waking the others would cost more than it saves
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    work_ = &work;
    count_ = count;
    chunk_ = std::max<size_t>(1, count / (threads() * 8));
    next_ = 0;
    error_ = nullptr;
    if (!alone) {
      ++round_;
      busy_ = static_cast<int>(threads_.size());
    }
  }
  if (!alone) start_.notify_all();
  drain(0);
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
  work_ = nullptr;
  if (error_) std::rethrow_exception(error_);
}

void Workers::loop(int thread) {
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      start_.wait(lock, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
      seen = round_;
    }
    drain(thread);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

void Workers::drain(int thread) {
  try {
    for (;;) {
      const size_t begin = next_.fetch_add(chunk_);
      if (begin >= count_) return;
      const size_t end = std::min(begin + chunk_, count_);
      for (size_t item = begin; item < end; ++item) (*work_)(item, thread);
    }
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = std::current_exception();
    next_ = count_;
  }
}

}  // namespace go
