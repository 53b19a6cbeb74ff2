// SPDX-License-Identifier: Apache-2.0
#include "lustre/sim_world.h"

#include <cstdio>
#include <cstdlib>

#include "log/text/lustre_wire.h"

namespace reel::model {
namespace {

constexpr const char* kLog = "/log";
constexpr int kErrors[] = {EIO, EINTR, EAGAIN, ENODEV, ETIMEDOUT, EINPROGRESS, ENOMEM, ESHUTDOWN, EACCES};
constexpr uint64_t kNeeded = kMaskDefaultLustre;

// A record whatever its index: the times make it unique.
std::string key_of(const Record& record) {
  Record raw = record;
  raw.index = 0;
  std::string bytes;
  if (!log::encode_lustre(raw, bytes)) std::abort();
  return bytes;
}

Record record_of(const Entry& entry) {
  Record record;
  if (!log::decode_lustre(entry.raw.data(), entry.raw.size(), record)) std::abort();
  return record;
}

}  // namespace

SimPlan random_plan(log::Random& random) {
  SimPlan plan;
  auto mostly = [&](uint64_t of) { return random.below(of) != 0; };
  plan.mdts = static_cast<unsigned>(1 + random.below(4));
  plan.kills = mostly(3);
  plan.mds_crashes = mostly(3);
  plan.call_faults = mostly(3);
  plan.admin = !mostly(3);
  plan.holes = mostly(3);
  plan.other_users = mostly(2);
  plan.bad_bytes = !mostly(4);
  plan.open_logged = !mostly(6);
  plan.named = mostly(4);
  plan.has_view = mostly(3) || !plan.named;
  plan.can_fence = mostly(4);
  return plan;
}

SimWorld::SimWorld(uint64_t seed, SimPlan plan)
    : seed_(seed), plan_(plan), random_(seed), env_(seed), fs_(plan.mdts, seed), workload_(fs_, seed) {
  options_.log_dir = kLog;
  options_.state_dir = "/state";
  options_.batch_bytes = 200 + random_.below(4000);
  options_.commit_wait_ms = 50;
  options_.hole_wait_ms = 100;
  options_.look_s = 1;
  options_.clear_s = 5;
  options_.writer.segment_bytes = 2000 + random_.below(20000);
  options_.writer.block_bytes = 512;
  if (plan.clears_before_commit) options_.writer.segment_bytes = 64u << 20;
  options_.event = [this](const source::lustre::SourceEvent& e) {
    seen.insert(e.kind);
    trace("event " + e.mdt + " " + source::lustre::to_string(e.kind) + ": " + e.text);
  };
  for (unsigned i = 0; i < plan.mdts; ++i) {
    ModelOptions model;
    model.can_fence = plan.can_fence;
    model.has_view = plan.has_view;
    model.prefetch = 1 + random_.below(40);
    follows_.emplace_back();
    follows_.back().mdt = std::make_unique<ModelMdt>(fs_, i, model);
  }
  // Some history before we come.
  bool logged_before = random_.below(2) == 0;
  for (Follow& follow : follows_)
    if (logged_before) fs_.log(follow.mdt->index()).register_user("before", std::nullopt);
  for (uint64_t n = random_.below(40); n > 0; --n) workload_.step();
  for (Follow& follow : follows_) {
    new_user(follow);
    if (plan.open_logged) fs_.log(follow.mdt->index()).register_user("opens", kMaskAllLustre);
    follow.mdt->set_hook([this, &follow](const std::string& call) { return on_call(follow, call); });
    if (plan.bad_bytes)
      follow.mdt->tamper = [this](std::string& bytes) {
        if (quiet_ || bytes.empty() || random_.below(30) != 0) return;
        size_t at = random_.below(bytes.size());
        if (random_.below(2) == 0)
          bytes.resize(bytes.size() - 1 - random_.below(60));  // within the last record
        else
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random_.below(8)));
      };
  }
  fs_.commit();
}

