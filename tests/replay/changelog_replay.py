#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays recorded changelogs of a real Lustre; the tree that comes of it has the names and types of the
recorded one. Exit code: 0 right, 1 wrong."""
import argparse
import glob
import json
import os
import stat
import subprocess
import sys
import tempfile


def kind(mode):
    return {stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}.get(stat.S_IFMT(mode), "file")


def names_of(top):
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            found["/" + os.path.relpath(path, top)] = kind(os.lstat(path).st_mode)
    return found


def replay(reel, recording, expected_differences):
    with tempfile.TemporaryDirectory(prefix="reel-replay-") as top:
        for raw in sorted(glob.glob(f"{recording}/mdt[0-9].raw")):
            stream = os.path.basename(raw)[:-4]
            subprocess.run([reel, "import", raw, f"{top}/log", "--format", "lustre", "--stream", stream], check=True, capture_output=True)
        made = subprocess.run([reel, "replay", f"{top}/log", "--into", f"{top}/into", "--json", "--file-size", "1000"], capture_output=True, text=True)
        report = json.loads(made.stdout)
        told = [f"{d['call']}: {d['recorded']} was, {d['replayed']} is" for d in report["differences"]]
        if report["different"] != expected_differences:
            told.append(f"{report['different']} results differ, {expected_differences} were expected")
        else:
            told = []
        types = {"d": "directory", "l": "symlink"}
        names = names_of(f"{top}/into")
        # The manifest is of one directory at the top; what lies elsewhere is not of it.
        tops = [path for path in names if path.count("/") == 1 and not path.startswith("/[")]
        after = {}
        with open(f"{recording}/after.jsonl", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                entry = json.loads(line)
                after[os.path.normpath(tops[0] + "/" + entry["path"])] = types.get(entry["type"], "file")
        names = {path: what for path, what in names.items() if path == tops[0] or path.startswith(tops[0] + "/")}
        for path in sorted(names.keys() | after.keys()):
            if names.get(path) != after.get(path):
                told.append(f"{path}: {after.get(path)} in the recorded tree, {names.get(path)} in the replayed one")
        for line in told[:10]:
            print(" ", line)
        print(f"{recording}: {report['calls']} calls, {report['different']} results differ, {len(names)} names, {len(after)} recorded")
        return 1 if told else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reel", required=True)
    parser.add_argument("--recording", required=True)
    parser.add_argument("--differences", type=int, default=0)
    options = parser.parse_args()
    sys.exit(replay(os.path.abspath(options.reel), options.recording, options.differences))
