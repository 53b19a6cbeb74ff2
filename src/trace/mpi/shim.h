// SPDX-License-Identifier: Apache-2.0
//
// The inside of libreel-record-mpi.so: MPI's functions, each around its PMPI twin, and what they tell libreel-record.so
// (trace/mpi/door.h). It is loaded into every program of a recording, also into those without MPI: so it is linked
// against no MPI library, and MPI's functions and predefined handles are looked up once MPI is there.
// Nothing may be refused or answered differently because of it. Threads: as MPI_THREAD_MULTIPLE allows.
#pragma once

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <stdint.h>

#include "trace/mpi/door.h"
#include "trace/wire.h"

// MPI's own function of this name, as real_NAME.
#define REEL_REAL(name)                                                                           \
  [[maybe_unused]] static constinit reel::trace::mpi::Real<__typeof__(PMPI_##name)> real_##name { \
    "PMPI_" #name                                                                                 \
  }
// Begins the definition of MPI's function of this name. It stands before PMPI's, too: that is what Open MPI's Fortran
// calls (MPICH's calls MPI's).
#define REEL_MPI(name)                                                                                        \
  REEL_REAL(name);                                                                                            \
  extern "C" __typeof__(PMPI_##name) PMPI_##name __attribute__((alias("MPI_" #name), visibility("default"))); \
  extern "C" __attribute__((visibility("default"))) int MPI_##name

namespace reel::trace::mpi {

inline constexpr uint32_t kAny = ~0u;        // a rank or a tag: whatever comes
inline constexpr uint32_t kNoRoot = ~0u;     // of a collective without one
inline constexpr int64_t kFailed = -5;       // result of a call that MPI failed
inline constexpr int64_t kCancelled = -125;  // result of a request that was cancelled

// Null: there is no function of this name behind this library's.
void* find_real(const char* name);

// A function of MPI's, looked up when it is called first: it is there when somebody calls MPI.
template <class Function>
struct Real {
  const char* name;
  mutable Function* at = nullptr;

  template <class... Arguments>
  int operator()(Arguments... arguments) const {
    Function* found = __atomic_load_n(&at, __ATOMIC_ACQUIRE);
    if (!found) __atomic_store_n(&at, found = reinterpret_cast<Function*>(find_real(name)), __ATOMIC_RELEASE);
    return found(arguments...);
  }
};

// MPI's predefined handles.
struct Handles {
  MPI_Comm world, self, no_comm;
  MPI_Request no_request;
  MPI_Datatype byte, integer;  // integer: 64 bits
  MPI_Message no_message, message_of_nobody;
  MPI_Op maximum;
};
const Handles& handles();
// Before MPI's first call: its functions can be found from here on, also when a plugin brought MPI along.
void find_mpi();
// MPI works: handles() can be used, and the world has its number.
void begin_world();

// A call of MPI while it happens.
class Inside {
 public:
  explicit Inside(bool files = false);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  bool on() const;  // it is to be told
  // A further event that tells of it; valid until the next.
  DoorEvent& add(Op op, Span span = Span::whole);
  void expect(uint32_t events);  // room for so many
  void was_test() { was_test_ = 1; }

 private:
  static constexpr uint32_t kFew = 8;
  bool outermost_;  // of a recording
  int was_test_ = 0;
  uint32_t count_ = 0, room_ = kFew;
  DoorEvent few_[kFew];
  DoorEvent* events_ = few_;
};

// Once in a process: something that this recorder does not take is used.
enum class Missing {
  other_mpi,
  locked_window,
  intercommunicator,
  begun_neighbourhood,
  spawn,
  asynchronous_io,
  persistent_collective,
  generalized,
  unknown_communicator,
  count
};
void tell_missing(Missing what);
void tell_fact(const char* key_and_value);

// What all ranks of a communicator know it by. Counted: of its own, of requests and files.
struct Communicator {
  uint64_t number;  // 0: it was made where nobody looked
  int rank, size;
  int* world_ranks;  // by rank; null: the same
  uint64_t made;     // communicators made from it without a message (idup)
  int references;

  bool is_known() const { return number != 0; }
  uint32_t world_of(int its) const {
    if (its < 0 || its >= size) return kAny;
    return static_cast<uint32_t>(world_ranks ? world_ranks[its] : its);
  }
};
// Never null.
Communicator* communicator_of(MPI_Comm comm);
Communicator* keep(Communicator* communicator);
void drop(Communicator* communicator);
// All its ranks call it right behind the call that made it: they agree on a number.
void was_made(MPI_Comm comm);
uint64_t number_of_next(Communicator& from);  // the number of one that is made without a message
void attach(MPI_Comm comm, uint64_t number);
int world_rank();
int world_size();

uint64_t bytes_of(MPI_Count count, MPI_Datatype type);

// Requests that are under way, by their handle; handles of different ones may be equal (MPI has one for all sends that
// were done at once), then it counts in which variable of the program they are.
struct Request {
  enum Kind : uint8_t { send, receive, collective, message };
  Kind kind = send;
  bool persistent = false, cancelled = false;
  Op op = Op::none;  // of a persistent one: what starting it is
  int peer = 0, tag = 0;
  uint64_t number = 0;  // 0: of a persistent one that is not started; of a message to nobody
  bool for_nobody = false;
  uint64_t bytes = 0, synchronous = 0;
  Communicator* communicator = nullptr;
  MPI_Comm* made = nullptr;  // idup: where the new communicator's handle is
  uint64_t made_number = 0;
};
uint64_t next_request();
void add_request(uint64_t handle, const void* place, const Request& request);
// Takes the request out, or a persistent one back to rest. False: it is not known.
bool take_request(uint64_t handle, const void* place, Request& request);
void forget_request(uint64_t handle, const void* place);
void cancel_request(uint64_t handle, const void* place);
bool start_request(uint64_t handle, const void* place, Request& request);

template <class T>
uint64_t as_number(T handle) {
  return (uint64_t)handle;  // a pointer or an int, as the library has it
}

// The events of point-to-point calls.
void tell_message(DoorEvent& event, const Communicator& at, uint32_t peer, int tag, uint64_t bytes);
void tell_done(DoorEvent& event, const Request& request, MPI_Status* status);
void finish_request(const Request& request);

// One message of several that are sent and received in one call.
struct Half {
  uint32_t peer;  // rank of the world
  uint32_t tag;
  uint64_t bytes;
};
// Received is what was `wanted`, as it `came`.
struct Exchange {
  const Half* sent;
  uint32_t sends;
  const Half *wanted, *came;
  uint32_t receives;
};
// As requests that all begin as the call does, and a wait for them.
void tell_exchange(Inside& call, const Communicator& at, const Exchange& exchange);
// One that only begins: nobody is told when it is done.
void tell_posted(DoorEvent& event, const Communicator& at, const Half& half);

// Tags of what ranks tell each other without messages of the program's; MPI's own are positive.
inline constexpr uint32_t kNeighbourTag = 0xffff'ff01, kPostTag = 0xffff'ff02, kCompleteTag = 0xffff'ff03;

// Files and windows, by their handles: who made them. Of any thread.
void add_thing(uint64_t handle, MPI_Comm comm);
Communicator* communicator_of_thing(uint64_t handle);  // null: not known; kept for the caller
void forget_thing(uint64_t handle);

// What a collective is known by.
void tell_collective(DoorEvent& event, const Communicator& at, Collective kind, uint32_t root);

// Samples of the clock against rank 0's, as facts: at the beginning and at the end.
void sample_clocks(int which);

}  // namespace reel::trace::mpi