SimWorld::~SimWorld() {
  close_streams();
}

void SimWorld::trace(const std::string& text) const {
  static const bool on = std::getenv("REEL_SIM_TRACE") != nullptr;
  if (on) std::printf("  %s\n", text.c_str());
}

void SimWorld::new_user(Follow& follow) {
  ModelLog& log = fs_.log(follow.mdt->index());
  LogUser user = log.register_user(plan_.named ? "reel" : "", plan_.named ? std::optional(kNeeded) : std::nullopt);
  log.commit();
  follow.user = {};
  follow.user.id = user.id;
  follow.user.name = user.name;
  trace("user " + follow.user.text() + " at " + log.name());
}

// Every call of the source to an MDT.
Status SimWorld::on_call(Follow& follow, const std::string& call) {
  if (plan_.acts_before_clear && call == "clear") consume(follow);
  fs_.clock().sleep_ms(random_.below(3));
  if (env_.dead()) return Error(Code::io, "the process is dead", EIO);
  if (quiet_) return ok();
  if (kill_in_ != 0 && --kill_in_ == 0) {
    env_.kill();
    return Error(Code::io, "the process is dead", EIO);
  }
  if (random_.below(8) == 0) workload_.step();  // the world does not wait
  // What has no fence commits in time.
  bool overdue = !plan_.can_fence && env_.monotonic_ns() - committed_ns_ > 40'000'000;
  if (overdue || random_.below(20) == 0) {
    fs_.commit();
    committed_ns_ = env_.monotonic_ns();
  }
  if (plan_.mds_crashes && random_.below(200) == 0) {
    bool undo = random_.below(2) == 0;
    trace(std::string("MDS crash in ") + call + (undo ? ", undone" : ", repeated"));
    fs_.crash(undo);
    if (undo) workload_.forget();
  }
  if (plan_.clears_late && call == "clear" && random_.below(2) == 0) return Error::from_errno(EINPROGRESS, call);
  if (plan_.call_faults && random_.below(60) == 0)
    return Error::from_errno(kErrors[random_.below(std::size(kErrors))], call);
  return ok();
}

void SimWorld::open_streams() {
  for (Follow& follow : follows_) {
    if (follow.stream) continue;
    Result<std::unique_ptr<MdtStream>> stream = MdtStream::open(*follow.mdt, follow.user, options_, env_);
    if (env_.dead()) return;
    if (stream.is(Code::no_space)) continue;  // tried again
    if (!stream) return complain("open: " + stream.error().text());
    follow.stream = std::move(*stream);
    started();
  }
}

void SimWorld::close_streams() {
  for (Follow& follow : follows_) follow.stream.reset();
}

void SimWorld::restart(bool machine) {
  trace(machine ? "machine crash" : "process crash");
  env_.kill();
  close_streams();
  died(machine);
  env_.revive();
  if (machine) env_.crash();
  kill_in_ = 0;
  open_streams();
}

