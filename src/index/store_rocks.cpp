// SPDX-License-Identifier: Apache-2.0
//
// The store on RocksDB. Memory is bounded here: a small block cache and a few small memtables, which all stores of the
// process share, so that a mirror's memory does not grow with the number of its targets.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include "index/store.h"

namespace reel::mirror {
namespace {

constexpr size_t kBlockCacheBytes = 48u << 20;
constexpr int kCacheShardBits = 2;
constexpr size_t kMemtableBytes = 16u << 20;
constexpr size_t kMemtablesBytes = 48u << 20;  // of all stores together: then the fullest is written out

Error rocks_error(const rocksdb::Status& status, const char* what) {
  Code code = Code::io;
  if (status.IsCorruption()) code = Code::corrupt;
  if (status.IsBusy() || status.IsAborted()) code = Code::busy;
  if (status.IsNoSpace()) code = Code::no_space;
  std::string advice = code == Code::corrupt
                           ? "; it is damaged: move the mirror's state directory away and start again "
                             "with --adopt"
                           : "";
  return {code, std::string(what) + ": " + status.ToString() + advice};
}

class RocksStore : public Store {
 public:
  explicit RocksStore(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

  Result<std::optional<std::string>> get(std::string_view key) override {
    std::string value;
    rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return rocks_error(status, "index read");
    return std::optional<std::string>(std::move(value));
  }

  Status scan(std::string_view prefix, std::string_view start,
              const std::function<bool(std::string_view, std::string_view)>& each) override {
    // Behind an empty prefix may lie as many tombstones as a tree has directories: without the bound
    // the iterator walks over all of them to the next row that is alive.
    std::string end = behind(prefix);
    rocksdb::Slice bound = slice(end);
    rocksdb::ReadOptions options;
    if (!end.empty()) options.iterate_upper_bound = &bound;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
    for (it->Seek(slice(start)); it->Valid(); it->Next()) {
      std::string_view key(it->key().data(), it->key().size());
      if (!each(key, {it->value().data(), it->value().size()})) break;
    }
    if (!it->status().ok()) return rocks_error(it->status(), "index scan");
    return ok();
  }

  Status write(const StoreBatch& batch, Durable durable) override {
    size_t bytes = 0;
    for (const StoreBatch::Item& item : batch.items)
      bytes += item.key.size() + (item.value ? item.value->size() : 0) + 16;
    rocksdb::WriteBatch rocks(bytes);
    for (const StoreBatch::Item& item : batch.items) {
      if (item.value)
        rocks.Put(slice(item.key), slice(*item.value));
      else
        rocks.Delete(slice(item.key));
    }
    rocksdb::WriteOptions options;
    options.sync = durable == Durable::yes;
    options.memtable_insert_hint_per_batch = true;  // the rows of a batch are sorted
    rocksdb::Status status = db_->Write(options, &rocks);
    if (!status.ok()) return rocks_error(status, "index write");
    return ok();
  }

 private:
  // The first key behind all that begin with `prefix`; empty: there is none.
  static std::string behind(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && end.back() == '\xff') end.pop_back();
    if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    return end;
  }
  static rocksdb::Slice slice(std::string_view view) { return {view.data(), view.size()}; }
  std::unique_ptr<rocksdb::DB> db_;
};

rocksdb::Options rocks_options() {
  static const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(kBlockCacheBytes, kCacheShardBits);
  static const auto memtables = std::make_shared<rocksdb::WriteBufferManager>(kMemtablesBytes);
  rocksdb::Options options;
  options.write_buffer_manager = memtables;
  options.write_buffer_size = kMemtableBytes;
  options.max_write_buffer_number = 3;
  options.max_open_files = 128;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1u << 20;
  options.max_background_jobs = 2;
  options.paranoid_checks = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // Indexes and filters count towards the cache, and in pieces: the filter of a large table in one
  // piece is larger than a shard of the cache, and would be read anew for every question.
  table.cache_index_and_filter_blocks = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocks_store(const std::string& dir) {
  rocksdb::Options options = rocks_options();
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(options, dir, &db);
  if (!status.ok()) return rocks_error(status, ("index " + dir).c_str());
  return std::unique_ptr<Store>(new RocksStore(std::unique_ptr<rocksdb::DB>(db)));
}

Result<std::unique_ptr<Store>> open_rocks_store_to_read(const std::string& dir) {
  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::OpenForReadOnly(rocks_options(), dir, &db);
  if (!status.ok()) return rocks_error(status, ("index " + dir).c_str());
  return std::unique_ptr<Store>(new RocksStore(std::unique_ptr<rocksdb::DB>(db)));
}

}  // namespace reel::mirror
