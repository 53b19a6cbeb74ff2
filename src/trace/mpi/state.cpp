// SPDX-License-Identifier: Apache-2.0
//
// The way to libreel-record.so, MPI's predefined handles, and what is missing.
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/mpi/shim.h"

namespace reel::trace::mpi {
namespace {

Handles known;
bool foreign = false;  // MPI is another than that of our header: calls are handed on, and nothing is told of them

uint64_t enter_nothing(int) {
  return 0;
}
void leave_nothing(const DoorEvent*, uint32_t, int) {}

EnterFn enter = nullptr;
LeaveFn leave = nullptr;

// Both are the same whoever finds them first.
void find_door() {
  auto* found_enter = reinterpret_cast<EnterFn>(dlsym(RTLD_DEFAULT, kEnterName));
  auto* found_leave = reinterpret_cast<LeaveFn>(dlsym(RTLD_DEFAULT, kLeaveName));
  bool both = found_enter && found_leave;
  __atomic_store_n(&leave, both ? found_leave : leave_nothing, __ATOMIC_RELEASE);
  __atomic_store_n(&enter, both ? found_enter : enter_nothing, __ATOMIC_RELEASE);
}

#ifdef OPEN_MPI
template <class T>
void find_handle(T& handle, const char* name) {
  handle = reinterpret_cast<T>(dlsym(RTLD_DEFAULT, name));
}
#endif

int promote(struct dl_phdr_info* library, size_t, void*) {
  const char* name = strrchr(library->dlpi_name, '/');
  if (!name || strncmp(name, "/libmpi.so", 10) != 0) return 0;
  dlopen(library->dlpi_name, RTLD_NOLOAD | RTLD_NOW | RTLD_GLOBAL);
  return 1;
}

#ifdef OPEN_MPI
constexpr bool kForOpenMpi = true;
#else
constexpr bool kForOpenMpi = false;

// Its handles are pointers, ours are half as wide.
[[noreturn]] void cannot_hand_on() {
  constexpr char kText[] =
      "reel: the recorder's library for MPI was built for MPICH, and this program's MPI is Open MPI: give one that was "
      "built for it (--mpi-library)\n";
  ssize_t ignored = write(STDERR_FILENO, kText, sizeof kText - 1);
  (void)ignored;
  _exit(127);
}
#endif

const char* text_of(Missing what) {
  switch (what) {
    case Missing::other_mpi:
      return "the program's MPI is another than the one that the recorder's library was built for; no messages are "
             "recorded (--mpi-library)";
    case Missing::locked_window:
      return "windows of MPI are locked; who waits for whom there is not recorded";
    case Missing::intercommunicator:
      return "an intercommunicator of MPI is used; which ranks talk to which over it is not recorded";
    case Missing::begun_neighbourhood:
      return "collectives of neighbours that do not block are used; they are not recorded";
    case Missing::spawn:
      return "ranks were started by ranks; which messages go between them is not recorded";
    case Missing::asynchronous_io:
      return "MPI-IO that does not block is used; its calls on files may be missing";
    case Missing::persistent_collective:
      return "partitioned messages or persistent collectives are used; they are not recorded";
    case Missing::generalized:
      return "generalized requests are used; they are not recorded";
    case Missing::unknown_communicator:
      return "a communicator is used that was made in a way that is not recorded";
    case Missing::count:
      break;
  }
  return "";
}

constexpr int kMissing = static_cast<int>(Missing::count);
int told[kMissing];  // 1: is to be told, 2: was
int untold = 0;      // how many are 1

void tell(uint16_t op, const char* text) {
  enter(0);
  DoorEvent event{};
  event.op = op;
  event.span = Span::exit;
  event.text = text;
  leave(&event, 1, 0);
}

void tell_all_missing() {
  for (int i = 0; i < kMissing; ++i) {
    int yes = 1;
    if (!__atomic_compare_exchange_n(&told[i], &yes, 2, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
    __atomic_sub_fetch(&untold, 1, __ATOMIC_RELAXED);
    tell(wire::kOpLoss, text_of(static_cast<Missing>(i)));
  }
}

}  // namespace

const Handles& handles() {
  return known;
}

void* find_real(const char* name) {
  return dlsym(RTLD_NEXT, name);
}

void find_mpi() {
  if (!find_real("PMPI_Init")) dl_iterate_phdr(promote, nullptr);
  foreign = (dlsym(RTLD_DEFAULT, "ompi_mpi_comm_world") != nullptr) != kForOpenMpi;
  if (foreign) tell_missing(Missing::other_mpi);
#ifdef OPEN_MPI
  find_handle(known.world, "ompi_mpi_comm_world");
  find_handle(known.self, "ompi_mpi_comm_self");
  find_handle(known.no_comm, "ompi_mpi_comm_null");
  find_handle(known.no_request, "ompi_request_null");
  find_handle(known.byte, "ompi_mpi_byte");
  find_handle(known.integer, "ompi_mpi_uint64_t");
  find_handle(known.no_message, "ompi_message_null");
  find_handle(known.message_of_nobody, "ompi_message_no_proc");
  find_handle(known.maximum, "ompi_mpi_op_max");
#else
  if (foreign) cannot_hand_on();
  known = {MPI_COMM_WORLD, MPI_COMM_SELF,    MPI_COMM_NULL,       MPI_REQUEST_NULL, MPI_BYTE,
           MPI_UINT64_T,   MPI_MESSAGE_NULL, MPI_MESSAGE_NO_PROC, MPI_MAX};
#endif
}

// Told behind the call that shows it: an event of its own.
void tell_missing(Missing what) {
  int no = 0;
  if (__atomic_compare_exchange_n(&told[static_cast<int>(what)], &no, 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    __atomic_add_fetch(&untold, 1, __ATOMIC_RELAXED);
}

void tell_fact(const char* key_and_value) {
  tell(wire::kOpFact, key_and_value);
}

Inside::Inside(bool files) {
  if (!__atomic_load_n(&enter, __ATOMIC_ACQUIRE)) find_door();
  outermost_ = enter(files ? 1 : 0) != 0;
}

Inside::~Inside() {
  leave(events_, count_, was_test_);
  if (events_ != few_) free(events_);
  if (outermost_ && __atomic_load_n(&untold, __ATOMIC_RELAXED) != 0) tell_all_missing();
}

void Inside::expect(uint32_t events) {
  if (events <= room_) return;
  auto* more = static_cast<DoorEvent*>(calloc(events, sizeof(DoorEvent)));
  if (!more) return;
  events_ = more;
  room_ = events;
}

bool Inside::on() const {
  return outermost_ && !foreign;
}

DoorEvent& Inside::add(Op op, Span span) {
  if (count_ == room_) --count_;  // there was no memory: the last one is lost
  DoorEvent& event = events_[count_++];
  event = DoorEvent{};
  event.op = static_cast<uint16_t>(op);
  event.span = span;
  return event;
}

}  // namespace reel::trace::mpi
