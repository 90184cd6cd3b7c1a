#!/usr/bin/env python3
"""Compares `ffbench mem` with stream_min on this machine, in turns, so that both see the same neighbours.

usage: ffbench_stream.py FFBENCH STREAM_MIN [--rounds N] [--seconds S] [--bytes N] [--threads N] [--tolerance SHARE]

Both use ordinary stores and count as STREAM does. Prints medians and their ratio for each kernel; exit code 1 when
ffbench's median is more than the tolerance below stream_min's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

KERNELS = ['copy', 'scale', 'add', 'triad']


def run(command, timeout):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=timeout).stdout


def measure_peer(options, timeout):
    text = run([options.stream_min, str(options.bytes), str(options.threads), str(options.seconds)], timeout)
    return {name: float(rate) for name, rate in (line.split() for line in text.splitlines())}


def measure_ffbench(options, timeout):
    command = [options.ffbench, 'mem', '--json', '--quiet', '--repeat', '1', '--warmup', '0s', '--stores', 'normal',
               '--bytes', str(options.bytes), '--threads', str(options.threads), '--duration', f'{options.seconds}s']
    for name in KERNELS:
        command += ['--kernel', name]
    document = json.loads(run(command, timeout))
    return {row['name']: next(m['samples'][0] for m in row['metrics'] if m['name'] == 'bandwidth')
            for row in document['rows']}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('ffbench')
    parser.add_argument('stream_min')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=1.0)
    parser.add_argument('--bytes', type=int, default=128 << 20)
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--tolerance', type=float, default=0.05)
    options = parser.parse_args()
    timeout = 60 + 10 * options.seconds
    peer = {name: [] for name in KERNELS}
    ours = {name: [] for name in KERNELS}
    for _ in range(options.rounds):
        for rates, samples in ((measure_peer(options, timeout), peer), (measure_ffbench(options, timeout), ours)):
            for name in KERNELS:
                samples[name].append(rates[name])
    print(f'{"kernel":8}{"stream_min":>14}{"ffbench":>14}{"ratio":>8}   GB/s, medians of {options.rounds}')
    slow = []
    for name in KERNELS:
        theirs, mine = statistics.median(peer[name]), statistics.median(ours[name])
        print(f'{name:8}{theirs / 1e9:14.2f}{mine / 1e9:14.2f}{mine / theirs:8.3f}')
        if mine < (1 - options.tolerance) * theirs:
            slow.append(name)
    if slow:
        print(f'ffbench is more than {options.tolerance:.0%} slower: {" ".join(slow)}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
