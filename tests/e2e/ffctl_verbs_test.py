#!/usr/bin/env python3
"""What people ask of jobs and of the cluster beside running them: queue, plan, quotas, shares, processes, signals,
history, accounts. A cluster of real processes.

usage: ffctl_verbs_test.py FFCTL
"""

import datetime
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import unittest

import ffctl_run

FFCTL = None


class VerbsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffctl-verbs-'))
        cls.environment = dict(os.environ, FF_LOCAL_DIR=str(cls.folder / 'c'))
        for name in ('FF_LOG', 'FF_MASTER', 'FF_KEY', 'FF_EXECUTOR'):
            cls.environment.pop(name, None)
        try:
            cls.ffctl('up', '--local', '--nodes', '2', '--gpus-per-node', '8', '--fake-gpus', '--min-run', '0s',
                      '--no-ffs')
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.ffctl('down', '--force', '--purge', '--yes', expect=None)
        shutil.rmtree(cls.folder, ignore_errors=True)

    def tearDown(self):
        running = self.ffctl('ls', '-o', 'name').stdout.split()
        if running:
            self.ffctl('stop', '-f', *running)
            self.ffctl('wait', *running, expect=None)

    @classmethod
    def ffctl(cls, *arguments, **more):
        return ffctl_run.run(FFCTL, arguments, environment=cls.environment, folder=cls.folder, **more)

    def rows(self, *arguments, **more):
        at = arguments.index('--') if '--' in arguments else len(arguments)
        return json.loads(self.ffctl(*arguments[:at], '--json', *arguments[at:], **more).stdout)['rows']

    def submit(self, *arguments):
        return int(self.ffctl('submit', *arguments).stdout)

    def await_rows(self, wanted, *arguments):
        """Asks until the rows are as wanted."""
        deadline = time.monotonic() + 60
        while not wanted(rows := self.rows(*arguments)):
            self.assertLess(time.monotonic(), deadline, rows)
            time.sleep(0.05)
        return rows

    def test_the_queue_in_its_order_and_what_would_come(self):
        first = self.submit('-N', 2, '--preemption', 'never', '--', 'sleep', '1000')
        self.ffctl('wait', first, '--until', 'running')
        low = self.submit('-p', 'low', '-N', 2, '-J', 'later', '--', 'true')
        high = self.submit('-p', 'high', '-N', 1, '-q', 'urgent', '--', 'true')
        rows = self.await_rows(lambda rows: [r['position'] for r in rows] == [1, 2], 'queue')
        self.assertEqual([r['job'] for r in rows], [high, low])
        self.assertEqual([r['what'] for r in rows], ['nodes', 'nodes'])
        self.assertEqual([r['job'] for r in self.rows('queue', '--limit', 1)], [high])
        self.assertEqual([r['job'] for r in self.rows('queue', '-q', 'urgent')], [high])
        self.assertEqual(self.rows('queue', '-u', 'nobody-is-this'), [])
        sums = self.rows('queue', '-s')
        self.assertEqual([(r['priority'], r['jobs'], r['nodes']) for r in sums], [('high', 1, 1), ('low', 1, 2)])
        # It cannot start: what runs may not be preempted. Where it may, it is named.
        plan = self.rows('plan', '-p', 'very-high', '--', 'true')
        self.assertEqual([(r['now'], r['would_preempt']) for r in plan], [(False, None)])
        self.ffctl('stop', '-f', first, low, high)
        victim = self.submit('-N', 2, '--', 'sleep', '1000')
        self.ffctl('wait', victim, '--until', 'running')
        self.assertEqual(self.rows('plan', '-p', 'very-high', '--', 'true')[0]['would_preempt'], str(victim))
        self.assertEqual([r['job'] for r in self.rows('ls')], [victim], 'a plan queues nothing')

    def test_logs_never_wait_unasked_and_names_find_what_is_done(self):
        """skypilot 10253: logs without following waited for the start; 4845: not found by name once it was done."""
        blocks = self.submit('-N', 2, '--preemption', 'never', '--', 'sleep', '1000')
        self.ffctl('wait', blocks, '--until', 'running')
        waits = self.submit('-J', 'by-name', '--', 'echo', 'said')
        self.assertEqual(self.ffctl('logs', waits, expect=None, timeout=30).stdout, '')
        self.ffctl('stop', '-f', blocks)
        self.ffctl('wait', waits)
        self.assertEqual(self.ffctl('logs', 'by-name').stdout, 'said\n')
        self.assertEqual(self.ffctl('logs', '-f', 'by-name').stdout, 'said\n')

    def test_wait_ends_as_the_job_did(self):
        """HyperQueue 0.25 changed what waiting returns; a clean exit during the grace time was ambiguous with Slurm."""
        for command, code in (('exit 0', 0), ('exit 3', 3), ('kill -9 $$', 137)):
            job = self.submit('--retry', 'none', '--', 'sh', '-c', command)
            self.assertEqual(self.ffctl('wait', job, expect=None).returncode, code, command)
        # It ends with 0 when it is told to make room: it has not finished, and goes on.
        job = self.submit('-p', 'low', '-N', 2, '--', 'sh', '-c',
                          'test $FF_ATTEMPT = 2 && exit 5; trap "exit 0" TERM; sleep 1000 & wait')
        self.ffctl('wait', job, '--until', 'running')
        self.ffctl('run', '-p', 'high', '--', 'true')
        self.assertEqual(self.ffctl('wait', job, expect=None).returncode, 5)

    def test_quotas_hold_jobs_back_and_are_counted(self):
        self.ffctl('quota', 'set', '*', 1, '-p', 'high')
        self.addCleanup(lambda: self.ffctl('quota', 'rm', '*', '-p', 'high', expect=None))
        runs = self.submit('-p', 'high', '--', 'sleep', '1000')
        self.ffctl('wait', runs, '--until', 'running')
        waits = self.submit('-p', 'high', '--', 'true')
        self.await_rows(lambda rows: [(r['job'], r['what']) for r in rows] == [(waits, 'quota')], 'queue')
        self.assertEqual(self.rows('quota', 'ls'),
                         [{'user': '*', 'queue': '*', 'priority': 'high', 'nodes': 1, 'used': 1}])
        self.assertIn('more than the quota of 1 nodes', self.ffctl('submit', '-p', 'high', '-N', 2, '--', 'true',
                                                                   expect=None).stderr)
        self.ffctl('quota', 'rm', '*', '-p', 'high')
        self.assertEqual(self.rows('quota', 'ls'), [])
        self.ffctl('wait', waits)
        self.assertIn('there is none of this user', self.ffctl('quota', 'rm', '*', expect=3).stderr)
        self.ffctl('quota', 'set', '*', -1, expect=2)
        self.assertIn('user and queue are a name', self.ffctl('quota', 'set', 'a b', 1, expect=2).stderr)

    def test_shares_are_kept_over_a_restart(self):
        self.ffctl('share', 'set', 'ann', 2.5)
        self.ffctl('down')
        self.ffctl('up', '--local')
        ann = [r for r in self.rows('share', 'ls') if r['user'] == 'ann']
        self.assertEqual([(r['weight'], r['set'], r['nodes']) for r in ann], [(2.5, True, 0)])
        self.assertIn('not between 0.01 and 1000', self.ffctl('share', 'set', 'ann', 0, expect=2).stderr)
        self.ffctl('share', 'rm', 'ann')
        self.assertNotIn('ann', [r['user'] for r in self.rows('share', 'ls')])
        self.assertIn('has none of his own', self.ffctl('share', 'rm', 'ann', expect=3).stderr)

    def test_processes_and_signals(self):
        job = self.submit('-N', 2, '-R', 2, '--', 'sh', '-c', 'trap "exit 7" USR1; sleep 1000 & wait')
        self.ffctl('wait', job, '--until', 'running')
        rows = self.await_rows(lambda rows: sum(r['command'] == 'sleep 1000' for r in rows) == 4, 'ps', job)
        self.assertEqual(sorted({(r['node'], r['rank']) for r in rows}, key=lambda one: one[1]),
                         [('node1', 0), ('node1', 1), ('node2', 2), ('node2', 3)])
        pids = {r['pid'] for r in rows}
        self.assertEqual({r['parent'] in pids for r in rows if r['command'] == 'sleep 1000'}, {True})
        self.assertIn('has not so many ranks', self.ffctl('signal', 'USR1', job, '-r', 4, expect=None).stderr)
        self.assertIn('is none', self.ffctl('signal', 'USR9', job, expect=2).stderr)
        self.ffctl('signal', 'usr1', job, '-r', 3)
        self.assertEqual(self.ffctl('wait', job, expect=None).returncode, 7)
        self.assertIn('rank 3', self.ffctl('show', job).stdout)
        self.assertIn('does not run', self.ffctl('signal', 'USR1', job, expect=2).stderr)
        self.assertEqual(self.rows('ps', job), [])

    def test_a_node_that_does_not_answer_is_named(self):
        job = self.submit('-N', 2, '--', 'sleep', '1000')
        self.ffctl('wait', job, '--until', 'running')
        agents = [pid for pid, words in ffctl_run.processes_with(str(self.folder)).items()
                  if 'ffnoded' in words and 'node2' in words]
        self.assertEqual(len(agents), 1, ffctl_run.processes_with(str(self.folder)))
        os.kill(agents[0], signal.SIGSTOP)
        try:
            done = self.ffctl('ps', job, '--json', expect=None)
        finally:
            os.kill(agents[0], signal.SIGCONT)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('node node2: ', done.stderr)
        self.assertEqual({r['node'] for r in json.loads(done.stdout)['rows']}, {'node1'})

    def test_history_says_where_the_time_went(self):
        job = self.submit('-p', 'low', '-N', 2, '--', 'sh', '-c', 'test $FF_ATTEMPT = 2 || sleep 1000')
        self.ffctl('wait', job, '--until', 'running')
        by = self.submit('-p', 'high', '--', 'sleep', '0.3')
        self.ffctl('wait', job, by)
        attempts = self.rows('history', job)
        self.assertEqual([(r['attempt'], r['cause'], r['preempted_for']) for r in attempts],
                         [(1, 'preempted', by), (2, 'exited', None)])
        # It never said that it saved.
        self.assertEqual((attempts[0]['useful_ns'], attempts[1]['lost_ns']), (0, 0))
        self.assertGreater(attempts[0]['lost_ns'], 0)
        self.assertGreater(attempts[1]['waited_ns'], 0)
        total = self.rows('account', '--by', 'state', '--since', '1h')[-1]
        self.assertEqual(total['group'], 'total')
        self.assertGreater(total['lost_hours'], 0)
        self.assertLess(total['goodput_percent'], 100)
        self.assertGreaterEqual(total['preemptions'], 1)
        page = self.ffctl('describe', job).stdout
        for text in ('preempted', 'goodput', 'last events:', 'submitted'):
            self.assertIn(text, page)
        # What was known of it then: it had begun, and nobody had preempted it.
        self.assertIn('started', self.ffctl('explain', job, '--at', self.time_of(job, 'started')).stdout)
        self.assertIn('nothing is kept of it', self.ffctl('explain', job, '--at', '1h', expect=3).stderr)

    def test_top_and_tree(self):
        running = self.submit('-N', 1, '-J', 'shown', '--', 'sleep', '1000')
        self.ffctl('wait', running, '--until', 'running')
        waits = self.submit('-N', 2, '--', 'true')
        self.await_rows(lambda rows: [r['job'] for r in rows] == [waits], 'queue')
        sample = json.loads(self.ffctl('top', '--once', '--json').stdout)
        self.assertEqual((sample['nodes_busy'], sample['nodes_ready'], sample['gpus'], sample['gpus_held']), (1, 1, 16, 8))
        self.assertEqual([one['name'] for one in sample['running']], ['shown'])
        self.assertEqual([one['job'] for one in sample['waiting']], [waits])
        lines = self.ffctl('top', '-n', 2, '-d', '0.1s', '-o', 'jsonl').stdout.splitlines()
        self.assertEqual([json.loads(line)['schema'] for line in lines], ['ff.ctl.top/1'] * 2)
        text = self.ffctl('top', '-n', 1).stdout
        self.assertIn('GPUs: 8 of 16 held (50 %)', text)
        self.assertIn('shown', text)
        self.ffctl('top', '--once', '-n', 2, expect=2)
        tree = self.ffctl('node', 'tree').stdout
        self.assertIn('2 nodes: 1 busy, 1 ready, 0 out; 16 GPUs', tree)
        self.assertIn('`- node2', tree)
        self.assertNotIn('node2', self.ffctl('node', 'tree', '-b').stdout)
        self.assertEqual([(r['nodes'], r['busy']) for r in self.rows('node', 'tree')], [(2, 1)])

    def test_labels_are_given_and_taken(self):
        self.assertIn("no node has the label 'ib'", self.ffctl('submit', '--require', 'ib', '--', 'true', expect=8).stderr)
        self.ffctl('node', 'label', 'ib', 'node2')
        job = self.submit('--require', 'ib', '--', 'true')
        self.ffctl('wait', job)
        self.assertEqual(json.loads(self.ffctl('show', job, '--json').stdout)['attempts'][0]['nodes'], ['node2'])
        self.ffctl('node', 'label', 'ib', 'node2', '--remove')
        self.assertIn('has no label ib', self.ffctl('node', 'label', 'ib', 'node2', '--remove', expect=3).stderr)
        self.assertIn('without spaces', self.ffctl('node', 'label', 'a b', 'node2', expect=2).stderr)
        self.assertIn('reports, or has jobs', self.ffctl('node', 'forget', 'node1', expect=2).stderr)

    def test_a_list_shows_what_a_single_job_shows(self):
        job = self.submit('-N', 2, '-q', 'night', '-p', 'high', '--retry', 'none', '--', 'sh', '-c', 'exit 3')
        self.ffctl('wait', job, expect=3)
        listed = next(r for r in self.rows('ls', '-a') if r['job'] == job)
        self.assertEqual(listed, self.rows('ls', job)[0])
        self.assertEqual((listed['queue'], listed['attempts'], listed['exit_code'], listed['command']),
                         ('night', 1, 3, "sh -c 'exit 3'"))

    def time_of(self, job, kind):
        """Of its first event of the kind."""
        ms = next(r['time_ms'] for r in self.rows('events', job) if r['kind'] == kind)
        return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(
            timespec='milliseconds').replace('+00:00', 'Z')


if __name__ == '__main__':
    FFCTL = os.path.abspath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
