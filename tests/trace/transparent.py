#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a program run the same when it is recorded? Runs it alone and recorded, each in an empty directory of the same
name, and compares what it prints, its exit code, and the tree that it leaves (names, types, sizes, modes, link texts,
hard links; contents where they do not depend on times). The trace must be readable and say how it ended.
Exit code: 0 the same, 1 not, 77 something that the scenario needs is not installed.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "support"))
import programs  # noqa: E402
from programs import SKIP, Missing, Runner, need, tree, tree_differences, write  # noqa: E402


def compiled(inputs, *flags, source="odd.c"):
    need("cc")
    program = f"{inputs}/odd"
    made = subprocess.run(["cc", "-O1", "-w", "-pthread", *flags, "-o", program, f"{HERE}/{source}"], capture_output=True, text=True)
    if made.returncode != 0:
        raise Missing(f"cc {' '.join(flags)} does not work here: {made.stderr.splitlines()[-1:]}")
    return program


# Scenarios: make inputs, return the command. Where `contents` is False these depend on times or on chance.

class Scenario:
    def __init__(self, make, contents=True):
        self.make, self.contents = make, contents


def fio(engine):
    def make(inputs, work):
        need("fio")
        write(f"{inputs}/job", f"[j]\nioengine={engine}\nsize=1m\nbs=16k\nrw=randwrite\nrandseed=7\niodepth=4\nverify=crc32c\nthread\n")
        return ["fio", "--output=/dev/null", f"{inputs}/job"]
    return make


def odd(scenario, *flags):
    return lambda inputs, work: [compiled(inputs, *flags), scenario]


def setuid(inputs, work):
    if os.geteuid() != 0:
        raise Missing("root, to make a setuid program")
    program = compiled(inputs)
    os.chown(program, 65534, 65534)
    os.chmod(program, 0o6755)
    if os.statvfs(inputs).f_flag & os.ST_NOSUID:
        raise Missing("a file system that honours setuid")
    return ["sh", "-c", f"{program} user; {program} child; true"]


def allocator(inputs, work):
    library = compiled(inputs, "-shared", "-fPIC", source="allocator.c")
    return ["env", f"LD_PRELOAD={library}", "sh", "-c", "echo by an allocator of its own > f; cat f; ls; exit 7"]


def limited(inputs, work):
    """Files of a KiB at most: the rings of a recorder are longer. (The shell's own unit is 512 bytes or 1024.)"""
    return ["sh", "-c", "ulimit -f 2; echo short > short; cat short; ls; head -c 9000 /dev/zero > long; echo $?"]


SCENARIOS = {
    "untar": Scenario(programs.untar), "make": Scenario(programs.make), "git": Scenario(programs.git, contents=False),
    "sqlite": Scenario(programs.sqlite, contents=False), "pipeline": Scenario(programs.pipeline), "imports": Scenario(programs.imports, contents=False),
    "postgres": Scenario(programs.postgres, contents=False), "node": Scenario(programs.node), "go": Scenario(programs.go),
    "fio_psync": Scenario(fio("psync"), contents=False), "fio_libaio": Scenario(fio("libaio"), contents=False), "fio_mmap": Scenario(fio("mmap"), contents=False),
    "static": Scenario(odd("threads", "-static")), "setuid": Scenario(setuid), "limited": Scenario(limited), "allocator": Scenario(allocator),
}
for name in ("signals", "errors", "vforks", "spawns", "execs", "clones", "uring", "aio", "killed", "stacks"):
    SCENARIOS[name] = Scenario(odd(name))
for name in ("errors", "vforks", "spawns", "threads", "clones"):
    SCENARIOS["asan_" + name] = Scenario(odd(name, "-fsanitize=address"))
    if name != "clones":  # ThreadSanitizer itself does not follow children made by number
        SCENARIOS["tsan_" + name] = Scenario(odd(name, "-fsanitize=thread"))


def run(command, work, contents):
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work, 0o755)
    os.chmod(work, 0o777)
    done = subprocess.run(command, cwd=work, capture_output=True, stdin=subprocess.DEVNULL, timeout=100)
    return {"exit code": done.returncode, "output": done.stdout, "standard error": done.stderr, "tree": tree(work, contents)}


def differences(alone, recorded):
    for what in ("exit code", "output", "standard error"):
        if alone[what] != recorded[what]:
            yield f"{what}: {alone[what]} alone, {recorded[what]} recorded"
    yield from tree_differences(alone["tree"], recorded["tree"], "alone", "recorded")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True)
    parser.add_argument("--scenario", choices=SCENARIOS, required=True)
    parser.add_argument("--via", required=True)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    scenario = SCENARIOS[options.scenario]
    top = tempfile.mkdtemp(prefix="reel-transparent-")
    os.chmod(top, 0o755)
    inputs, work, log = (os.path.join(top, n) for n in ("inputs", "work", "log"))
    os.mkdir(inputs)
    try:
        command = scenario.make(inputs, work)
        runner = Runner(scenario.make, top, options.reel)
        recording = runner.recorded(options.via, log, command)
        os.umask(0o022)
        alone = run(runner.alone(command), work, scenario.contents)
        if alone["exit code"] == SKIP:
            raise Missing("a kernel that has what the program needs")
        if alone["exit code"] == -9:  # what a shell calls it, and reel
            alone["exit code"] = 137
        recorded = run(recording, work, scenario.contents)
        wrong = list(differences(alone, recorded))
        report = subprocess.run([runner.reel, "report", log], capture_output=True, text=True)
        if report.returncode != 0:
            wrong.append(f"reel report of the trace ended with {report.returncode}: {report.stderr}")
        for line in wrong[:20]:
            print(" ", line)
        print(f"{options.scenario} {options.via}: exit code {alone['exit code']}, {len(alone['tree'][0])} names left, {len(wrong)} differences")
        return 1 if wrong else 0
    except Missing as missing:
        print("SKIPPED:", missing)
        return SKIP
    finally:
        if options.keep:
            print("kept:", top)
        else:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
