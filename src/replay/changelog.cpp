// SPDX-License-Identifier: Apache-2.0
//
// Records of a changelog as calls.
#include "replay/changelog.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "log/log.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::FileKind;
using trace::Op;

constexpr Fid kLustreRoot{0x200000007ull, 0x1, 0x0};
constexpr uint32_t kOpenWrite = 0x2;  // of Lustre's open mode
constexpr int kDeepest = 500;
constexpr uint64_t kCallNs = 1000;  // records do not tell how long; calls of one follow each other so

uint64_t nanoseconds_of(const Record& record) {
  return time_seconds(record.time) * 1'000'000'000 + time_nanoseconds(record.time);
}

class Converter {
 public:
  explicit Converter(uint64_t size) : size_(size) { trace_.string_kinds.resize(1); }

  // The number of its thread.
  uint32_t add_stream(const std::string& name) {
    trace::Thread thread;
    thread.number = thread.process = static_cast<uint32_t>(trace_.threads.size() + 1);
    thread.name = string(trace::StringKind::thread_name, name);
    trace_.threads.push_back(thread);
    clocks_.resize(trace_.threads.size() + 1);
    return thread.number;
  }
  // What follows is of this stream.
  void turn_to(uint32_t thread) { thread_ = thread; }

  void lost(const std::string& reason) {
    trace::Loss loss;
    loss.thread = thread_;
    loss.time_ns = clocks_[thread_];
    loss.reason = reason;
    trace_.losses.push_back(std::move(loss));
  }

  void take(const Record& record) {
    index_ = record.index;
    uint64_t& now = clocks_[thread_];
    now = std::max(now, nanoseconds_of(record));
    std::string name(record.name);
    std::string path = name.empty() ? path_of(record.target) : below(record.parent, name);
    switch (record.type) {
      case RecordType::creat:
        kinds_[record.target] = FileKind::file;
        make_file(path, record);
        return named(record.target, record.parent, name);
      case RecordType::mkdir:
        kinds_[record.target] = FileKind::directory;
        call(Op::mkdir, path, record.target, [](Event& event) { event.mode = 0755; });
        return named(record.target, record.parent, name);
      case RecordType::mknod:
        call(Op::mknod, path, record.target, [](Event& event) { event.mode = S_IFREG | 0644; });
        return named(record.target, record.parent, name);
      case RecordType::slink:
        kinds_[record.target] = FileKind::symlink;
        call(Op::symlink, path, record.target,
             [this](Event& event) { event.path2 = string(trace::StringKind::link_text, "nowhere"); });
        return named(record.target, record.parent, name);
      case RecordType::hlink: {
        trace::StringId to = string(trace::StringKind::path, path);
        call(Op::link, path_of(record.target), record.target, [to](Event& event) { event.path2 = to; });
        return named(record.target, record.parent, name);
      }
      case RecordType::unlnk:
      case RecordType::rmdir:
        call(record.type == RecordType::rmdir ? Op::rmdir : Op::unlink, path, record.target);
        return unnamed(record.target, record.parent, name);
      case RecordType::renme:
        return rename(record, path, name);
      case RecordType::close:
      case RecordType::write:
      case RecordType::trunc:
      case RecordType::open:
        return contents(path, record);
      case RecordType::sattr:
      case RecordType::mtime:
      case RecordType::ctime:
      case RecordType::atime:
        return call(Op::utimens, path, record.target, [this](Event& event) {
          event.arg = event.arg2 = clocks_[thread_];
          event.flags = AT_SYMLINK_NOFOLLOW;
        });
      case RecordType::xattr:
        // Symlinks have none that a user may set.
        if (kind_of(record.target) == FileKind::symlink) return stat(path, record);
        return call(Op::setxattr, path, record.target, [this](Event& event) {
          event.path2 = string(trace::StringKind::xattr_name, "user.reel");
          event.length = 16;
        });
      case RecordType::gap:
        return lost("gap: " + name);
      default:
        ++others_[record.type];
    }
  }

