// SPDX-License-Identifier: Apache-2.0
//
// Requests of aio.
#include "trace/collect/assemble/aio.h"

#include <linux/aio_abi.h>

#include <algorithm>

#include "base/codec.h"

namespace reel::trace {
namespace {

std::optional<Op> op_of(uint16_t opcode) {
  switch (opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PREADV:
      return Op::aio_read;
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PWRITEV:
      return Op::aio_write;
    case IOCB_CMD_FSYNC:
    case IOCB_CMD_FDSYNC:
      return Op::aio_fsync;
    default:  // poll and nothing
      return std::nullopt;
  }
}

bool is_vector(uint16_t opcode) {
  return opcode == IOCB_CMD_PREADV || opcode == IOCB_CMD_PWRITEV;
}

}  // namespace

bool AioRequests::submitted(int32_t pid, uint32_t thread, const Raw& call) {
  static_assert(sizeof(struct iocb) == sizeof wire::AioRequest{}.block);
  uint64_t count = call.event.result > 0 ? static_cast<uint64_t>(call.event.result) : 0;
  uint64_t brought = call.data.size() / sizeof(wire::AioRequest);
  for (uint64_t i = 0; i < std::min(count, brought); ++i) {
    auto request = load_le<wire::AioRequest>(call.data.data() + i * sizeof(wire::AioRequest));
    auto block = load_le<struct iocb>(reinterpret_cast<const char*>(request.block));
    std::optional<Op> op = op_of(block.aio_lio_opcode);
    if (!op) continue;
    Done& done = waiting_[{pid, request.address}];
    done = Done{};
    done.thread = thread;
    RawEvent& event = done.raw.event;
    event.op = static_cast<uint16_t>(*op);
    event.enter_ns = call.event.enter_ns;
    event.fd = static_cast<int32_t>(block.aio_fildes);
    event.fd2 = -1;
    done.raw.arg = call.arg;
    done.raw.arg2 = block.aio_data;
    if (*op == Op::aio_fsync) continue;
    event.offset = static_cast<uint64_t>(block.aio_offset);
    // Of a vector it is the number of parts: what was moved will be known.
    event.length = is_vector(block.aio_lio_opcode) ? 0 : block.aio_nbytes;
    event.flags = block.aio_rw_flags;
  }
  return brought >= count;
}

bool AioRequests::taken(int32_t pid, const Raw& call, std::vector<Done>& done) {
  uint64_t count = call.event.result > 0 ? static_cast<uint64_t>(call.event.result) : 0;
  uint64_t brought = call.data.size() / sizeof(struct io_event);
  for (uint64_t i = 0; i < std::min(count, brought); ++i) {
    auto event = load_le<struct io_event>(call.data.data() + i * sizeof(struct io_event));
    auto at = waiting_.find({pid, event.obj});
    if (at == waiting_.end()) continue;
    RawEvent& raw = at->second.raw.event;
    raw.exit_ns = call.event.exit_ns;
    raw.result = event.res;
    if (raw.length == 0 && event.res > 0) raw.length = static_cast<uint64_t>(event.res);
    done.push_back(at->second);
    waiting_.erase(at);
  }
  return brought >= count;
}

void AioRequests::process_ended(int32_t pid) {
  waiting_.erase(waiting_.lower_bound({pid, 0}), waiting_.upper_bound({pid, ~0ull}));
}

}  // namespace reel::trace
