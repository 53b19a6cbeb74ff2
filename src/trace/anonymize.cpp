// SPDX-License-Identifier: Apache-2.0
//
// Anonymous copies of traces. The hash is SipHash-2-4 with 128 bits of key, which is made to be
// keyed: without the key a guess cannot be tried.
#include "trace/anonymize.h"

#include <sys/random.h>

#include <algorithm>
#include <cctype>

#include "base/codec.h"
#include "reel/trace.h"

namespace reel::trace {
namespace {

struct Key {
  uint64_t a = 0, b = 0;
};

uint64_t rotated(uint64_t value, int bits) {
  return value << bits | value >> (64 - bits);
}

class SipHash {
 public:
  explicit SipHash(Key key)
      : v0_(key.a ^ 0x736f6d6570736575ull),
        v1_(key.b ^ 0x646f72616e646f6dull),
        v2_(key.a ^ 0x6c7967656e657261ull),
        v3_(key.b ^ 0x7465646279746573ull) {}

  uint64_t of(std::string_view bytes) {
    size_t size = bytes.size(), at = 0;
    for (; at + 8 <= size; at += 8) take(load_le<uint64_t>(bytes.data() + at));
    uint64_t last = static_cast<uint64_t>(size) << 56;
    for (size_t i = 0; at + i < size; ++i)
      last |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
    take(last);
    v2_ ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void take(uint64_t word) {
    v3_ ^= word;
    round();
    round();
    v0_ ^= word;
  }
  void round() {
    v0_ += v1_;
    v1_ = rotated(v1_, 13) ^ v0_;
    v0_ = rotated(v0_, 32);
    v2_ += v3_;
    v3_ = rotated(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = rotated(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = rotated(v1_, 17) ^ v2_;
    v2_ = rotated(v2_, 32);
  }
  uint64_t v0_, v1_, v2_, v3_;
};

// A key of any length becomes one of 128 bits.
Key key_of(const std::string& text) {
  return {SipHash({1, 2}).of(text), SipHash({3, 4}).of(text)};
}

std::string word_of(std::string_view text, const AnonymizeOptions& options) {
  static const char kDigits[] = "0123456789abcdef";
  uint64_t hash = SipHash(key_of(options.key)).of(text);
  std::string word;
  for (int i = 0; i < 16; ++i) word += kDigits[hash >> (4 * i) & 15];
  return word;
}

// From the first dot that is not the first byte, when it looks like one.
std::string_view extension_of(std::string_view name) {
  size_t dot = name.find('.', 1);
  if (dot == std::string_view::npos || name.size() - dot > 12) return "";
  std::string_view extension = name.substr(dot);
  bool plain = std::all_of(extension.begin(), extension.end(),
                           [](char c) { return c == '.' || std::isalnum(static_cast<unsigned char>(c)); });
  return plain ? extension : std::string_view();
}

uint32_t anonymous_id(uint32_t id, const AnonymizeOptions& options) {
  if (id == 0 || id == ~0u) return id;  // root and "as before" mean the same everywhere
  return 100'000 + static_cast<uint32_t>(SipHash(key_of(options.key)).of("id " + std::to_string(id)) % 1'000'000'000);
}

std::string anonymous_string(StringKind kind, const std::string& text, const AnonymizeOptions& options) {
  switch (kind) {
    case StringKind::path:
    case StringKind::link_text:
      return anonymous_path(text, options);
    case StringKind::xattr_name: {
      size_t dot = text.find('.');  // the namespace decides what the call does
      return dot == std::string::npos ? word_of(text, options)
                                      : text.substr(0, dot + 1) + word_of(text.substr(dot + 1), options);
    }
    case StringKind::arguments:
    case StringKind::thread_name:
    case StringKind::other:
      break;
  }
  return word_of(text, options);
}

bool keeps_fact(const std::string& key) {
  for (const char* kept : {"format", "recorder", "blind", "umask", "start", "end", "exit", "cost_ns", "kernel"})
    if (key == kept) return true;
  return key.starts_with("clock.") || key.starts_with("cost_ns.");
}

std::string anonymous_fact(const std::string& key, const std::string& value, const AnonymizeOptions& options) {
  if (keeps_fact(key)) return value;
  if (key == "cwd") return anonymous_path(value, options);
  if (key.starts_with("fs.")) {  // DEVICE TYPE MOUNTPOINT
    size_t last = value.rfind(' ');
    return value.substr(0, last + 1) + anonymous_path(value.substr(last + 1), options);
  }
  return word_of(value, options);
}

// What is told of a trace goes through here on its way to the copy.
class Copy {
 public:
  Copy(Writer& writer, const AnonymizeOptions& options) : writer_(writer), options_(options) {}

  Status facts_and_strings(const Trace& trace) {
    for (const auto& [key, value] : trace.facts) TRY(writer_.fact(key, anonymous_fact(key, value, options_)));
    numbers_.assign(1, 0);
    for (StringId id = 1; id < trace.strings.size(); ++id) {
      TRY_ASSIGN(StringId number,
                 writer_.string(trace.string_kinds[id],
                                anonymous_string(trace.string_kinds[id], trace.strings[id], options_)));
      numbers_.push_back(number);
    }
    return writer_.fact("anonymized", "yes");
  }

  Status item(const Trace& trace, const Item& item) {
    if (item.event) return event(trace, *item.event);
    if (item.thread) {
      Thread thread = *item.thread;
      thread.uid = anonymous_id(thread.uid, options_);
      thread.gid = anonymous_id(thread.gid, options_);
      thread.name = number(thread.name);
      return writer_.thread(thread);
    }
    if (item.file) {
      FileState state = *item.file;
      state.uid = anonymous_id(state.uid, options_);
      state.gid = anonymous_id(state.gid, options_);
      state.path = number(state.path);
      state.link_text = number(state.link_text);
      return writer_.file(state);
    }
    if (item.count) {
      Count count = *item.count;
      count.path = number(count.path);
      return writer_.count(count);
    }
    if (!item.loss) return ok();
    Loss loss = *item.loss;
    loss.reason = "told in the original";  // it may name programs
    return writer_.loss(loss);
  }

 private:
  StringId number(StringId id) const { return id < numbers_.size() ? numbers_[id] : 0; }

  // The same components at the end, in their new length.
  uint32_t relative(const Trace& trace, StringId path, uint32_t bytes) const {
    if (bytes == 0) return 0;
    const std::string& whole = trace.string(path);
    if (bytes > whole.size()) return 0;
    return static_cast<uint32_t>(anonymous_path(whole.substr(whole.size() - bytes), options_).size());
  }

  Status event(const Trace& trace, Event event) {
    event.relative = relative(trace, event.path, event.relative);
    event.relative2 = relative(trace, event.path2, event.relative2);
    event.path = number(event.path);
    event.path2 = number(event.path2);
    if (event.op == Op::chown || event.op == Op::setid) {
      event.arg = anonymous_id(static_cast<uint32_t>(event.arg), options_);
      event.arg2 = anonymous_id(static_cast<uint32_t>(event.arg2), options_);
    }
    return writer_.event(event);
  }

  Writer& writer_;
  const AnonymizeOptions& options_;
  std::vector<StringId> numbers_;  // of the copy, by those of the original
};

}  // namespace

std::string anonymous_path(const std::string& path, const AnonymizeOptions& options) {
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
      out += word_of(part, options);
      if (options.keep_extensions) out += extension_of(part);
    }
    if (slash < path.size()) out += '/';
    at = slash + 1;
  }
  return out;
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

Status anonymize(Env& env, const std::string& from, const std::string& to, const AnonymizeOptions& options) {
  if (is_trace(env, to)) return Error(Code::exists, to + " holds a trace already; name another directory");
  // Two passes: names may be needed before the place where the copy would have them.
  TRY_ASSIGN(std::unique_ptr<Reader> names, Reader::open(env, from));
  Item item;
  for (;;) {
    TRY_ASSIGN(bool more, names->next(item));
    if (!more) break;
  }
  TRY_ASSIGN(std::unique_ptr<Writer> writer, Writer::open(env, to));
  Copy copy(*writer, options);
  TRY(copy.facts_and_strings(names->trace()));
  TRY_ASSIGN(std::unique_ptr<Reader> reader, Reader::open(env, from));
  for (;;) {
    TRY_ASSIGN(bool more, reader->next(item));
    if (!more) break;
    TRY(copy.item(names->trace(), item));
  }
  return writer->commit();
}

}  // namespace reel::trace