  trace::Trace finish() {
    for (const auto& [type, count] : others_) {
      std::optional<std::string_view> name = type_name(type);
      trace::Loss loss;
      loss.events = count;
      loss.reason = "records that stand for no call: " +
                    (name ? std::string(*name) : std::to_string(static_cast<uint32_t>(type)));
      trace_.losses.push_back(std::move(loss));
    }
    trace_.facts["recorder"] = "changelog";
    trace_.facts["umask"] = "0000";
    trace_.facts["end"] = std::to_string(*std::max_element(clocks_.begin(), clocks_.end()));
    return std::move(trace_);
  }

 private:
  struct Name {
    Fid parent;
    std::string name;
    friend bool operator==(const Name&, const Name&) = default;
  };

  trace::StringId string(trace::StringKind kind, const std::string& bytes) {
    auto [at, added] = strings_.try_emplace({kind, bytes}, static_cast<trace::StringId>(trace_.strings.size()));
    if (added) {
      trace_.strings.push_back(bytes);
      trace_.string_kinds.push_back(kind);
    }
    return at->second;
  }

  std::string path_of(const Fid& fid, int depth = 0) const {
    if (fid == kLustreRoot) return "";
    auto at = names_.find(fid);
    // Deeper than names go: records that were read in another order than they were written.
    if (at == names_.end() || at->second.empty() || depth > kDeepest) return "/" + to_string(fid);
    return path_of(at->second.front().parent, depth + 1) + "/" + at->second.front().name;
  }
  std::string below(const Fid& parent, const std::string& name) const { return path_of(parent) + "/" + name; }

  void named(const Fid& fid, const Fid& parent, const std::string& name) { names_[fid].push_back({parent, name}); }
  void unnamed(const Fid& fid, const Fid& parent, const std::string& name) {
    auto at = names_.find(fid);
    if (at == names_.end()) return;
    std::erase(at->second, Name{parent, name});
    if (at->second.empty()) names_.erase(at);
  }

  template <class Fill>
  void call(Op op, const std::string& path, const Fid& object, Fill fill) {
    Event event;
    event.op = op;
    event.path = string(trace::StringKind::path, path.empty() ? "/" : path);
    event.object = object;
    fill(event);
    put(event);
  }
  void call(Op op, const std::string& path, const Fid& object) {
    call(op, path, object, [](Event&) {});
  }
  void put(Event event) {
    event.index = index_;
    event.thread = thread_;
    event.enter_ns = clocks_[thread_];
    event.duration_ns = kCallNs;
    clocks_[thread_] = event.exit_ns();
    trace_.events.push_back(event);
  }

  trace::Descriptor open(const std::string& path, const Fid& object, uint64_t flags, bool makes) {
    trace::Descriptor fd{3, ++generation_};
    call(Op::open, path, object, [&](Event& event) {
      event.flags = flags;
      event.mode = 0644;
      event.fd2 = fd;
      event.result = fd.number;
      event.arg2 = makes ? 1 : 0;
    });
    return fd;
  }
  void on_descriptor(Op op, trace::Descriptor fd, const Fid& object, uint64_t offset, uint64_t length, int64_t result) {
    Event event;
    event.op = op;
    event.fd = fd;
    event.object = object;
    event.offset = offset;
    event.length = length;
    event.result = result;
    put(event);
  }

  void make_file(const std::string& path, const Record& record) {
    trace::Descriptor fd = open(path, record.target, O_CREAT | O_WRONLY, true);
    on_descriptor(Op::close, fd, record.target, 0, 0, 0);
  }

  void stat(const std::string& path, const Record& record) {
    call(Op::stat, path, record.target, [](Event& event) { event.flags = AT_SYMLINK_NOFOLLOW; });
  }

