#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server and two clients are recorded; each message is a dependency, and so is each end, and nothing else is."""
import argparse
import collections
import json
import os
import socket
import subprocess
import sys
import tempfile

MESSAGES = 5


def program(kind, directory):
    listener = socket.socket(socket.AF_UNIX if kind == 'unix' else socket.AF_INET)
    listener.bind(os.path.join(directory, 'socket') if kind == 'unix' else ('127.0.0.1', 0))
    address = listener.getsockname()
    listener.listen(5)
    for _ in range(2):
        if os.fork() == 0:
            client = socket.socket(listener.family)
            client.connect(address)
            for _ in range(MESSAGES):
                client.sendall(b'x' * 1000)
                assert client.recv(10) == b'ok'
            client.close()
            os._exit(0)
    for connection in [listener.accept()[0] for _ in range(2)]:
        got = 0
        while True:
            some = connection.recv(2000)
            if not some:
                break
            got += len(some)
            if got % 1000 == 0:
                connection.sendall(b'ok')
    for _ in range(2):
        os.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--reel')
    parser.add_argument('--kind', choices=['tcp', 'unix'])
    parser.add_argument('--program', metavar='DIRECTORY')
    options = parser.parse_args()
    if options.program:
        program(options.kind, options.program)
        return 0
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, 'log')
        python = os.path.realpath(sys.executable)
        subprocess.run([options.reel, 'record', '-q', '-o', log, '--via', 'preload', '--', python, __file__, '--kind', options.kind,
                        '--program', directory], check=True)
        waits = json.loads(subprocess.run([options.reel, 'report', '--waits', '--json', log], check=True,
                                          stdout=subprocess.PIPE).stdout)
        found = collections.Counter((one['from']['thread'], one['to']['thread'], one['to']['op'])
                                    for one in waits['dependencies'] if one['why'] == 'stream')
        # To the server: each message, and that the client closed. A message may come in two parts; seldom does.
        wanted = {}
        for client in (2, 3):
            wanted[(client, 1, 'recv')] = MESSAGES + 1
            wanted[(1, client, 'recv')] = MESSAGES
        print(dict(found))
        if dict(found) != wanted:
            print('wanted', wanted)
            return 1
        into = os.path.join(directory, 'into')
        return subprocess.run([options.reel, 'replay', log, '--into', into, '--mode', 'causal', '-q']).returncode


if __name__ == '__main__':
    sys.exit(main())
