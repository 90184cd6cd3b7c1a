#!/usr/bin/env python3
"""A cluster of real processes on this machine: its commands, and what becomes of jobs when processes die.

usage: ffctl_test.py FFCTL
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import ffctl_run

FFCTL = None
NODES = 3


def lives(pid):
    try:
        # Not one that has ended, where nobody has asked how.
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


class Cluster:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffctl-e2e-'))
        self.home = self.folder / 'c'
        self.environment = dict(os.environ, FF_LOCAL_DIR=str(self.home))
        for name in ('FF_LOG', 'FF_MASTER', 'FF_KEY'):
            self.environment.pop(name, None)
        try:
            self.up('--nodes', str(NODES), '--fake-gpus', '--min-run', '0s', '--no-ffs')
        except BaseException:
            self.remove()
            raise

    def ffctl(self, *arguments, expect=0, timeout=90):
        return ffctl_run.run(FFCTL, arguments, environment=self.environment, folder=self.folder, expect=expect,
                             timeout=timeout)

    def up(self, *options):
        return self.ffctl('up', '--local', *options)

    def pid(self, name):
        file = self.home / ('ffctld.pid' if name == 'ffctld' else f'nodes/{name}.pid')
        return int(file.read_text().split()[0])

    def kill(self, name):
        os.kill(self.pid(name), signal.SIGKILL)

    def submit(self, *arguments):
        return int(self.ffctl('submit', *arguments).stdout)

    def job(self, job):
        return json.loads(self.ffctl('show', job, '--json').stdout)

    def until(self, job, *states, within=30):
        end = time.monotonic() + within
        while (found := self.job(job))['state'] not in states:
            if time.monotonic() > end:
                raise AssertionError(f'job {job}: is {found["state"]}, not {states}: {found}')
            time.sleep(0.05)
        return found

    def rows(self, *arguments):
        return json.loads(self.ffctl(*arguments, '--json').stdout)['rows']

    def ranks(self):
        """Processes of jobs of this cluster."""
        found = []
        for file in pathlib.Path('/proc').glob('[0-9]*/environ'):
            try:
                if f'FF_CTL={self.home}/'.encode() in file.read_bytes():
                    found.append(int(file.parent.name))
            except OSError:
                pass
        return found

    def remove(self):
        if self.home.exists():
            self.ffctl('down', '--force', expect=None)
        shutil.rmtree(self.folder)


class FfctlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = Cluster()

    @classmethod
    def tearDownClass(cls):
        cls.c.remove()

    def tearDown(self):
        # The next test finds an empty cluster.
        jobs = [row['job'] for row in self.c.rows('ls')]
        if jobs:
            self.c.ffctl('stop', '--force', *jobs)
            self.c.ffctl('wait', *jobs, '--within', '30s', expect=None)

    def test_run_ends_as_the_job_does(self):
        done = self.c.ffctl('run', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7', expect=7)
        self.assertEqual(sorted(done.stdout.split()), ['err', 'out'])
        self.assertIn('exit code 7', done.stderr)
        self.c.ffctl('run', '--', 'sh', '-c', 'kill -9 $$', expect=137)
        self.c.ffctl('run', '--', 'true')

    def test_ranks_know_their_places_and_logs_tell_them_apart(self):
        done = self.c.ffctl('run', '-N', 2, '-R', 2, '--rank', 'all', '--', 'sh', '-c', 'echo $FF_RANK/$FF_RANKS')
        self.assertEqual(sorted(done.stdout.splitlines()), [f'[{i}] {i}/4' for i in range(4)])
        self.assertEqual(self.c.ffctl('logs', 'last', '-r', '1,3').stdout, '[1] 1/4\n[3] 3/4\n')
        self.c.ffctl('logs', 'last', '-r', '4', expect=2)

    def test_last_lines_of_a_log(self):
        self.c.ffctl('run', '--', 'seq', '1000')
        self.assertEqual(self.c.ffctl('logs', 'last', '-n', 2).stdout, '999\n1000\n')
        self.assertEqual(self.c.ffctl('logs', 'last', '-n', 0).stdout, '')

    def test_submit_wait_and_names(self):
        job = self.c.submit('-J', 'named', '--', 'sh', '-c', 'sleep 0.3; exit 3')
        self.c.ffctl('wait', 'named', expect=3)
        self.assertEqual(self.c.job('named')['job'], job)
        row = self.c.rows('ls', job)[0]
        self.assertEqual((row['state'], row['exit_code'], row['name']), ('failed', 3, 'named'))
        line = json.loads(self.c.ffctl('ls', job, '-o', 'jsonl').stdout)
        self.assertEqual(line['schema'], 'ff.job/1')

    def test_job_files_arrays_and_sweeps(self):
        file = pathlib.Path(self.c.folder, 'job.yaml')
        file.write_text('ffjob: 1\nname: from-file\nrun:\n  command: [sh, -c, "echo $A-{i}; exit 4"]\n  env: {A: one}\n',
                        encoding='utf-8')
        self.c.ffctl('submit', file, '--wait', expect=4)
        self.assertEqual(self.c.ffctl('logs', 'last').stdout, 'one-{i}\n')
        numbers = self.c.ffctl('submit', file, '--set', 'run.env.A=two', '-a', '3-5%2', '--wait', expect=4).stdout.split()
        self.assertEqual([self.c.ffctl('logs', n).stdout for n in numbers], ['two-3\n', 'two-4\n', 'two-5\n'])
        script = pathlib.Path(self.c.folder, 'job.sh')
        script.write_text('#!/bin/sh\n#FF name: from-script\n#FF resources.nodes: 2\necho {lr} $FF_SWEEP_lr\n', encoding='utf-8')
        numbers = self.c.ffctl('submit', script, '--sweep', 'lr=1,2', '--wait').stdout.split()
        self.assertEqual([self.c.ffctl('logs', n).stdout.split()[-1] for n in numbers], ['1', '2'])
        self.assertEqual(self.c.job(numbers[0])['name'], 'from-script')

    def test_job_files_that_are_wrong(self):
        file = pathlib.Path(self.c.folder, 'wrong.yaml')
        file.write_text('run:\n  comand: [true]\n', encoding='utf-8')
        done = self.c.ffctl('submit', file, expect=2)
        self.assertIn("wrong.yaml:2: run.comand: unknown key (did you mean 'command'?)", done.stderr)
        file.write_text('run: {command: ["true"]}\n', encoding='utf-8')
        self.assertIn("did you mean 'resources.nodes'", self.c.ffctl('submit', file, '--set', 'resources.node=3', expect=2).stderr)
        self.c.ffctl('submit', pathlib.Path(self.c.folder, 'none.yaml'), expect=3)

    def test_wait_gives_up(self):
        job = self.c.submit('--', 'sleep', '60')
        self.c.ffctl('wait', job, '--within', '0.3s', expect=7)
        self.c.ffctl('wait', job, '--until', 'running')

    def test_stop(self):
        job = self.c.submit('--', 'sleep', '600')
        self.c.until(job, 'running')
        self.c.ffctl('stop', job, '--reason', 'wrong data')
        self.c.ffctl('wait', job, expect=20)
        self.assertIn('wrong data', self.c.job(job)['reason'])
        self.c.ffctl('stop', job)

    def test_a_job_that_ignores_signals_is_killed(self):
        job = self.c.submit('--grace', '1s', '--', 'sh', '-c',
                            'trap "" TERM INT USR1; echo ready; while :; do sleep 0.1; done')
        self.c.until(job, 'running')
        time.sleep(0.3)
        self.c.ffctl('stop', job, '--grace', '500ms')
        self.c.ffctl('wait', job, '--within', '30s', expect=20)
        self.assertEqual(self.c.ranks(), [])

    def test_suspend_and_resume(self):
        job = self.c.submit('--grace', '1s', '--', 'sh', '-c', 'echo attempt $FF_ATTEMPT; exec sleep 600')
        self.c.until(job, 'running')
        self.c.ffctl('suspend', job)
        self.c.until(job, 'suspended')
        self.c.ffctl('hold', job, expect=6)
        self.c.ffctl('resume', job)
        found = self.c.until(job, 'running')
        self.assertEqual([a['number'] for a in found['attempts']], [1, 2])
        self.assertEqual(self.c.ffctl('logs', f'{job}@1').stdout, 'attempt 1\n')

    def test_an_urgent_job_preempts_and_the_other_goes_on_later(self):
        low = self.c.submit('-p', 'low', '-N', NODES, '--grace', '1s', '--', 'sh', '-c',
                            '[ $FF_ATTEMPT -gt 1 ] && exit 0; exec sleep 600')
        self.c.until(low, 'running')
        urgent = self.c.submit('-p', 'high', '-N', NODES, '--', 'sleep', '0.5')
        self.c.ffctl('wait', urgent, '--within', '60s')
        self.c.ffctl('wait', low, '--within', '60s')
        found = self.c.job(low)
        self.assertEqual(found['preemptions'], 1)
        self.assertEqual(found['attempts'][0]['preempted_for'], urgent)
        self.assertIn('preempt', self.c.ffctl('events', low).stdout)

    def test_nothing_is_lost_or_run_twice_when_the_master_dies(self):
        out = self.c.folder / 'ran-master'
        jobs = [self.c.submit('--', 'sh', '-c', f'echo $FF_JOB >> {out}; sleep 2') for _ in range(4)]
        self.c.until(jobs[0], 'running')
        waits = subprocess.Popen([FFCTL, 'wait', *map(str, jobs)], env=self.c.environment)
        self.c.kill('ffctld')
        self.c.up()
        self.assertEqual(waits.wait(timeout=60), 0)
        self.assertEqual(sorted(map(int, out.read_text().split())), jobs)

    def test_an_agent_that_dies_finds_its_ranks_again(self):
        out = self.c.folder / 'ran-agent'
        job = self.c.submit('-N', NODES, '--', 'sh', '-c', f'echo $FF_RANK >> {out}; sleep 3')
        self.c.until(job, 'running')
        self.c.kill('node2')
        self.c.up()
        self.c.ffctl('wait', job, '--within', '60s')
        self.assertEqual(sorted(out.read_text().split()), ['0', '1', '2'])
        self.assertEqual(len(self.c.job(job)['attempts']), 1)

    def test_hold_and_release(self):
        job = self.c.submit('-H', '--', 'true')
        self.assertEqual(self.c.job(job)['state'], 'held')
        self.assertIn('held', self.c.ffctl('explain', job).stdout)
        self.c.ffctl('release', job)
        self.c.ffctl('wait', job)

    def test_dependencies(self):
        first = self.c.submit('--', 'sh', '-c', 'sleep 0.5; exit 1')
        never = self.c.submit('-d', f'after-ok:{first}', '--', 'true')
        then = self.c.submit('-d', f'after-not-ok:{first}', '--', 'true')
        self.assertEqual(self.c.job(then)['state'], 'depends')
        self.c.ffctl('wait', then)
        self.assertEqual(self.c.until(never, 'refused')['state'], 'refused')

    def test_drained_nodes_get_no_jobs(self):
        self.c.ffctl('node', 'drain', 'node1', '--reason', 'fan is loud')
        try:
            self.assertEqual(self.c.rows('node', 'ls', 'node1')[0]['reason'], 'fan is loud')
            job = self.c.submit('-N', NODES, '--', 'true')
            time.sleep(0.5)
            self.assertEqual(self.c.job(job)['state'], 'queued')
            self.assertIn('node', self.c.ffctl('explain', job).stdout)
        finally:
            self.c.ffctl('node', 'undrain', 'node1')
        self.c.ffctl('wait', job, '--within', '30s')

    def test_what_can_never_run_is_refused(self):
        self.c.ffctl('submit', '-N', NODES + 1, '--', 'true', expect=8)
        self.c.ffctl('submit', '-G', 9, '--', 'true', expect=8)
        self.c.ffctl('submit', '--require', 'infiniband', '--', 'true', expect=8)

    def test_wrong_use(self):
        for arguments, code in ((('submit',), 2), (('submit', '-p', 'urgent', '--', 'true'), 2),
                                (('submit', '-e', 'NOT_SET_ANYWHERE', '--', 'true'), 2),
                                (('submit', '-d', 'after-ok:x', '--', 'true'), 2),
                                (('show', '999999'), 3), (('show', 'no-such-name'), 3), (('wait', '0'), 2),
                                (('node', 'drain', 'nodeX'), 3), (('submit', '-d', 'after-ok:999999', '--', 'true'), 3),
                                (('ls', '--master', 'unix:/nowhere/at/all'), 5), (('up',), 2)):
            with self.subTest(arguments=arguments):
                done = self.c.ffctl(*arguments, expect=code)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertTrue(done.stderr.startswith('ffctl: '))

    def test_up_again_changes_nothing(self):
        before = self.c.pid('ffctld')
        self.c.up()
        self.assertEqual(self.c.pid('ffctld'), before)
        self.c.ffctl('up', '--local', '--nodes', '1', expect=2)


class DownTest(unittest.TestCase):
    def test_jobs_go_on_after_down_and_up(self):
        c = Cluster()
        try:
            job = c.submit('--grace', '1s', '--', 'sh', '-c', '[ $FF_ATTEMPT -gt 1 ] && exit 0; exec sleep 600')
            c.until(job, 'running')
            pids = [c.pid(name) for name in ('ffctld', 'node1', 'node2', 'node3')]
            c.ffctl('down')
            for pid in pids:
                self.assertFalse(lives(pid))
            self.assertEqual(c.ranks(), [])
            c.ffctl('ls', expect=5)
            c.ffctl('down')
            c.up()
            c.ffctl('wait', job, '--within', '30s')
            c.ffctl('down', '--purge', expect=2)
            c.ffctl('down', '--purge', '--yes')
            self.assertFalse(c.home.exists())
        finally:
            c.remove()


if __name__ == '__main__':
    FFCTL = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