  // Something happened to what is in a file.
  void contents(const std::string& path, const Record& record) {
    FileKind kind = kind_of(record.target);
    if (kind == FileKind::symlink) return stat(path, record);
    bool writes = record.type != RecordType::open && kind != FileKind::directory;
    if (record.type == RecordType::open) read_only_[record.target] = (record.open_mode & kOpenWrite) == 0;
    // Where opens are recorded, a close of what was only read is told of, too.
    auto opened = read_only_.find(record.target);
    if (record.type == RecordType::close && opened != read_only_.end() && opened->second) writes = false;
    trace::Descriptor fd = open(path, record.target, writes ? O_WRONLY : O_RDONLY, false);
    uint64_t offset = record.io ? record.io->offset : 0, length = record.io ? record.io->length : 0;
    if (length == 0) length = size_;
    if (writes && record.type == RecordType::trunc)
      on_descriptor(Op::truncate, fd, record.target, 0, length, 0);
    else if (writes && length > 0)
      on_descriptor(Op::pwrite, fd, record.target, offset, length, static_cast<int64_t>(length));
    on_descriptor(Op::close, fd, record.target, 0, 0, 0);
  }

  void rename(const Record& record, const std::string& path, const std::string& name) {
    Fid moved = (record.flags & kFlagRename) != 0 ? record.source : record.target;
    std::string old_name(record.source_name);
    if ((record.flags & kFlagRename) == 0 || old_name.empty()) {
      ++others_[record.type];
      return;
    }
    trace::StringId to = string(trace::StringKind::path, path);
    call(Op::rename, below(record.source_parent, old_name), moved, [to](Event& event) { event.path2 = to; });
    if (!record.target.is_zero()) unnamed(record.target, record.parent, name);
    unnamed(moved, record.source_parent, old_name);
    named(moved, record.parent, name);
  }

  FileKind kind_of(const Fid& fid) const {
    auto at = kinds_.find(fid);
    return at == kinds_.end() ? FileKind::file : at->second;
  }

  uint64_t size_, index_ = 0;
  uint32_t thread_ = 1, generation_ = 0;
  std::vector<uint64_t> clocks_{0};  // by thread: when its next call may begin
  trace::Trace trace_;
  std::map<std::pair<trace::StringKind, std::string>, trace::StringId> strings_;
  std::unordered_map<Fid, std::vector<Name>, FidHash> names_;
  std::unordered_map<Fid, FileKind, FidHash> kinds_;  // of what the records made
  std::unordered_map<Fid, bool, FidHash> read_only_;  // how it was opened last
  std::map<RecordType, uint64_t> others_;
};

// A stream with its next record.
struct Source {
  std::unique_ptr<log::Reader> reader;
  uint32_t thread = 0;
  Record head;
  bool any = false;
};

Status advance(Source& source, Converter& converter) {
  for (;;) {
    Result<bool> more = source.reader->next(source.head);
    if (more) {
      source.any = *more;
      return ok();
    }
    if (!more.is(Code::corrupt)) return std::move(more).error();
    converter.turn_to(source.thread);
    converter.lost(more.error().text());
  }
}

}  // namespace

Result<trace::Trace> trace_of_changelog(Env& env, const std::string& dir, uint64_t size) {
  std::string log = dir;
  Result<std::vector<std::string>> streams = log::streams(env, log);
  if (!streams || streams->empty()) {
    log = dir + "/log";
    streams = log::streams(env, log);
  }
  if (!streams || streams->empty()) return Error(Code::not_found, "replay: no trace and no changelog in " + dir);
  Converter converter(size);
  std::vector<Source> sources(streams->size());
  for (size_t i = 0; i < sources.size(); ++i) {
    sources[i].thread = converter.add_stream((*streams)[i]);
    TRY_ASSIGN(sources[i].reader, log::Reader::open(env, log, (*streams)[i]));
    TRY(advance(sources[i], converter));
  }
  // By time: names are what they were when a record was written, as far as clocks can tell.
  for (;;) {
    Source* first = nullptr;
    for (Source& source : sources)
      if (source.any && (!first || nanoseconds_of(source.head) < nanoseconds_of(first->head))) first = &source;
    if (!first) break;
    converter.turn_to(first->thread);
    converter.take(first->head);
    TRY(advance(*first, converter));
  }
  return converter.finish();
}

}  // namespace reel::replay
