// SPDX-License-Identifier: Apache-2.0
//
// A sorted, crash-safe map of byte strings: what the index is kept in. Two implementations: RocksDB
// (store_rocks.cpp) and one in memory that forgets what was not made durable (tests).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reel/result.h"

namespace reel::mirror {

// One atomic change: all of it is seen after a crash, or none.
struct StoreBatch {
  struct Item {
    std::string key;
    std::optional<std::string> value;  // nullopt: delete
  };
  std::vector<Item> items;
};

enum class Durable { no, yes };

class Store {
 public:
  virtual ~Store() = default;

  // Reads may come from many threads, also beside a write.
  virtual Result<std::optional<std::string>> get(std::string_view key) = 0;
  // Calls `each` in key order for every key >= start that begins with prefix, until it returns false.
  virtual Status scan(std::string_view prefix, std::string_view start,
                      const std::function<bool(std::string_view key, std::string_view value)>& each) = 0;

  // Batches become durable in order: when this one is, all before are. Without Durable::yes it
  // survives the death of the process, but perhaps not of the machine. From any thread.
  virtual Status write(const StoreBatch& batch, Durable durable) = 0;
};

// Opens or creates. Errors: busy (another process has it), corrupt, io.
Result<std::unique_ptr<Store>> open_rocks_store(const std::string& dir);
// Only to look: nothing in `dir` is changed, and write() fails. Errors: corrupt, io.
Result<std::unique_ptr<Store>> open_rocks_store_to_read(const std::string& dir);
// What `top` says goes before what `base` says; all writes go to `top`, which only ever belonged to an
// overlay. `base` may be null: empty.
std::unique_ptr<Store> make_overlay_store(std::unique_ptr<Store> base, std::unique_ptr<Store> top);

}  // namespace reel::mirror
