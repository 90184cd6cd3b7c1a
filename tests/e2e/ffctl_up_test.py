#!/usr/bin/env python3
"""Bringing a cluster with a file system up and down on this machine, also when that is killed half-way.

usage: ffctl_up_test.py FFCTL FFS
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import ffctl_run

FFCTL = None
FFS = None


class Home:
    """A folder for a local cluster, which is empty and without processes in the end."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffctl-up-'))
        self.home = self.folder / 'c'
        self.environment = dict(os.environ, FF_LOCAL_DIR=str(self.home))
        for name in ('FF_LOG', 'FF_MASTER', 'FF_KEY', 'FF_CLUSTER'):
            self.environment.pop(name, None)

    def ffctl(self, *arguments, expect=0, timeout=120):
        return ffctl_run.run(FFCTL, arguments, environment=self.environment, folder=self.folder, expect=expect,
                             timeout=timeout)

    def rows(self, *arguments):
        return json.loads(self.ffctl(*arguments, '--json').stdout)['rows']

    def processes(self):
        return ffctl_run.processes_with(str(self.folder))

    def wait_for_none(self, seconds=60):
        end = time.monotonic() + seconds
        while left := self.processes():
            if time.monotonic() > end:
                raise AssertionError(f'processes are left: {left}')
            time.sleep(0.05)

    def remove(self):
        self.ffctl('down', '--force', expect=None)
        self.wait_for_none()
        shutil.rmtree(self.folder)


class UpTest(unittest.TestCase):
    def setUp(self):
        self.h = Home()
        self.addCleanup(self.h.remove)

    def test_jobs_have_a_file_system_that_outlives_the_cluster(self):
        first = self.h.rows('up', '--local', '--nodes', 3)
        self.assertEqual([row['state'] for row in first], ['started'] * 5)
        self.assertEqual(self.h.rows('status')[0]['ffs'], 'healthy')
        self.h.ffctl('run', '--', 'sh', '-c', 'echo "from $FF_JOB" | ffs put - /text')
        again = self.h.rows('up', '--local')
        self.assertEqual([row['pid'] for row in again], [row['pid'] for row in first])
        self.h.ffctl('up', '--local', '--no-ffs', expect=2)
        self.h.ffctl('down')
        self.h.wait_for_none()
        self.h.ffctl('up', '--local')
        self.assertEqual(self.h.ffctl('run', '--', 'ffs', 'cat', '/text').stdout, 'from 1\n')
        os.kill(int((self.h.home / 'ffs.pid').read_text().split()[0]), signal.SIGKILL)
        end = time.monotonic() + 60
        while self.h.rows('status')[0]['ffs'] == 'healthy' and time.monotonic() < end:
            time.sleep(0.1)
        self.h.ffctl('up', '--local')
        self.assertEqual(self.h.ffctl('run', '--', 'ffs', 'cat', '/text').stdout, 'from 1\n')
        self.h.ffctl('down', '--purge', '--yes')
        self.assertFalse(self.h.home.exists())
        self.h.wait_for_none()

    def findings(self, expect):
        done = json.loads(self.h.ffctl('doctor', '--json', expect=expect).stdout)
        return done, {(row['area'], row['object'], row['verdict']): row for row in done['rows'] if row['verdict'] != 'ok'}

    def test_doctor_says_what_is_wrong_and_what_to_do(self):
        _, found = self.findings(5)
        self.assertIn('ffctl up --local', found['master', 'answer', 'wrong']['fix'])
        self.h.ffctl('up', '--local', '--nodes', 2)
        done, found = self.findings(0)
        self.assertEqual(done['wrong'], 0)
        # Where the tests run, cgroups may not be ours to make.
        self.assertEqual([row for row in found.values() if 'cgroups' not in row['measured']], [])
        self.h.ffctl('node', 'drain', 'node2', '--reason', 'fan broken')
        os.kill(int((self.h.home / 'nodes/node1.pid').read_text().split()[0]), signal.SIGKILL)
        os.kill(int((self.h.home / 'ffs.pid').read_text().split()[0]), signal.SIGKILL)
        (self.h.home / 'key').chmod(0o644)
        self.addCleanup((self.h.home / 'key').chmod, 0o600)
        end = time.monotonic() + 60
        while True:
            done, found = self.findings(1)
            if ('ffs', str(self.h.home / 'ffs'), 'wrong') in found or time.monotonic() > end:
                break
        self.assertIn('ffctl up --local', found['local', 'node1', 'wrong']['fix'])
        self.assertIn('chmod 600', found['client', str(self.h.home / 'key'), 'wrong']['fix'])
        self.assertIn(('ffs', str(self.h.home / 'ffs'), 'wrong'), found)
        reasons = [row['measured'] for row in done['rows'] if row['object'] == 'node2']
        self.assertTrue(any('fan broken' in reason for reason in reasons), reasons)
        self.assertTrue(all(row['fix'] for row in found.values()))

    def test_without_a_file_system(self):
        self.h.ffctl('up', '--local', '--nodes', 1, '--no-ffs')
        self.assertIsNone(self.h.rows('status')[0]['ffs'])
        self.assertFalse((self.h.home / 'ffs').exists())
        self.assertEqual(self.h.ffctl('run', '--', 'sh', '-c', 'echo "[$FF_CLUSTER]"').stdout, '[]\n')

    def test_a_killed_up_is_gone_on_with_or_undone(self):
        seed = int(os.environ.get('FF_TEST_SEED', '1'))
        chance = random.Random(seed)
        for i in range(6):
            with self.subTest(round=i, seed=seed):
                victim = subprocess.Popen([FFCTL, 'up', '--local', '--nodes', '2'], env=self.h.environment,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                # From before anything is there to when it waits for the nodes.
                time.sleep(chance.uniform(0, 0.5))
                victim.kill()
                victim.wait()
                if i % 2 == 0:
                    self.h.ffctl('up', '--local', '--nodes', 2)
                    self.assertEqual(self.h.rows('status')[0]['ffs'], 'healthy')
                    self.h.ffctl('run', '-N', 2, '--', 'true')
                self.h.ffctl('down', '--purge', '--yes')
                self.h.wait_for_none()


if __name__ == '__main__':
    FFCTL, FFS = map(os.path.abspath, sys.argv[1:3])
    del sys.argv[1:3]
    unittest.main()
