// SPDX-License-Identifier: Apache-2.0
//
// Anonymous traces.
#include "trace/names/anonymize.h"

#include <sys/random.h>

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <vector>

#include "trace/names/keyed_hash.h"

namespace reel::trace {
namespace {

constexpr uint32_t kNoId = ~0u;  // "as before", or not known

// From the first dot that is not the first byte, when it looks like one.
std::string_view extension_of(std::string_view name) {
  size_t dot = name.find('.', 1);
  if (dot == std::string_view::npos || name.size() - dot > 12) return "";
  std::string_view extension = name.substr(dot);
  bool plain = std::all_of(extension.begin(), extension.end(),
                           [](char c) { return c == '.' || std::isalnum(static_cast<unsigned char>(c)); });
  return plain ? extension : std::string_view();
}

bool keeps_fact(const std::string& key) {
  for (const char* kept :
       {"format", "recorder", "imported", "blind", "umask", "start", "end", "exit", "cost_ns", "kernel", "cpus",
        "sample", "counters", "policy", "anonymized", "merged", "threads", "shift", "found"})
    if (key == kept) return true;
  return key.starts_with("clock.") || key.starts_with("found.") || key.starts_with("cost_ns.") ||
         key.starts_with("mpi.clock.");
}

// What a part of a merged trace says of itself (part.N.KEY) is treated as what a trace says.
std::string own_key(const std::string& key) {
  size_t dot = key.starts_with("part.") ? key.find('.', 5) : std::string::npos;
  return dot == std::string::npos ? key : key.substr(dot + 1);
}

// What each field becomes.
class Fields {
 public:
  explicit Fields(const AnonymizeOptions& options) : policy_(options.policy), hash_(options.key) {}

  const Policy& policy() const { return policy_; }

  std::string path(const std::string& path) const {
    if (policy_.paths == Treat::keep) return path;
    if (policy_.paths == Treat::drop) return "";
    // The same on every machine, and not the same thing under another name.
    for (const char* known : {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/random", "/dev/urandom"})
      if (path == known) return path;
    std::string out;
    for (size_t at = 0; at <= path.size();) {
      size_t slash = std::min(path.find('/', at), path.size());
      std::string part = path.substr(at, slash - at);
      if (part.empty() || part == "." || part == "..") {
        out += part;
      } else {
        out += hash_.word_of(part);
        if (policy_.paths == Treat::extension) out += extension_of(part);
      }
      if (slash < path.size()) out += '/';
      at = slash + 1;
    }
    return out;
  }

  uint32_t id(uint32_t id) const {
    if (policy_.ids == Treat::keep || id == kNoId) return id;
    if (policy_.ids == Treat::drop) return kNoId;
    if (id == 0) return 0;  // root means the same everywhere
    return 100'000 + static_cast<uint32_t>(hash_.of("id " + std::to_string(id)) % 1'000'000'000);
  }

  std::string word(Treat treat, const std::string& text) const {
    return treat == Treat::keep ? text : treat == Treat::drop ? "" : hash_.word_of(text);
  }

  Treat of(StringKind kind) const {
    switch (kind) {
      case StringKind::path:
      case StringKind::link_text:
        return policy_.paths;
      case StringKind::xattr_name:
        return policy_.xattrs;
      case StringKind::arguments:
        return policy_.args;
      case StringKind::thread_name:
        break;
      case StringKind::other:  // ends of connections, among others
        return std::max(policy_.programs, policy_.host);
    }
    return policy_.programs;
  }

  std::string string(StringKind kind, const std::string& text) const {
    if (kind == StringKind::path || kind == StringKind::link_text) return path(text);
    size_t dot = kind == StringKind::xattr_name ? text.find('.') : std::string::npos;
    if (dot == std::string::npos) return word(of(kind), text);
    if (text.starts_with("system.")) return text;                           // the kernel's own names
    return text.substr(0, dot + 1) + word(of(kind), text.substr(dot + 1));  // the namespace decides what the call does
  }

  std::string fact(const std::string& full_key, const std::string& value) const {
    std::string key = own_key(full_key);
    if (keeps_fact(key)) return value;
    if (key == "cwd") return path(value);
    if (key == "command") return word(policy_.args, value);
    if (key == "host" || key == "machine" || key.starts_with("mpi.machine.")) return word(policy_.host, value);
    if (key.starts_with("fs.")) {  // DEVICE TYPE MOUNTPOINT
      size_t last = value.rfind(' ');
      return value.substr(0, last + 1) + path(value.substr(last + 1));
    }
    // The filter may have paths and programs in it.
    Treat strictest = std::max({policy_.paths, policy_.programs, policy_.ids});
    return word(strictest == Treat::extension ? Treat::hash : strictest, value);
  }

 private:
  Policy policy_;
  KeyedHash hash_;
};

class AnonymousWriter : public Writer {
 public:
  AnonymousWriter(std::unique_ptr<Writer> to, const AnonymizeOptions& options)
      : to_(std::move(to)), fields_(options), hides_losses_(options.policy.changes()) {}

  Status fact(std::string_view key, std::string_view value) override {
    std::string name(key), text = fields_.fact(name, std::string(value));
    if (text.empty() && !value.empty()) return ok();  // dropped
    return to_->fact(name, text);
  }

  Result<StringId> string(StringKind kind, std::string_view bytes) override {
    std::string clear(bytes);
    if (fields_.of(kind) == Treat::drop) return StringId{0};
    TRY_ASSIGN(StringId id, to_->string(kind, fields_.string(kind, clear)));
    if (kind == StringKind::path) clear_.try_emplace(id, std::move(clear));
    return id;
  }

