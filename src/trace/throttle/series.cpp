// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/series.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace reel::trace {

std::map<std::string, std::string> facts_of(const std::vector<Series>& all) {
  std::map<std::string, std::string> facts{{"found", std::to_string(all.size())}};
  for (size_t i = 0; i < all.size(); ++i) {
    const Series& one = all[i];
    std::string text;
    for (uint64_t number :
         {uint64_t{one.from_thread}, one.from, one.from_step, uint64_t{one.to_thread}, one.to, one.to_step, one.count})
      text += (text.empty() ? "" : " ") + std::to_string(number);
    facts["found." + std::to_string(i)] = text;
  }
  return facts;
}

Status write_series(Writer& writer, const std::vector<Series>& all) {
  for (const auto& [key, value] : facts_of(all)) TRY(writer.fact(key, value));
  return writer.commit();
}

std::vector<Series> found_series(const Trace& trace) {
  std::vector<Series> series;
  auto number = trace.facts.find("found");
  if (number == trace.facts.end()) return series;
  uint64_t count = std::strtoull(number->second.c_str(), nullptr, 10);
  for (uint64_t i = 0; i < count; ++i) {
    auto fact = trace.facts.find("found." + std::to_string(i));
    if (fact == trace.facts.end()) break;
    unsigned long long n[7];
    if (std::sscanf(fact->second.c_str(), "%llu %llu %llu %llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3], &n[4],
                    &n[5], &n[6]) != 7)
      break;
    uint64_t turns = std::min<uint64_t>(n[6], trace.events.size());  // a log may say anything
    series.push_back({static_cast<uint32_t>(n[0]), static_cast<uint32_t>(n[3]), n[1], n[2], n[4], n[5], turns});
  }
  return series;
}

}  // namespace reel::trace
