#!/usr/bin/env python3
"""What users may say of a job, and what is refused: files, scripts, options, limits, imports. A cluster of real processes.

usage: ffctl_submit_test.py FFCTL
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

FFCTL = None


class SubmitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffctl-submit-'))
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

    @classmethod
    def ffctl(cls, *arguments, expect=0, text=None, **environment):
        done = subprocess.run([FFCTL, *[a if isinstance(a, bytes) else str(a) for a in arguments]], capture_output=True,
                              timeout=90, env=dict(cls.environment, **environment), cwd=cls.folder,
                              input=text.encode() if text is not None else None, check=False)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode(errors='replace')
        if expect is not None and done.returncode != expect:
            raise AssertionError(f'ffctl {str(arguments)[:200]}: exit {done.returncode}, not {expect}: '
                                 f'{done.stdout[-1000:]}{done.stderr[-1000:]}')
        return done

    def write(self, name, text):
        file = self.folder / name
        file.write_text(text, encoding='utf-8')
        return file

    def refused(self, code, *arguments, **more):
        """The one line that says why."""
        lines = self.ffctl(*arguments, expect=code, **more).stderr.splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith('ffctl: '))
        return lines[0].removeprefix('ffctl: ')

    def job(self, job):
        return json.loads(self.ffctl('show', job, '--json').stdout)

    def test_options_go_over_the_file(self):
        file = self.write('job.yaml', 'name: from-file\npriority: low\nresources: {nodes: 2}\nrun: {command: [sh, -c, exit 5]}\n')
        job = self.ffctl('submit', file, '-N', 1, '-p', 'high', '--set', 'name=set', '-e', 'A=b', '-w', expect=5).stdout.strip()
        found = self.job(job)
        self.assertEqual((found['name'], found['priority'], found['nodes'], found['environment']['A']), ('set', 'high', 1, 'b'))
        self.assertEqual(self.ffctl('run', file, '-N', 1, '--', 'echo', 'instead').stdout, 'instead\n')

    def test_run_shows_a_script_with_its_arguments(self):
        file = self.write('go.sh', '#!/bin/sh\n#FF --nodes 2 -J "two-nodes" -e A=x\n#FF priority: high\necho $A "$@"\n')
        done = self.ffctl('run', file, '--rank', 'all', '--', 'b c', 'd')
        self.assertEqual([line.split()[-4:] for line in done.stdout.splitlines()], [['x', 'b', 'c', 'd']] * 2)
        self.assertEqual(self.job('two-nodes')['priority'], 'high')
        self.assertEqual(self.ffctl('run', '-', text='#!/bin/sh\necho from input\n').stdout, 'from input\n')

    def test_arrays_and_sweeps_of_a_command(self):
        numbers = self.ffctl('submit', '-a', '3-4', '-w', '--', 'echo', 'part-{i}').stdout.split()
        self.assertEqual([self.ffctl('logs', n).stdout for n in numbers], ['part-3\n', 'part-4\n'])
        numbers = self.ffctl('submit', '--sweep', 'lr=1,2', '--sweep', 'b=x', '-w', '--', 'echo', '{lr}-{b}').stdout.split()
        self.assertEqual([self.ffctl('logs', n).stdout for n in numbers], ['1-x\n', '2-x\n'])

    def test_what_is_wrong_is_said_before_a_master_is_looked_for(self):
        nowhere = {'FF_LOCAL_DIR': str(self.folder / 'nothing-here')}
        self.assertIn('command: is missing', self.refused(2, 'submit', **nowhere))
        self.assertIn('command: is missing', self.refused(2, 'run', **nowhere))
        self.assertIn("option '--nodes'", self.refused(2, 'submit', '-N', '0', '--', 'true', **nowhere))
        self.assertIn("option '--name': is not", self.refused(2, 'submit', '-J', 'a b', '--', 'true', **nowhere))
        self.assertIn("option '--depends': 'after_ok:1' is no dependency", self.refused(2, 'submit', '-d', 'after_ok:1', '--', 'true', **nowhere))
        self.assertIn('makes 2 jobs', self.refused(2, 'run', self.write('two.yaml', 'run: {command: [x]}\narray: {index: 0-1}\n'), **nowhere))
        self.assertIn('sweep.yaml:2: sweep: ', self.refused(
            2, 'submit', self.write('sweep.yaml', "run: {command: ['{a=b}']}\nsweep: {'a=b': 1}\n"), **nowhere))
        self.assertIn("s.sh:2: unknown option '--nodse' (did you mean '--nodes'?)", self.refused(
            2, 'submit', self.write('s.sh', '#!/bin/sh\n#FF --nodse 4\n'), **nowhere))
        self.refused(3, 'submit', self.folder / 'none.yaml', **nowhere)

    def test_what_no_job_may_be(self):
        self.assertIn('at most 131072 are taken', self.refused(2, 'submit', '--', 'echo', *['x' * 100_000] * 10))
        self.assertIn('at most 131072 are taken', self.refused(2, 'submit', '-', text='#!/bin/sh\n' + '#' * 1_000_000))
        self.assertIn('is longer than 1048576 bytes', self.refused(2, 'submit', '-', text='a' * 1_100_000))
        self.assertIn("option '--name': is not", self.refused(2, 'submit', '-J', b'\xff\xfe', '--', 'true'))
        self.assertIn('run.command: byte 0 is no UTF-8 text', self.refused(2, 'submit', '--', 'echo', b'\xff'))
        self.assertIn("option '--env': byte 1 is no UTF-8", self.refused(2, 'submit', '-e', b'A=x\xff', '--', 'true'))
        self.assertIn('has zero bytes', self.refused(2, 'submit', '-', text='name: a\0b\n'))

    def test_what_this_cluster_can_never_run(self):
        self.assertIn('3 are asked for, the cluster has 2', self.refused(8, 'submit', '-N', 3, '--', 'true'))
        self.assertIn('9 are asked for, no node has more than 8', self.refused(8, 'submit', '-G', 9, '--', 'true'))
        self.assertIn("no node has the label 'infiniband'", self.refused(8, 'submit', '--require', 'infiniband', '--', 'true'))
        self.assertIn("there is no node 'node9'", self.refused(8, 'submit', '--only', 'node9', '--', 'true'))
        self.assertIn('no node has more than', self.refused(8, 'submit', '--dry-run', '--memory', '900TiB', '--', 'true'))

    def test_an_imported_job_runs(self):
        script = '#!/bin/bash\n#SBATCH -N 2 --ntasks-per-node=2 -J imported\n#SBATCH --mail-user=a@b.c\nsrun echo rank $SLURM_PROCID\n'
        done = self.ffctl('import', 'slurm', '-', text=script, expect=9)
        self.assertIn('standard input:3: --mail-user: no mail is sent', done.stderr)
        shown = self.ffctl('run', '-', '--rank', 'all', text=done.stdout).stdout
        self.assertEqual(sorted(line.split()[-1] for line in shown.splitlines()), ['0', '1', '2', '3'])
        self.refused(2, 'import', 'hai', '-', text='version: 1\n')
        self.refused(2, 'import', 'slurm', '-', text='echo\n')

    def test_events_use_the_words(self):
        job = self.ffctl('submit', '-p', 'above-normal', '--retry', 'none', '-w', '--', 'sh', '-c', 'exit 3', expect=3).stdout.strip()
        events = self.ffctl('events', job).stdout
        self.assertIn('failed, exit code 3', events)
        self.assertIn('rank-failed', events)
        self.assertNotIn('RANK_FAILED', events)


if __name__ == '__main__':
    FFCTL = os.path.abspath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
