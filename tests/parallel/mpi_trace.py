# SPDX-License-Identifier: Apache-2.0
"""A trace of a parallel program, and whether what it says of MPI adds up: docs/trace-format.md, "MPI"."""
import json
import subprocess

ANY = 2**32 - 1
INIT, FINALIZE = 17, 18
NEVER_DONE = {2**32 - 254, 2**32 - 253}  # tags of what a window's epochs begin and end with: nobody waits for the sending
OF_MESSAGES = {"socket", "socketpair", "accept", "connect", "other_fd", "poll", "send", "recv"}


class Trace:
    def __init__(self, reel, log):
        done = subprocess.run([reel, "log", log, "--json"], capture_output=True, check=True)
        self.events, self.threads, self.losses, self.facts = [], {}, [], {}
        strings = {}
        for line in done.stdout.splitlines():
            record = json.loads(line)
            kind = record["type"]
            if kind == "FACT":
                key, _, value = record["name"].partition("=")
                self.facts[key] = value
            elif kind == "LOSS":
                self.losses.append(record["name"])
            elif kind == "THREAD":
                self.threads[record["thread"]] = record["arg"]  # its process's first
            elif kind not in ("STRING", "FILE", "COUNT"):
                self.events.append(record)
        self.strings = strings
        self.rank_of = {self.process(e): e["call_flags"] for e in self.events if e["op"] == "mpi_init"}
        self.ranks = len(self.rank_of)
        self.by_rank = {rank: [] for rank in self.rank_of.values()}
        for event in sorted(self.events, key=lambda e: (e["time"], e["time_ns"])):  # stable: a thread's stay in order
            rank = self.rank_of.get(self.process(event))
            if rank is not None:
                self.by_rank[rank].append(event)

    def process(self, event):
        return self.threads.get(event["thread"], event["thread"])

    def receives(self, rank):
        """[(communicator, source, tag, bytes)] in the order in which the receives were posted"""
        posted, by_request = [], {}
        for event in self.by_rank[rank]:
            if event["op"] == "mpi_recv":
                posted.append((event["arg"], event["call_flags"], event["mode"], event["result"]))
            elif event["op"] == "mpi_irecv":
                by_request[event["arg2"]] = len(posted)
                posted.append(None)
                by_request[event["arg2"], "comm"] = event["arg"]
                by_request[event["arg2"], "wanted"] = (event["call_flags"], event["mode"])
            elif event["op"] == "mpi_done" and event["arg2"] in by_request and event["result"] >= 0:
                number = event["arg2"]
                posted[by_request.pop(number)] = (by_request[number, "comm"], event["call_flags"], event["mode"], event["result"])
                wanted = by_request[number, "wanted"]
                if wanted[0] not in (ANY, event["call_flags"]) or wanted[1] not in (ANY, event["mode"]):
                    raise AssertionError(f"rank {rank}: request {number} wanted {wanted} and got {event['call_flags'], event['mode']}")
        return [receive for receive in posted if receive]

    def sends(self, rank):
        """[(communicator, to, tag, bytes)]"""
        return [(e["arg"], e["call_flags"], e["mode"], e["length"]) for e in self.by_rank[rank] if e["op"] in ("mpi_send", "mpi_isend")]

    def problems(self):
        """What does not add up, in words."""
        found = [f"{event['op']} of MPI's own is in the trace" for event in self.events if event["op"] in OF_MESSAGES]
        sent, received = {}, {}
        for rank in self.by_rank:
            for comm, to, tag, size in self.sends(rank):
                sent.setdefault((comm, rank, to, tag), []).append(size)
            for comm, source, tag, size in self.receives(rank):
                received.setdefault((comm, source, rank, tag), []).append(size)
        for channel in sorted(set(sent) | set(received)):
            if sent.get(channel) != received.get(channel):
                found.append(f"communicator {channel[0]}, {channel[1]} to {channel[2]}, tag {channel[3]}: sent {sent.get(channel)}, received {received.get(channel)}")
        return found + self.request_problems() + self.collective_problems()

    def early_messages(self):
        """[(from, to, nanoseconds)] of blocking and waited-for receives that end before their sending began"""
        def when(event, end=False):
            return event["time"] * 10**9 + event["time_ns"] + (event["duration_ns"] if end else 0)
        sent, early = {}, []
        for rank, events in self.by_rank.items():
            for e in events:
                if e["op"] in ("mpi_send", "mpi_isend"):
                    sent.setdefault((e["arg"], rank, e["call_flags"], e["mode"]), []).append(when(e))
        for rank, events in self.by_rank.items():
            posted = {}
            for e in events:
                if e["op"] == "mpi_irecv":
                    posted[e["arg2"]] = e["arg"]
                received = e["op"] == "mpi_recv" or (e["op"] == "mpi_done" and e["arg2"] in posted)
                if not received or e["result"] < 0:
                    continue
                comm = e["arg"] if e["op"] == "mpi_recv" else posted.pop(e["arg2"])
                queue = sent.get((comm, e["call_flags"], rank, e["mode"]))
                if queue and (begun := queue.pop(0)) > when(e, end=True):
                    early.append((e["call_flags"], rank, begun - when(e, end=True)))
        return early

    def request_problems(self):
        found = []
        for rank, events in self.by_rank.items():
            begun = [e["arg2"] for e in events if e["op"] in ("mpi_irecv", "mpi_icollective") or e["op"] == "mpi_isend" and e["mode"] not in NEVER_DONE]
            done = [e["arg2"] for e in events if e["op"] == "mpi_done"]
            if len(set(begun)) != len(begun):
                found.append(f"rank {rank}: two requests have one number")
            if sorted(begun) != sorted(done):
                found.append(f"rank {rank}: begun and done differ: {sorted(set(begun) ^ set(done))}")
            waits = sum(e["result"] for e in events if e["op"] == "mpi_wait")
            if waits != len(done):
                found.append(f"rank {rank}: waits tell of {waits} requests, {len(done)} were done")
        return found

    def collective_problems(self):
        """All ranks of a communicator have its collectives in one order, of one kind and root."""
        found, orders = [], {}
        for rank, events in self.by_rank.items():
            for e in events:
                if e["op"] in ("mpi_collective", "mpi_icollective", "mpi_init"):
                    root = None if e["op"] == "mpi_init" else e["call_flags"]
                    orders.setdefault(e["arg"], {}).setdefault(rank, []).append((e["op"], e["mode"], root, e["offset"]))
        for comm, by_rank in orders.items():
            first = next(iter(by_rank.values()))
            size = first[0][3]
            if len(by_rank) != size:
                found.append(f"communicator {comm} has {size} ranks, {len(by_rank)} of them took part: {sorted(by_rank)}")
            for rank, order in by_rank.items():
                if order != first:
                    found.append(f"communicator {comm}: rank {rank} has other collectives: {order} instead of {first}")
        for rank, events in self.by_rank.items():
            kinds = [e["mode"] for e in events if e["op"] in ("mpi_init", "mpi_collective")]
            if not kinds or kinds[0] != INIT or FINALIZE not in kinds:
                found.append(f"rank {rank} does not begin and end")
        return found
