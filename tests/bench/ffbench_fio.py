#!/usr/bin/env python3
"""Measures `ffbench storage raw` beside fio: the same file, the same job, turn by turn. Both have io_uring, direct I/O and
one thread; what differs is the program. Medians over the rounds are printed, and the ratios ours / fio's.

Each round runs fio twice: the ratio of those two says how far a program differs from itself here, and what a ratio of ours
may be worth. A ratio of operations that is within 5 % of 1 is met. A miss is a result and no failure.

Exit status: 0 measured; 1 a program failed; 2 wrong usage, or nothing could be measured (no fio, no direct I/O).
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / 'peers'))
import machine  # noqa: E402
from running import Failed, run  # noqa: E402

TOLERANCE = 0.05
MIB = 1 << 20
# name: (pattern, block size, depth, writes)
CASES = {
    'randread-4k-qd16': ('randread', 4096, 16, False),
    'randread-4k-qd1': ('randread', 4096, 1, False),
    'read-1m-qd4': ('read', MIB, 4, False),
    'randwrite-4k-qd16': ('randwrite', 4096, 16, True),
    'write-1m-qd4': ('write', MIB, 4, True),
}
FIGURES = ['iops', 'bandwidth', 'latency_ns_p50', 'latency_ns_p99']


def parse_arguments():
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', type=pathlib.Path, default=root / 'build', help='build folder (default: build)')
    parser.add_argument('--ffbench', type=pathlib.Path, help='the program (default: that of the build folder)')
    parser.add_argument('--rounds', type=int, default=5, help='turns of each program (default: 5)')
    parser.add_argument('--seconds', type=float, default=5, help='duration of each turn (default: 5)')
    parser.add_argument('--size', type=int, default=1024, metavar='MIB', help='of the file (default: 1024)')
    parser.add_argument('--only', action='append', metavar='NAME', choices=list(CASES), help='cases to measure')
    parser.add_argument('--list', action='store_true', help='print the names of the cases')
    parser.add_argument('--json', type=pathlib.Path, metavar='FILE', help='write every figure there')
    parser.add_argument('--dir', type=pathlib.Path, default=root, help='where the file lies (default: the repository)')
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f'--rounds: {options.rounds} is less than 1')
    if not 0.05 <= options.seconds <= 3600:
        parser.error(f'--seconds: {options.seconds} is not from 0.05 to 3600')
    if not 4 <= options.size <= 1 << 20:
        parser.error(f'--size: {options.size} is not from 4 to {1 << 20} MiB')
    options.ffbench = options.ffbench or options.build / 'ffbench' / 'ffbench'
    return parser, options


def has_direct_io(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def lay_out(path, mib):
    """Bytes that nothing below can compress or share."""
    data = random.Random(1)
    with open(path, 'wb') as file:
        for _ in range(mib):
            file.write(data.randbytes(MIB))
        file.flush()
        os.fsync(file.fileno())


def run_fio(case, path, options, cpus):
    pattern, block, depth, writes = case
    # Microseconds for the time: fio reads whole numbers only.
    argv = ['fio', '--name=job', f'--filename={path}', f'--rw={pattern}', f'--bs={block}', f'--iodepth={depth}',
            '--ioengine=io_uring', '--direct=1', '--time_based', f'--runtime={int(options.seconds * 1e6)}us',
            f'--size={options.size}m', '--lat_percentiles=1', '--clat_percentiles=0', '--percentile_list=50:99',
            '--fallocate=none', '--output-format=json']
    report = run(argv, cpus, options.seconds)['jobs'][0]
    if report['error'] != 0:
        raise Failed(f'fio: error {report["error"]}')
    side = report['write' if writes else 'read']
    latency = side['lat_ns']['percentile']
    return {'iops': side['iops'], 'bandwidth': side['bw_bytes'], 'latency_ns_p50': latency['50.000000'],
            'latency_ns_p99': latency['99.000000']}


def run_ours(case, path, options, cpus):
    pattern, block, depth, writes = case
    argv = [str(options.ffbench), 'storage', 'raw', str(path), '--rw', pattern, '--bs', str(block), '--qd', str(depth),
            '--size', f'{options.size}MiB', '--duration', f'{int(options.seconds * 1000)}ms', '--repeat', '1', '--warmup', '0',
            '--quiet', '--json', *(['--force'] if writes else [])]
    row = run(argv, cpus, options.seconds)['rows'][0]
    if row.get('error'):
        raise Failed(f'ffbench: {row["error"]}')
    side = 'write' if writes else 'read'
    values = {m['name']: m['samples'][0] for m in row['metrics']}
    return {'iops': values[f'{side}_iops'], 'bandwidth': values[f'{side}_bandwidth'],
            'latency_ns_p50': values[f'{side}_latency_p50'], 'latency_ns_p99': values[f'{side}_latency_p99']}


CONTENDERS = {'ffbench': run_ours, 'fio': run_fio, 'fio again': run_fio}


def measure(name, path, options, cpus):
    rounds, failed = {c: [] for c in CONTENDERS}, {}
    turn = random.Random(options.rounds)
    for _ in range(options.rounds):
        for contender in turn.sample(list(CONTENDERS), len(CONTENDERS)):
            if contender in failed:
                continue
            try:
                rounds[contender].append(CONTENDERS[contender](CASES[name], path, options, cpus))
            except (Failed, LookupError, TypeError) as e:
                failed[contender] = str(e) or repr(e)
    medians = {c: {f: statistics.median(r[f] for r in rounds[c]) for f in FIGURES}
               for c in CONTENDERS if rounds[c] and c not in failed}
    ratios, itself = {}, None
    if len(medians) == len(CONTENDERS):
        ratios = {f: medians['ffbench'][f] / medians['fio'][f] for f in FIGURES if medians['fio'][f] > 0}
        itself = medians['fio again']['iops'] / medians['fio']['iops']
    met = None if 'iops' not in ratios else abs(ratios['iops'] - 1) <= TOLERANCE
    return {'name': name, 'medians': medians, 'rounds': rounds, 'ratios': ratios, 'fio_to_itself': itself, 'met': met,
            'failed': failed}


def show(result):
    print(f'\n{result["name"]}')
    for contender in CONTENDERS:
        if contender in result['failed']:
            print(f'  {contender:10} FAILED: {result["failed"][contender]}')
            continue
        m = result['medians'][contender]
        print(f'  {contender:10} {m["iops"]:12,.0f} operations/s   {m["bandwidth"] / 1e6:10,.1f} MB/s   '
              f'p50 {m["latency_ns_p50"] / 1000:,.0f} us, p99 {m["latency_ns_p99"] / 1000:,.0f} us')
    if result['ratios']:
        verdict = 'met' if result['met'] else 'missed'
        print(f'  = {result["ratios"]["iops"]:.3f} of fio\'s operations (fio to itself: {result["fio_to_itself"]:.3f})   '
              f'within {TOLERANCE:.0%}: {verdict}')
    sys.stdout.flush()


def main():
    parser, options = parse_arguments()
    if options.list:
        print('\n'.join(CASES))
        return 0
    if shutil.which('fio') is None:
        parser.error('fio is not installed (tools/dev/install bench)')
    if not options.ffbench.exists():
        parser.error(f'{options.ffbench}: not built (ninja -C {options.build} ffbench/ffbench)')
    cpus = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(prefix='.ffbench-fio-', dir=options.dir) as folder:
        path = pathlib.Path(folder) / 'data'
        lay_out(path, options.size)
        if not has_direct_io(path):
            parser.error(f'--dir {options.dir}: its file system has no direct I/O')
        results = []
        for name in options.only or CASES:
            results.append(measure(name, path, options, cpus))
            show(results[-1])
    if options.json:
        settings = {'rounds': options.rounds, 'seconds': options.seconds, 'size_mib': options.size, 'tolerance': TOLERANCE}
        machine.PACKAGES[:] = ['fio', 'liburing2', 'libc6']
        report = {'schema': 'ff.bench-fio/1', 'machine': machine.facts(options.build, ''), 'settings': settings,
                  'cases': results}
        options.json.write_text(json.dumps(report, indent=1, sort_keys=True) + '\n', encoding='utf-8')
    return 1 if any(r['failed'] for r in results) else 0


if __name__ == '__main__':
    sys.exit(main())
