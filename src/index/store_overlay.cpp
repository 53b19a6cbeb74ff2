// SPDX-License-Identifier: Apache-2.0
//
// One store seen through another: what a dry run writes lies in `top`, what was there before stays as
// it is in `base`. A row of `top` is a tag and the value; a deleted row is the tag alone.
#include <deque>

#include "index/store.h"

namespace reel::mirror {
namespace {

constexpr char kPresent = 1;
constexpr char kDeleted = 0;
constexpr size_t kChunkRows = 256;  // of `top`, read ahead of a scan

// The rows of `top` in order, a chunk at a time, while `base` is being walked.
class TopRows {
 public:
  struct Row {
    std::string key;
    std::optional<std::string> value;
  };

  TopRows(Store& top, std::string_view prefix, std::string_view start) : top_(top), prefix_(prefix), next_(start) {}

  // The first row not taken yet; null: no more.
  Result<const Row*> peek() {
    if (rows_.empty() && !ended_) TRY(fill());
    return rows_.empty() ? nullptr : &rows_.front();
  }
  void pop() { rows_.pop_front(); }

 private:
  Status fill() {
    TRY(top_.scan(prefix_, next_, [&](std::string_view key, std::string_view tagged) {
      Row row{std::string(key), std::nullopt};
      if (!tagged.empty() && tagged[0] == kPresent) row.value = std::string(tagged.substr(1));
      rows_.push_back(std::move(row));
      return rows_.size() < kChunkRows;
    }));
    ended_ = rows_.size() < kChunkRows;
    if (!rows_.empty()) next_ = rows_.back().key + std::string(1, '\0');  // the smallest key behind it
    return ok();
  }

  Store& top_;
  const std::string prefix_;
  std::string next_;
  std::deque<Row> rows_;
  bool ended_ = false;
};

class OverlayStore : public Store {
 public:
  OverlayStore(std::unique_ptr<Store> base, std::unique_ptr<Store> top)
      : base_(std::move(base)), top_(std::move(top)) {}

  Result<std::optional<std::string>> get(std::string_view key) override {
    TRY_ASSIGN(std::optional<std::string> tagged, top_->get(key));
    if (tagged && !tagged->empty() && (*tagged)[0] == kPresent) return std::optional<std::string>(tagged->substr(1));
    if (tagged || !base_) return std::optional<std::string>();
    return base_->get(key);
  }

  Status scan(std::string_view prefix, std::string_view start,
              const std::function<bool(std::string_view, std::string_view)>& each) override {
    TopRows rows(*top_, prefix, start);
    bool go_on = true;
    // Gives the rows of `top` before `key` (all: without a key); true when `key` itself was among them.
    auto give_until = [&](const std::string_view* key) -> Result<bool> {
      while (go_on) {
        TRY_ASSIGN(const TopRows::Row* row, rows.peek());
        if (!row || (key && row->key > *key)) return false;
        bool same = key && row->key == *key;
        if (row->value) go_on = each(row->key, *row->value);
        rows.pop();
        if (same) return true;
      }
      return false;
    };
    Status status = ok();
    if (base_)
      TRY(base_->scan(prefix, start, [&](std::string_view key, std::string_view value) {
        Result<bool> given = give_until(&key);
        if (!given) status = std::move(given).error();
        if (!status || !go_on) return false;
        if (!*given) go_on = each(key, value);
        return go_on;
      }));
    TRY(std::move(status));
    TRY(give_until(nullptr));
    return ok();
  }

  Status write(const StoreBatch& batch, Durable) override {
    StoreBatch tagged;
    for (const StoreBatch::Item& item : batch.items)
      tagged.items.push_back(
          {item.key, item.value ? std::string(1, kPresent) + *item.value : std::string(1, kDeleted)});
    return top_->write(tagged, Durable::no);
  }

 private:
  std::unique_ptr<Store> base_, top_;
};

}  // namespace

std::unique_ptr<Store> make_overlay_store(std::unique_ptr<Store> base, std::unique_ptr<Store> top) {
  return std::make_unique<OverlayStore>(std::move(base), std::move(top));
}

}  // namespace reel::mirror
