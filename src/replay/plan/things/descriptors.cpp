// SPDX-License-Identifier: Apache-2.0
//
// See descriptors.h.
#include "replay/plan/things/descriptors.h"

#include <errno.h>

namespace reel::replay {
namespace {

void add_effect(Plan& plan, Step& step, Effect effect) {
  if (step.effect_count == 0) step.effects = static_cast<uint32_t>(plan.effects.size());
  plan.effects.push_back(effect);
  ++step.effect_count;
}

}  // namespace

SlotId Descriptors::add(At& at, std::shared_ptr<Description> description, Why why) {
  auto slot = static_cast<SlotId>(slots_.size());
  slots_.emplace_back().description = std::move(description);
  slots_.back().stage.change(at.me, walk_.needs.because(why));
  return slot;
}

SlotId Descriptors::give(At& at, trace::Descriptor fd, std::shared_ptr<Description> description, bool close_on_exec) {
  SlotId slot = add(at, std::move(description), Why::descriptor);
  at.process.table[fd.number] = {slot, fd.generation, close_on_exec};
  return slot;
}

bool Descriptors::use(At& at, trace::Descriptor fd, SlotId& slot) {
  auto entry = at.process.table.find(fd.number);
  bool open = entry != at.process.table.end() && entry->second.generation == fd.generation;
  if (!open) {
    if (at.event.result == -EBADF) return true;
    at.step.skip = Skip::outside;
    return false;
  }
  slot = entry->second.slot;
  slots_[slot].stage.use(at.me, walk_.needs.because(Why::descriptor));
  const Description& used = *slots_[slot].description;
  if (used.ends.stream) at.step.stream = true;
  if (used.skip == Skip::none) return true;
  at.step.skip = used.skip;
  return false;
}

void Descriptors::close(At& at, SlotId slot, bool effect) {
  slots_[slot].stage.change(at.me, walk_.needs.because(Why::descriptor));
  const Description& closed = *slots_[slot].description;
  if (closed.ends.outgoing) closed.ends.outgoing->closed = {at.me.thread, at.me.count, Why::stream};
  files_.closed(at, closed.object);
  if (effect && closed.skip == Skip::none) add_effect(walk_.plan, at.step, {slot, 0});
}

void Descriptors::close_all(At& at, bool close_on_exec_only) {
  auto& table = at.process.table;
  for (auto entry = table.begin(); entry != table.end();) {
    if (close_on_exec_only && !entry->second.close_on_exec) {
      ++entry;
      continue;
    }
    close(at, entry->second.slot, true);
    entry = table.erase(entry);
  }
}

void Descriptors::copy_table(At& at, const Process& from, Process& to) {
  for (const auto& [number, entry] : from.table) {
    slots_[entry.slot].stage.use(at.me, walk_.needs.because(Why::process));
    std::shared_ptr<Description> shared = slots_[entry.slot].description;
    Entry copy = entry;
    copy.slot = add(at, shared, Why::process);
    if (shared->skip == Skip::none) add_effect(walk_.plan, at.step, {entry.slot, copy.slot});
    to.table[number] = copy;
  }
}

}  // namespace reel::replay
