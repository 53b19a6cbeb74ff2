// SPDX-License-Identifier: Apache-2.0
//
// Merged traces: what throttling found in the parts holds for their threads by their new numbers.
#include "trace/merge/merge.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../trace/synthetic.h"
#include "base/env.h"
#include "support/files.h"
#include "trace/throttle/series.h"

namespace reel::trace {
namespace {

class MergedTraces : public ::testing::Test {
 protected:
  // A part with so many threads, of six calls each.
  std::string record(const std::string& name, uint32_t threads, const std::vector<Series>& found) {
    Synthetic trace(dir_.at(name));
    for (uint32_t i = 0; i < threads; ++i) {
      uint32_t thread = trace.process();
      for (int call = 0; call < 6; ++call) trace.on_path(thread, Op::stat, "/f", -ENOENT);
    }
    EXPECT_TRUE(write_series(trace.writer(), found));
    trace.finish();
    return dir_.at(name);
  }
  std::vector<std::string> found_in_merged(const std::vector<std::string>& parts) {
    Result<Merged> merged = merge(Env::posix(), dir_.at("whole"), parts);
    EXPECT_TRUE(merged);
    Result<Trace> whole = load(Env::posix(), dir_.at("whole"));
    if (!whole) return {whole.error().text()};
    std::vector<std::string> texts;
    for (const Series& one : found_series(*whole)) {
      std::string text;
      for (uint64_t number : {uint64_t{one.from_thread}, one.from, one.from_step, uint64_t{one.to_thread}, one.to,
                              one.to_step, one.count})
        text += std::to_string(number) + " ";
      texts.push_back(text);
    }
    return texts;
  }

  test::TempDir dir_;
};

TEST_F(MergedTraces, KeepWhatThrottlingFound) {
  std::string first = record("a", 2, {{1, 2, 0, 1, 1, 1, 3}});
  std::string second = record("b", 1, {});
  std::string third = record("c", 3, {{3, 1, 2, 1, 2, 1, 2}, {2, 3, 5, 0, 5, 0, 1}});
  EXPECT_EQ(found_in_merged({first, second, third}),
            (std::vector<std::string>{"1 0 1 2 1 1 3 ", "6 2 1 4 2 1 2 ", "5 5 0 6 5 0 1 "}));
}

// A log may say anything: never of another part's threads.
TEST_F(MergedTraces, OfThreadsThatAPartDoesNotHaveNothingIsKept) {
  std::string first = record("a", 1, {{1, 2, 0, 1, 1, 1, 1}, {0, 1, 0, 1, 1, 1, 1}});
  EXPECT_EQ(found_in_merged({first, record("b", 3, {})}), std::vector<std::string>{});
}

}  // namespace
}  // namespace reel::trace
