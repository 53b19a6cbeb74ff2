// SPDX-License-Identifier: Apache-2.0
//
// Every record of every recorded workload, of names and of objects, against the model's: see recorded_replay.h.
#include <gtest/gtest.h>

#include <algorithm>

#include "log/recordings.h"
#include "lustre/recorded_replay.h"

namespace reel::model {
namespace {

TEST(ModelRecorded, EveryWorkloadsRecords) {
  size_t compared = 0, workloads = 0;
  for (const auto& root : recordings::roots())
    for (const auto& first : recordings::files_under(root, "mdt0.raw")) {
      std::vector<std::string> raws;
      for (unsigned mdt = 0; std::filesystem::exists(first.parent_path() / ("mdt" + std::to_string(mdt) + ".raw"));
           ++mdt)
        raws.push_back(recordings::slurp(first.parent_path() / ("mdt" + std::to_string(mdt) + ".raw")));
      RecordedReplay replay(raws, std::max<unsigned>(2, static_cast<unsigned>(raws.size())));
      std::string wrong = replay.run();
      EXPECT_EQ(wrong, "") << first << ", after " << replay.compared();
      EXPECT_EQ(replay.half_migrated(), first.parent_path().string().ends_with("full_2mdt/a_tour")) << first;
      compared += replay.compared();
      ++workloads;
    }
  EXPECT_GT(workloads, 0u);
  std::printf("%zu records of %zu workloads\n", compared, workloads);
}

}  // namespace
}  // namespace reel::model
