#!/usr/bin/env python3
"""Runs every case of the benchmark for a moment and checks its report. What it measured is not judged: only that what is
built runs, that figures are whole, and that what is not built is said.

usage: rpc_smoke_test.py RPC BUILD_ROOT
"""

import json
import pathlib
import subprocess
import sys
import tempfile

SECONDS = '0.1'


def driver(*words):
    rpc, build = sys.argv[1:]
    return subprocess.run([sys.executable, '-B', rpc, '--build', build, *words], capture_output=True, text=True,
                          timeout=280, check=False, stdin=subprocess.DEVNULL)


def check(condition, message):
    if not condition:
        sys.exit(message)


def check_contender(place, case, report):
    check(report[case['metric']] > 0, f'{place}: {case["metric"]} is {report[case["metric"]]}')
    latencies = [report[f'latency_ns_{p}'] for p in ('p50', 'p90', 'p99', 'p999') if f'latency_ns_{p}' in report]
    check(latencies == sorted(latencies), f'{place}: latencies do not grow with their quantiles: {latencies}')


def check_case(case):
    name = case['name']
    check(not case['failed'], f'{name}: {case["failed"]}')
    check(case['medians'] or case['skipped'], f'{name}: neither measured nor skipped')
    for contender, median in case['medians'].items():
        check_contender(f'{name}: {contender}', case, median)
        check(len(case['rounds'][contender]) == 1, f'{name}: {contender}: one round was asked for')
        check(contender not in case['skipped'], f'{name}: {contender}: both measured and skipped')
    check(all(case['skipped'].values()), f'{name}: skipped without a reason')
    for ratio in case['ratios']:
        check(ratio['value'] > 0, f'{name}: {ratio}')
        check(ratio['met'] == (None if ratio['target'] is None else ratio['value'] >= ratio['target']),
              f'{name}: {ratio}')


def main():
    refused = driver('--only', 'no-such-case')
    check(refused.returncode == 2 and 'no-such-case' in refused.stderr, f'--only no-such-case: {refused}')
    names = driver('--list').stdout.split()
    check(len(names) == len(set(names)) > 10, f'--list: {names}')
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, 'report.json')
        # The preloaded shim that sets congestion control does not go with sanitizers.
        done = driver('--rounds', '1', '--seconds', SECONDS, '--congestion', 'kernel', '--json', str(file))
        check(done.returncode == 0, f'exit {done.returncode}\n{done.stdout}\n{done.stderr}')
        report = json.loads(file.read_text(encoding='utf-8'))
    check(report['schema'] == 'ff.bench-rpc/1', report['schema'])
    check([c['name'] for c in report['cases']] == names, 'the report has other cases than --list')
    for case in report['cases']:
        check_case(case)
    measured = sum(bool(c['medians']) for c in report['cases'])
    print(f'{measured} of {len(names)} cases measured')


if __name__ == '__main__':
    main()
