#!/usr/bin/env python3
"""Runs the comparison with fio for a moment and checks its report; what it measured is not judged.

usage: ffbench_fio_smoke_test.py FFBENCH_FIO FFBENCH BUILD_ROOT

Exit status 77: skipped, fio or direct I/O is missing.
"""

import json
import pathlib
import subprocess
import sys
import tempfile


def driver(*words):
    return subprocess.run([sys.executable, '-B', sys.argv[1], '--ffbench', sys.argv[2], '--build', sys.argv[3], *words],
                          capture_output=True, text=True, timeout=200, check=False, stdin=subprocess.DEVNULL)


def check(condition, message):
    if not condition:
        sys.exit(f'FAILED: {message}')


def main():
    names = driver('--list').stdout.split()
    check('randread-4k-qd16' in names and 'read-1m-qd4' in names, f'--list: {names}')
    refused = driver('--rounds', '0')
    check(refused.returncode == 2 and '--rounds' in refused.stderr, refused)
    with tempfile.TemporaryDirectory(dir=sys.argv[3]) as folder:
        file = pathlib.Path(folder, 'report.json')
        done = driver('--rounds', '1', '--seconds', '0.1', '--size', '8', '--dir', folder, '--json', str(file))
        if done.returncode == 2:
            print(done.stderr.strip().splitlines()[-1])
            return 77
        check(done.returncode == 0, f'exit {done.returncode}\n{done.stdout}\n{done.stderr}')
        check([p.name for p in pathlib.Path(folder).iterdir()] == ['report.json'], 'left files behind')
        report = json.loads(file.read_text(encoding='utf-8'))
    check(report['schema'] == 'ff.bench-fio/1', report['schema'])
    check([c['name'] for c in report['cases']] == names, 'the report has other cases than --list')
    for case in report['cases']:
        check(set(case['medians']) == {'ffbench', 'fio', 'fio again'} and not case['failed'], case)
        for contender, median in case['medians'].items():
            check(median['iops'] > 0 and 0 < median['latency_ns_p50'] <= median['latency_ns_p99'], (contender, median))
        check(case['met'] == (abs(case['ratios']['iops'] - 1) <= report['settings']['tolerance']), case)
        check(case['fio_to_itself'] > 0, case)
    print(f'{len(names)} cases measured')
    return 0


if __name__ == '__main__':
    sys.exit(main())
