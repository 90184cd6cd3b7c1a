#!/usr/bin/env python3
"""How often two runs of ffbench, back to back, are called the same: the test of the intervals that it states.

usage: ffbench_pairs.py FFBENCH [--pairs N] [-- COMMAND...]      default command: mem --kernel triad, five rounds of 50 ms

For each pair, counts the metrics whose medians differ by no more than the stated half interval of the first run, and those
that `ffbench compare --threshold 0%` finds the same (its interval holds a ratio of 1). Prints both shares; 90 % is the target.
Exit status: 0 measured; 1 a run failed; 2 wrong usage.
"""

import argparse
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
    within = same = total = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.pairs):
            texts = [measure(options.ffbench, command) for _ in range(2)]
            first, second = map(metrics_of, texts)
            files = [pathlib.Path(folder, name) for name in ('a.json', 'b.json')]
            for file, text in zip(files, texts):
                file.write_text(text, encoding='utf-8')
            compared = subprocess.run([options.ffbench, 'compare', '--threshold', '0%', '--fail-on', 'never', '--json',
                                       *map(str, files)], capture_output=True, text=True, check=True, timeout=60)
            same += sum(row['verdict'] == 'same' for row in json.loads(compared.stdout)['rows'])
            for name, metric in first.items():
                total += 1
                half = (metric['ci_high'] - metric['ci_low']) / 2
                within += abs(second[name]['median'] - metric['median']) <= half
    print(f'{total} pairs of medians: {within} within the first run\'s half interval ({within / total:.0%}), '
          f'{same} the same to compare ({same / total:.0%})')


if __name__ == '__main__':
    main()
