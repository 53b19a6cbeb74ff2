// SPDX-License-Identifier: Apache-2.0
//
// Tables of descriptors, and names.
#include "trace/collect/assemble/tables.h"

namespace reel::trace {

uint32_t FdTable::give(int32_t number, std::shared_ptr<OpenFile> file, bool close_on_exec) {
  uint32_t generation = ++generations_[number];
  slots_[number] = {std::move(file), generation, close_on_exec};
  return generation;
}

void FdTable::inherit(int32_t number, std::shared_ptr<OpenFile> file) {
  slots_[number] = {std::move(file), 0, false};
}

void FdTable::exec() {
  for (auto at = slots_.begin(); at != slots_.end();) at = at->second.close_on_exec ? slots_.erase(at) : std::next(at);
}

void FdTable::set_close_on_exec(int32_t number, bool on) {
  auto at = slots_.find(number);
  if (at != slots_.end()) at->second.close_on_exec = on;
}

const Slot* FdTable::find(int32_t number) const {
  auto at = slots_.find(number);
  return at == slots_.end() ? nullptr : &at->second;
}

Descriptor FdTable::descriptor(int32_t number) const {
  const Slot* slot = find(number);
  return {number, slot ? slot->generation : 0};
}

OpenFile* FdTable::file(int32_t number) const {
  const Slot* slot = find(number);
  return slot ? slot->file.get() : nullptr;
}

std::string join_path(const std::string& base, std::string_view path) {
  std::string joined = path.starts_with('/') ? std::string() : base;
  if (joined.ends_with('/')) joined.pop_back();
  size_t at = 0;
  while (at < path.size()) {
    size_t slash = path.find('/', at);
    if (slash == std::string_view::npos) slash = path.size();
    std::string_view part = path.substr(at, slash - at);
    if (!part.empty() && part != ".") joined.append("/").append(part);
    at = slash + 1;
  }
  return joined.empty() ? "/" : joined;
}

}  // namespace reel::trace
