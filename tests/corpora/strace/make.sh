#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the files of this directory anew: sh make.sh PROBE (the built tests/trace/trace_probe). The outputs are those of
# Debian 12's strace; tests/trace/import_test.cpp knows what must follow from them.
set -e
here=$(cd "$(dirname "$0")" && pwd)
top=$(mktemp -d /tmp/strace-corpus.XXXXXX)
cp "$1" "$top/probe"
gcc -O1 -w -o "$top/odd" "$here/odd.c" -lpthread
run() {  # NAME OPTIONS... -- PROGRAM
  name=$1; shift
  options=""
  while [ "$1" != -- ]; do options="$options $1"; shift; done
  shift
  rm -rf /tmp/corpus; mkdir /tmp/corpus; cd /tmp/corpus
  cp "$top/probe" "$top/odd" /tmp/
  env -i strace $options -o "$here/$name.txt" "$@" || true
  cd /; rm -rf /tmp/corpus /tmp/probe /tmp/odd
}
run basic -f -ttt -T -y -- /tmp/probe basic
run basic_alone -ttt -T -y -- /tmp/probe basic
run basic_yy -f -ttt -T -yy -v -- /tmp/probe basic
run basic_hex -f -ttt -T -y -xx -- /tmp/probe basic
run basic_nanoseconds -f --absolute-timestamps=format:unix,precision:ns --syscall-times=ns -y -- /tmp/probe basic
run basic_no_paths -f -ttt -T -- /tmp/probe basic
run dups -f -ttt -T -y -- /tmp/probe dups
run forks -f -ttt -T -yy -- /tmp/probe forks
run vforks -f -ttt -T -y -- /tmp/probe vforks
run killed -f -ttt -T -y -- /tmp/probe killed
run maps -f -ttt -T -y -- /tmp/probe maps
run odd -f -ttt -T -y -- /tmp/odd
run odd_yy -f -ttt -T -yy -v -s 8 -- /tmp/odd
# As on a terminal: whose a line is stands there only while there are several.
mkdir /tmp/corpus; cd /tmp/corpus; cp "$top/odd" /tmp/odd
env -i strace -f -ttt -T -y /tmp/odd 2> "$here/odd_terminal.txt"
cd /; rm -rf /tmp/corpus /tmp/odd "$top"
