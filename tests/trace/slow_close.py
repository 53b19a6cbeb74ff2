#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One process is long in a close while another writes a file and ends: what the second did is in the trace as it was,
though the ptrace recorder holds it back until the close has returned."""
import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile


def is_closing(pid):
    with open(f'/proc/{pid}/syscall') as file:
        return file.read().startswith('3 ')


def program(directory):
    listener = socket.create_server(('127.0.0.1', 0))
    sender = socket.create_connection(listener.getsockname())
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 1))  # close takes a second
    sender.setblocking(False)
    try:
        while True:
            sender.send(b'x' * 65536)
    except BlockingIOError:
        pass
    alone, tells = os.pipe()
    closer = os.getpid()
    between = os.fork()
    if between == 0:
        if os.fork() != 0:
            os._exit(0)  # so that no SIGCHLD ends the close
        os.close(sender.detach())
        os.write(tells, b'x')
        while not is_closing(closer):
            pass
        file = os.open(f'{directory}/file', os.O_CREAT | os.O_WRONLY, 0o644)
        for _ in range(50):
            os.write(file, b'x' * 41)
        out, into = os.pipe()
        if os.fork() == 0:
            os.write(into, b'x' * 43)
            os._exit(0)
        os.read(out, 43)
        os._exit(0)
    os.wait()
    os.read(alone, 1)  # nobody else has the connection open: the close is the last
    sender.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--reel')
    parser.add_argument('--program', metavar='DIRECTORY')
    options = parser.parse_args()
    if options.program:
        program(options.program)
        return 0
    with tempfile.TemporaryDirectory() as top:
        python = os.path.realpath(sys.executable)
        subprocess.run([options.reel, 'record', '-q', '--via', 'ptrace', '-o', f'{top}/log', '--', python, __file__, '--program', top], check=True)
        lines = subprocess.run([options.reel, 'log', f'{top}/log', '--json'], check=True, stdout=subprocess.PIPE).stdout.splitlines()
        events = [json.loads(line) for line in lines]
        opened = [e for e in events if e.get('op') == 'open' and e['path'] == f'{top}/file']
        thread, fd = opened[0]['thread'], (opened[0]['fd2'], opened[0]['fd2_generation'])
        writes = [e for e in events if e.get('op') == 'write' and e['thread'] == thread and e['result'] == 41]
        right = [e for e in writes if (e['fd'], e['fd_generation']) == fd and e['target'] == opened[0]['target']]
        close = max((e['duration_ns'] for e in events if e.get('op') == 'close'), default=0)
        last = [e['op'] for e in events if e.get('thread') == thread and 'op' in e][-1]
        print(f'{len(writes)} writes, {len(right)} of the file; the longest close took {close / 1e9:.3f} s; the last word is {last}')
        if close < 500_000_000:
            print('SKIP: no close took long here')
            return 77
        # Its child has what it had when it was made.
        piped = [e for e in events if e.get('op') == 'write' and e['result'] == 43]
        made = [e for e in events if e.get('op') == 'pipe' and e['thread'] == thread]
        if (piped[0]['fd'], piped[0]['fd_generation']) != (made[0]['fd2'], made[0]['fd2_generation']):
            print('the child writes to', piped[0]['fd'], piped[0]['fd_generation'], 'the pipe is', made[0]['fd2'], made[0]['fd2_generation'])
            return 1
        return 0 if len(right) == 50 and last == 'exit' else 1


if __name__ == '__main__':
    sys.exit(main())
