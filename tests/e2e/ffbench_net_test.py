#!/usr/bin/env python3
"""ffbench net with real processes: every command for a moment, and what must be said when something is wrong.

usage: ffbench_net_test.py FFBENCH
"""

import http.server
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

FFBENCH = ''
MOMENT = ['--repeat', '2', '--duration', '200ms', '--warmup', '100ms']


def run(*arguments, timeout=60, **more):
    return subprocess.run([FFBENCH, 'net', *arguments], capture_output=True, text=True, timeout=timeout, **more)


def children_of(pid):
    out = []
    for entry in pathlib.Path('/proc').iterdir():
        try:
            if entry.name.isdigit() and (entry / 'stat').read_text().rpartition(')')[2].split()[1] == str(pid):
                out.append(int(entry.name))
        except OSError:
            pass
    return out


def alive(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError('not in time')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Net(unittest.TestCase):
    def measure(self, command, *arguments):
        done = run(command, *arguments, '--json')
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        self.assertTrue(document['schema'].startswith('ff.bench/'))
        self.assertEqual(document['command'], f'net {command}')
        rows = document['rows']
        for row in rows:
            self.assertFalse(row.get('error'), row)
            for metric in row['metrics']:
                self.assertEqual(len(metric['samples']), 2, metric)
                for sample in metric['samples']:
                    self.assertGreaterEqual(sample, 0)
        return rows

    def metric(self, row, name):
        return [m for m in row['metrics'] if m['name'] == name][0]['samples']

    def test_bandwidth_on_all_transports(self):
        for arguments in (['--transport', 'tcp'], ['--transport', 'uds'], ['--transport', 'ff'],
                          ['--transport', 'tcp', '--bidi', '-q', '2'],
                          ['--transport', 'ff', '--tls', '--checksum', '--planes', '2']):
            rows = self.measure('bw', '--local', '2', *arguments, *MOMENT)
            self.assertEqual(len(rows), 1)
            self.assertGreater(min(self.metric(rows[0], 'bandwidth')), 1e6, arguments)
            self.assertGreater(min(self.metric(rows[0], 'cpu_sender')), 0)

    def test_a_sweep_has_a_row_for_each_size(self):
        rows = self.measure('bw', '--local', '-b', '4K', '-e', '64K', '-f', '4', *MOMENT)
        self.assertEqual(len(rows), 3)
        rows = self.measure('bw', '--local', '-n', '100', '-s', '64K', *MOMENT)
        self.assertEqual(len(rows), 1)

    def test_latency_on_all_transports_and_loops(self):
        for arguments in (['--transport', 'tcp'], ['--transport', 'uds'], ['--transport', 'ff'], ['--rate', '1000'],
                          ['--transport', 'ff', '--rate', '1000'], ['-n', '100', '--poll', 'spin']):
            rows = self.measure('lat', '--local', *arguments, *MOMENT)
            p50, p99 = self.metric(rows[0], 'latency_p50'), self.metric(rows[0], 'latency_p99')
            self.assertTrue(all(0 < a <= b for a, b in zip(p50, p99)), (arguments, p50, p99))

    def test_all_to_all_has_a_sum_and_each_pair(self):
        rows = self.measure('all2all', '--local', '3', *MOMENT)
        self.assertEqual(len(rows), 1 + 6)
        total = self.metric(rows[0], 'bandwidth')
        pairs = [self.metric(row, 'bandwidth') for row in rows[1:]]
        for repeat in range(2):  # of one run
            self.assertAlmostEqual(total[repeat] / sum(p[repeat] for p in pairs), 1, places=6)

    def test_rows_of_one_run_stay_together_whatever_the_warm_up(self):
        rows = self.measure('all2all', '--local', '3', '--repeat', '2', '--duration', '150ms', '--warmup', '150ms')
        for repeat in range(2):
            pairs = sum(self.metric(row, 'bandwidth')[repeat] for row in rows[1:])
            self.assertAlmostEqual(self.metric(rows[0], 'bandwidth')[repeat] / pairs, 1, places=6)

    def test_each_agent_runs_where_it_was_told(self):
        processors = sorted(os.sched_getaffinity(0))
        if len(processors) < 2:
            self.skipTest('needs two processors')
        for transport in ('tcp', 'ff'):
            rows = self.measure('bw', '--local', '--transport', transport, '--cpus', str(processors[0]),
                                '--peer-cpus', str(processors[1]), *MOMENT)
            self.assertEqual(len(rows), 1)

    def test_our_own_agents_are_no_foreign_load(self):
        done = run('bw', '--local', '--repeat', '3', '--duration', '500ms', '--json')
        document = json.loads(done.stdout)
        used = sum(self.metric(document['rows'][0], 'bandwidth')) > 0
        load = [group['fields'] for group in document['machine'] if group['name'] == 'load']
        self.assertTrue(used and load)
        # Others may be busy on this machine too; but not all that works is foreign.
        busy = self.busy_share(lambda: run('bw', '--local', '--repeat', '3', '--duration', '500ms', '--json'))
        document = json.loads(busy[1].stdout)
        load = [group['fields'] for group in document['machine'] if group['name'] == 'load'][0]
        self.assertLess(load['foreign_cpu_share'], busy[0] - 0.15)

    def busy_share(self, work):
        def times():
            ticks = [int(t) for t in pathlib.Path('/proc/stat').read_text().split('\n')[0].split()[1:9]]
            return sum(ticks[:3]), sum(ticks)
        work0, all0 = times()
        done = work()
        work1, all1 = times()
        return (work1 - work0) / (all1 - all0), done

    def test_a_slow_host_does_not_keep_the_key_from_the_others(self):
        with tempfile.TemporaryDirectory() as folder:
            ssh = pathlib.Path(folder, 'ssh')
            ssh.write_text('#!/bin/bash\nif [ "$1" = slow ]; then sleep 4; shift; exec sh -c "$1"; fi\nshift\n'
                           'read -t 2 key || { echo "no key in time" >&2; exit 1; }\n{ echo "$key"; cat; } | sh -c "$1"\n')
            ssh.chmod(0o755)
            done = run('bw', '--hosts', 'slow,fast', '--ssh', str(ssh), '--timeout', '20s', *MOMENT)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_incast_has_both_columns_and_their_ratio(self):
        rows = self.measure('incast', '--local', '2', '-s', '256K', *MOMENT)
        self.assertEqual(len(rows), 3)
        off, on = self.metric(rows[0], 'goodput'), self.metric(rows[1], 'goodput')
        ratio = self.metric(rows[2], 'goodput_ratio')
        for a, b, c in zip(off, on, ratio):
            self.assertAlmostEqual(a / b / c, 1, places=6)

    def test_mesh_prints_a_map(self):
        done = run('mesh', '--local', '3', '--at-once', '--repeat', '1')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('bandwidth', done.stdout)
        self.assertNotIn('\x1b', done.stdout)
        rows = self.measure('mesh', '--local', '2', '--repeat', '2')
        self.assertEqual(len(rows), 2)

    def test_mesh_measures_every_pair_in_every_round(self):
        for at_once in ([], ['--at-once']):
            rows = self.measure('mesh', '--local', '4', '--repeat', '2', '--duration', '60ms', *at_once)
            pairs = [(row['parameters']['from'], row['parameters']['to']) for row in rows]
            hosts = {host for pair in pairs for host in pair}
            self.assertEqual(len(hosts), 4)
            self.assertEqual(sorted(pairs), sorted((a, b) for a in hosts for b in hosts if a != b))
            for row in rows:
                for name in ('bandwidth', 'latency_p50', 'latency_p99'):
                    samples = self.metric(row, name)
                    self.assertEqual(len(samples), 2, row)
                    self.assertGreater(min(samples), 0, row)

    def test_hosts_are_reached_through_ssh(self):
        with tempfile.TemporaryDirectory() as folder:
            ssh = pathlib.Path(folder, 'ssh')
            ssh.write_text('#!/bin/sh\necho "Welcome to $1"\nshift\nexec sh -c "$1"\n')
            ssh.chmod(0o755)
            rows = self.measure('bw', '--hosts', 'nodea,nodeb', '--ssh', str(ssh), *MOMENT)
            self.assertEqual(len(rows), 1)
            ssh.write_text('#!/bin/sh\necho "no route" >&2\nexit 255\n')
            done = run('bw', '--hosts', 'nodea,nodeb', '--ssh', str(ssh), *MOMENT)
            self.assertEqual(done.returncode, 1)
            self.assertIn('nodea', done.stderr)

    def start(self, *arguments):
        process = subprocess.Popen([FFBENCH, 'net', *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def key(self, folder, name):
        path = pathlib.Path(folder, name)
        path.write_text(f'ffkey1 {secrets.token_hex(32)}\n')
        path.chmod(0o600)
        return str(path)

    def test_a_served_host_with_right_and_wrong_keys(self):
        with tempfile.TemporaryDirectory() as folder:
            key, other = self.key(folder, 'key'), self.key(folder, 'other')
            port = free_port()
            agent = self.start('serve', '--key', key, '--listen', f'127.0.0.1:{port}', '--once')
            self.assertIn('listening', agent.stdout.readline())
            for wrong in (['--key', other], ['--insecure']):
                done = run('bw', f'127.0.0.1:{port}', *wrong, '--timeout', '3s', *MOMENT, timeout=30)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(f'peer 127.0.0.1:{port}', done.stderr)
                self.assertIn('key', done.stderr)
            self.assertEqual(run('bw', f'127.0.0.1:{port}', *MOMENT).returncode, 2)  # no key at all
            rows = self.measure('bw', f'127.0.0.1:{port}', '--key', key, '--bidi', *MOMENT)
            self.assertEqual(len(rows), 1)
            self.assertEqual(agent.wait(20), 0)  # --once

    def test_nobody_there_and_somebody_else_there(self):
        done = run('bw', f'127.0.0.1:{free_port()}', '--insecure', '--timeout', '3s', *MOMENT, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn('peer 127.0.0.1', done.stderr)
        done = run('lat', 'no-such-host.invalid', '--insecure', '--timeout', '3s', *MOMENT, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('no-such-host.invalid', done.stderr)
        server = http.server.HTTPServer(('127.0.0.1', 0), Quiet)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            began = time.monotonic()
            done = run('bw', f'127.0.0.1:{server.server_port}', '--insecure', '--timeout', '3s', *MOMENT, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f'peer 127.0.0.1:{server.server_port}', done.stderr)
            self.assertLess(time.monotonic() - began, 20)
        finally:
            server.shutdown()
            server.server_close()

    def test_wrong_usage(self):
        for arguments in (['bw'], ['bw', '--local', '--netns', '2'], ['bw', '--local', '1'], ['bw', '--local', 'x'],
                          ['bw', '--local', '-s', '0'], ['bw', '--local', '-s', '1K', '-b', '1K'],
                          ['bw', '--local', '--tls'], ['lat', '--local', '--rate', '5', '-n', '3'], ['serve'],
                          ['mesh', '--local', '-s', '1K,2K'], ['mesh', '127.0.0.1:1', '127.0.0.1:1', '--insecure'],
                          ['bw', '127.0.0.1:1', '--insecure', '--transport', 'ff', '--planes', '2'], ['bw', '--local', '--cc', 'reno', '--transport', 'uds']):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))
        done = run('bw', '--local', '--cc', 'nonesuch', *MOMENT)
        self.assertEqual(done.returncode, 1)
        self.assertIn('nonesuch', done.stdout + done.stderr)

    def test_a_killed_agent_is_named_and_the_rest_stands(self):
        for transport in ('tcp', 'ff'):
            process = self.start('bw', '--local', '2', '--transport', transport, '--repeat', '1000', '--duration', '100ms',
                                 '--json')
            agents = wait_until(lambda: len(children_of(process.pid)) == 2 and children_of(process.pid))
            time.sleep(3)
            os.kill(agents[0], signal.SIGKILL)
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 3, err)
            self.assertRegex(err, r'peer local[01] is lost')
            row = json.loads(out)['rows'][0]
            self.assertGreater(len(self.metric(row, 'bandwidth')), 0)
            self.assertTrue(row['error'])
            wait_until(lambda: not any(alive(pid) for pid in agents))

    def test_signals_end_everything(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            process = self.start('all2all', '--local', '3', '--repeat', '1000', '--duration', '100ms')
            agents = wait_until(lambda: len(children_of(process.pid)) == 3 and children_of(process.pid))
            time.sleep(1)
            process.send_signal(number)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, -9 if number == signal.SIGKILL else 128 + number)
            wait_until(lambda: not any(alive(pid) for pid in agents))


if __name__ == '__main__':
    FFBENCH = sys.argv.pop(1)
    unittest.main()