void SimWorld::step(size_t which) {
  Follow& follow = follows_[which];
  if (!follow.stream) open_streams();
  if (env_.dead()) return restart(false);
  if (!follow.stream) return;
  Step step = follow.stream->step(ticket_);
  source::lustre::StreamState now = follow.stream->state();
  trace("step " + now.stream + ": " + std::to_string(static_cast<int>(step)) + ", served " +
        std::to_string(follow.stream->served()) + " of " + std::to_string(ticket_) + ", released " +
        std::to_string(now.released) + " of " + std::to_string(now.last) + ", MDT " + std::to_string(now.mdt_index) +
        " of " + std::to_string(fs_.log(follow.mdt->index()).current_index()));
  if (env_.dead()) return restart(random_.below(2) == 0);
  if (follow.stream->served() >= ticket_ && follow.asked_for) {
    EntryPtr wanted = follow.asked_for;
    follow.asked_for.reset();
    consume(follow);
    const auto& history = fs_.log(follow.mdt->index()).history();
    bool still = std::find(history.begin(), history.end(), wanted) != history.end();
    Record record = record_of(*wanted);
    bool held = follow.consumed.count(key_of(record)) > 0 || follow.gaps != follow.gaps_when_asked;
    if (still && wanted->written && !wanted->lost && !held && record.target != follow.mdt->fence_object())
      complain("barrier of " + follow.mdt->name() + " does not hold index " + std::to_string(wanted->index));
  }
  if (step != Step::ended) return;
  Error error = *follow.stream->error();
  trace("ended: " + error.text());
  bool expected = error.code() == Code::gap           ? plan_.admin
                  : error.code() == Code::unsupported ? plan_.bad_bytes
                                                      : plan_.kills;
  if (!expected) complain("ended: " + error.text());
  // The admin makes it right, and starts again.
  ModelLog& log = fs_.log(follow.mdt->index());
  log.set_audit(true);
  log.forget_types(0);
  consume(follow);
  if (error.code() == Code::gap) new_user(follow);
  follow.stream.reset();
  open_streams();
}

bool SimWorld::is_hidden(const Inode& inode) const {
  if (inode.fid == fs_.root() || inode.is_volatile || inode.links.empty()) return true;
  for (const auto& [parent, name] : inode.links)
    if (parent == hidden() || (parent == fs_.root() && name == ".reel")) return true;
  return false;
}

void SimWorld::look(const Fid& fid) {
  if (fid.is_zero()) return;
  const Inode* inode = fs_.find(fid);
  if (!inode || is_hidden(*inode))
    mirror_.erase(fid);
  else
    mirror_[fid] = {inode->links, inode->data, inode->attrs, inode->times, inode->xattrs};
}

void SimWorld::scan() {
  mirror_.clear();
  for (const auto& [fid, inode] : fs_.inodes()) look(fid);
}

// What the mirror does: only what is released, and then it looks at what is there.
void SimWorld::consume(Follow& follow) {
  if (!follow.stream) return;
  source::lustre::StreamState state = follow.stream->state();
  if (plan_.acts_before_clear)
    state.released = log::current_index(env_, kLog, state.stream) ? *log::current_index(env_, kLog, state.stream) : 0;
  if (state.released <= follow.cursor) return;
  auto reader = log::Reader::open(env_, kLog, state.stream, follow.cursor + 1);
  if (!reader) return complain("reader: " + reader.error().text());
  Record record;
  while (true) {
    Result<bool> more = (*reader)->next(record);
    if (!more) return complain("reading our log: " + more.error().text());
    if (!*more || record.index > state.released) break;
    follow.cursor = record.index;
    ++consumed_;
    trace("mirror reads " + state.stream + " " + std::to_string(record.index) + " " +
          std::string(type_name(record.type).value_or("?")) + " " + to_string(record.target));
    if (record.type == RecordType::gap) {
      ++follow.gaps, ++gaps_;
      scan();
      continue;
    }
    for (const Fid& fid : {record.target, record.parent, record.source, record.source_parent}) look(fid);
    follow.consumed.insert(key_of(record));
  }
}

