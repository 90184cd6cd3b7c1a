#!/usr/bin/env python3
"""What daemons tell of themselves: metrics pages, health, `ffs top`; and the keys by which they know each other. On a
file system of real processes on this machine.

usage: ffs_top_test.py FFS
"""

import fcntl
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import urllib.error
import urllib.request

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
import ffs_cluster  # noqa: E402

REPLICAS = 3
SERIES = re.compile(r'([a-z_][a-z0-9_]*)(\{.*\})? ([0-9.e+-]+|NaN|\+Inf)')


def get(port, path):
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def sample(port):
    """Each series of a metrics page: {'name{labels}': value}."""
    status, text = get(port, '/metrics')
    assert status == 200, text
    values = {}
    for line in text.splitlines():
        if line.startswith('#'):
            continue
        match = SERIES.fullmatch(line)
        assert match, line
        values[match[1] + (match[2] or '')] = float(match[3])
    return values


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'not within {seconds} s: {condition}')
        time.sleep(0.1)
    return found


class Screen:
    """`ffs top` on a terminal of its own."""

    def __init__(self, cluster, rows=12, columns=100):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.process = cluster.popen('top', '-d', '200ms', stdin=slave, stdout=slave, stderr=slave,
                                     start_new_session=True)
        self.shown = ''

    def read_until(self, wanted, seconds=20):
        end = time.monotonic() + seconds
        while wanted not in self.shown:
            if time.monotonic() > end:
                raise AssertionError(f'{wanted!r} is not in {self.shown!r}')
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 65536).decode()
        return self.shown

    def press(self, key):
        self.shown = ''
        os.write(self.master, key.encode())

    def end(self):
        code = self.process.wait(timeout=20)
        while select.select([self.master], [], [], 0.2)[0]:
            self.shown += os.read(self.master, 65536).decode()
        after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        return code, after


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = ffs_cluster.free_ports(ffs_cluster.PROCESSES)
        cls.cluster = ffs_cluster.Cluster('--metrics-port', str(cls.page))
        cls.addClassCleanup(cls.cluster.remove)

    def sums(self, name, nodes=(1, 2, 3)):
        """Of a family over all its series on these nodes."""
        return sum(value for node in nodes for key, value in sample(self.page + node - 1).items()
                   if re.fullmatch(re.escape(name) + r'(\{.*\})?', key))

    def top(self, *options):
        return [json.loads(line) for line in self.cluster.ffs('top', '-o', 'jsonl', *options).stdout.splitlines()]

    def test_pages_tell_what_was_written_and_read(self):
        size = 5_000_000
        data = random.Random(1).randbytes(size)
        wrote, read = self.sums('ff_ffs_target_update_bytes_total'), self.sums('ff_ffs_target_read_bytes_total')
        opened = sample(self.page)['rpc_server_requests_total{method="Open",service="ff.ffs.Meta"}']
        self.cluster.put('/written', data)
        self.assertEqual(self.sums('ff_ffs_target_update_bytes_total') - wrote, REPLICAS * size)
        self.assertEqual(self.cluster.cat('/written'), data)
        came = self.sums('ff_ffs_target_read_bytes_total') - read
        self.assertGreaterEqual(came, size)
        if self.sums('ff_ffs_target_hedged_reads_total') == 0:
            self.assertEqual(came, size)
        self.assertGreater(sample(self.page)['rpc_server_requests_total{method="Open",service="ff.ffs.Meta"}'], opened)
        self.assertGreater(self.sums('ff_ffs_target_update_seconds_count'), 0)
        self.assertGreater(self.sums('ff_ffs_meta_transactions_total'), 0)
        for node in range(ffs_cluster.PROCESSES):
            values = sample(self.page + node)
            self.assertGreater(sum(v for k, v in values.items() if k.startswith('ff_ffs_target_sync_seconds_count')), 0)
            # What is no counter is up to a second old: of when the process began.
            wait_for(lambda page=self.page + node: sample(page)['ff_ffs_node_lease_left_seconds'] > 0)

    def test_pages_tell_what_the_cluster_is(self):
        def chains():
            values = sample(self.page)
            return [values.get(f'ff_ffs_chains{{state="{state}"}}') for state in ('whole', 'degraded', 'down')]

        wait_for(lambda: chains() == [4, 0, 0])
        values = sample(self.page)
        self.assertEqual(values['ff_ffs_manager_primary'], 1)
        for node in range(1, ffs_cluster.PROCESSES + 1):
            self.assertEqual(values[f'ff_ffs_manager_node_alive{{node="{node}"}}'], 1)
            self.assertLess(values[f'ff_ffs_manager_heartbeat_age_seconds{{node="{node}"}}'], 10)
        # The space as the manager has it from heartbeats, once both are of the same moment.
        wait_for(lambda: self.sums('ff_ffs_target_used_bytes') ==
                 sum(row['used_bytes'] for row in self.cluster.rows('target', 'list')))
        self.assertEqual(self.sums('ff_ffs_target_capacity_bytes'),
                         sum(row['capacity_bytes'] for row in self.cluster.rows('target', 'list')))

    def test_pages_have_help_and_type_of_each_family(self):
        text = get(self.page, '/metrics')[1]
        for name in ('ff_ffs_target_read_bytes_total', 'ff_ffs_target_sync_seconds', 'ff_ffs_meta_commit_seconds'):
            self.assertRegex(text, f'(?m)^# HELP {name} ')
            self.assertRegex(text, f'(?m)^# TYPE {name} (counter|histogram)')

    def test_pages_tell_of_reads_that_were_asked_twice(self):
        data = random.Random(4).randbytes(8_000_000)
        self.cluster.put('/hedged', data)
        before = self.sums('ff_ffs_target_hedged_reads_total', nodes=(1, 2))
        slow = self.cluster.pids()[3]
        os.kill(slow, signal.SIGSTOP)
        try:
            for _ in range(20):
                self.assertEqual(self.cluster.cat('/hedged'), data)
                if self.sums('ff_ffs_target_hedged_reads_total', nodes=(1, 2)) > before:
                    break
            else:
                self.fail('no read was hedged')
        finally:
            os.kill(slow, signal.SIGCONT)
        self.cluster.wait_until_healthy()

    def test_pages_tell_what_a_resync_moved(self):
        size = 5_000_000
        pids = self.cluster.pids()
        os.kill(self.cluster.server.pid, signal.SIGSTOP)  # the supervisor would start it again
        try:
            os.kill(pids[2], signal.SIGKILL)
            wait_for(lambda: sample(self.page)['ff_ffs_chains{state="degraded"}'] == 4)
            sent = self.sums('ff_ffs_target_resync_sent_bytes_total', nodes=(1, 3))
            self.cluster.put('/missed', random.Random(5).randbytes(size))
        finally:
            os.kill(self.cluster.server.pid, signal.SIGCONT)
        wait_for(lambda: self.cluster.pids().get(2, pids[2]) != pids[2])
        self.cluster.wait_until_healthy()
        self.assertGreaterEqual(self.sums('ff_ffs_target_resync_sent_bytes_total', nodes=(1, 3)) - sent, size)
        self.assertGreaterEqual(self.sums('ff_ffs_target_resync_received_bytes_total', nodes=(2,)), size)

    def test_health_follows_the_lease(self):
        wait_for(lambda: get(self.page + 1, '/healthz')[0] == 200)
        self.assertEqual(json.loads(get(self.page + 1, '/healthz')[1])['status'], 'ok')
        manager = self.cluster.pids()[1]
        os.kill(manager, signal.SIGSTOP)
        try:
            # Leases are half of ten seconds.
            failing = wait_for(lambda: (answer := get(self.page + 1, '/healthz'))[0] == 503 and json.loads(answer[1]))
            self.assertIn('no lease', failing['failed'][0]['message'])
            self.assertEqual(self.top('--once', '-d', '200ms')[0]['nodes'][1]['state'], 'no-lease')
        finally:
            os.kill(manager, signal.SIGCONT)
        wait_for(lambda: get(self.page + 1, '/healthz')[0] == 200)
        self.cluster.wait_until_healthy()

    def test_requests_page_answers(self):
        status, text = get(self.page, '/debug/requests')
        self.assertEqual((status, json.loads(text)['schema']), (200, 'ff.requests/1'))

    def test_top_tells_the_rate_of_writes(self):
        size, seconds = 6_000_000, 4
        top = self.cluster.popen('top', '--once', '-d', f'{seconds}s', '--json', stdout=subprocess.PIPE)
        time.sleep(0.7)
        self.cluster.put('/rate', random.Random(2).randbytes(size))
        shown = json.loads(top.communicate(timeout=60)[0])
        self.assertEqual(shown['schema'], 'ff.ffs.top/1')
        self.assertEqual((shown['total']['nodes'], shown['total']['nodes_alive']), (3, 3))
        wrote = shown['total']['write_bytes_per_second'] * seconds
        self.assertLessEqual(wrote, REPLICAS * size * 1.01)
        self.assertGreaterEqual(wrote, REPLICAS * size * 0.6)
        by_node = sum(node['write_bytes_per_second'] for node in shown['nodes']) * seconds
        self.assertAlmostEqual(by_node, wrote, delta=10)
        self.assertGreater(shown['total']['update_p99_ns'], 0)
        self.assertGreaterEqual(shown['total']['update_p99_ns'], shown['total']['update_p50_ns'])
        self.assertGreater(shown['nodes'][0]['meta_operations_per_second'], 0)
        self.assertIsNone(shown['nodes'][1]['meta_operations_per_second'])

    def test_top_prints_as_many_samples_as_were_asked_for(self):
        samples = self.top('-n', '3', '-d', '200ms')
        self.assertEqual([s['schema'] for s in samples], ['ff.ffs.top/1'] * 3)
        self.assertTrue(all(a['time_ns'] < b['time_ns'] for a, b in zip(samples, samples[1:])))
        text = self.cluster.ffs('top', '-n', '2', '-d', '200ms').stdout.decode()
        self.assertEqual(len(re.findall('(?m)^NODE ', text)), 2)
        self.assertEqual(len(re.findall('(?m)^total +3/3 ', text)), 2)
        self.assertNotIn('\x1b', text)

    def test_top_sorts(self):
        self.assertEqual([n['node'] for n in self.top('--once', '-d', '200ms')[0]['nodes']], [1, 2, 3])
        used = [n['used_bytes'] for n in self.top('--once', '-d', '200ms', '--sort', 'used')[0]['nodes']]
        self.assertEqual(used, sorted(used, reverse=True))

    def test_top_shows_a_node_that_is_dead_or_hangs_and_does_not_wait_for_it(self):
        pids = self.cluster.pids()
        os.kill(self.cluster.server.pid, signal.SIGSTOP)  # the supervisor would start it again
        try:
            os.kill(pids[2], signal.SIGKILL)
            os.kill(pids[3], signal.SIGSTOP)
            begun = time.monotonic()
            shown = self.top('--once', '-d', '300ms', '--timeout', '500ms')[0]
            self.assertLess(time.monotonic() - begun, 10)
            self.assertEqual([n['state'] for n in shown['nodes']], ['up', 'dead', 'dead'])
            self.assertIsNone(shown['nodes'][1]['read_bytes_per_second'])
            self.assertIn(str(self.cluster.port + 1), shown['nodes'][1]['error'])
            self.assertEqual(shown['total']['nodes_alive'], 1)
            table = self.cluster.ffs('top', '--once', '-d', '300ms', '--timeout', '500ms').stdout.decode()
            self.assertRegex(table, r'(?m)^2 +dead +stored ')
        finally:
            os.kill(pids[3], signal.SIGCONT)
            os.kill(self.cluster.server.pid, signal.SIGCONT)
        wait_for(lambda: [n['state'] for n in self.top('--once', '-d', '300ms')[0]['nodes']] == ['up'] * 3)
        self.cluster.wait_until_healthy()

    def test_top_says_that_keys_differ(self):
        with tempfile.TemporaryDirectory() as other:
            shutil.copy(self.cluster.home / 'cluster.yaml', other)
            self.cluster.ffs('key', 'generate', pathlib.Path(other) / 'cluster.key')
            node = self.top('--once', '-d', '200ms', '--cluster', other)[0]['nodes'][0]
        self.assertEqual(node['state'], 'error')
        self.assertIn('keys differ', node['error'])

    def test_rates_are_not_negative_when_a_node_begins_anew(self):
        self.cluster.put('/before', random.Random(3).randbytes(4_000_000))
        top = self.cluster.popen('top', '-n', '12', '-d', '500ms', '-o', 'jsonl', stdout=subprocess.PIPE)
        first = json.loads(top.stdout.readline())
        self.assertEqual(first['nodes'][2]['state'], 'up')
        os.kill(self.cluster.pids()[3], signal.SIGKILL)
        samples = [json.loads(line) for line in top.communicate(timeout=60)[0].splitlines()]
        states = [s['nodes'][2]['state'] for s in samples]
        self.assertIn('up', states[states.index('dead'):] if 'dead' in states else states)
        for shown in samples:
            for row in [*shown['nodes'], shown['total']]:
                for key, value in row.items():
                    self.assertFalse(isinstance(value, (int, float)) and value < 0, (key, row))
        self.cluster.wait_until_healthy()

    def test_screen_is_drawn_sorted_and_restored(self):
        screen = Screen(self.cluster)
        shown = screen.read_until('total')
        self.assertIn('\x1b[?1049h', shown)
        self.assertFalse(termios.tcgetattr(screen.slave)[3] & termios.ECHO)
        lines = re.sub(r'\x1b\[[0-9?]*[a-zA-Z]', '', shown).replace('\r', '').split('\n')
        self.assertLessEqual(max(map(len, lines)), 100)
        screen.press('w')
        screen.read_until('sorted by write')
        screen.press('q')
        code, after = screen.end()
        self.assertEqual(code, 0)
        self.assertTrue(screen.shown.endswith('\x1b[?25h\x1b[?1049l'), screen.shown[-40:])
        self.assertEqual(after, screen.before)

    def test_screen_is_restored_on_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            screen = Screen(self.cluster)
            screen.read_until('total')
            screen.process.send_signal(number)
            code, after = screen.end()
            self.assertEqual(code, 128 + number)
            self.assertTrue(screen.shown.endswith('\x1b[?25h\x1b[?1049l'), screen.shown[-40:])
            self.assertEqual(after, screen.before)

    def test_wrong_options_are_refused(self):
        for options in (['--once', '-n', '3'], ['--sort', 'size'], ['-d', '0'], ['-o', 'csv']):
            self.assertEqual(self.cluster.ffs('top', *options, check=False).returncode, 2, options)


