// SPDX-License-Identifier: Apache-2.0
//
// Messages: sent, received, begun, looked for. A message to or from MPI_PROC_NULL is none.
#include "trace/mpi/shim.h"

using namespace reel::trace;       // NOLINT: the whole file is about them
using namespace reel::trace::mpi;  // NOLINT

REEL_REAL(Get_elements_x);
REEL_REAL(Test_cancelled);

namespace reel::trace::mpi {

void tell_message(DoorEvent& event, const Communicator& at, uint32_t peer, int tag, uint64_t bytes) {
  event.arg = at.number;
  event.flags = peer;
  event.mode = static_cast<uint32_t>(tag);
  event.length = bytes;
  event.result = static_cast<int64_t>(bytes);
}

void tell_posted(DoorEvent& event, const Communicator& at, const Half& half) {
  tell_message(event, at, half.peer, static_cast<int>(half.tag), half.bytes);
  event.result = 0;
  event.arg2 = next_request();
}

void tell_exchange(Inside& call, const Communicator& at, const Exchange& exchange) {
  uint32_t both = exchange.sends + exchange.receives;
  if (both == 0) return;
  call.expect(2 * both + 1);
  DoorEvent* first = nullptr;
  for (uint32_t i = 0; i < both; ++i) {
    bool receives = i < exchange.receives;
    DoorEvent& event = call.add(receives ? Op::mpi_irecv : Op::mpi_isend, Span::entry);
    tell_posted(event, at, receives ? exchange.wanted[i] : exchange.sent[i - exchange.receives]);
    if (i == 0) first = &event;
  }
  DoorEvent& wait = call.add(Op::mpi_wait);
  wait.length = both;
  wait.result = static_cast<int64_t>(both);
  for (uint32_t i = 0; i < both; ++i) {
    DoorEvent& event = call.add(Op::mpi_done, Span::exit);
    event.arg2 = first[i].arg2;
    if (i >= exchange.receives) continue;
    const Half& came = exchange.came[i];
    event.flags = came.peer;
    event.mode = came.tag;
    event.result = static_cast<int64_t>(came.bytes);
  }
}

}  // namespace reel::trace::mpi

namespace {

uint32_t wanted_rank(const Communicator& at, int rank) {
  return rank == MPI_ANY_SOURCE ? kAny : at.world_of(rank);
}

uint64_t bytes_in(const MPI_Status& status) {
  MPI_Count bytes = 0;
  if (real_Get_elements_x(&status, handles().byte, &bytes) != MPI_SUCCESS || bytes < 0) return 0;
  return static_cast<uint64_t>(bytes);
}

// What came: known from the status, by MPI's own word.
void tell_received(DoorEvent& event, const Communicator& at, const MPI_Status& status, uint64_t room) {
  tell_message(event, at, at.world_of(status.MPI_SOURCE), status.MPI_TAG, room);
  event.result = static_cast<int64_t>(bytes_in(status));
}

void sent(Inside& call, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, bool synchronous, int error) {
  if (!call.on() || to == MPI_PROC_NULL || error != MPI_SUCCESS) return;
  const Communicator& at = *communicator_of(comm);
  DoorEvent& event = call.add(Op::mpi_send);
  tell_message(event, at, at.world_of(to), tag, bytes_of(count, type));
  event.arg2 = synchronous ? 1 : 0;
}

}  // namespace

#define REEL_SEND(name, synchronous)                                                                 \
  REEL_MPI(name)(const void* buffer, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) { \
    Inside call;                                                                                     \
    int error = real_##name(buffer, count, type, to, tag, comm);                                     \
    sent(call, count, type, to, tag, comm, synchronous, error);                                      \
    return error;                                                                                    \
  }
REEL_SEND(Send, false)
REEL_SEND(Ssend, true)
REEL_SEND(Rsend, false)
REEL_SEND(Bsend, false)

REEL_MPI(Recv)(void* buffer, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  int error = real_Recv(buffer, count, type, from, tag, comm, filled);
  if (call.on() && from != MPI_PROC_NULL && error == MPI_SUCCESS)
    tell_received(call.add(Op::mpi_recv), *communicator_of(comm), *filled, bytes_of(count, type));
  return error;
}

namespace {

// MPI_Sendrecv's halves; both or one may be with nobody.
void sent_and_received(Inside& call, const Communicator& at, const Half& sent, bool sends, const Half& wanted,
                       bool receives, const MPI_Status& status) {
  Half came;
  if (receives) came = {at.world_of(status.MPI_SOURCE), static_cast<uint32_t>(status.MPI_TAG), bytes_in(status)};
  tell_exchange(call, at, {&sent, sends ? 1u : 0u, &wanted, &came, receives ? 1u : 0u});
}

}  // namespace

