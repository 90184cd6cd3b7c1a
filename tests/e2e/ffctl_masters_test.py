#!/usr/bin/env python3
"""Two ffctld over a real etcd: one leads; when it dies, or stands still, the other goes on, and what runs is not touched. The
old one can do nothing when it wakes up.

usage: ffctl_masters_test.py FOLDER-OF-FFCTL FOLDER-OF-ETCD_CLUSTER.PY
"""

import os
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ffctl_daemons import Daemons  # noqa: E402

FOLDER = None
NODES = 4


class MastersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from etcd_cluster import Cluster
        cls.etcd = Cluster(members=1)
        cls.addClassCleanup(cls.etcd.__exit__, None, None, None)
        cls.etcd.__enter__()
        cls.c = Daemons(FOLDER, NODES, 60, etcd=cls.etcd.endpoints, masters=2)
        cls.addClassCleanup(cls.c.remove)

    def leads(self, master):
        """Which one answers as the leader, asked by its own socket alone."""
        sockets, self.c.sockets = self.c.sockets, [self.c.sockets[master]]
        try:
            return self.c.ffctl('ls', '--timeout', '500ms', expect=None).returncode == 0
        finally:
            self.c.sockets = sockets

    def leader(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for master in (0, 1):
                if self.c.masters[master].process.poll() is None and self.leads(master):
                    return master
        raise AssertionError('nobody leads')

    def take_over(self, strike):
        old = self.leader()
        other = 1 - old
        running = [self.c.submit(60, 0, '-N', 1, '-G', 2) for _ in range(NODES)]
        for job in running:
            self.c.ffctl('wait', job, '--until', 'running', '--within', '60s')
        # Load: submissions go on all the time, and each that was acknowledged is there afterwards.
        acknowledged, stop = [], threading.Event()

        def submit():
            while not stop.is_set():
                done = self.c.ffctl('submit', '-G', 1, '--', 'true', expect=None)
                if done.returncode == 0:
                    acknowledged.append(int(done.stdout))
        load = [threading.Thread(target=submit) for _ in range(2)]
        for thread in load:
            thread.start()
        try:
            time.sleep(0.5)
            began = time.monotonic()
            strike(old)
            self.c.until(lambda: self.leads(other), 'the other one leads', within=60)
            took = time.monotonic() - began
            time.sleep(0.5)
        finally:
            stop.set()
            for thread in load:
                thread.join()
        print(f'{strike.__name__}: the other one leads after {took:.2f} s, {len(acknowledged)} submissions meanwhile', flush=True)
        return old, other, running, acknowledged

    def check(self, running, acknowledged):
        self.c.ffctl('wait', *running, *acknowledged, '--within', '120s', timeout=150)
        for job in running:
            self.assertEqual(len(self.c.job(job)['attempts']), 1, 'it was touched')
            self.assertEqual([step for _, step in self.c.steps(job, 0)], list(range(1, 61)))
        self.assertEqual(self.c.twice(), [])

    def test_killed(self):
        def killed(master):
            self.c.masters[master].kill()
        old, _, running, acknowledged = self.take_over(killed)
        self.check(running, acknowledged)
        self.c.masters[old].start()

    def test_stopped_and_woken_up(self):
        def stopped(master):
            self.c.masters[master].signal(signal.SIGSTOP)
        old, other, running, acknowledged = self.take_over(stopped)
        self.c.masters[old].signal(signal.SIGCONT)
        # It neither leads nor takes anything, from its first moment on.
        end = time.monotonic() + 3
        while time.monotonic() < end:
            self.assertFalse(self.leads(old))
        self.assertTrue(self.leads(other))
        self.check(running, acknowledged)


if __name__ == '__main__':
    FOLDER = os.path.abspath(sys.argv[1])
    sys.path.insert(0, sys.argv[2])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
