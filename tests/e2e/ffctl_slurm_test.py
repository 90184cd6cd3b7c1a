#!/usr/bin/env python3
"""ffctl with an existing Slurm as its executor, and the same commands on a cluster of its own: the answers agree.

usage: ffctl_slurm_test.py FFCTL
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

import ffctl_run
import slurm_cluster

FFCTL = None


class Ffctl:
    """The command line against one cluster."""

    def __init__(self, environment, folder):
        self.environment, self.folder = environment, folder

    def __call__(self, *arguments, expect=0, timeout=120, **others):
        return ffctl_run.run(FFCTL, arguments, environment=self.environment, folder=self.folder, expect=expect,
                             timeout=timeout, **others)

    def submit(self, *arguments):
        return int(self('submit', *arguments).stdout.split()[0])

    def rows(self, *arguments):
        return [json.loads(line) for line in self(*arguments, '-o', 'jsonl').stdout.splitlines()]

    def until(self, job, *states, within=60):
        end = time.monotonic() + within
        while (row := self.rows('ls', job)[0])['state'] not in states:
            if time.monotonic() > end:
                raise AssertionError(f'job {job}: is {row["state"]}, not {states}: {row}')
            time.sleep(0.05)
        return row


def base_environment(folder):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('FF_', 'SLURM_', 'SBATCH_', 'SRUN_'))}
    environment['XDG_STATE_HOME'] = str(folder)
    return environment


class SlurmTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffctl-slurm-'))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        # Else Slurm queues what it can never run.
        cls.slurm = slurm_cluster.SlurmCluster(nodes=3, gpus=2, settings=['EnforcePartLimits=ANY'])
        cls.addClassCleanup(cls.slurm.stop)
        environment = base_environment(cls.folder)
        environment.update(FF_EXECUTOR='slurm', SLURM_CONF=str(cls.slurm.config))
        cls.f = Ffctl(environment, cls.folder)

    def tearDown(self):
        jobs = [row['job'] for row in self.f.rows('ls')]
        if jobs:
            self.f('stop', '--force', *jobs)
            self.f('wait', *jobs, '--within', '60s', expect=None)

    def test_run_ends_as_the_job_does(self):
        done = self.f('run', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7', expect=7)
        self.assertEqual(sorted(done.stdout.split()), ['err', 'out'])
        self.assertIn('exit code 7', done.stderr)
        self.f('run', '--', 'sh', '-c', 'kill -9 $$', expect=137)
        self.f('run', '--', 'true')
        self.f('run', '--', 'no-such-program', expect=127)

    def test_ranks_know_their_places_and_logs_tell_them_apart(self):
        done = self.f('run', '-N', 2, '-R', 2, '--rank', 'all', '-e', 'A=b  c', '--', 'sh', '-c',
                      'echo "$RANK/$WORLD_SIZE $LOCAL_RANK $FF_NODE_RANK/$FF_NODES $FF_NODE_LIST $MASTER_ADDR ${#HFR_TOKEN} $A"')
        lines = sorted(done.stdout.splitlines())
        self.assertEqual(len(lines), 4, done.stdout)
        for rank, line in enumerate(lines):
            self.assertRegex(line, rf'^\[{rank}\] {rank}/4 {rank % 2} {rank // 2}/2 n\d,n\d 127.0.0.1 32 b  c$')
        self.assertEqual(self.f('logs', 'last', '-r', '3').stdout, lines[3].removeprefix('[3] ') + '\n')
        # The other ranks of a job of which one fails do not go on.
        start = time.monotonic()
        self.f('run', '-N', 2, '--', 'sh', '-c', '[ $FF_RANK = 0 ] && exit 3; exec sleep 600', expect=3)
        self.assertLess(time.monotonic() - start, 120)

    def test_no_word_of_a_job_reaches_a_shell(self):
        words = ['$(touch bad)', '`touch bad`', '; touch bad', "'; touch bad; '", '\n#SBATCH --uid=1\ntouch bad\n', '\r\n', 'é']
        done = self.f('run', '-l', 'k=$(touch bad)', '-e', 'A=$(touch bad)', '--', 'printf', '%s|', *words)
        self.assertEqual(done.stdout.encode(), ''.join(f'{word}|' for word in words).encode().replace(b'\r\n', b'\n')
                         if '\r' not in done.stdout else ''.join(f'{word}|' for word in words).encode())
        self.assertFalse((self.folder / 'bad').exists())
        self.f('submit', '-J', 'a b', '--', 'true', expect=2)
        self.f('submit', '-q', 'main --uid=1', '--', 'true', expect=2)

    def test_suspended_jobs_are_told_and_go_on(self):
        job = self.f.submit('-J', 'saves', '--', 'sh', '-c',
                            'trap "echo saved $FF_ATTEMPT; exit 0" TERM; echo start $FF_ATTEMPT; '
                            'if [ $FF_ATTEMPT = 2 ]; then exit 4; fi; while :; do sleep 0.05; done')
        self.f.until(job, 'running')
        self.wait_for_log(job, 'start 1')
        self.f('suspend', job)
        self.f('wait', job, '--until', 'suspended', '--within', '60s')
        self.assertIn('saved 1\n', self.f('logs', f'{job}@1').stdout)
        self.f('resume', job)
        # Slurm would wait for two minutes.
        self.slurm.slurm('scontrol', 'update', f'JobId={job}', 'StartTime=now+3')
        self.f('wait', job, '--within', '60s', expect=4)
        self.assertEqual(self.f('logs', job).stdout, 'start 2\n')
        self.assertEqual(self.f.rows('ls', job)[0]['attempts'], 2)

    def wait_for_log(self, job, line):
        end = time.monotonic() + 60
        while line not in self.f('logs', job, expect=None).stdout:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_selectors_labels_and_dependencies(self):
        first = self.f.submit('-J', 'first', '-l', 'k=v', '-H', '-p', 'low', '--', 'true')
        second = self.f.submit('-d', f'after-ok:{first}', '--', 'true')
        self.assertEqual(self.f.until(first, 'held')['priority'], 'low')
        self.f.until(second, 'depends')
        self.assertEqual([row['job'] for row in self.f.rows('ls', 'label:k=v')], [first])
        self.f('release', 'first')
        self.f('wait', 'first', second, '--within', '60s')
        bad = self.f.submit('--', 'false')
        refused = self.f.submit('-d', f'after-ok:{bad}', '--', 'true')
        self.f('wait', bad, '--within', '60s', expect=1)
        self.f.until(refused, 'refused')
        self.f('submit', '-d', 'after-ok:4000000000', '--', 'true', expect=3)
        self.f('submit', '-d', 'after-ok:99999999999', '--', 'true', expect=3)

    def test_an_array_is_all_or_none_and_keeps_its_limit(self):
        file = self.folder / 'array.yaml'
        file.write_text('ffjob: 1\nname: array\nresources: {cpus_per_node: 1}\n'
                        'run: {command: [sh, -c, "echo $FF_ARRAY_INDEX {i}; exit {i}"]}\narray: {index: 0-4%2}\n')
        jobs = [int(line) for line in self.f('submit', file).stdout.split()]
        self.assertEqual(len(jobs), 5)
        self.f('wait', *jobs, '--within', '90s', expect=1)
        self.assertEqual([row['exit_code'] for row in self.f.rows('ls', *jobs)], [0, 1, 2, 3, 4])
        self.assertEqual(self.f('logs', jobs[3]).stdout, '3 3\n')
        file.write_text('ffjob: 1\nname: array\nresources: {nodes: 9}\nrun: {command: [echo, "{i}"]}\n'
                        'array: {index: 0-4}\n')
        self.f('submit', file, expect=8)
        self.assertEqual(self.f.rows('ls'), [])

    def test_what_slurm_cannot_do_is_said(self):
        self.assertIn('preemption.budget', self.f('submit', '--budget', 3, '--', 'true', expect=2).stderr)
        self.assertIn('time.no_output', self.f('submit', '--no-output', '5m', '--', 'true', expect=2).stderr)
        self.assertIn('reason', self.f('stop', '--reason', 'why', self.f.submit('-H', '--', 'true'), expect=2).stderr)
        self.assertIn('slurm', self.f('events', expect=2).stderr)
        self.f('submit', '-N', 9, '--', 'true', expect=8)
        self.f('submit', '-G', 9, '--', 'true', expect=8)
        self.f('submit', '--require', 'no-such-label', '--', 'true', expect=8)
        self.f('show', 123456, expect=3)
        self.f('hold', self.f.submit('--', 'sleep', '60'), 'no-such-name', expect=3)

    def test_nodes(self):
        self.assertEqual([(row['node'], row['gpus'], row['cpus']) for row in self.f.rows('node', 'ls')],
                         [(f'n{i}', 2, 4) for i in range(3)])
        self.f('node', 'drain', 'n1', '--reason', 'fan is | loud')
        row = self.f.rows('node', 'show', 'n1')[0]
        self.assertEqual((row['state'], row['reason']), ('drained', 'fan is | loud'))
        self.f('node', 'undrain', 'n1')
        end = time.monotonic() + 60
        while self.f.rows('node', 'show', 'n1')[0]['state'] != 'ready':  # Slurm asks it first
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        self.f('node', 'show', 'nowhere', expect=3)
        self.assertEqual(json.loads(self.f('status', '--json').stdout)['rows'][0]['nodes_ready'], 3)

    def test_jobs_of_others_with_hostile_names(self):
        name = 'x\n17|COMPLETED|~0123456789abcdef~\n999'
        done = self.slurm.slurm('sbatch', '--parsable', '-H', '-J', name, '--comment=ffctl:1:!!', input='#!/bin/sh\nexit 3\n')
        job = int(done.stdout)
        row = self.f.rows('ls', job)[0]
        self.assertEqual((row['name'], row['state']), (name, 'held'))
        self.f('release', job)
        self.f('wait', job, '--within', '60s', expect=3)

    def test_a_cluster_file_says_it_too(self):
        file = self.folder / 'cluster.yaml'
        file.write_text(f'executor: slurm\nslurm:\n  conf: {self.slurm.config}\n  logs: {self.folder}/other logs\n')
        environment = base_environment(self.folder)
        other = Ffctl(environment, self.folder)
        self.assertEqual(other('run', '--cluster', file, '--', 'echo', 'yes').stdout, 'yes\n')
        self.assertTrue(list((self.folder / 'other logs').glob('*.0.log')))
        file.write_text('executor: slurm\nslurm:\n  partitoin: x\n')
        self.assertIn('did you mean', other('ls', '--cluster', file, expect=2).stderr)
        # Nobody there.
        environment.update(FF_EXECUTOR='slurm', SLURM_CONF=str(self.folder / 'nowhere.conf'))
        other('ls', expect=5)
        other('ls', '--executor', 'own', expect=5)
        environment['FF_SLURM_BIN'] = str(self.folder / 'nowhere')
        self.assertIn('FF_SLURM_BIN', other('ls', expect=5).stderr)


# The same words to both; what they print in the end must be the same.
STORY = [
    (['-J', 'good', '--', 'true'], 0),
    (['-J', 'bad', '-p', 'low', '--', 'sh', '-c', 'exit 7'], 7),
    (['-J', 'killed', '-l', 'k=v', '--', 'sh', '-c', 'kill -9 $$'], 137),
    (['-J', 'wide', '-N', 2, '-R', 2, '--', 'sh', '-c', 'exit $((FF_RANK == 3 ? 5 : 0))'], 5),
    (['-J', 'missing', '--', 'no-such-program'], 127),
    (['-J', 'part', '--cpus-per-node', 1, '--', 'true'], 0),
    (['-J', 'stopped', '--', 'sleep', 600], 20),
]
SHARED = ('name', 'priority', 'state', 'nodes', 'gpus_per_node', 'exit_code', 'where', 'phase', 'attempts', 'preemptions',
          'command')


class SameAnswersTest(unittest.TestCase):
    def tell(self, f):
        jobs = [f.submit(*words) for words, _ in STORY]
        f.until(jobs[-1], 'running', within=90)
        f('stop', jobs[-1])
        codes = [f('wait', job, '--within', '90s', expect=None).returncode for job in jobs]
        held = f.submit('-J', 'held', '-H', '--', 'true')
        follows = f.submit('-J', 'follows', '-d', f'after-ok:{jobs[0]}', '--', 'true')
        late = f.submit('-J', 'late', '--begin', '1h', '--', 'true')
        f('wait', follows, '--within', '90s')
        waits = [f('hold', jobs[0], expect=None).returncode, f('resume', 999999, expect=None).returncode,
                 f('show', 'nobody', expect=None).returncode, f('submit', '-N', 99, '--', 'true', expect=None).returncode,
                 f('wait', held, '--within', '200ms', expect=None).returncode, f('stop', jobs[0], expect=None).returncode]
        rows = [{key: row[key] for key in SHARED} for row in f.rows('ls', '-a')]
        f('stop', held, late)
        return codes, waits, rows

    def test_a_slurm_and_a_cluster_of_ones_own(self):
        with tempfile.TemporaryDirectory(prefix='ffctl-same-') as folder, slurm_cluster.SlurmCluster(
                nodes=3, settings=['EnforcePartLimits=ANY']) as slurm:
            environment = base_environment(folder)
            environment.update(FF_EXECUTOR='slurm', SLURM_CONF=str(slurm.config))
            theirs = self.tell(Ffctl(environment, folder))
            environment = base_environment(folder)
            environment['FF_LOCAL_DIR'] = folder + '/own'
            own = Ffctl(environment, folder)
            own('up', '--local', '--nodes', 3, '--no-ffs')
            try:
                ours = self.tell(own)
            finally:
                own('down', '--force')
        self.assertEqual(theirs[0], ours[0])
        self.assertEqual(theirs[0], [code for _, code in STORY])
        self.assertEqual(theirs[1], ours[1])
        self.assertEqual(theirs[2], ours[2])


def main():
    global FFCTL
    why = slurm_cluster.missing()
    if why is not None:
        print(f'skipped: {why}')
        sys.exit(77)
    FFCTL = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main(argv=sys.argv)


if __name__ == '__main__':
    main()