REEL_MPI(Sendrecv)
(const void* out, int out_count, MPI_Datatype out_type, int to, int out_tag, void* in, int in_count,
 MPI_Datatype in_type, int from, int in_tag, MPI_Comm comm, MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  int error = real_Sendrecv(out, out_count, out_type, to, out_tag, in, in_count, in_type, from, in_tag, comm, filled);
  if (!call.on() || error != MPI_SUCCESS) return error;
  const Communicator& at = *communicator_of(comm);
  Half sent = {at.world_of(to), static_cast<uint32_t>(out_tag), bytes_of(out_count, out_type)};
  Half wanted = {wanted_rank(at, from), static_cast<uint32_t>(in_tag), bytes_of(in_count, in_type)};
  sent_and_received(call, at, sent, to != MPI_PROC_NULL, wanted, from != MPI_PROC_NULL, *filled);
  return error;
}
REEL_MPI(Sendrecv_replace)
(void* buffer, int count, MPI_Datatype type, int to, int out_tag, int from, int in_tag, MPI_Comm comm,
 MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  int error = real_Sendrecv_replace(buffer, count, type, to, out_tag, from, in_tag, comm, filled);
  if (!call.on() || error != MPI_SUCCESS) return error;
  const Communicator& at = *communicator_of(comm);
  uint64_t bytes = bytes_of(count, type);
  Half sent = {at.world_of(to), static_cast<uint32_t>(out_tag), bytes};
  Half wanted = {wanted_rank(at, from), static_cast<uint32_t>(in_tag), bytes};
  sent_and_received(call, at, sent, to != MPI_PROC_NULL, wanted, from != MPI_PROC_NULL, *filled);
  return error;
}

namespace {

void tell_begun(Inside& call, const Request& request) {
  DoorEvent& event = call.add(request.op);
  const Communicator& at = *request.communicator;
  uint32_t peer = request.kind == Request::receive ? wanted_rank(at, request.peer) : at.world_of(request.peer);
  tell_message(event, at, peer, request.tag, request.bytes);
  event.result = 0;
  event.arg2 = request.number;
}

// A request there is now, begun or only prepared.
void made(Inside& call, Request request, MPI_Comm comm, int count, MPI_Datatype type, const MPI_Request* place) {
  request.for_nobody = request.peer == MPI_PROC_NULL;
  request.communicator = keep(communicator_of(comm));
  if (!request.for_nobody) request.bytes = bytes_of(count, type);
  if (!request.for_nobody && !request.persistent) {
    request.number = next_request();
    tell_begun(call, request);
  }
  add_request(as_number(*place), place, request);
}

Request prepared(Request::Kind kind, Op op, int peer, int tag, bool persistent) {
  Request request;
  request.kind = kind;
  request.op = op;
  request.peer = peer;
  request.tag = tag;
  request.persistent = persistent;
  return request;
}

}  // namespace

#define REEL_BEGIN_SEND(name, persistent)                                                                    \
  REEL_MPI(name)                                                                                             \
  (const void* buffer, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) { \
    Inside call;                                                                                             \
    int error = real_##name(buffer, count, type, to, tag, comm, request);                                    \
    if (call.on() && error == MPI_SUCCESS)                                                                   \
      made(call, prepared(Request::send, Op::mpi_isend, to, tag, persistent), comm, count, type, request);   \
    return error;                                                                                            \
  }
REEL_BEGIN_SEND(Isend, false)
REEL_BEGIN_SEND(Issend, false)
REEL_BEGIN_SEND(Irsend, false)
REEL_BEGIN_SEND(Ibsend, false)
REEL_BEGIN_SEND(Send_init, true)
REEL_BEGIN_SEND(Ssend_init, true)
REEL_BEGIN_SEND(Rsend_init, true)
REEL_BEGIN_SEND(Bsend_init, true)

#define REEL_BEGIN_RECEIVE(name, persistent)                                                                           \
  REEL_MPI(name)(void* buffer, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request* request) { \
    Inside call;                                                                                                       \
    int error = real_##name(buffer, count, type, from, tag, comm, request);                                            \
    if (call.on() && error == MPI_SUCCESS)                                                                             \
      made(call, prepared(Request::receive, Op::mpi_irecv, from, tag, persistent), comm, count, type, request);        \
    return error;                                                                                                      \
  }
REEL_BEGIN_RECEIVE(Irecv, false)
REEL_BEGIN_RECEIVE(Recv_init, true)

