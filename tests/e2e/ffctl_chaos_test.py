#!/usr/bin/env python3
"""Eight nodes and a stream of jobs; in each round something dies, stops, is cut off or has no disk. No job is lost or runs
twice, each ends as it should, and nothing is left.

usage: ffctl_chaos_test.py FOLDER-OF-FFCTL [--rounds N] [--seed S] [--keep]
"""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ffctl_daemons import Daemons  # noqa: E402

NODES = 8
FAILURE_TIMEOUT = 4


class Chaos:
    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.c = Daemons(folder, NODES, FAILURE_TIMEOUT)
        self.jobs = {}  # number -> (ranks, steps, exit code)
        self.shot = set()  # jobs of which a rank, or the process beside it, was killed
        self.times = collections.defaultdict(list)

    def submit(self):
        r = self.random
        nodes, steps, code = r.choice((1, 1, 1, 2, 3, 5)), r.randint(3, 25), r.choice((0, 0, 0, 3))
        options = ['-N', nodes, '-p', r.choice(('idle', 'low', 'normal', 'high', 'very-high'))]
        if nodes == 1:
            options += ['-G', r.choice((1, 4, 8))]
        self.jobs[self.c.submit(steps, code, *options)] = (nodes, steps, code)

    # ---- faults: each gives what it did ----

    def some(self):
        return self.random.sample(range(NODES), self.random.choice((1, 1, 2, 3)))

    def kill_master(self):
        self.c.masters[0].kill()

    def stop_master(self):
        self.c.masters[0].signal(signal.SIGSTOP)

    def kill_agents(self):
        for node in self.some():
            self.c.nodes[node].kill()

    def stop_agents(self):
        for node in self.some():
            self.c.nodes[node].signal(signal.SIGSTOP)

    def cut_nodes(self):
        for node in self.some():
            self.c.cut(node)

    def full_disk(self):
        self.c.fill()

    def signal_rank(self, number, beside=False):
        ranks = self.c.ranks()
        if not ranks:
            return
        pid = self.random.choice(ranks)
        with contextlib.suppress(OSError, StopIteration):
            entries = pathlib.Path(f'/proc/{pid}/environ').read_bytes().split(b'\0')
            job = int(next(e for e in entries if e.startswith(b'FF_JOB=')).split(b'=')[1])
            if number == signal.SIGKILL:
                self.shot.add(job)
            if beside:
                pid = int(pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[1])
                if b'ffrank' not in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes():
                    return
            os.kill(pid, number)

    def kill_rank(self):
        self.signal_rank(signal.SIGKILL)

    def stop_rank(self):
        self.signal_rank(signal.SIGSTOP)

    def kill_beside_rank(self):
        self.signal_rank(signal.SIGKILL, beside=True)

    def kill_all(self):
        for daemon in self.c.masters + self.c.nodes:
            daemon.kill()

    # ---- a round ----

    def round(self, number):
        for _ in range(self.random.randint(1, 4)):
            self.submit()
        time.sleep(self.random.uniform(0, 0.6))
        fault = self.random.choice((self.kill_master, self.stop_master, self.kill_agents, self.stop_agents, self.cut_nodes,
                                    self.kill_rank, self.stop_rank, self.kill_beside_rank, self.full_disk, self.kill_all))
        # Now and then long enough for nodes to be lost.
        lasting = self.random.choice((0.2, 0.5, 1, 1, FAILURE_TIMEOUT + 2))
        if fault in (self.kill_rank, self.kill_beside_rank):
            lasting = 0
        print(f'round {number}: {fault.__name__} for {lasting} s', flush=True)
        fault()
        time.sleep(lasting)
        healed = time.monotonic()
        self.c.heal()
        self.c.until(lambda: self.c.ready() == NODES, f'round {number}: all nodes are there again')
        # And do as they are told: one more job, before all others.
        self.c.ffctl('submit', '-p', 'very-high', '-G', 1, '--wait', '--', 'true')
        self.times[fault.__name__].append(time.monotonic() - healed)
        self.check_so_far()

    def check_so_far(self):
        if twice := self.c.twice():
            raise AssertionError(f'ran twice at once: {twice}')

    def check_job(self, job):
        ranks, steps, code = self.jobs[job]
        found = self.c.job(job)
        expected = {code} | ({137, 143} if job in self.shot else set())
        if found['state'] not in ('succeeded', 'failed') or found['exit_code'] not in expected:
            raise AssertionError(f'job {job}: {found["state"]} with {found["exit_code"]}, not {expected}: {found}')
        if found['exit_code'] != code:
            return
        # Where the first rank that ends fails the job, the others are ended before their last step.
        made = [len(self.c.steps(job, rank)) for rank in range(ranks)]
        if (min(made) if code == 0 else max(made)) != steps:
            raise AssertionError(f'job {job}: {made} steps, not {steps}')
        for rank in range(ranks):
            seen = self.c.steps(job, rank)
            if [step for _, step in seen] != list(range(1, made[rank] + 1)):
                raise AssertionError(f'job {job} rank {rank}: steps {seen}')
            if [a for a, _ in seen] != sorted(a for a, _ in seen):
                raise AssertionError(f'job {job} rank {rank}: an earlier attempt wrote after a later one: {seen}')

    def check_end(self):
        jobs = sorted(self.jobs)
        self.c.ffctl('wait', *jobs, '--within', '180s', expect=None, timeout=200)
        self.check_so_far()
        for job in jobs:
            self.check_job(job)
        self.c.until(lambda: not self.c.ranks(), 'no process is left')
        for kind in ('attempts', 'pages'):
            self.c.until(lambda kind=kind: not list(self.c.folder.glob(f'nodes/*/{kind}/*')), f'no folder is left of {kind}')
        drained = [row for row in self.c.rows('node', 'ls') if row['state'] not in ('ready', 'busy')]
        if drained:
            raise AssertionError(f'nodes that are not ready: {drained}')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('folder')
    parser.add_argument('--rounds', type=int, default=6)
    parser.add_argument('--seed', type=int, default=None)
    parser.add_argument('--keep', action='store_true', help='leave everything as it is where a check fails')
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f'seed {seed}: {sys.argv[0]} {options.folder} --rounds {options.rounds} --seed {seed}', flush=True)
    chaos = Chaos(os.path.abspath(options.folder), seed)
    try:
        for number in range(options.rounds):
            chaos.round(number)
        chaos.check_end()
    except BaseException:
        if options.keep:
            print(f'kept: {chaos.c.folder}', flush=True)
            os._exit(1)
        for log in sorted(chaos.c.folder.glob('*.log')):
            print(f'---- {log.name}\n{log.read_text()[-1500:]}', file=sys.stderr)
        chaos.c.remove()
        raise
    chaos.c.remove()
    for fault, times in sorted(chaos.times.items()):
        times.sort()
        print(f'{fault}: {len(times)} times, all nodes ready and an urgent job done after {times[len(times) // 2]:.2f} s (median), '
              f'{times[-1]:.2f} s (most)')
    print(f'{len(chaos.jobs)} jobs, {options.rounds} rounds: none lost, none run twice')


if __name__ == '__main__':
    main()
