// SPDX-License-Identifier: Apache-2.0
//
// The recorder's share of gaps.
#include "trace/costs.h"

#include <algorithm>
#include <cstdlib>

#include "reel/trace.h"

namespace reel::trace {

Costs::Costs(const std::map<std::string, std::string>& facts) {
  for (auto at = facts.lower_bound("cost_ns"); at != facts.end() && at->first.starts_with("cost_ns"); ++at) {
    uint64_t ns = std::strtoull(at->second.c_str(), nullptr, 10);
    std::string_view key = at->first;
    if (key == "cost_ns") any_ = ns;
    for (auto& [prefix, costs] : {std::pair{"cost_ns.before.", &before_}, {"cost_ns.after.", &after_}})
      if (key.starts_with(prefix)) (*costs)[op_of_name(key.substr(std::string_view(prefix).size()))] = ns;
  }
}

uint64_t Costs::between(Op left, Op entered) const {
  auto before = before_.find(entered), after = after_.find(left);
  uint64_t behind = left == Op::none ? 0 : any_;
  if (after != after_.end()) behind = std::max(behind, after->second);
  return behind + (before == before_.end() ? 0 : before->second);
}

}  // namespace reel::trace
