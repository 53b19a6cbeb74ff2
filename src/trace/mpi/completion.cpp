// SPDX-License-Identifier: Apache-2.0
//
// Waiting for requests, and testing them. Handles are read before the call, for it overwrites them; what was done is
// told from its answer.
#include <stdlib.h>

#include "trace/mpi/shim.h"

using namespace reel::trace;       // NOLINT: the whole file is about them
using namespace reel::trace::mpi;  // NOLINT

namespace {

// The handles of a call and its statuses, which the program may not want.
class Waited {
 public:
  Waited(const Inside& call, int count, MPI_Request* requests, MPI_Status* statuses, bool one_status)
      : count_(count), places_(requests) {
    bool wants = statuses != MPI_STATUSES_IGNORE && statuses != MPI_STATUS_IGNORE;
    statuses_ = statuses;
    if (!call.on()) return;
    int of_status = one_status ? 1 : count;
    handles_ = count <= kFew ? few_ : static_cast<uint64_t*>(calloc(static_cast<size_t>(count), sizeof(uint64_t)));
    for (int i = 0; handles_ && i < count; ++i) {
      handles_[i] = as_number(requests[i]);
      if (requests[i] != handles().no_request) ++waited_;
    }
    if (wants) return;
    own_ = of_status <= kFew ? few_statuses_
                             : static_cast<MPI_Status*>(calloc(static_cast<size_t>(of_status), sizeof(MPI_Status)));
    if (own_) statuses_ = own_;
  }
  ~Waited() {
    if (handles_ != few_) free(handles_);
    if (own_ != few_statuses_) free(own_);
  }
  Waited(const Waited&) = delete;
  Waited& operator=(const Waited&) = delete;

  MPI_Status* statuses() { return statuses_; }
  bool has_statuses() const { return statuses_ != MPI_STATUSES_IGNORE && statuses_ != MPI_STATUS_IGNORE; }

  // Request `index` was done, with the status of `status`.
  void done(Inside& call, int index, int status) {
    Request request;
    if (!handles_ || !take_request(handles_[index], &places_[index], request)) return;
    if (request.number != 0) {
      if (!wait_) {
        call.expect(static_cast<uint32_t>(count_) + 1);
        wait_ = &call.add(Op::mpi_wait);
        wait_->length = waited_;
        wait_->result = 0;
      }
      ++wait_->result;
      tell_done(call.add(Op::mpi_done, Span::exit), request, has_statuses() ? &statuses_[status] : nullptr);
    }
    finish_request(request);
  }

 private:
  static constexpr int kFew = 16;
  int count_;
  MPI_Request* places_;
  uint64_t waited_ = 0;
  uint64_t few_[kFew];
  uint64_t* handles_ = few_;
  MPI_Status few_statuses_[kFew];
  MPI_Status* own_ = few_statuses_;
  MPI_Status* statuses_ = nullptr;
  DoorEvent* wait_ = nullptr;  // stays where it is: expect() came before
};

bool is_done(int error, const MPI_Status& status) {
  return error == MPI_SUCCESS || (error == MPI_ERR_IN_STATUS && status.MPI_ERROR == MPI_SUCCESS);
}

void all_done(Inside& call, Waited& waited, int count, int error) {
  if (!call.on() || (error != MPI_SUCCESS && (error != MPI_ERR_IN_STATUS || !waited.has_statuses()))) return;
  for (int i = 0; i < count; ++i)
    if (error == MPI_SUCCESS || is_done(error, waited.statuses()[i])) waited.done(call, i, i);
}

void some_done(Inside& call, Waited& waited, int done, const int* indices, int error) {
  if (!call.on() || done == MPI_UNDEFINED || (error != MPI_SUCCESS && !waited.has_statuses())) return;
  for (int i = 0; i < done; ++i)
    if (error == MPI_SUCCESS || is_done(error, waited.statuses()[i])) waited.done(call, indices[i], i);
}

}  // namespace

REEL_MPI(Wait)(MPI_Request* request, MPI_Status* status) {
  Inside call;
  Waited waited(call, 1, request, status, true);
  int error = real_Wait(request, waited.statuses());
  if (call.on() && error == MPI_SUCCESS) waited.done(call, 0, 0);
  return error;
}
REEL_MPI(Test)(MPI_Request* request, int* flag, MPI_Status* status) {
  Inside call;
  Waited waited(call, 1, request, status, true);
  call.was_test();
  int error = real_Test(request, flag, waited.statuses());
  if (call.on() && error == MPI_SUCCESS && *flag != 0) waited.done(call, 0, 0);
  return error;
}
REEL_MPI(Waitall)(int count, MPI_Request* requests, MPI_Status* statuses) {
  Inside call;
  Waited waited(call, count, requests, statuses, false);
  int error = real_Waitall(count, requests, waited.statuses());
  all_done(call, waited, count, error);
  return error;
}
REEL_MPI(Testall)(int count, MPI_Request* requests, int* flag, MPI_Status* statuses) {
  Inside call;
  Waited waited(call, count, requests, statuses, false);
  call.was_test();
  int error = real_Testall(count, requests, flag, waited.statuses());
  if (*flag != 0) all_done(call, waited, count, error);
  return error;
}
REEL_MPI(Waitany)(int count, MPI_Request* requests, int* index, MPI_Status* status) {
  Inside call;
  Waited waited(call, count, requests, status, true);
  int error = real_Waitany(count, requests, index, waited.statuses());
  if (call.on() && error == MPI_SUCCESS && *index != MPI_UNDEFINED) waited.done(call, *index, 0);
  return error;
}
REEL_MPI(Testany)(int count, MPI_Request* requests, int* index, int* flag, MPI_Status* status) {
  Inside call;
  Waited waited(call, count, requests, status, true);
  call.was_test();
  int error = real_Testany(count, requests, index, flag, waited.statuses());
  if (call.on() && error == MPI_SUCCESS && *flag != 0 && *index != MPI_UNDEFINED) waited.done(call, *index, 0);
  return error;
}
REEL_MPI(Waitsome)(int count, MPI_Request* requests, int* done, int* indices, MPI_Status* statuses) {
  Inside call;
  Waited waited(call, count, requests, statuses, false);
  int error = real_Waitsome(count, requests, done, indices, waited.statuses());
  some_done(call, waited, *done, indices, error);
  return error;
}
REEL_MPI(Testsome)(int count, MPI_Request* requests, int* done, int* indices, MPI_Status* statuses) {
  Inside call;
  Waited waited(call, count, requests, statuses, false);
  call.was_test();
  int error = real_Testsome(count, requests, done, indices, waited.statuses());
  some_done(call, waited, *done, indices, error);
  return error;
}

// Given up: nobody is told when it is done.
REEL_MPI(Request_free)(MPI_Request* request) {
  Inside call;
  uint64_t handle = as_number(*request);
  int error = real_Request_free(request);
  if (call.on() && error == MPI_SUCCESS) forget_request(handle, request);
  return error;
}
REEL_MPI(Cancel)(MPI_Request* request) {
  Inside call;
  int error = real_Cancel(request);
  if (call.on() && error == MPI_SUCCESS) cancel_request(as_number(*request), request);
  return error;
}