void SimWorld::disturb_admin(Follow& follow) {
  ModelLog& log = fs_.log(follow.mdt->index());
  switch (random_.below(6)) {
    case 0:
      trace("evicted at " + log.name());
      log.deregister(follow.user.id);
      break;
    case 1:
      if (!plan_.has_view) break;
      trace("audit off, or CLOSE not logged, at " + log.name());
      if (random_.below(2) == 0)
        log.set_audit(false);
      else
        log.forget_types(mask_bit(RecordType::close));
      break;
    case 2:
      trace("somebody clears for us at " + log.name());
      log.clear(follow.user.id, 0);
      break;
    case 3:
      trace("log wiped at " + log.name());
      fs_.commit();
      log.wipe();
      new_user(follow);
      follow.stream.reset();  // an admin tells reel of the new user
      open_streams();
      break;
    case 4:
      trace("another user, evicted and registered anew, at " + log.name());
      log.deregister(follow.user.id);
      log.register_user("other", std::nullopt);
      break;
    default:
      log.collect_garbage(uint64_t{3600} * 1'000'000'000 * (1 + random_.below(3)));
      break;
  }
  log.commit();
}

void SimWorld::disturb() {
  Follow& follow = follows_[random_.below(follows_.size())];
  ModelLog& log = fs_.log(follow.mdt->index());
  switch (random_.below(9)) {
    case 0:
      if (plan_.kills) restart(random_.below(2) == 0);
      break;
    case 1:
      if (plan_.kills) kill_in_ = 1 + random_.below(40);
      break;
    case 2:
      if (plan_.kills) env_.fail_after(1 + random_.below(20), ENOSPC);
      break;
    case 3:
      if (plan_.holes) log.hold_next();
      break;
    case 4:
      if (plan_.holes && random_.below(5) == 0) log.lose_next();
      break;
    case 5:
      log.write_held();
      break;
    case 6:
      fs_.forget_inodes(log.name().back() - '0');
      break;
    case 7:
      if (plan_.other_users && !log.users().empty()) {
        uint64_t to = random_.below(log.current_index() + 1);
        if (random_.below(4) == 0)
          log.register_user("u" + std::to_string(random_.below(1000)), std::nullopt);
        else if (to > 0 && log.users().back().id != follow.user.id)
          log.clear(log.users().back().id, to);
      }
      break;
    default:
      if (plan_.admin && random_.below(3) == 0) disturb_admin(follow);
      break;
  }
}

std::string SimWorld::run(int rounds) {
  open_streams();
  if (env_.dead()) restart(false);
  if (plan_.clears_before_commit) env_.lie();
  for (int round = 0; round < rounds && wrong_.empty(); ++round) {
    for (uint64_t n = random_.below(6); n > 0; --n) workload_.step();
    fs_.clock().sleep_ms(random_.below(50));
    step(random_.below(follows_.size()));
    if (random_.below(3) == 0) consume(follows_[random_.below(follows_.size())]);
    if (random_.below(10) == 0) {
      ++ticket_;
      for (Follow& follow : follows_) {
        const auto& entries = fs_.log(follow.mdt->index()).entries();
        follow.asked_for = entries.empty() ? nullptr : entries.back();
        follow.gaps_when_asked = follow.gaps;
      }
    }
    if (random_.below(6) == 0) disturb();
    work();
  }
  if (wrong_.empty()) wrong_ = settle();
  return wrong_;
}

// No more faults: everything must become equal.
std::string SimWorld::settle() {
  trace("settling");
  quiet_ = true;
  becomes_quiet();
  if (env_.dead()) restart(false);
  kill_in_ = 0;
  workload_.close_all();
  for (unsigned i = 0; i < fs_.mdts(); ++i) {
    for (const char* name : {"last", "very-last"})  // what was lost before it is seen to be missing
      fs_.mkdir(name + std::to_string(i), static_cast<int>(i));
    fs_.log(i).write_held();
  }
  ++ticket_;
  for (Follow& follow : follows_) follow.asked_for.reset();
  for (int tries = 0; tries < 3000 && wrong_.empty(); ++tries) {
    bool all = true;
    for (size_t i = 0; i < follows_.size(); ++i) {
      step(i);
      consume(follows_[i]);
      fs_.clock().sleep_ms(20);
      all = all && follows_[i].stream && follows_[i].stream->served() >= ticket_;
    }
    if (all) break;
    // A new user without fence and view waits for a record that he can clear.
    if (tries % 500 == 499)
      for (unsigned i = 0; i < fs_.mdts(); ++i)
        fs_.mkdir("again" + std::to_string(tries) + "-" + std::to_string(i), static_cast<int>(i));
    if (tries < 2999) continue;
    std::string state = "does not settle:";
    for (Follow& f : follows_)
      state +=
          " [served " + std::to_string(f.stream ? f.stream->served() : 0) + " of " + std::to_string(ticket_) +
          ", released " +
          (f.stream ? std::to_string(f.stream->state().released) + " of " + std::to_string(f.stream->state().last) +
                          ", MDT " + std::to_string(f.stream->state().mdt_index) + " of " +
                          std::to_string(fs_.log(f.mdt->index()).current_index()) + " " + f.stream->state().problem
                    : "closed") +
          "]";
    return state;
  }
  if (!wrong_.empty()) return wrong_;
  for (Follow& follow : follows_) {
    if (follow.mdt->clears_of_zero > 0) return "index 0 was cleared";
    std::string wrong = check_log(follow);
    if (!wrong.empty()) return follow.mdt->name() + ": " + wrong;
  }
  std::string wrong = check_mirror();
  return wrong.empty() ? settle_mirror() : wrong;
}

std::string SimWorld::check_mirror() {
  std::map<Fid, Snap> mirror = mirror_;
  scan();
  for (const auto& [fid, snap] : mirror_) {
    auto found = mirror.find(fid);
    if (found == mirror.end()) return "the mirror lacks " + to_string(fid);
    if (found->second != snap)
      return "the mirror has another " + to_string(fid) + ": data " + std::to_string(found->second.data) + " not " +
             std::to_string(snap.data) + ", attributes " + std::to_string(found->second.attrs) + "/" +
             std::to_string(snap.attrs) + ", times " + std::to_string(found->second.times) + "/" +
             std::to_string(snap.times) + ", xattrs " + std::to_string(found->second.xattrs) + "/" +
             std::to_string(snap.xattrs) + ", links " + std::to_string(found->second.links.size()) + "/" +
             std::to_string(snap.links.size());
    mirror.erase(found);
  }
  for (const auto& [fid, snap] : mirror) return "the mirror has " + to_string(fid) + ", which is gone";
  return "";
}

// Every record of the MDT's history, once and in order, or a GAP in its place.
std::string SimWorld::check_log(Follow& follow) {
  source::lustre::StreamState state = follow.stream->state();
  auto reader = log::Reader::open(env_, kLog, state.stream, 1);
  if (!reader) return "no log: " + reader.error().text();
  const std::deque<EntryPtr>& history = fs_.log(follow.mdt->index()).history();
  std::map<std::string, size_t> places;  // raw with index 0 -> place; times make them unique
  Record record;
  for (size_t i = 0; i < history.size(); ++i) places[key_of(record_of(*history[i]))] = i;
  size_t next = 0;
  bool gap = false;
  while (true) {
    Result<bool> more = (*reader)->next(record);
    if (!more) return "our log: " + more.error().text();
    if (!*more) break;
    if (record.type == RecordType::gap) {
      gap = true;
      continue;
    }
    auto place = places.find(key_of(record));
    if (place == places.end()) {
      if (seen.count(EventKind::started) && plan_.bad_bytes) continue;  // a flipped bit that still was a record, twice
      return "index " + std::to_string(record.index) + " of our log never was in the MDT's";
    }
    if (place->second < next && !gap) return "index " + std::to_string(record.index) + " of our log is there twice";
    if (place->second > next && !gap)
      return "between " + std::to_string(next) + " and " + std::to_string(place->second) +
             " of the MDT's history records are missing without a GAP";
    next = place->second + 1;
    gap = false;
  }
  const Fid own = follow.mdt->fence_object();
  for (; next < history.size() && !gap; ++next) {
    if (record_of(*history[next]).target != own)
      return "the end is missing, from index " + std::to_string(history[next]->index) + ", " +
             std::string(*type_name(record_of(*history[next]).type)) + " " +
             to_string(record_of(*history[next]).target) + " (own " + to_string(own) + ") " +
             std::string(record_of(*history[next]).name) + (history[next]->lost ? ", lost" : "");
  }
  return "";
}

}  // namespace reel::model
