#!/usr/bin/env python3
"""Compares `ffbench net lat --local` with ping_pong on this machine, in turns, so that both see the same neighbours.

usage: ffbench_latency.py FFBENCH PING_PONG [--rounds N] [--seconds S] [--size BYTES]... [--tolerance SHARE]

Both have two processes, one TCP connection over loopback and blocking calls; a latency is half of the round trip. Each
round runs ping_pong twice: the ratio of those two says how far a program differs from itself here. Prints medians and
ratios; exit code 1 when ffbench's median latency is more than the tolerance above ping_pong's, 2 for wrong usage.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys

FIGURES = ['p50', 'p99', 'rate']


def run(command, timeout):
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        sys.exit(f'{command[0]}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()[-2000:]}')
    return done.stdout


def measure_peer(options, size):
    p50, p99, rate = map(float, run([options.ping_pong, str(size), str(options.seconds)], 60 + 3 * options.seconds).split())
    return {'p50': p50, 'p99': p99, 'rate': rate}


def measure_ffbench(options, size):
    command = [options.ffbench, 'net', 'lat', '--local', '--json', '--quiet', '--repeat', '1',
               '--warmup', f'{max(1, int(options.seconds * 100))}ms', '--duration', f'{int(options.seconds * 1000)}ms',
               '--size', str(size)]
    row = json.loads(run(command, 60 + 3 * options.seconds))['rows'][0]
    values = {m['name']: m['samples'][0] for m in row['metrics']}
    return {'p50': values['latency_p50'], 'p99': values['latency_p99'], 'rate': values['request_rate']}


CONTENDERS = {'ffbench': measure_ffbench, 'ping_pong': measure_peer, 'ping_pong again': measure_peer}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ffbench')
    parser.add_argument('ping_pong')
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--seconds', type=float, default=1.0)
    parser.add_argument('--size', type=int, action='append')
    parser.add_argument('--tolerance', type=float, default=0.05)
    options = parser.parse_args()
    if options.rounds < 1 or not 0.01 <= options.seconds <= 3600:
        parser.error('--rounds is at least 1, --seconds from 0.01 to 3600')
    slow = []
    for size in options.size or [64, 4096, 65536]:
        rounds = {name: [] for name in CONTENDERS}
        for _ in range(options.rounds):
            for name in random.sample(list(CONTENDERS), len(CONTENDERS)):
                rounds[name].append(CONTENDERS[name](options, size))
        print(f'{size} bytes, medians of {options.rounds} rounds')
        medians = {name: {f: statistics.median(r[f] for r in rounds[name]) for f in FIGURES} for name in CONTENDERS}
        base = medians['ping_pong']
        for name, m in medians.items():
            lowest, highest = (f(r['p50'] for r in rounds[name]) for f in (min, max))
            print(f'  {name:16} p50 {m["p50"] / 1000:7.2f} us ({lowest / 1000:.2f} to {highest / 1000:.2f})   '
                  f'p99 {m["p99"] / 1000:8.2f} us   {m["rate"]:8,.0f} /s   p50 ratio {m["p50"] / base["p50"]:.3f}', flush=True)
        if medians['ffbench']['p50'] > (1 + options.tolerance) * base['p50']:
            slow.append(str(size))
    if slow:
        print(f'ffbench is more than {options.tolerance:.0%} slower at {", ".join(slow)} bytes', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
