// SPDX-License-Identifier: Apache-2.0
//
// The index's store in memory, without crashes (those are the simulation's: tests/sim).
#pragma once

#include <map>
#include <string>

#include "index/store.h"

namespace reel::mirror::test {

// `rows` outlives it, and may be given to the next store.
class MemoryStore final : public Store {
 public:
  explicit MemoryStore(std::map<std::string, std::string>& rows) : rows_(rows) {}
  Result<std::optional<std::string>> get(std::string_view key) override {
    auto at = rows_.find(std::string(key));
    return at == rows_.end() ? std::optional<std::string>() : std::optional<std::string>(at->second);
  }
  Status scan(std::string_view prefix, std::string_view start,
              const std::function<bool(std::string_view, std::string_view)>& each) override {
    for (auto at = rows_.lower_bound(std::string(start)); at != rows_.end() && at->first.starts_with(prefix); ++at)
      if (!each(at->first, at->second)) break;
    return ok();
  }
  Status write(const StoreBatch& batch, Durable) override {
    for (const auto& item : batch.items) {
      if (item.value)
        rows_[item.key] = *item.value;
      else
        rows_.erase(item.key);
    }
    return ok();
  }

 private:
  std::map<std::string, std::string>& rows_;
};

}  // namespace reel::mirror::test
