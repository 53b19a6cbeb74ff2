# SPDX-License-Identifier: Apache-2.0
"""Who depends on whom in the workloads of bench/parallel: for each a function of (ranks, iterations, **flags) that
returns edges (a, k, b, m): rank a's k-th I/O is over before rank b's m-th begins. Counted from 1; I/O are calls on files
in the workload's directory that did not fail. After transitive reduction, program order counted in; no edge follows
from others.

A workload is described as what each rank does, in order; edges() finds the order that follows from it."""

IO = ("io",)
INVISIBLE = {"spin", "phases"}  # no call shows why they wait


def send(to, tag=0):
    return ("send", to, tag)


def recv(source, tag=0):
    return ("recv", source, tag)


def barrier(name):
    return ("barrier", name)  # of all ranks that name it


def gather(root, step, rank, ranks, senders_wait):
    """Towards the root. The others need not wait, but MPI may let them: at most until all are there."""
    if senders_wait:
        return [barrier(("gather", step))]
    if rank == root:
        return [recv(other, ("gather", step)) for other in range(ranks) if other != root]
    return [send(root, ("gather", step))]


def edges(programs):
    """programs: for each rank the list of what it does."""
    ranks = len(programs)
    at = [0] * ranks            # position in the program
    known = [[0] * ranks for _ in range(ranks)]  # how many I/O of each rank are over, as far as each rank knows
    needs = [[] for _ in range(ranks)]           # of each rank's I/O: `known` before it
    messages = {}
    waiting = {}
    members = {}
    for rank, program in enumerate(programs):
        for step in program:
            if step[0] == "barrier":
                members.setdefault(step[1], set()).add(rank)

    def learn(rank, other):
        known[rank] = [max(a, b) for a, b in zip(known[rank], other)]

    moved = True
    while moved:
        moved = False
        for rank, program in enumerate(programs):
            while at[rank] < len(program):
                step = program[at[rank]]
                if step[0] == "io":
                    needs[rank].append(list(known[rank]))
                    known[rank][rank] += 1
                elif step[0] == "send":
                    messages.setdefault((rank, step[1], step[2]), []).append(list(known[rank]))
                elif step[0] == "recv":
                    queue = messages.get((step[1], rank, step[2]))
                    if not queue:
                        break
                    learn(rank, queue.pop(0))
                else:
                    arrived = waiting.setdefault(step[1], {})
                    arrived.setdefault(rank, list(known[rank]))
                    if len(arrived) < len(members[step[1]]):
                        break
                    for other in arrived.values():
                        learn(rank, other)
                at[rank] += 1
                moved = True
    stuck = [rank for rank in range(ranks) if at[rank] < len(programs[rank])]
    if stuck:
        raise ValueError(f"ranks {stuck} wait for ever")
    return reduced(needs)


def reduced(needs):
    found = set()
    for rank, calls in enumerate(needs):
        before = [0] * len(needs)
        for number, need in enumerate(calls, 1):
            new = {other: k for other, k in enumerate(need) if other != rank and k > before[other]}
            for other, k in new.items():
                if not any(needs[third][j - 1][other] >= k for third, j in new.items() if third != other):
                    found.add((other, k, rank, number))
            before = need
    return found


def follows(edge, wanted):
    """Whether it is one of them, or what they bring about."""
    source, step, waits, before = edge
    todo, seen = [(waits, before)], set()
    while todo:
        rank, number = todo.pop()
        if rank == source and number >= step and (rank, number) != (waits, before):
            return True
        if (rank, number) in seen:
            continue
        seen.add((rank, number))
        todo += ([(rank, number - 1)] if number > 1 else []) + [(a, k) for a, k, b, m in wanted if (b, m) == (rank, number)]
    return False


def shared_file(rank, name):
    return ([IO, IO] if rank == 0 else []) + [barrier(name), IO]


def pseudo(ranks, iterations, barriers=False):
    def program(rank):
        steps = shared_file(rank, "made")
        for i in range(iterations):
            steps += [IO] + ([barrier(("write", i))] if barriers else [])
        steps.append(IO)  # the sync
        for i in range(iterations):
            steps += ([barrier(("read", i))] if barriers else []) + [IO]
        return steps + [IO]
    return edges([program(rank) for rank in range(ranks)])


def pseudo_sync(ranks, iterations):
    return pseudo(ranks, iterations, barriers=True)


