// SPDX-License-Identifier: Apache-2.0
#include "mirror/engine.h"

#include <algorithm>

#include "base/kill_point.h"
#include "mirror/apply/adopt.h"
#include "mirror/apply/apply_object.h"
#include "mirror/mend/repair.h"
#include "mirror/plan/doomed.h"

namespace reel::mirror {
namespace {

constexpr size_t kScansPerBatch = 4096;  // directories offered to one survey; it takes what fits
constexpr size_t kRetriesPerBatch = 10000;
constexpr size_t kLargeBatch = 4096;  // operations after which the target begins to write
constexpr size_t kReapPerBatch = 20000;
constexpr int64_t kRetryMaxSeconds = 300;
constexpr int64_t kRetryAtOnce = 0;      // as Retry::next_s: somebody waits for it
constexpr uint32_t kImmediateTries = 3;  // of an object that changes while it is read

}  // namespace

Engine::Engine(Store& store, SourceTree& source, Feed* feed, Pool& pool, EngineHooks hooks, EngineOptions options)
    : store_(store),
      source_(source),
      feed_(feed),
      pool_(pool),
      hooks_(std::move(hooks)),
      options_(std::move(options)),
      index_(store),
      barriers_(index_),
      lost_writes_(index_, options_.lost_writes) {}

Status Engine::load_progress() {
  for (auto [name, position] : {std::pair("cursor", &cursor_), std::pair("durable", &durable_)}) {
    TRY_ASSIGN(std::optional<std::string> text, index_.meta(name));
    TRY_ASSIGN(*position, log::Position::parse(text.value_or("")));
  }
  TRY_ASSIGN(std::optional<std::string> batch, index_.meta("batch"));
  batch_ = batch ? std::strtoull(batch->c_str(), nullptr, 10) : 0;
  TRY(lost_writes_.load(source_, options_.boot_id));
  return barriers_.load();
}
void Engine::put_progress() {
  barriers_.retire(cursor_);
  if (!feed_) lost_writes_.reached(hooks_.now_s());
  if (dirty_.last_time != 0) lost_writes_.reached(static_cast<int64_t>(time_seconds(dirty_.last_time)));
  index_.put_meta("cursor", cursor_.text());
  index_.put_meta("batch", std::to_string(batch_));
}

// In an index of version 1 what is parked waits for an index of the one stream that there was.
Status Engine::upgrade() {
  TRY_ASSIGN(std::optional<std::string> text, index_.meta("cursor"));
  if (!text || text->find('=') != std::string::npos || text->empty()) return ok();
  std::vector<Object> parked;
  uint64_t latest = 0;
  TRY(index_.list(kParkFid, "", [&](const std::string&, const Entry&, const Object* object) {
    if (object) parked.push_back(*object);
    if (object) latest = std::max(latest, object->parked_until);
    return true;
  }));
  begin_numbered_batch(log::Position("local", latest));
  for (Object& object : parked) {
    object.parked_until = batch_;
    TRY(index_.put(object));
  }
  index_.put_meta("durable", durable_.text());
  return store_.write(index_.take_batch(), Durable::yes);
}

// A batch without records of its own, and the barrier for what is parked in it.
void Engine::begin_numbered_batch(const log::Position& barrier) {
  ++batch_;
  barriers_.add(batch_, barrier);
  put_progress();
}

Status Engine::open_target() {
  if (target_) return ok();
  TRY_ASSIGN(target_, hooks_.open_target());
  dirs_ = std::make_unique<TargetDirs>(*target_, index_, source_.root());
  return ok();
}

void Engine::release_target() {
  dirs_.reset();
  target_.reset();
}

Status Engine::start() {
  index_.drop();
  dirty_ = {};
  TRY(load_progress());
  removed_before_ = counters_.removed;
  looked_ = false;
  next_retry_s_ = 0;
  TRY(open_target());
  TRY(init_root());
  TRY(upgrade());
  TRY(recover());
  TRY(find_place());
  last_durable_ms_ = hooks_.monotonic_ms();
  return update_progress();
}

// A log that ends before our cursor lost its end with the machine; what comes next is a GAP.
Status Engine::find_place() {
  reached_ = cursor_;
  if (!feed_) return ok();
  log::Position end = feed_->last();
  bool changed = cursor_.limit(end);
  changed |= durable_.limit(end);
  changed |= barriers_.limit(end);
  reached_ = cursor_;
  TRY(feed_->start_after(cursor_));
  if (!changed) return ok();
  put_progress();
  return store_.write(index_.take_batch(), Durable::no);
}

// The root stands in the index from the beginning; a first start scans it.
Status Engine::init_root() {
  TRY_ASSIGN(std::optional<Object> root, index_.object(source_.root()));
  if (root) return ok();
  TRY_ASSIGN(std::optional<Entry> other, index_.entry({Fid{}, ""}));
  if (other)
    return Error(Code::conflict, "this state belongs to another source directory (root " + to_string(other->fid) +
                                     ", not " + to_string(source_.root()) + ")");
  Object object;
  object.fid = source_.root();
  object.type = FileType::directory;
  TRY(index_.put(object));
  index_.add_scan(source_.root());
  index_.put_meta("boot", epoch());
  lost_writes_.begin();
  lost_writes_.reached(hooks_.now_s());
  return store_.write(index_.take_batch(), Durable::yes);
}

Status Engine::recover() {
  TRY_ASSIGN(std::optional<std::string> boot, index_.meta("boot"));
  // What had not been synced may be gone: with the machine, or with a target that was torn away and is
  // back. After an error that cannot be told apart from others.
  bool again = std::exchange(started_, true);
  bool cache_lost = again || !boot || *boot != epoch();
  std::vector<Intent> intents;
  bool any = false;
  Status bad = ok();
  TRY(index_.scan_raw("I", [&](std::string_view key, std::string_view value) {
    any = true;
    // Applied batches need not be looked at when only the process died: the page cache lived on.
    if (number_of_row(key) <= batch_ && !cache_lost) return true;
    Result<Intent> intent = Intent::decode(value);
    if (intent)
      intents.push_back(*std::move(intent));
    else
      bad = std::move(intent).error();
    return bad.has_value();
  }));
  TRY(bad);
  undurable_ = any;
  if (cache_lost) index_.put_meta("boot", epoch());
  if (!feed_) lost_writes_.started_without_log();  // a log says it itself, by a GAP
  Intent all;
  for (Intent& intent : intents) {
    std::move(intent.keys.begin(), intent.keys.end(), std::back_inserter(all.keys));
    std::move(intent.objects.begin(), intent.objects.end(), std::back_inserter(all.objects));
  }
  if (!intents.empty()) TRY(relearn(all, index_, *target_, source_.root(), relearn_options()));
  if (index_.pending_rows() == 0) return ok();
  // What was begun is known again; its intent goes with the next durable point.
  begin_numbered_batch(feed_ ? feed_->last() : log::Position());
  kill_point("recover.commit");
  return store_.write(index_.take_batch(), Durable::yes);
}

RelearnOptions Engine::relearn_options() {
  return {feed_ ? batch_ + 1 : 0, hooks_.exclude != nullptr};
}

Status Engine::adopt() {
  TRY(open_target());
  TRY_ASSIGN(uint64_t removed,
             adopt_target(index_, source_, *target_, {hooks_.exclude, hooks_.done, options_.max_delete}));
  counters_.removed += removed;
  return request_scan();
}

Status Engine::request_scan() {
  TRY(scan_everything());
  TRY(store_.write(index_.take_batch(), Durable::no));
  return update_progress();
}

Status Engine::set_filter(const std::string& text) {
  TRY_ASSIGN(std::optional<std::string> before, index_.meta("filter"));
  if (before.value_or("") == text) return ok();
  index_.put_meta("filter", text);
  return request_scan();
}

Status Engine::repair(const std::vector<std::string>& paths) {
  TRY(open_target());
  TRY_ASSIGN(Intent intent, intent_of_paths(paths, index_, *target_, source_.root(), hooks_.exclude));
  StoreBatch batch;
  batch.items.push_back({numbered_row('I', batch_ + 1), intent.encode()});
  kill_point("repair.intent");
  TRY(store_.write(batch, Durable::yes));
  Status learned = relearn(intent, index_, *target_, source_.root(), relearn_options());
  if (!learned) {
    index_.drop();
    return learned;
  }
  begin_numbered_batch(feed_ ? feed_->last() : log::Position());
  next_retry_s_ = 0;
  undurable_ = true;
  dirs_ = std::make_unique<TargetDirs>(*target_, index_, source_.root());  // directories may have moved
  kill_point("repair.commit");
  TRY(store_.write(index_.take_batch(), Durable::yes));
  return update_progress();
}

// The root, and what is parked: it may come back.
Status Engine::scan_everything() {
  index_.add_scan(source_.root());
  std::vector<Fid> parked;
  TRY(index_.list(kParkFid, "", [&](const std::string&, const Entry& entry, const Object*) {
    if (entry.type == FileType::directory)
      parked.push_back(entry.fid);
    else
      dirty_.objects[entry.fid] |= kDirtyAttributes | kDirtyData | kDirtyDoubt;
    return true;
  }));
  for (const Fid& dir : parked) index_.add_scan(dir);
  return ok();
}

Status Engine::fill_from_feed() {
  if (!feed_) return ok();
  Record record;
  const std::vector<std::string>& streams = feed_->streams();
  std::vector<uint64_t> last(streams.size());
  while (dirty_.size() < options_.batch_changes) {
    size_t stream = 0;
    Result<bool> more = feed_->next(record, stream);
    if (more.is(Code::corrupt)) {
      // Damage in the log: what it said is lost, so anything may have changed.
      dirty_.gaps.push_back(Fid{});
      continue;
    }
    TRY_ASSIGN(bool got, std::move(more));
    if (!got) break;
    fold(record, dirty_);
    last[stream] = record.index;
  }
  for (size_t i = 0; i < last.size(); ++i)
    if (last[i] != 0) reached_.set(streams[i], last[i]);
  return ok();
}

Status Engine::take_gaps() {
  if (dirty_.unwatched_since) {
    auto since = static_cast<int64_t>(time_seconds(*dirty_.unwatched_since));
    lost_writes_.unwatched(since ? std::optional<int64_t>(since) : std::nullopt);
  }
  for (const Fid& gap : dirty_.gaps) {
    TRY_ASSIGN(std::optional<Object> object, index_.object(gap));
    if (object)
      index_.add_scan(gap);
    else
      TRY(scan_everything());
  }
  return ok();
}

Status Engine::retry_troubles() {
  std::vector<std::pair<std::string, Retry>> waiting;
  TRY(index_.retries([&](const std::string& key, const Retry& retry) {
    if (!retry.text.empty()) waiting.emplace_back(key, retry);
    return true;
  }));
  if (waiting.empty()) return ok();
  for (auto& [key, retry] : waiting) {
    retry.next_s = kRetryAtOnce;
    index_.put_retry(key, retry);
  }
  next_retry_s_ = kRetryAtOnce;
  return update_progress();
}

Status Engine::take_retries() {
  int64_t now = hooks_.now_s();
  if (now < next_retry_s_) return ok();
  next_retry_s_ = INT64_MAX;
  size_t taken = 0;
  std::vector<Fid> objects;
  TRY(index_.retries([&](const std::string& key, const Retry& retry) {
    if (retry.next_s > now) {
      next_retry_s_ = std::min(next_retry_s_, retry.next_s);
      return true;
    }
    if (++taken > kRetriesPerBatch) {
      next_retry_s_ = now;
      return false;
    }
    Index::RetrySubject subject = Index::parse_retry_key(key);
    if (subject.is_entry)
      dirty_.entries.insert(subject.entry);
    else
      objects.push_back(subject.object);
    return true;
  }));
  for (const Fid& fid : objects) {
    dirty_.objects[fid] |= kDirtyAttributes | kDirtyData | kDirtyDoubt;
    TRY(index_.wake_scan(fid));
  }
  return ok();
}

// What was parked and has found no new place although all records up to then were applied has left
// the source: it goes, and what is in it.
Status Engine::reap(Survey& survey) {
  std::unordered_set<Fid, FidHash> placed;
  std::unordered_set<EntryKey, EntryKeyHash> changed;
  for (const Change& change : survey.changes) {
    placed.insert(change.new_fid);
    changed.insert(change.key);
  }
  std::vector<Object> due;
  TRY(index_.list(kParkFid, "", [&](const std::string& name, const Entry& entry, const Object* object) {
    if (placed.count(entry.fid)) return true;
    if (!object)  // its home is elsewhere: this name is one too many
      survey.changes.push_back({{kParkFid, name}, entry.fid, Fid{}, FileType::regular, false});
    else if (barriers_.passed(object->parked_until))
      due.push_back(*object);
    return due.size() < kReapPerBatch;
  }));
  size_t budget = kReapPerBatch;
  for (const Object& object : due) {
    bool emptied = true;
    std::vector<std::pair<std::string, Entry>> children;
    if (object.type == FileType::directory)
      TRY(index_.list(object.fid, "", [&](const std::string& name, const Entry& entry, const Object*) {
        if (budget == 0) return emptied = false;
        --budget;
        children.emplace_back(name, entry);
        return true;
      }));
    for (auto& [name, entry] : children) {
      if (changed.count({object.fid, name})) continue;
      if (entry.type == FileType::directory) {
        TRY_ASSIGN(bool in_use, index_.has_entries(entry.fid));
        if (in_use) survey.alive.insert(entry.fid);  // into the park for now
      }
      survey.changes.push_back({{object.fid, name}, entry.fid, Fid{}, FileType::regular, false});
    }
    if (!children.empty() && !object.hollow) {
      Object hollow = object;
      hollow.hollow = true;
      TRY(index_.put(hollow));
    }
    survey.alive.erase(object.fid);
    if (emptied) survey.changes.push_back({object.home, object.fid, Fid{}, FileType::regular, false});
  }
  return ok();
}

// Nothing is left to scan: what a scan doubts has been looked at.
Status Engine::end_suspicion() {
  if (lost_writes_.from_s() == INT64_MAX) return ok();
  TRY_ASSIGN(bool scans_wait, index_.has_scans());
  if (!scans_wait) lost_writes_.looked();
  return ok();
}

Result<bool> Engine::step() {
  TRY(open_target());
  TRY(fill_from_feed());
  TRY(take_gaps());
  TRY(take_retries());
  TRY_ASSIGN(auto scans, index_.scans(kScansPerBatch));
  bool parked = false;
  TRY(index_.list(kParkFid, "", [&](const std::string&, const Entry&, const Object* object) {
    parked = !object || barriers_.passed(object->parked_until);
    return !parked;
  }));
  if (!dirty_.empty() || !scans.empty() || parked) {
    Result<bool> done = run_batch(std::move(scans));
    if (!done) index_.drop();
    return done;
  }
  TRY(end_suspicion());
  if (reached_ != cursor_) {  // records that say nothing to a mirror
    cursor_ = reached_;
    dirty_ = {};
    put_progress();
    TRY(store_.write(index_.take_batch(), Durable::no));
    undurable_ = true;
  }
  if (undurable_) TRY(make_durable());
  looked_ = true;
  TRY(update_progress());
  return false;
}

SurveyLimits Engine::survey_limits() {
  SurveyLimits limits;
  limits.changes = options_.scan_changes;
  limits.most = options_.batch_changes;
  limits.entries_seen = &counters_.entries_seen;
  limits.suspect_from_s = lost_writes_.from_s();
  limits.untold_from_s = lost_writes_.untold_from_s();
  limits.is_intact = [this](const Object& object) {
    if (!is_copy_intact(object, source_, *target_, *dirs_)) return false;
    ++counters_.files_compared;
    return true;
  };
  return limits;
}

Result<bool> Engine::run_batch(std::vector<Fid> scans) {
  bool scanning = !scans.empty();
  {
    std::lock_guard lock(progress_mutex_);
    progress_.phase = scanning ? "scanning" : "following";
    progress_.settled = false;
  }
  TRY_ASSIGN(Survey found, survey(dirty_, scans, index_, source_, pool_, hooks_.exclude, survey_limits()));
  // Directories that were offered and not reached keep their row.
  if (!scanning) TRY(reap(found));
  TRY_ASSIGN(Plan plan, make_plan(found, index_));
  if (hooks_.planned) hooks_.planned(plan);
  TRY(check_deletions(plan));
  bool parks = std::any_of(plan.moves.begin(), plan.moves.end(), [](const Op& op) { return op.to.parent == kParkFid; });
  bool wait_for_records = parks && hooks_.barrier;
  if (wait_for_records) {
    TRY_ASSIGN(log::Position end, hooks_.barrier());
    barriers_.add(batch_ + 1, end);
  }
  TRY(begin_batch(plan));
  counters_.planned += plan.size();
  counters_.lookups += found.lookups + plan.creates.size() + plan.syncs.size() + plan.dirs.size();
  ApplyContext context{index_,
                       source_,
                       *target_,
                       *dirs_,
                       pool_,
                       counters_,
                       hooks_.done,
                       hooks_.note,
                       feed_ != nullptr,
                       scanning,
                       wait_for_records ? batch_ + 1 : 0,
                       hooks_.stop};
  TRY_ASSIGN(ApplyResult applied, apply(plan, context));
  counters_.applied = counters_.planned.load();
  if (plan.size() >= kLargeBatch) begin_sync();
  TRY(finish_batch(found, applied));
  bool stopping = hooks_.stop && *hooks_.stop;
  if (!stopping && hooks_.monotonic_ms() - last_durable_ms_ >= options_.durable_ms) TRY(make_durable());
  TRY(update_progress());
  return true;
}

Status Engine::check_deletions(const Plan& plan) {
  if (options_.max_delete == UINT64_MAX) return ok();
  uint64_t removed = counters_.removed - removed_before_;
  TRY_ASSIGN(uint64_t doomed, count_doomed(plan, index_, source_, options_.max_delete));
  uint64_t next = plan.deletions() + doomed;
  if (removed + next <= options_.max_delete) return ok();
  return Error(Code::too_many, "the next changes would remove " + std::to_string(next) +
                                   (doomed > options_.max_delete ? " or more" : "") + " entries of the target after " +
                                   std::to_string(removed) + "; --max-delete allows " +
                                   std::to_string(options_.max_delete));
}

Status Engine::begin_batch(const Plan& plan) {
  if (plan.size() == 0) return ok();
  StoreBatch batch;
  batch.items.push_back({numbered_row('I', batch_ + 1), Intent::of(plan, index_).encode()});
  kill_point("intent.before");
  TRY(store_.write(batch, Durable::yes));
  kill_point("intent.after");
  return ok();
}

void Engine::note_trouble(const std::string& key, int sys_errno, const std::string& text) {
  Retry retry;
  int64_t now = hooks_.now_s();
  retry.since_s = now;
  Result<std::optional<Retry>> before = index_.retry(key);
  if (before && *before) {
    retry.since_s = (*before)->since_s ? (*before)->since_s : now;
    retry.tries = (*before)->tries;
  }
  ++retry.tries;
  retry.sys_errno = sys_errno;
  retry.text = text;
  int64_t wait = std::min(kRetryMaxSeconds, int64_t{1} << std::min<uint32_t>(retry.tries, 9));
  if (text.empty()) wait = retry.tries <= kImmediateTries ? 0 : 1;
  retry.next_s = now + wait;
  next_retry_s_ = std::min(next_retry_s_, retry.next_s);
  index_.put_retry(key, retry);
}

// Two moments that the survey saw make a ring for a batch or two. One that stays means that the index is
// wrong about a directory of which no record tells: doubt, so everything is compared.
Status Engine::break_rings(const std::vector<std::string>& ringed) {
  for (const std::string& key : ringed) {
    TRY_ASSIGN(std::optional<Retry> retry, index_.retry(key));
    bool stays = retry && retry->tries > kImmediateTries && (retry->tries & (retry->tries - 1)) == 0;
    if (stays) index_.add_scan(source_.root());
  }
  return ok();
}

// What was looked at and is well needs no retry; but a look at a directory's attributes does not read it.
Status Engine::end_retries(const Survey& survey, const std::unordered_set<std::string>& bad) {
  std::vector<std::string> well;
  TRY(index_.retries([&](const std::string& key, const Retry&) {
    Index::RetrySubject subject = Index::parse_retry_key(key);
    bool looked_at = subject.is_entry ? dirty_.entries.count(subject.entry) || survey.looked_at.count(subject.entry)
                                      : dirty_.objects.count(subject.object);
    if (looked_at && !bad.count(key)) well.push_back(key);
    return true;
  }));
  for (const std::string& key : well) {
    index_.remove_retry(key);
    Index::RetrySubject subject = Index::parse_retry_key(key);
    if (!subject.is_entry) TRY(index_.wake_scan(subject.object));
  }
  return ok();
}

Status Engine::end_scan(const Fid& dir) {
  index_.remove_scan(dir);
  TRY_ASSIGN(std::optional<Object> object, index_.object(dir));
  if (!object || !object->hollow || object->home.parent == kParkFid) return ok();
  object->hollow = false;
  return index_.put(*object);
}

Status Engine::finish_batch(const Survey& survey, const ApplyResult& applied) {
  std::unordered_set<std::string> bad;
  for (const Trouble& trouble : survey.troubles) bad.insert(trouble.retry_key);
  for (const Trouble& trouble : applied.troubles) bad.insert(trouble.retry_key);
  for (const std::string& key : applied.again) bad.insert(key);
  for (const Fid& dir : survey.scanned) TRY(end_scan(dir));
  TRY(end_retries(survey, bad));
  for (const std::string& key : applied.again) note_trouble(key, 0, "");
  TRY(break_rings(applied.ringed));
  for (const Trouble& trouble : survey.troubles) note_trouble(trouble.retry_key, trouble.sys_errno, trouble.text);
  for (const Trouble& trouble : applied.troubles) note_trouble(trouble.retry_key, trouble.sys_errno, trouble.text);

  for (const Fid& dir : survey.scans) {
    TRY_ASSIGN(std::optional<Object> object, index_.object(dir));
    if (object) index_.add_scan(dir);
  }
  for (const Fid& dir : survey.unread) {
    TRY_ASSIGN(std::optional<Object> object, index_.object(dir));
    if (object) index_.defer_scan(dir);
  }
  cursor_ = reached_;
  counters_.records += dirty_.records;
  counters_.scanned += survey.scanned.size();
  ++counters_.batches;
  ++batch_;
  put_progress();
  kill_point("commit.before");
  TRY(store_.write(index_.take_batch(), Durable::no));
  kill_point("commit.after");
  {
    std::lock_guard lock(progress_mutex_);
    progress_.cursor_time = std::max(progress_.cursor_time, dirty_.last_time);
  }
  dirty_ = {};
  undurable_ = true;
  return ok();
}

// The kernel tells of an error once: should this process die after it, the next one would hear nothing of it.
// So it is written down at once, beside the batch that is being made.
void Engine::begin_sync() {
  target_->begin_sync([this] {
    StoreBatch doubt;
    doubt.items.push_back({Index::meta_key("boot"), ""});
    ignore(store_.write(doubt, Durable::yes), "sync() will fail, too");
  });
}

Status Engine::make_durable() {
  kill_point("durable.sync");
  // When the disk refuses something the kernel may drop it, and the next sync succeeds without it. So until
  // this one has succeeded it counts as a crash of the machine: all since the last durable point is in doubt.
  index_.put_meta("boot", "");
  TRY(store_.write(index_.take_batch(), Durable::no));
  TRY(target_->sync());
  kill_point("durable.synced");
  std::vector<std::string> intents;
  TRY(index_.scan_raw("I", [&](std::string_view key, std::string_view) {
    intents.emplace_back(key);
    return true;
  }));
  for (const std::string& key : intents) index_.put_raw(key, std::nullopt);
  index_.put_meta("durable", cursor_.text());
  index_.put_meta("boot", epoch());
  TRY(store_.write(index_.take_batch(), Durable::yes));
  kill_point("durable.after");
  undurable_ = false;
  durable_ = cursor_;
  last_durable_ms_ = hooks_.monotonic_ms();
  if (hooks_.clear) TRY(hooks_.clear(cursor_));
  return ok();
}

Status Engine::update_progress() {
  uint64_t retries = 0;
  uint64_t troubles = 0;
  std::vector<std::string> texts;
  TRY(index_.retries([&](const std::string&, const Retry& retry) {
    if (!retry.text.empty()) ++troubles;
    if (retry.text.empty() || retry.next_s == kRetryAtOnce) ++retries;
    if (!retry.text.empty() && texts.size() < kTroubleTexts) texts.push_back(retry.text);
    return true;
  }));
  TRY_ASSIGN(auto scans, index_.scans(kScansPerBatch));
  uint64_t parked = 0;
  TRY(index_.list(kParkFid, "", [&](const std::string&, const Entry&, const Object*) { return ++parked < 100000; }));
  std::lock_guard lock(progress_mutex_);
  progress_.cursor = cursor_;
  progress_.durable = durable_;
  progress_.scans_pending = scans.size();
  progress_.retries_pending = retries;
  progress_.troubles = troubles;
  progress_.trouble_texts = std::move(texts);
  progress_.parked = parked;
  progress_.problem.clear();
  progress_.settled = looked_ && scans.empty() && retries == 0 && !undurable_ && dirty_.empty();
  if (progress_.settled) {
    progress_.phase = "idle";
    progress_.settled_s = hooks_.now_s();
  }
  return ok();
}

Progress Engine::progress() const {
  std::lock_guard lock(progress_mutex_);
  return progress_;
}

}  // namespace reel::mirror
