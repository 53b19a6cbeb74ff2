// SPDX-License-Identifier: Apache-2.0
#include "source/events.h"

#include <fcntl.h>
#include <sys/fanotify.h>

#include <cstring>

#include "base/codec.h"
#include "base/handle.h"

namespace reel::source {
namespace {

constexpr size_t kInfoHead = sizeof(struct fanotify_event_info_header);
constexpr size_t kFsidBytes = sizeof(__kernel_fsid_t);
constexpr size_t kHandleHead = sizeof(struct file_handle);
constexpr uint64_t kNameBits = FAN_CREATE | FAN_DELETE;
constexpr uint64_t kObjectBits = FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE;
constexpr int kNoHandle = 0xff;  // FILEID_INVALID: the file system could not make a handle

struct ParsedHandle {
  std::optional<Fid> fid;  // nullopt: the kernel had none to give
  const unsigned char* raw = nullptr;
  uint32_t raw_size = 0;
};

// fsid, file_handle: what every info that names an object begins with.
bool parse_handle(ByteReader& info, ParsedHandle& parsed) {
  info.bytes(kFsidBytes);
  parsed.raw = info.at();
  uint32_t bytes = info.fixed<uint32_t>();
  int32_t type = info.fixed<int32_t>();
  const unsigned char* data = info.bytes(bytes);
  if (!data) return false;
  parsed.raw_size = static_cast<uint32_t>(kHandleHead) + bytes;
  if (bytes != 0 && type != kNoHandle) parsed.fid = fid_of_handle(type, data, bytes);
  return true;
}

// A directory's handle and a name that ends with NUL (padding follows).
bool parse_entry(ByteReader& info, std::optional<Entry>& entry) {
  ParsedHandle directory;
  if (!parse_handle(info, directory) || !directory.fid) return false;
  const char* name = reinterpret_cast<const char*>(info.at());
  size_t size = ::strnlen(name, info.left());
  if (size == info.left() || size == 0 || std::memchr(name, '/', size)) return false;
  entry = Entry{*directory.fid, {name, size}};
  return true;
}

// Errors of the file system are reported for an object, or for none (an empty handle).
bool parse_info(int type, ByteReader info, Event& event) {
  switch (type) {
    case FAN_EVENT_INFO_TYPE_FID: {
      ParsedHandle object;
      if (!parse_handle(info, object)) return false;
      event.object = object.fid;
      event.handle = object.raw;
      event.handle_size = object.raw_size;
      return true;
    }
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
      return parse_entry(info, event.entry);
    case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
      return parse_entry(info, event.old_entry);
    case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
      return parse_entry(info, event.new_entry);
    case FAN_EVENT_INFO_TYPE_DFID: {  // the event is about a directory itself
      ParsedHandle directory;
      if (!parse_handle(info, directory)) return false;
      if (!event.object) event.object = directory.fid;
      return true;
    }
    case FAN_EVENT_INFO_TYPE_ERROR:
      event.fs_error = info.fixed<int32_t>();
      return !info.failed();
    default:
      return true;  // something newer kernels add
  }
}

bool parse_infos(ByteReader infos, Event& event) {
  while (infos.left() != 0) {
    const unsigned char* begin = infos.at();
    uint8_t type = infos.fixed<uint8_t>();
    infos.fixed<uint8_t>();
    uint16_t size = infos.fixed<uint16_t>();
    if (infos.failed() || size < kInfoHead || !infos.bytes(size - kInfoHead)) return false;
    if (!parse_info(type, ByteReader(begin + kInfoHead, size - kInfoHead), event)) return false;
  }
  return true;
}

// An event about a directory as an object comes as its entry ".": give it the form of the others.
void settle_self(Event& event) {
  if (!event.entry || event.entry->name != ".") return;
  if (!event.object) event.object = event.entry->directory;
  event.entry.reset();
}

// Why the event does not tell all that its bits promise, or nullptr.
const char* what_is_missing(const Event& event) {
  if (event.mask & FAN_Q_OVERFLOW) return "queue overflow: more changes than the queue holds";
  if ((event.mask & kNameBits) && !event.entry) return "event without the entry it is about";
  if ((event.mask & FAN_RENAME) && !(event.old_entry && event.new_entry && event.object))
    return "rename event without its object or entries";
  if ((event.mask & kObjectBits) && !event.object) return "event without the object it is about";
  if (!(event.mask & (kNameBits | kObjectBits | FAN_RENAME))) return "event of a kind that was not asked for";
  return nullptr;
}

}  // namespace

bool Event::is_open_write() const {
  return problem.empty() && object && handle && (mask & FAN_MODIFY) && !(mask & (FAN_CLOSE_WRITE | FAN_ONDIR));
}

bool EventReader::next(Event& event) {
  event = Event{};
  if (left_ == 0) return false;
  struct fanotify_event_metadata head = {};
  std::memcpy(&head, at_, left_ < sizeof head ? left_ : sizeof head);
  if (head.event_len == 0) return false;
  if (head.event_len < sizeof head || head.event_len > left_ || head.metadata_len < sizeof head ||
      head.metadata_len > head.event_len || head.vers != FANOTIFY_METADATA_VERSION) {
    event.problem = "events that cannot be told apart";
    left_ = 0;
    return true;
  }
  event.mask = head.mask;
  event.pid = head.pid;
  if (!parse_infos(ByteReader(at_ + head.metadata_len, head.event_len - head.metadata_len), event))
    event.problem = "event with damaged information";
  at_ += head.event_len;
  left_ -= head.event_len;
  settle_self(event);
  if (!event.problem.empty()) return true;
  if (event.mask & FAN_FS_ERROR)
    event.problem = "the file system reported an error: " + std::string(std::strerror(event.fs_error));
  else if (const char* missing = what_is_missing(event))
    event.problem = missing;
  return true;
}

void add_records(const Event& event, uint64_t time, std::vector<Record>& records) {
  Record record;
  record.time = time;
  if (!event.problem.empty()) {
    record.type = RecordType::gap;
    record.name = event.problem;
    records.push_back(record);
    return;
  }
  bool directory = event.mask & FAN_ONDIR;
  if (event.mask & FAN_RENAME) {
    Record rename = record;
    rename.type = RecordType::renme;
    rename.flags |= kFlagRename;
    rename.parent = event.new_entry->directory;
    rename.name = event.new_entry->name;
    rename.source = *event.object;
    rename.source_parent = event.old_entry->directory;
    rename.source_name = event.old_entry->name;
    records.push_back(rename);
  }
  if (event.object) record.target = *event.object;
  if (event.entry) {
    record.parent = event.entry->directory;
    record.name = event.entry->name;
  }
  auto add = [&](uint64_t bit, RecordType type) {
    if (!(event.mask & bit)) return;
    record.type = type;
    record.io.reset();
    if (type == RecordType::write) record.io = IoExtension{};  // offset 0, length 0: range not known
    records.push_back(record);
  };
  add(FAN_CREATE, directory ? RecordType::mkdir : RecordType::creat);
  add(FAN_MODIFY, RecordType::write);
  add(FAN_ATTRIB, RecordType::sattr);
  add(FAN_CLOSE_WRITE, RecordType::close);
  add(FAN_DELETE, directory ? RecordType::rmdir : RecordType::unlnk);
}

}  // namespace reel::source