def fitness(ranks, iterations):
    def program(rank):
        steps = [IO] * (2 + iterations * ranks) if rank == 0 else []
        steps.append(barrier("made"))
        if rank > 0:
            steps.append(recv(rank - 1))
        steps += [IO] * (2 + iterations)
        if rank + 1 < ranks:
            steps.append(send(rank + 1))
        return steps
    return edges([program(rank) for rank in range(ranks)])


def quake(ranks, iterations, senders_wait=False):
    def program(rank):
        steps = [IO] * (1 + iterations + 4 * iterations + (1 if rank == 0 else 0))
        for i in range(iterations):
            steps += [IO] + gather(0, i, rank, ranks, senders_wait) + ([IO] if rank == 0 else [])
        return steps + [IO] * (2 if rank == 0 else 1)
    return edges([program(rank) for rank in range(ranks)])


def halo(ranks, iterations):
    def program(rank):
        left, right = (rank - 1) % ranks, (rank + 1) % ranks
        steps = [IO]
        for i in range(iterations):
            steps += [send(right, 1), send(left, 2), recv(left, 1), recv(right, 2), IO]
        return steps + [IO]
    return edges([program(rank) for rank in range(ranks)])


def tasks(ranks, iterations, assignment):
    """assignment: the workers in the order in which they were given tasks, and then told to end (the file of that name)."""
    def worker(rank):
        steps = [IO, send(0, "done")]
        for task, whose in enumerate(assignment):
            if whose == rank:
                steps += [recv(0, task)] + ([IO, send(0, "done")] if task < iterations else [IO])
        return steps
    master = [IO] * (1 + iterations)
    for task, whose in enumerate(assignment):
        master += [recv(whose, "done")] + ([IO] if task < iterations else []) + [send(whose, task)]
    return edges([master + [IO] * 4] + [worker(rank) for rank in range(1, ranks)])


def pipeline(ranks, iterations):
    def program(rank):
        steps = [IO]
        for i in range(iterations):
            steps += ([recv(rank - 1)] if rank > 0 else []) + [IO] + ([send(rank + 1)] if rank + 1 < ranks else [])
        return steps + [IO]
    return edges([program(rank) for rank in range(ranks)])


def queue(ranks, iterations, holders):
    """holders: who had the lock, in order (the file "queue")."""
    programs = [[] for _ in range(ranks)]
    for turn, rank in enumerate(holders):
        if turn > 0:
            programs[holders[turn - 1]].append(send(rank, turn))
            programs[rank].append(recv(holders[turn - 1], turn))
        programs[rank] += [IO] * 6  # lock, queue: open, write, close; the lock: close, unlink
    return edges(programs)


def polling(ranks, iterations):
    producer, consumer = [], []
    for i in range(iterations):
        producer += [IO] * 4 + [send(1)]
        consumer += [recv(0)] + [IO] * 5
    return edges([producer, consumer])


def spin(ranks, iterations):
    def program(rank):
        steps = [IO]
        for i in range(iterations):
            steps += [IO, barrier(i)]
        return steps + [IO]
    return edges([program(rank) for rank in range(ranks)])


gates = spin  # but by calls of libc


def turns(ranks, iterations, together=False):
    def program(rank):
        steps = [IO] + ([barrier("there")] if together else [])
        for i in range(iterations):
            steps += ([recv((rank - 1) % ranks)] if rank or i else []) + [IO, send((rank + 1) % ranks)]
        return steps + [IO]
    return edges([program(rank) for rank in range(ranks)])


def relay(ranks, iterations):
    return turns(ranks, iterations, together=True)


def board(ranks, iterations):
    def program(rank):
        steps = [IO]
        for i in range(iterations):
            writer, others = i % ranks, [other for other in range(ranks) if other != i % ranks]
            last = (i - 1) % ranks
            if rank == writer and i > 0:
                steps += [recv(other, ("read", i - 1)) for other in range(ranks) if other not in (rank, last)]
            steps.append(barrier(i))
            if rank == writer:
                steps += [IO] + [send(other, ("written", i)) for other in others]
            else:
                steps += [recv(writer, ("written", i)), IO] + ([send((i + 1) % ranks, ("read", i))] if rank != (i + 1) % ranks else [])
        return steps + [IO]
    return edges([program(rank) for rank in range(ranks)])


def phases(ranks, iterations):
    def program(rank):
        steps = [IO]
        for i in range(iterations):
            steps += [IO, barrier(i)]
        steps.append(IO)
        for i in range(iterations):
            steps += [IO, IO, barrier(iterations + i)]
        return steps + [IO, IO]
    return edges([program(rank) for rank in range(ranks)])