REEL_MPI(Start)(MPI_Request* request) {
  Inside call;
  int error = real_Start(request);
  Request started;
  if (call.on() && error == MPI_SUCCESS && start_request(as_number(*request), request, started) && started.number != 0)
    tell_begun(call, started);
  return error;
}
REEL_MPI(Startall)(int count, MPI_Request* requests) {
  Inside call;
  int error = real_Startall(count, requests);
  if (!call.on() || error != MPI_SUCCESS) return error;
  call.expect(static_cast<uint32_t>(count));
  for (int i = 0; i < count; ++i) {
    Request started;
    if (start_request(as_number(requests[i]), &requests[i], started) && started.number != 0) tell_begun(call, started);
  }
  return error;
}

// Looking for messages.
REEL_MPI(Probe)(int from, int tag, MPI_Comm comm, MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  int error = real_Probe(from, tag, comm, filled);
  if (call.on() && error == MPI_SUCCESS && from != MPI_PROC_NULL)
    tell_received(call.add(Op::mpi_probe), *communicator_of(comm), *filled, bytes_in(*filled));
  return error;
}
REEL_MPI(Iprobe)(int from, int tag, MPI_Comm comm, int* flag, MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  call.was_test();
  int error = real_Iprobe(from, tag, comm, flag, filled);
  if (call.on() && error == MPI_SUCCESS && *flag != 0 && from != MPI_PROC_NULL)
    tell_received(call.add(Op::mpi_probe), *communicator_of(comm), *filled, bytes_in(*filled));
  return error;
}

// A message that is matched but not received yet is as a receive that was begun for it.
namespace {

void matched(Inside& call, MPI_Comm comm, const MPI_Status& status, const MPI_Message* place) {
  if (*place == handles().message_of_nobody) return;
  Request request = prepared(Request::message, Op::mpi_irecv, status.MPI_SOURCE, status.MPI_TAG, false);
  request.communicator = keep(communicator_of(comm));
  request.bytes = bytes_in(status);
  request.number = next_request();
  tell_begun(call, request);
  add_request(as_number(*place), place, request);
}

}  // namespace

REEL_MPI(Mprobe)(int from, int tag, MPI_Comm comm, MPI_Message* message, MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  int error = real_Mprobe(from, tag, comm, message, filled);
  if (call.on() && error == MPI_SUCCESS) matched(call, comm, *filled, message);
  return error;
}
REEL_MPI(Improbe)(int from, int tag, MPI_Comm comm, int* flag, MPI_Message* message, MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  call.was_test();
  int error = real_Improbe(from, tag, comm, flag, message, filled);
  if (call.on() && error == MPI_SUCCESS && *flag != 0) matched(call, comm, *filled, message);
  return error;
}
REEL_MPI(Mrecv)(void* buffer, int count, MPI_Datatype type, MPI_Message* message, MPI_Status* status) {
  Inside call;
  MPI_Status own;
  MPI_Status* filled = status == MPI_STATUS_IGNORE ? &own : status;
  uint64_t handle = as_number(*message);
  int error = real_Mrecv(buffer, count, type, message, filled);
  Request request;
  if (!call.on() || error != MPI_SUCCESS || !take_request(handle, message, request)) return error;
  DoorEvent& wait = call.add(Op::mpi_wait);
  wait.length = 1;
  wait.result = 1;
  tell_done(call.add(Op::mpi_done, Span::exit), request, filled);
  finish_request(request);
  return error;
}
REEL_MPI(Imrecv)(void* buffer, int count, MPI_Datatype type, MPI_Message* message, MPI_Request* begun) {
  Inside call;
  uint64_t handle = as_number(*message);
  int error = real_Imrecv(buffer, count, type, message, begun);
  Request request;
  if (!call.on() || error != MPI_SUCCESS || !take_request(handle, message, request)) return error;
  request.kind = Request::receive;
  add_request(as_number(*begun), begun, request);
  return error;
}

namespace reel::trace::mpi {

void tell_done(DoorEvent& event, const Request& request, MPI_Status* status) {
  event.arg2 = request.number;
  if (!status) return;
  int cancelled = 0;
  if (request.cancelled) real_Test_cancelled(status, &cancelled);
  if (cancelled != 0) {
    event.result = kCancelled;
    return;
  }
  if (request.kind != Request::receive && request.kind != Request::message) return;
  event.flags = request.communicator->world_of(status->MPI_SOURCE);
  event.mode = static_cast<uint32_t>(status->MPI_TAG);
  event.result = static_cast<int64_t>(bytes_in(*status));
}

// Its request is over: what was kept for it goes.
void finish_request(const Request& request) {
  if (request.made && *request.made != handles().no_comm) attach(*request.made, request.made_number);
  drop(request.communicator);
}

}  // namespace reel::trace::mpi
