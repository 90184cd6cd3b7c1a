#!/usr/bin/env python3
"""How often two runs of ffbench, back to back, differ by less than the intervals that it states.

usage: ffbench_pairs.py FFBENCH [--pairs N] [-- COMMAND...]      default command: mem --kernel triad, five rounds of 50 ms

The target: in at least 90 of 100 pairs the results differ by less than the stated interval. That of a difference is what
`ffbench compare` states: a pair meets it when the interval of the ratio holds 1. Also counted: pairs whose second median lies
within half the first run's own interval (narrower by design), and the verdicts of `compare --threshold 0%`, each by itself:
an interval so wide that it says nothing holds 1 too, and is 'unknown', not 'same'. Metrics without a direction are left out.
Exit status: 0 measured; 1 a run failed; 2 wrong usage.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

DEFAULT = ['mem', '--kernel', 'triad', '--repeat', '5', '--duration', '50ms', '--warmup', '50ms']


def measure(ffbench, command):
    done = subprocess.run([ffbench, *command, '--json', '--quiet'], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f'{" ".join(command)}: exit {done.returncode}: {done.stderr.strip()}')
    return done.stdout


def metrics_of(text):
    return {(row['name'], metric['name']): metric for row in json.loads(text)['rows'] for metric in row['metrics']
            if metric['better'] != 'neither'}


def main():
    words = sys.argv[1:]
    command = DEFAULT
    if '--' in words:
        command, words = words[words.index('--') + 1:], words[:words.index('--')]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ffbench')
    parser.add_argument('--pairs', type=int, default=100)
    options = parser.parse_args(words)
    if options.pairs < 1:
        parser.error(f'--pairs: {options.pairs} is less than 1')
    held = within = total = 0
    verdicts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.pairs):
            texts = [measure(options.ffbench, command) for _ in range(2)]
            first, second = map(metrics_of, texts)
            files = [pathlib.Path(folder, name) for name in ('a.json', 'b.json')]
            for file, text in zip(files, texts):
                file.write_text(text, encoding='utf-8')
            compared = subprocess.run([options.ffbench, 'compare', '--threshold', '0%', '--fail-on', 'never', '--json',
                                       *map(str, files)], capture_output=True, text=True, check=True, timeout=60)
            for row in json.loads(compared.stdout)['rows']:
                if (row['row'], row['metric']) not in first:
                    continue
                verdicts[row['verdict']] += 1
                held += row['ratio_low'] is not None and row['ratio_low'] <= 1 <= row['ratio_high']
            for name, metric in first.items():
                total += 1
                half = (metric['ci_high'] - metric['ci_low']) / 2
                within += abs(second[name]['median'] - metric['median']) <= half
    if total == 0:
        sys.exit(f'{" ".join(command)}: no metric has a direction')
    print(f'{total} pairs of medians: {held} differ by less than the interval of their difference ({held / total:.0%}; '
          f'target 90%), {within} by less than the first run\'s half interval ({within / total:.0%})')
    print('verdicts: ' + ', '.join(f'{verdicts[name]} {name} ({verdicts[name] / total:.0%})'
                                   for name in ('same', 'unknown', 'better', 'worse')))


if __name__ == '__main__':
    main()
