// SPDX-License-Identifier: Apache-2.0
//
// MPI-IO. In a call on a file the calls on files that MPI makes are what counts: a collective is told in
// two halves, its arrival before them and its end behind them.
#include "trace/mpi/shim.h"

using namespace reel::trace;       // NOLINT: the whole file is about them
using namespace reel::trace::mpi;  // NOLINT

namespace {

void arrive(const Communicator* at, Collective kind) {
  Inside call;
  if (call.on() && at) tell_collective(call.add(Op::mpi_arrive, Span::entry), *at, kind, kNoRoot);
}

void over(Inside& call, const Communicator* at, Collective kind) {
  if (call.on() && at) tell_collective(call.add(Op::mpi_collective, Span::after_files), *at, kind, kNoRoot);
}

}  // namespace

REEL_MPI(File_open)(MPI_Comm comm, const char* name, int mode, MPI_Info info, MPI_File* file) {
  arrive(communicator_of(comm), Collective::file_open);
  Inside call(true);
  int error = real_File_open(comm, name, mode, info, file);
  if (!call.on()) return error;
  if (error == MPI_SUCCESS) add_thing(as_number(*file), comm);
  over(call, communicator_of(comm), Collective::file_open);
  return error;
}
REEL_MPI(File_close)(MPI_File* file) {
  uint64_t number = as_number(*file);
  Communicator* at = communicator_of_thing(number);
  arrive(at, Collective::file_close);
  int error;
  {
    Inside call(true);
    error = real_File_close(file);
    over(call, at, Collective::file_close);
  }
  forget_thing(number);
  drop(at);
  return error;
}

// Collectives of those who opened the file.
#define REEL_FILE_COLLECTIVE(name, parameters, arguments)      \
  REEL_MPI(File_##name) parameters {                           \
    Communicator* at = communicator_of_thing(as_number(file)); \
    arrive(at, Collective::file_transfer);                     \
    int error;                                                 \
    {                                                          \
      Inside call(true);                                       \
      error = real_File_##name arguments;                      \
      over(call, at, Collective::file_transfer);               \
    }                                                          \
    drop(at);                                                  \
    return error;                                              \
  }
#define REEL_FILE_MOVES(name, pointer)                                                                          \
  REEL_FILE_COLLECTIVE(name, (MPI_File file, pointer buffer, int count, MPI_Datatype type, MPI_Status* status), \
                       (file, buffer, count, type, status))
#define REEL_FILE_MOVES_AT(name, pointer)                                                                         \
  REEL_FILE_COLLECTIVE(                                                                                           \
      name, (MPI_File file, MPI_Offset offset, pointer buffer, int count, MPI_Datatype type, MPI_Status* status), \
      (file, offset, buffer, count, type, status))
REEL_FILE_MOVES(read_all, void*)
REEL_FILE_MOVES(write_all, const void*)
REEL_FILE_MOVES(read_ordered, void*)
REEL_FILE_MOVES(write_ordered, const void*)
REEL_FILE_MOVES_AT(read_at_all, void*)
REEL_FILE_MOVES_AT(write_at_all, const void*)
REEL_FILE_COLLECTIVE(set_size, (MPI_File file, MPI_Offset size), (file, size))
REEL_FILE_COLLECTIVE(preallocate, (MPI_File file, MPI_Offset size), (file, size))
REEL_FILE_COLLECTIVE(sync, (MPI_File file), (file))
REEL_FILE_COLLECTIVE(set_view,
                     (MPI_File file, MPI_Offset offset, MPI_Datatype element, MPI_Datatype type, const char* kind,
                      MPI_Info info),
                     (file, offset, element, type, kind, info))
REEL_FILE_COLLECTIVE(read_all_begin, (MPI_File file, void* buffer, int count, MPI_Datatype type),
                     (file, buffer, count, type))
REEL_FILE_COLLECTIVE(write_all_begin, (MPI_File file, const void* buffer, int count, MPI_Datatype type),
                     (file, buffer, count, type))
REEL_FILE_COLLECTIVE(read_all_end, (MPI_File file, void* buffer, MPI_Status* status), (file, buffer, status))
REEL_FILE_COLLECTIVE(write_all_end, (MPI_File file, const void* buffer, MPI_Status* status), (file, buffer, status))

// One rank's own: the calls on files in it are all there is to tell.
#define REEL_FILE_ALONE(name, parameters, arguments) \
  REEL_MPI(File_##name) parameters {                 \
    Inside call(true);                               \
    return real_File_##name arguments;               \
  }
#define REEL_FILE_ALONE_MOVES(name, pointer)                                                               \
  REEL_FILE_ALONE(name, (MPI_File file, pointer buffer, int count, MPI_Datatype type, MPI_Status* status), \
                  (file, buffer, count, type, status))
#define REEL_FILE_ALONE_MOVES_AT(name, pointer)                                                                   \
  REEL_FILE_ALONE(                                                                                                \
      name, (MPI_File file, MPI_Offset offset, pointer buffer, int count, MPI_Datatype type, MPI_Status* status), \
      (file, offset, buffer, count, type, status))
REEL_FILE_ALONE_MOVES(read, void*)
REEL_FILE_ALONE_MOVES(write, const void*)
REEL_FILE_ALONE_MOVES(read_shared, void*)
REEL_FILE_ALONE_MOVES(write_shared, const void*)
REEL_FILE_ALONE_MOVES_AT(read_at, void*)
REEL_FILE_ALONE_MOVES_AT(write_at, const void*)
REEL_FILE_ALONE(seek, (MPI_File file, MPI_Offset offset, int whence), (file, offset, whence))
REEL_FILE_ALONE(get_size, (MPI_File file, MPI_Offset* size), (file, size))
REEL_MPI(File_delete)(const char* name, MPI_Info info) {
  Inside call(true);
  return real_File_delete(name, info);
}

// Their calls on files come at some time, some within other calls.
#define REEL_FILE_BEGINS(name, pointer)                                                                      \
  REEL_MPI(File_##name)(MPI_File file, pointer buffer, int count, MPI_Datatype type, MPI_Request* request) { \
    Inside call(true);                                                                                       \
    if (call.on()) tell_missing(Missing::asynchronous_io);                                                   \
    return real_File_##name(file, buffer, count, type, request);                                             \
  }
#define REEL_FILE_BEGINS_AT(name, pointer)                                                                 \
  REEL_MPI(File_##name)                                                                                    \
  (MPI_File file, MPI_Offset offset, pointer buffer, int count, MPI_Datatype type, MPI_Request* request) { \
    Inside call(true);                                                                                     \
    if (call.on()) tell_missing(Missing::asynchronous_io);                                                 \
    return real_File_##name(file, offset, buffer, count, type, request);                                   \
  }
REEL_FILE_BEGINS(iread, void*)
REEL_FILE_BEGINS(iwrite, const void*)
REEL_FILE_BEGINS(iread_all, void*)
REEL_FILE_BEGINS(iwrite_all, const void*)
REEL_FILE_BEGINS(iread_shared, void*)
REEL_FILE_BEGINS(iwrite_shared, const void*)
REEL_FILE_BEGINS_AT(iread_at, void*)
REEL_FILE_BEGINS_AT(iwrite_at, const void*)
REEL_FILE_BEGINS_AT(iread_at_all, void*)
REEL_FILE_BEGINS_AT(iwrite_at_all, const void*)
