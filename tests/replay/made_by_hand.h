// SPDX-License-Identifier: Apache-2.0
//
// For tests that make a small trace by hand: where it is, what it is loaded as, its plan and its replay.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>

#include "../trace/synthetic.h"
#include "replay/replay.h"
#include "support/files.h"

namespace reel::replay {

inline constexpr uint64_t kMillisecond = 1'000'000;

class MadeByHand : public ::testing::Test {
 protected:
  MadeByHand() {
    options_.log = dir_.at("log");
    options_.into = dir_.at("into");
  }
  trace::Trace load() { return take(trace::load(Env::posix(), options_.log)); }
  Plan plan(bool causal) {
    PlanOptions options;
    options.causal = causal;
    return take(make_plan(load(), options));
  }
  Result<Fidelity> run() {
    return replay(Env::posix(), options_, *one_process(), stop_, [this](uint64_t, const Fidelity&) { ++loops_; });
  }
  // Without a difference.
  Fidelity good() {
    Fidelity made = take(run());
    EXPECT_EQ(made.different, 0u) << text_of(made);
    return made;
  }
  bool there(const std::string& path) { return ::access(dir_.at(path).c_str(), F_OK) == 0; }

  template <class T>
  static T take(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().text());
    return *std::move(result);
  }

  test::TempDir dir_;
  Options options_;
  std::atomic<bool> stop_{false};
  int loops_ = 0;
};

}  // namespace reel::replay