class Pages(unittest.TestCase):
    def test_a_page_that_cannot_be_served_does_not_keep_a_node_from_serving(self):
        page = ffs_cluster.free_ports(ffs_cluster.PROCESSES)
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', page + 2))
            taken.listen()
            cluster = ffs_cluster.Cluster('--metrics-port', str(page))
            try:
                self.assertIn('metrics page', (cluster.folder / 'log').read_text())
                wait_for(lambda: get(page, '/healthz')[0] == 200)
                shown = json.loads(cluster.ffs('top', '--once', '-d', '200ms', '--json').stdout)
                self.assertEqual([n['state'] for n in shown['nodes']], ['up'] * 3)
            finally:
                cluster.remove()


class Keys(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='ffs-key-')
        self.addCleanup(self.folder.cleanup)
        self.file = pathlib.Path(self.folder.name) / 'cluster.key'

    def key(self, *arguments, code=0):
        done = subprocess.run([ffs_cluster.FFS, 'key', *map(str, arguments)], capture_output=True, timeout=30)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.decode() if code == 0 else done.stderr.decode()

    def test_a_new_key_is_private_and_known_by_its_fingerprint(self):
        before = os.umask(0)
        try:
            fingerprint = self.key('generate', self.file)
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertRegex(fingerprint, r'^[0-9a-f]{8}\n$')
        self.assertRegex(self.file.read_text(), r'^ffkey1 [0-9a-f]{64}\n$')
        self.assertEqual(self.key('show', self.file), fingerprint)
        self.assertNotIn(fingerprint.strip(), self.file.read_text())
        self.assertEqual([p.name for p in self.file.parent.iterdir()], ['cluster.key'])

    def test_a_key_that_is_there_is_replaced_only_by_force(self):
        first = self.key('generate', self.file)
        kept = self.file.read_bytes()
        self.assertIn('--force', self.key('generate', self.file, code=1))
        self.assertEqual(self.file.read_bytes(), kept)
        second = self.key('generate', '--force', self.file)
        self.assertNotEqual(first, second)
        self.assertEqual(self.key('show', self.file), second)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual([p.name for p in self.file.parent.iterdir()], ['cluster.key'])

    def test_show_refuses_what_is_no_key_or_not_private(self):
        self.key('generate', self.file)
        good = self.file.read_text()
        for text in ('', good[:-2], good + 'x', good.replace('ffkey1', 'ffkey2'), f'ffkey1 {"0" * 64}\n'):
            self.file.write_text(text)
            said = self.key('show', self.file, code=2)
            self.assertNotIn(good[7:30], said)
        self.file.write_text(good)
        self.file.chmod(0o640)
        self.assertIn('chmod 600', self.key('show', self.file, code=1))
        self.key('show', self.file.parent / 'none', code=1)


if __name__ == '__main__':
    ffs_cluster.FFS = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
