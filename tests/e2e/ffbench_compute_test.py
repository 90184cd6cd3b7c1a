#!/usr/bin/env python3
"""ffbench mem, cpu, reduce and collective as a user runs them: exit codes, documents, faults that must be found.

usage: ffbench_compute_test.py FFBENCH HFREDUCE
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

FFBENCH, HFREDUCE = '', ''
QUICK = ['--repeat', '2', '--duration', '5ms', '--warmup', '0s', '--quiet', '--json']


def ffbench(*arguments, timeout=120):
    return subprocess.run([FFBENCH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout)


def rows_of(result):
    return {row['name']: row for row in json.loads(result.stdout)['rows']}


def samples(row, metric):
    return next(m['samples'] for m in row['metrics'] if m['name'] == metric)


class Mem(unittest.TestCase):
    def test_bandwidth_has_every_kernel(self):
        result = ffbench('mem', '--bytes', '2MiB', *QUICK)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = rows_of(result)
        self.assertEqual(list(rows), ['copy', 'scale', 'add', 'triad', 'read', 'write'])
        for row in rows.values():
            self.assertEqual(len(samples(row, 'bandwidth')), 2)

    def test_what_the_new_run_did_not_measure_is_no_pass(self):
        base = json.loads(ffbench('mem', '--bytes', '2MiB', *QUICK).stdout)

        def compared(change, *options):
            new = json.loads(json.dumps(base))
            change(new)
            with tempfile.TemporaryDirectory() as folder:
                for name, document in (('base', base), ('new', new)):
                    with open(f'{folder}/{name}', 'w', encoding='utf-8') as f:
                        json.dump(document, f)
                return ffbench('compare', f'{folder}/base', f'{folder}/new', *options).returncode

        def crash(document):
            row = document['rows'][0]
            row['error'] = 'killed'
            for metric in row['metrics']:
                metric['samples'] = []

        self.assertEqual(compared(lambda new: None), 0)
        for change in (crash, lambda new: new['rows'].pop()):
            self.assertEqual(compared(change), 1)
            self.assertEqual(compared(change, '--fail-on', 'different'), 1)
            self.assertEqual(compared(change, '--fail-on', 'never'), 0)

    def test_latency_ends_at_the_size_asked_for(self):
        result = ffbench('mem', '--latency', '--bytes', '100KiB', *QUICK)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(list(rows_of(result)), ['latency bytes=8KiB', 'latency bytes=32KiB', 'latency bytes=100KiB'])

    def test_good_memory_passes(self):
        result = ffbench('mem', '--test', '--bytes', '8MiB', '--json', '--quiet')
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = rows_of(result)
        self.assertEqual(list(rows), ['memory test'])
        self.assertEqual(samples(rows['memory test'], 'faults'), [0])
        self.assertEqual(samples(rows['memory test'], 'bytes_tested'), [8 << 20])

    def test_a_flipped_bit_is_found_and_named(self):
        result = ffbench('mem', '--test', '--bytes', '8MiB', '--inject-fault', '1048577:3:random', '--json',
                         '--quiet')
        self.assertEqual(result.returncode, 1, result.stderr)
        rows = rows_of(result)
        self.assertEqual(samples(rows['memory test'], 'faults'), [1])
        parameters = rows['fault 1']['parameters']
        self.assertEqual(parameters['offset'], 1048576)
        self.assertEqual(parameters['flipped'], '0x0000000000000800')
        self.assertEqual(parameters['pattern'], 'random')

    def test_wrong_usage_is_told(self):
        for arguments in (['--test', '--latency'], ['--inject-fault', '1:1'], ['--bytes', '1'], ['--threads', '4000'],
                          ['--test', '--inject-fault', 'x:1'], ['--kernel', 'sort'], ['--test', '--walk', '65']):
            result = ffbench('mem', *arguments)
            self.assertEqual(result.returncode, 2, f'{arguments}: {result.stderr}')
            self.assertTrue(result.stderr.startswith('ffbench: '), result.stderr)


class Cpu(unittest.TestCase):
    def test_every_processor_has_a_row(self):
        result = ffbench('cpu', '--order', '64', *QUICK)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = rows_of(result)
        self.assertEqual(samples(rows['gemm'], 'wrong'), [0, 0])
        for cpu in os.sched_getaffinity(0):
            self.assertEqual(len(samples(rows[f'cpu={cpu}'], 'sha256')), 2)

    def test_flipped_bits_are_found(self):
        for engine in ('auto', 'own'):
            for fault in ('c:3:5:0', 'a:0:0:0', 'b:63:63:31'):
                result = ffbench('cpu', '--order', '64', '--engine', engine, '--inject-fault', fault, *QUICK)
                self.assertEqual(result.returncode, 1, f'{fault}: {result.stderr}')
                operand, row, column, _ = fault.split(':')
                self.assertIn(f'{operand}[{row}][{column}]', rows_of(result)['fault 1']['error'])
        for work in ('integer', 'sha256', 'crc32c'):
            result = ffbench('cpu', '--order', '64', '--inject-fault', work, *QUICK)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertTrue(any(work in row.get('error', '') for row in rows_of(result).values()), result.stdout)

    def test_wrong_sums_of_right_elements_fail(self):
        result = ffbench('cpu', '--order', '64', '--inject-fault', 's:3:5:22', *QUICK)
        self.assertEqual(result.returncode, 1, result.stderr)
        row = rows_of(result)['gemm']
        self.assertEqual(samples(row, 'wrong'), [0, 0])
        self.assertEqual(samples(row, 'sums_wrong'), [2, 0])
        self.assertIn('wrong sums', row['error'])

    def test_a_stop_keeps_the_wrong_answers_of_its_round(self):
        started = subprocess.Popen([FFBENCH, 'cpu', '--order', '64', '--inject-fault', 'c:3:5:20', '--repeat', '1',
                                    '--warmup', '0s', '--duration', '1h', '--json', '--quiet'],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(started.kill)
        # Products of this order take microseconds, so that by then the first was long ago.
        time.sleep(2)
        started.send_signal(signal.SIGINT)
        output, errors = started.communicate(timeout=60)
        self.assertEqual(started.returncode, 130, errors)
        document = json.loads(output)
        self.assertIn('c[3][5]', [row for row in document['rows'] if row['name'] == 'fault 1'][0]['error'])
        self.assertTrue(any('wrong answers: 3 in matrix products' in w for w in document['warnings']), document['warnings'])


class Reduce(unittest.TestCase):
    def test_rows_have_a_bound_and_a_ratio(self):
        result = ffbench('reduce', '--type', 'bfloat16', '--type', 'float', '--inputs', '1', '--inputs', '3', '--bytes',
                         '32KiB', *QUICK)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = rows_of(result)
        self.assertEqual(list(rows), ['bound inputs=1 bytes=32KiB', 'float sum inputs=1 bytes=32KiB',
                                      'bfloat16 sum inputs=1 bytes=32KiB', 'bound inputs=3 bytes=32KiB',
                                      'float sum inputs=3 bytes=32KiB', 'bfloat16 sum inputs=3 bytes=32KiB'])
        bound, row = rows['bound inputs=3 bytes=32KiB'], rows['float sum inputs=3 bytes=32KiB']
        for ratio, rate, limit in zip(samples(row, 'of_bound'), samples(row, 'bandwidth'), samples(bound, 'bandwidth')):
            self.assertAlmostEqual(ratio, rate / limit, places=9)


class Collective(unittest.TestCase):
    def fake(self, script):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, 'hfreduce')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\n' + script)
        os.chmod(path, 0o755)
        return ['--hfreduce', path]

    def run_suite(self, *arguments):
        return ffbench('collective', '--ranks', '2', '--max-bytes', '64', '--repeat', '2', '--quiet', '--json', *arguments)

    def test_real_collectives(self):
        result = self.run_suite('--hfreduce', HFREDUCE, '--collective', 'all_reduce', '--collective', 'broadcast', '--',
                                '--iters', '5')
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = rows_of(result)
        for collective in ('all_reduce', 'broadcast'):
            row = next(row for name, row in rows.items() if name.startswith(collective + ' '))
            self.assertEqual(len(samples(row, 'time')), 2)

    def test_wrong_results_are_exit_code_1(self):
        report = ('{"schema":"ff.perf/1","collective":"all_reduce","ranks":2,"buffers":"w","transport":"t",'
                  '"algorithm":"a","rows":[{"size_bytes":8,"type":"float","redop":"sum","time_us":1,"algbw_GBps":1,'
                  '"busbw_GBps":1,"wrong":3}]}')
        result = self.run_suite('--collective', 'all_reduce', *self.fake(f"echo '{report}'\nexit 1\n"))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn('3 elements differ', result.stdout)

    def test_a_killed_or_hanging_child_is_a_failed_row(self):
        for script, what in (('kill -9 $$\n', 'SIGKILL'), ('echo no >&2; exit 4\n', 'exit code 4'),
                             ('sleep 60\n', 'not done after')):
            result = self.run_suite('--collective', 'reduce', '--timeout', '500ms', *self.fake(script))
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(what, rows_of(result)['reduce']['error'])

    def test_a_missing_program_is_told(self):
        result = self.run_suite('--hfreduce', '/no/such/hfreduce')
        self.assertEqual(result.returncode, 1)
        self.assertIn('--hfreduce', result.stderr)


if __name__ == '__main__':
    FFBENCH, HFREDUCE = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
