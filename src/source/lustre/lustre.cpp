// SPDX-License-Identifier: Apache-2.0
//
// LustreSource: a thread for each MDT, which steps its MdtStream; barriers are tickets that every
// stream has to serve.
#include "source/lustre/lustre.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "source/lustre/mdt_view.h"
#include "source/lustre/stream/mdt_stream.h"

namespace reel::source::lustre {
namespace {

using std::chrono::milliseconds;

constexpr int kFirstNapMs = 20;   // between looks; doubles up to idle_ms while nothing comes
constexpr int kBarrierNapMs = 5;  // while somebody waits

struct Worker {
  std::unique_ptr<MdtStream> stream;
  uint64_t served = 0, away_at = 0;  // tickets
  bool done = false;
};

// What the threads share; lives as long as the last of them, also when one hangs in a call to a dead MDT.
struct Shared {
  Site site;
  LustreOptions options;
  std::mutex event_mutex;
  std::vector<Worker> workers;

  std::mutex mutex;
  std::condition_variable changed;
  uint64_t asked = 0;
  bool stopping = false;
};

void run(const std::shared_ptr<Shared>& shared, size_t number) {
  Worker& worker = shared->workers[number];
  int nap = kFirstNapMs;
  std::unique_lock lock(shared->mutex);
  while (!shared->stopping) {
    uint64_t ticket = shared->asked;
    lock.unlock();
    Step step = worker.stream->step(ticket);
    lock.lock();
    worker.served = worker.stream->served();
    if (step == Step::away) worker.away_at = ticket;
    shared->changed.notify_all();
    if (step == Step::ended) break;
    if (step == Step::worked) {
      nap = kFirstNapMs;
      continue;
    }
    bool waited_for = step == Step::idle && worker.served < shared->asked;
    shared->changed.wait_for(lock, milliseconds(waited_for ? kBarrierNapMs : nap),
                             [&] { return shared->stopping || shared->asked > ticket; });
    nap = std::min(shared->options.idle_ms, nap * 2);
  }
  worker.done = true;
  shared->changed.notify_all();
}

class Follower final : public LustreSource {
 public:
  explicit Follower(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~Follower() override;

  void start();
  Result<std::vector<StreamEnd>> barrier() override;
  Status health() override;
  std::vector<StreamState> streams() const override {
    std::vector<StreamState> states;
    for (const Worker& worker : shared_->workers) states.push_back(worker.stream->state());
    return states;
  }

 private:
  Status answer(const Worker& worker, uint64_t ticket) const;

  std::shared_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
};

void Follower::start() {
  // Signals are for the threads that expect them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  for (size_t i = 0; i < shared_->workers.size(); ++i) {
    threads_.emplace_back([shared = shared_, i] { run(shared, i); });
    ::pthread_setname_np(threads_.back().native_handle(), ("reel-mdt" + std::to_string(i)).c_str());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Follower::~Follower() {
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->changed.notify_all();
  auto all_done = [this] {
    return std::all_of(shared_->workers.begin(), shared_->workers.end(), [](const Worker& w) { return w.done; });
  };
  shared_->changed.wait_for(lock, milliseconds(shared_->options.stop_grace_ms), all_done);
  std::vector<bool> done;
  for (const Worker& worker : shared_->workers) done.push_back(worker.done);
  lock.unlock();
  for (size_t i = 0; i < threads_.size(); ++i) {
    if (done[i])
      threads_[i].join();
    else
      threads_[i].detach();
  }
}

// Ok: served. timeout: not yet.
Status Follower::answer(const Worker& worker, uint64_t ticket) const {
  if (std::optional<Error> error = worker.stream->error()) return std::move(*error);
  if (worker.served >= ticket) return ok();
  if (shared_->stopping) return Error(Code::cancelled, "the source was stopped");
  StreamState state = worker.stream->state();
  if (worker.away_at >= ticket) return Error(Code::io, state.mdt + " cannot be reached: " + state.problem);
  return Error(Code::timeout, "not yet");
}

Result<std::vector<StreamEnd>> Follower::barrier() {
  std::unique_lock lock(shared_->mutex);
  uint64_t ticket = ++shared_->asked;
  shared_->changed.notify_all();
  std::vector<StreamEnd> ends;
  for (const Worker& worker : shared_->workers) {
    Status served = answer(worker, ticket);
    for (; served.is(Code::timeout); served = answer(worker, ticket)) shared_->changed.wait(lock);
    TRY(std::move(served));
    StreamState state = worker.stream->state();
    ends.push_back({state.stream, state.released});
  }
  return ends;
}

Status Follower::health() {
  for (const Worker& worker : shared_->workers)
    if (std::optional<Error> error = worker.stream->error()) return std::move(*error);
  return ok();
}

}  // namespace

const char* to_string(EventKind kind) {
  switch (kind) {
    case EventKind::started:
      return "started";
    case EventKind::records_missing:
      return "records missing";
    case EventKind::index_back:
      return "index went back";
    case EventKind::undecodable:
      return "record cannot be read";
    case EventKind::cleared_by_other:
      return "cleared by somebody else";
    case EventKind::user_unverified:
      return "user cannot be verified";
    case EventKind::user_lost:
      return "user lost";
    case EventKind::mask_lacks:
      return "mask lacks types";
    case EventKind::audit_off:
      return "audit off";
    case EventKind::mdt_restarted:
      return "MDT restarted";
    case EventKind::open_logged:
      return "OPEN is logged";
    case EventKind::not_verified:
      return "not verified";
    case EventKind::no_fence:
      return "no fence";
    case EventKind::mdt_gone:
      return "MDT gone";
    case EventKind::mdt_back:
      return "MDT back";
    case EventKind::tail_changed:
      return "tail changed";
    case EventKind::failed:
      return "failed";
  }
  return "?";
}

uint64_t needed_mask() {
  uint64_t mask = 0;
  for (RecordType type : {RecordType::creat, RecordType::mkdir, RecordType::hlink, RecordType::slink, RecordType::mknod,
                          RecordType::unlnk, RecordType::rmdir, RecordType::renme, RecordType::close, RecordType::lyout,
                          RecordType::trunc, RecordType::sattr, RecordType::xattr, RecordType::hsm, RecordType::mtime,
                          RecordType::ctime, RecordType::migrt})
    mask |= mask_bit(type);
  return mask;
}

Result<std::unique_ptr<LustreSource>> watch_lustre(Site site, const LustreOptions& options, Env& env) {
  auto shared = std::make_shared<Shared>();
  shared->site = std::move(site);
  shared->options = options;
  if (options.event) {
    shared->options.event = [weak = std::weak_ptr<Shared>(shared), event = options.event](const SourceEvent& e) {
      std::shared_ptr<Shared> alive = weak.lock();
      if (!alive) return;
      std::lock_guard lock(alive->event_mutex);
      event(e);
    };
  }
  for (const std::unique_ptr<Mdt>& mdt : shared->site.mdts) {
    Result<std::unique_ptr<ChangelogDevice>> device = mdt->open_device();
    if (!device) return std::move(device).error().with("the changelog of " + mdt->name());
    TRY_ASSIGN(MdtUser user, user_for(options.user, *mdt, mdt->view()));
    Worker worker;
    TRY_ASSIGN(worker.stream, MdtStream::open(*mdt, user, shared->options, env));
    shared->workers.push_back(std::move(worker));
  }
  auto follower = std::make_unique<Follower>(std::move(shared));
  follower->start();
  return std::unique_ptr<LustreSource>(std::move(follower));
}

}  // namespace reel::source::lustre