  Status thread(const Thread& thread) override {
    Thread changed = thread;
    changed.uid = fields_.id(thread.uid);
    changed.gid = fields_.id(thread.gid);
    return to_->thread(changed);
  }

  Status file(const FileState& state) override {
    if (state.path == 0) return ok();  // dropped
    FileState changed = state;
    changed.uid = fields_.id(state.uid);
    changed.gid = fields_.id(state.gid);
    return to_->file(changed);
  }

  Status event(const Event& event) override {
    Event changed = event;
    changed.relative = relative(event.path, event.relative);
    changed.relative2 = relative(event.path2, event.relative2);
    if (event.op == Op::chown || event.op == Op::setid) {
      changed.arg = fields_.id(static_cast<uint32_t>(event.arg));
      changed.arg2 = fields_.id(static_cast<uint32_t>(event.arg2));
    }
    return to_->event(changed);
  }

  Status loss(const Loss& loss) override {
    Loss changed = loss;
    if (hides_losses_) changed.reason = "why is left out, it may name somebody";
    return to_->loss(changed);
  }

  Status count(const Count& count) override { return to_->count(count); }
  Status flush() override { return to_->flush(); }
  Status commit() override { return to_->commit(); }
  uint64_t events() const override { return to_->events(); }
  uint64_t last_index() const override { return to_->last_index(); }
  const Trace& told() const override { return to_->told(); }

 private:
  // The same components at the end, in their new length.
  uint32_t relative(StringId path, uint32_t bytes) const {
    auto at = clear_.find(path);
    if (bytes == 0 || at == clear_.end() || bytes > at->second.size()) return 0;
    return static_cast<uint32_t>(fields_.path(at->second.substr(at->second.size() - bytes)).size());
  }

  std::unique_ptr<Writer> to_;
  Fields fields_;
  bool hides_losses_;
  std::unordered_map<StringId, std::string> clear_;
};

// What is told of a trace goes through here on its way to the copy.
class Copy {
 public:
  explicit Copy(Writer& writer) : writer_(writer) {}

  Status facts_and_strings(const Trace& trace) {
    for (const auto& [key, value] : trace.facts) TRY(writer_.fact(key, value));
    numbers_.assign(1, 0);
    for (StringId id = 1; id < trace.strings.size(); ++id) {
      TRY_ASSIGN(StringId number, writer_.string(trace.string_kinds[id], trace.strings[id]));
      numbers_.push_back(number);
    }
    return ok();
  }

  Status item(const Item& item) {
    if (item.event) {
      Event event = *item.event;
      event.path = number(event.path);
      event.path2 = number(event.path2);
      return writer_.event(event);
    }
    if (item.thread) {
      Thread thread = *item.thread;
      thread.name = number(thread.name);
      return writer_.thread(thread);
    }
    if (item.file) {
      FileState state = *item.file;
      state.path = number(state.path);
      state.link_text = number(state.link_text);
      return writer_.file(state);
    }
    if (item.count) {
      Count count = *item.count;
      count.path = number(count.path);
      count.program = number(count.program);
      return writer_.count(count);
    }
    return item.loss ? writer_.loss(*item.loss) : ok();
  }

 private:
  StringId number(StringId id) const { return id < numbers_.size() ? numbers_[id] : 0; }

  Writer& writer_;
  std::vector<StringId> numbers_;  // of the copy, by those of the original
};

}  // namespace

std::unique_ptr<Writer> anonymous_writer(std::unique_ptr<Writer> to, const AnonymizeOptions& options) {
  return std::make_unique<AnonymousWriter>(std::move(to), options);
}

std::string anonymous_path(const std::string& path, const AnonymizeOptions& options) {
  return Fields(options).path(path);
}

Result<std::string> random_key() {
  unsigned char bytes[32];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return Error(Code::io, "no random bytes for a key");
  static const char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Status mark_anonymous(Writer& writer, const Policy& policy) {
  TRY(writer.fact("policy", policy.text()));
  bool nobody = true;
  for (Treat treat : {policy.paths, policy.args, policy.programs, policy.xattrs, policy.ids, policy.host})
    nobody = nobody && treat != Treat::keep;
  return nobody ? writer.fact("anonymized", "yes") : ok();
}

Status anonymize(Env& env, const std::string& from, const std::string& to, const AnonymizeOptions& options,
                 const LogKey* key) {
  if (is_trace(env, to)) return Error(Code::exists, to + " holds a trace already; name another directory");
  // Two passes: names may be needed before the place where the copy would have them.
  TRY_ASSIGN(std::unique_ptr<Reader> names, Reader::open(env, from, key));
  Item item;
  for (;;) {
    TRY_ASSIGN(bool more, names->next(item));
    if (!more) break;
  }
  TRY_ASSIGN(std::unique_ptr<Writer> log, Writer::open(env, to));
  std::unique_ptr<Writer> writer = anonymous_writer(std::move(log), options);
  Copy copy(*writer);
  TRY(copy.facts_and_strings(names->trace()));
  TRY(mark_anonymous(*writer, options.policy));
  TRY_ASSIGN(std::unique_ptr<Reader> reader, Reader::open(env, from, key));
  for (;;) {
    TRY_ASSIGN(bool more, reader->next(item));
    if (!more) break;
    TRY(copy.item(item));
  }
  return writer->commit();
}

}  // namespace reel::trace
