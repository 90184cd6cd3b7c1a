#!/usr/bin/env python3
"""The node validator, `ffbench xid` and `ffbench failures` as their users call them.

usage: ffbench_node_test.py FFBENCH HFREDUCE FAKE_GPU_FOLDER NODE_SCHEMA FLASHCUTS

Faults are put into a tree that stands for /sys and /proc, into the GPU libraries' stand-ins, and into computations; each
must be named, and the exit code must say what a scheduler should do.
"""

import csv
import gzip
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

FFBENCH, HFREDUCE, FAKE_GPU, SCHEMA, FLASHCUTS = sys.argv[1:6]

try:
    import jsonschema
except ImportError:
    jsonschema = None


def run(*arguments, stdin='', environment=None, timeout=120, under=()):
    return subprocess.run([*under, FFBENCH, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **(environment or {})}, check=False)


def write(root, path, text):
    file = pathlib.Path(root) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + '\n')


def nic(root, name, megabits):
    for key, value in {'operstate': 'up', 'flags': '0x1003', 'duplex': 'full', 'speed': str(megabits),
                       'device/vendor': '0x15b3', 'device/device': '0x101b'}.items():
        write(root, f'sys/class/net/{name}/{key}', value)


class OnANode(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def node(self, *arguments, **options):
        done = run('node', '--json', *arguments, **options)
        self.assertNotEqual(done.stdout, '', done.stderr)
        report = json.loads(done.stdout)  # nothing but the report is on standard output
        if jsonschema:
            jsonschema.validate(report, json.loads(pathlib.Path(SCHEMA).read_text()))
        return done.returncode, report, {c['id']: c for c in report['checks']}


class Node(OnANode):
    def test_good_links_make_a_node_fit(self):
        nic(self.folder, 'ens1', 200000)
        code, report, checks = self.node('--root', self.folder, '--only', 'link')
        self.assertEqual((code, report['verdict']), (0, 'fit'))
        self.assertEqual(checks['link.ens1.speed']['value'], 25e9)

    def test_slow_link_drains_the_node(self):
        nic(self.folder, 'ens1', 200000)
        nic(self.folder, 'ens2', 10000)
        code, report, checks = self.node('--root', self.folder, '--only', 'link')
        self.assertEqual((code, report['verdict']), (20, 'drain'))
        self.assertEqual(checks['link.ens2.speed']['verdict'], 'fail')
        self.assertIn('ens2 runs at 10 Gb/s instead of 200 Gb/s', report['reasons'][0])
        names = run('node', '--root', self.folder, '--only', 'link', '-o', 'name')
        self.assertEqual((names.returncode, names.stdout), (20, 'link.ens2.speed\n'))

    def test_powersave_warns(self):
        write(self.folder, 'sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'powersave')
        code, report, checks = self.node('--root', self.folder, '--only', 'frequency')
        self.assertEqual((code, report['verdict']), (10, 'warn'))
        self.assertEqual(checks['frequency.governor']['verdict'], 'warn')

    def test_flipped_bits_are_found(self):
        code, _, checks = self.node('--only', 'cpu_gemm', '--only', 'memory_test', '--memory', '8MiB', '--inject-gemm', '3,4,22',
                                    '--inject-memory', '8192,5')
        self.assertEqual(code, 20)
        self.assertEqual(checks['cpu_gemm.wrong']['verdict'], 'fail')
        self.assertEqual(checks['memory_test']['verdict'], 'fail')

    def test_gpu_faults_are_named(self):
        code, _, checks = self.node('--only', 'gpu', '--only', 'gpu_memory', '--gpu-libraries', FAKE_GPU)
        self.assertEqual(code, 0, checks)
        code, _, checks = self.node('--only', 'gpu', '--only', 'gpu_memory', '--gpu-libraries', FAKE_GPU,
                                    environment={'FAKE_GPU_STUCK': '0x40', 'FAKE_GPU_PCIE_WIDTH': '8'})
        self.assertEqual(code, 20)
        self.assertEqual(checks['gpu_memory.0']['verdict'], 'fail')
        self.assertEqual(checks['gpu.0.pcie_width']['verdict'], 'fail')

    def test_hanging_gpu_is_not_waited_for(self):
        start = time.monotonic()
        code, _, checks = self.node('--only', 'gpu_memory', '--gpu-libraries', FAKE_GPU, '--timeout', '2s',
                                    environment={'FAKE_GPU_HANG': 'cuInit'})
        self.assertLess(time.monotonic() - start, 30)
        # The time for all checks was up before the check's own: that says nothing about the GPU.
        self.assertEqual(code, 10)
        self.assertIn('cut short', checks['gpu_memory']['reason'])

    def test_missing_libraries_are_a_reason_and_no_fault(self):
        code, _, checks = self.node('--only', 'gpu', '--gpu-libraries', self.folder)
        self.assertEqual(code, 0)
        self.assertEqual(checks['gpu']['verdict'], 'skip')
        self.assertIn('libnvidia-ml.so.1 is not installed', checks['gpu']['reason'])

    def test_allreduce_and_storage_run(self):
        _, _, checks = self.node('--only', 'allreduce', '--only', 'storage', '--hfreduce', HFREDUCE, '--folder', self.folder,
                                 timeout=300)
        self.assertEqual(checks['allreduce.wrong']['verdict'], 'pass')
        self.assertGreater(checks['allreduce.bus_bandwidth']['value'], 0)
        self.assertEqual(checks['storage.wrong']['verdict'], 'pass')
        self.assertEqual(os.listdir(self.folder), [])

    def result(self, host, rate, level='quick'):
        check = {'id': 'loopback', 'measures': 'x', 'verdict': 'pass', 'value': rate, 'unit': 'B/s', 'threshold': None,
                 'better': 'higher', 'reason': 'x', 'fix': '', 'elapsed_ns': 1}
        file = os.path.join(self.folder, host + '.json')
        pathlib.Path(file).write_text(json.dumps({
            'schema': 'ff.node/1', 'host': host, 'level': level, 'version': '', 'started': '', 'elapsed_ns': 1,
            'verdict': 'fit', 'reasons': [], 'checks': [check]}))
        return file

    def test_profile_of_good_nodes_drains_a_slow_one(self):
        good = [self.result(f'n{i}', 1e15 + i) for i in range(3)]
        profile = os.path.join(self.folder, 'profile')
        few = run('node', '--learn', profile, *good[:2])
        self.assertEqual(few.returncode, 2)
        self.assertIn('at least 3', few.stderr)
        self.assertEqual(run('node', '--learn', profile, *good).returncode, 0)
        again = run('node', '--learn', profile, *good)
        self.assertNotEqual(again.returncode, 0)
        self.assertIn('--force', again.stderr)
        self.assertEqual(run('node', '--learn', profile, '--force', *good).returncode, 0)
        # No loopback moves a petabyte a second.
        code, _, checks = self.node('--only', 'loopback', '--profile', profile)
        self.assertEqual(code, 20)
        self.assertIn('worse than the median of good nodes', checks['loopback']['reason'])

    def test_fleet_names_the_outlier(self):
        files = [self.result(f'n{i}', 10e9 + i * 1e7) for i in range(9)] + [self.result('slow', 6e9)]
        done = run('node', '--fleet', '--json', *files)
        self.assertEqual(done.returncode, 10)
        self.assertEqual([row['host'] for row in json.loads(done.stdout)['rows']], ['slow'])
        self.assertEqual(run('node', '--fleet', *files[:9]).returncode, 0)

    def test_wrong_usage(self):
        for arguments in (['--only', 'nothing'], ['--link-speed', 'fast'], ['result.json'], ['--fleet'],
                          ['--profile', os.path.join(self.folder, 'absent')], ['--level', 'half']):
            done = run('node', *arguments)
            self.assertIn(done.returncode, (1, 2), arguments)
            self.assertEqual(done.stdout, '', arguments)
            self.assertTrue(done.stderr.startswith('ffbench'), done.stderr)


class LossyLink(OnANode):
    """A network namespace of its own, in which a filter drops some of what arrives. (Also where there is no tc netem.)"""

    NAMESPACE = ('unshare', '--net', 'sh', '-c', 'ip link set lo up && if [ "$0" != none ]; then '
                 'nft "add table ip t; add chain ip t c { type filter hook input priority 0; }; '
                 'add rule ip t c tcp dport != 0 numgen random mod 100 < $0 drop" || exit 77; fi; exec "$@"')

    def setUp(self):
        super().setUp()
        if missing := [tool for tool in ('unshare', 'ip', 'nft') if shutil.which(tool) is None]:
            self.skipTest(f'no {missing[0]} here')
        probe = subprocess.run([*self.NAMESPACE, '5', 'true'], capture_output=True, text=True, timeout=60, check=False)
        if probe.returncode != 0:
            self.skipTest(f'no dropping in a network namespace here: {probe.stderr.strip()}')

    def loopback(self, percent):
        return self.node('--only', 'loopback', under=(*self.NAMESPACE, percent))

    def test_link_that_drops_packets_drains_the_node(self):
        code, report, checks = self.loopback('5')
        self.assertEqual((code, report['verdict']), (20, 'drain'), checks)
        self.assertEqual(checks['loopback.resent']['verdict'], 'fail')
        self.assertIn('segments are lost on the way', checks['loopback.resent']['reason'])
        self.assertIn('nft list ruleset', checks['loopback.resent']['fix'])

    def test_link_that_drops_nothing_does_not(self):
        _, _, checks = self.loopback('none')
        self.assertIn(checks['loopback.resent']['verdict'], ('pass', 'warn'), checks)
        self.assertLess(checks['loopback.resent']['value'], 0.005)


class WithoutRoot(OnANode):
    """The same commands as an ordinary user: what needs root says so, the rest is measured, and the exit code is that of
    what was found."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest('not root: cannot become somebody else (the other tests have run as an ordinary user)')
        self.under = ('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs')
        if shutil.which('setpriv') is None:
            self.skipTest('no setpriv here')
        probe = subprocess.run([*self.under, FFBENCH, 'version'], capture_output=True, text=True, timeout=60, check=False)
        if probe.returncode != 0:
            self.skipTest(f'an ordinary user cannot run {FFBENCH}: {probe.stderr.strip()}')
        os.chmod(self.folder, 0o755)

    def test_checks_that_need_root_are_skipped_and_the_rest_is_kept(self):
        code, report, checks = self.node('--only', 'kernel_log', '--only', 'limits', '--only', 'disk', '--only', 'pcie',
                                         '--only', 'memory_test', '--memory', '16MiB', under=self.under)
        self.assertEqual(code, {'fit': 0, 'warn': 10}[report['verdict']])
        restricted = pathlib.Path('/proc/sys/kernel/dmesg_restrict')
        if restricted.exists() and restricted.read_text().strip() == '1':
            self.assertEqual(checks['kernel_log']['verdict'], 'skip')
            self.assertIn('Operation not permitted', checks['kernel_log']['reason'])
            self.assertIn('run as root', checks['kernel_log']['reason'])
        self.assertEqual(checks['memory_test']['verdict'], 'pass')
        self.assertIn('limits.locked_memory', checks)

    def test_folder_of_another_user_is_a_reason_and_no_fault(self):
        code, report, checks = self.node('--only', 'storage', '--only', 'space', '--folder', self.folder, under=self.under)
        self.assertIn((code, report['verdict']), ((0, 'fit'), (10, 'warn')))
        self.assertEqual(checks['storage']['verdict'], 'skip')
        self.assertIn(f'{self.folder}: cannot make a file there: Permission denied', checks['storage']['reason'])
        self.assertGreater(checks['space.folder']['value'], 0)

    def test_own_folder_is_measured(self):
        os.chown(self.folder, 65534, 65534)
        _, _, checks = self.node('--only', 'storage', '--folder', self.folder, under=self.under, timeout=300)
        self.assertEqual(checks['storage.wrong']['verdict'], 'pass')
        self.assertEqual(os.listdir(self.folder), [])

    def test_pinning_and_memory_need_no_root(self):
        cpu = min(os.sched_getaffinity(0))
        done = run('mem', '--json', '--quiet', '--kernel', 'copy', '--cpus', str(cpu), '--bytes', '8MiB', '--repeat', '1',
                   '--duration', '20ms', '--warmup', '0', under=self.under)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(json.loads(done.stdout)['rows'][0]['metrics'][0]['samples'][0], 0)
        # More than an ordinary user may lock: tested all the same, and it says that pages may have moved.
        done = run('mem', '--json', '--test', '--bytes', '32MiB', under=('prlimit', '--memlock=65536:65536', *self.under))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('lock', done.stdout + done.stderr)

    def test_kernel_log_is_refused_in_one_line(self):
        done = run('xid', under=self.under)
        if done.returncode == 0:
            self.skipTest('everybody may read the kernel\'s log here')
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn('run as root', done.stderr)


class Logs(unittest.TestCase):
    # Table VI of the Fire-Flyer AI-HPC paper.
    TABLE6 = {74: 5521, 13: 45, 31: 2487, 43: 4342, 45: 240, 63: 245, 64: 2, 94: 13, 95: 17, 44: 1, 48: 2, 61: 13, 62: 3,
              69: 1, 79: 37, 119: 1}

    def log(self):
        return ''.join(f'Nov 20 10:{i % 60:02}:12 gpu-{i % 9} kernel: [{i}.5] NVRM: Xid (PCI:0000:{i % 8:02x}:00): {xid}, pid={i}\n'
                       for xid, count in self.TABLE6.items() for i in range(count))

    def test_table6_comes_out_exactly(self):
        done = run('xid', '-', stdin=self.log())
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ('software 7114 54.85%', 'nvlink 5521 42.57%', 'ecc 277 2.14%', 'uncorrectable 57 0.44%', 'gsp 1 0.01%',
                      'software 43 4342 33.48%', 'software 31 2487 19.18%', 'uncorrectable 79 37 0.29%'):
            lines = [' '.join(line.replace(' - ', ' ').split()) for line in done.stdout.splitlines()]
            self.assertTrue(any(line.startswith(words) for line in lines), words + '\n' + done.stdout)
        report = json.loads(run('xid', '--json', '-', stdin=self.log()).stdout)
        self.assertEqual((report['schema'], report['total']), ('ff.xid/1', 12970))
        hosts = json.loads(run('xid', '--json', '--by', 'host', '-', stdin=self.log()).stdout)
        self.assertEqual(len(hosts['rows']), 9)
        self.assertEqual(sum(row['count'] for row in hosts['rows']), 12970)

    def test_one_bad_file_takes_nothing_from_the_others(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / 'gpu-1.log'
            log.write_text('Nov 20 10:00:12 gpu-1 kernel: [1.5] NVRM: Xid (PCI:0000:00:00): 79, pid=1\n' * 3)
            packed = pathlib.Path(folder) / 'gpu-2.log.gz'
            packed.write_bytes(gzip.compress(log.read_bytes()))
            done = run('xid', '--json', '/nowhere/log', str(log), str(packed))
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertEqual(json.loads(done.stdout)['total'], 3)
            self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
            self.assertIn('/nowhere/log', done.stderr)
            self.assertIn(str(packed), done.stderr)

    def test_events_feed_the_failure_statistics(self):
        events = run('xid', '--events', '-o', 'csv', '-', stdin=self.log())
        rows = list(csv.DictReader(io.StringIO(events.stdout)))
        self.assertEqual(len(rows), 12970)
        done = run('failures', '--json', '-', stdin=events.stdout)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {(row['part'], row['name']): row for row in json.loads(done.stdout)['rows']}
        self.assertEqual(rows['total', 'failures']['value'], 12970)
        self.assertEqual(rows['class', 'nvlink']['value'], 5521)

    def test_flash_cuts(self):
        done = run('failures', '--json', FLASHCUTS)
        rows = {(row['part'], row['name']): row for row in json.loads(done.stdout)['rows']}
        self.assertEqual(rows['total', 'failures']['value'], 213)
        self.assertEqual(rows['total', 'rows']['value'], 101)
        self.assertEqual(rows['month', '2023-07']['value'], 39)
        self.assertEqual(sum(1 for part, _ in rows if part == 'day'), 9)
        self.assertAlmostEqual(rows['mtbf', 'all']['value'], 348 * 24 / 213)
        self.assertIn('failures cluster', rows['dispersion', 'daily index']['remark'])

    def test_what_is_left_out_twice_is_left_out_once(self):
        made = run('failures', '--generate', '365', '--seed', '3').stdout
        once = run('failures', '--json', '--without', 'network', '-', stdin=made)
        self.assertEqual(once.returncode, 0, once.stderr)
        twice = run('failures', '--json', '--without', 'network', '--without', 'network', '-', stdin=made)
        self.assertEqual(json.loads(twice.stdout)['rows'], json.loads(once.stdout)['rows'])

    def test_months_are_not_cut_through(self):
        table = 'date\n2023-04\n2023-05\n'
        for option in ('--to', '--from'):
            done = run('failures', option, '2023-04-15', '-', stdin=table)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f'{option}: lies within a month', done.stderr)
        done = run('failures', '--json', '--to', '2023-04', '-', stdin=table)
        rows = {(row['part'], row['name']): row for row in json.loads(done.stdout)['rows']}
        self.assertEqual(rows['mtbf', 'all']['value'], 30 * 24)

    def test_generated_failures_have_the_papers_mean_time_between(self):
        made = run('failures', '--generate', '1830', '--seed', '3')
        self.assertEqual(made.stdout, run('failures', '--generate', '1830', '--seed', '3').stdout)
        done = run('failures', '--json', '-', stdin=made.stdout)
        rows = {(row['part'], row['name']): row for row in json.loads(done.stdout)['rows']}
        # 2,920 failures are expected: 4 standard deviations of a Poisson count are 7.4 %.
        self.assertAlmostEqual(rows['mtbf', 'all']['value'], 15.04, delta=15.04 * 0.08)

    def test_bad_input_is_refused_in_one_line(self):
        for arguments, stdin, words in ((['failures', '-'], 'a,b\n1,2\n', 'no column says when'),
                                        (['failures', '-'], 'date\nsoon\n', "'soon' is no date"),
                                        (['xid', '/nowhere/log'], '', '/nowhere/log'),
                                        (['xid', '--boot', 'soon', '-'], '', '--boot')):
            done = run(*arguments, stdin=stdin)
            self.assertIn(done.returncode, (1, 2))
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
