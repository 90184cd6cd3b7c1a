#!/usr/bin/env python3
"""ffs put, get and cp on a file system of real processes: what they keep, what they never touch, what an end in between leaves.

usage: ffs_copies_test.py FFS
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
import ffs_cluster  # noqa: E402
from ffs_cluster import Cluster, pattern  # noqa: E402


class Copies(unittest.TestCase):
    """put, get and cp: what they keep, what they never touch, and that they can be repeated."""

    @classmethod
    def setUpClass(cls):
        cls.fs = Cluster('--chains', '2')

    @classmethod
    def tearDownClass(cls):
        cls.fs.remove()

    def setUp(self):
        self.here = pathlib.Path(tempfile.mkdtemp(dir=self.fs.folder))
        self.there = '/' + self.here.name
        self.fs.ffs('mkdir', self.there)

    def source(self):
        """A tree with a folder that its owner may not write in, a file, a program and a link."""
        top = self.here / 'corpus'
        (top / 'deep' / 'shut').mkdir(parents=True)
        (top / 'deep' / 'run').write_bytes(b'#!/bin/true')
        (top / 'deep' / 'run').chmod(0o750)
        (top / 'deep' / 'shut' / 'f').write_bytes(b'kept')
        (top / 'link').symlink_to('deep/run')
        (top / 'deep' / 'shut').chmod(0o555)
        (top / 'deep').chmod(0o711)
        top.chmod(0o750)
        return top

    def modes(self, path):
        return [self.fs.mode(f'{path}{below}') for below in ('', '/deep', '/deep/shut', '/deep/run')]

    WANTED = ['drwxr-x---', 'drwx--x--x', 'dr-xr-xr-x', '-rwxr-x---']

    def interrupt(self, process, sign):
        """Ctrl-C, once `sign` is true."""
        end = time.monotonic() + 60
        while not sign() and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20), 130)

    def test_ctrl_c_leaves_no_part_of_a_file(self):
        put = self.fs.popen('put', '-', self.there + '/big', stdin=subprocess.PIPE)
        put.stdin.write(pattern(1, 20 << 20))
        put.stdin.flush()  # and no end: it waits for more
        self.interrupt(put, lambda: self.fs.names(self.there))
        put.stdin.close()
        self.assertEqual(self.fs.names(self.there), [])

    def test_a_tree_keeps_its_modes(self):
        self.fs.ffs('put', '-r', self.source(), self.there)
        self.assertEqual(self.modes(self.there + '/corpus'), self.WANTED)
        self.fs.ffs('cp', '-r', self.there + '/corpus', self.there + '/copy')
        self.assertEqual(self.modes(self.there + '/copy'), self.WANTED)
        self.fs.ffs('get', '-r', self.there + '/copy', self.here / 'back', umask=0o022)
        back = [oct((self.here / 'back' / below).stat().st_mode & 0o777) for below in ('', 'deep', 'deep/shut', 'deep/run')]
        self.assertEqual(back, ['0o750', '0o711', '0o555', '0o750'])

    def test_copies_can_be_repeated(self):
        ann = self.fs.for_user(4711)
        self.fs.ffs('chmod', '777', self.there)
        source = self.source()
        self.here.chmod(0o755)
        for path in [source, *source.rglob('*')]:
            os.chown(path, 4711, 4711, follow_symlinks=False)
        os.chown(self.here, 4711, 4711)
        self.fs.folder.chmod(0o755)
        back = self.here / 'back'
        back.mkdir()
        os.chown(back, 4711, 4711)
        a, b = self.there + '/a', self.there + '/b'
        self.fs.ffs('mkdir', '-m', '777', a, b)
        for copy in (('put', '-r', source, a), ('cp', '-r', a + '/corpus', b), ('get', '-r', b + '/corpus', back)):
            shut = f'{copy[-1]}/corpus/deep/shut'
            for turn in range(3):
                with self.subTest(copy=copy[0], turn=turn):
                    if turn == 2 and copy[0] == 'get':  # as an interruption leaves it
                        os.chmod(shut, 0o755)
                    elif turn == 2:
                        self.fs.ffs('chmod', '755', shut)
                        self.fs.ffs('rm', shut + '/f')
                    self.fs.ffs(*copy, **ann)
        self.assertEqual(self.modes(a + '/corpus'), self.WANTED)
        self.assertEqual(self.modes(b + '/corpus'), self.WANTED)
        self.assertEqual(oct(os.stat(back / 'corpus' / 'deep' / 'shut').st_mode & 0o777), '0o555')
        compared = subprocess.run(['diff', '-r', '--no-dereference', source, back / 'corpus'], stdout=subprocess.PIPE)
        self.assertEqual(compared.stdout, b'')

    def test_a_link_that_changed_is_replaced(self):
        source = self.source()
        self.fs.ffs('put', '-r', source, self.there)
        (source / 'link').unlink()
        (source / 'link').symlink_to('deep')
        self.fs.ffs('put', '-r', source, self.there)
        self.assertEqual(self.fs.rows('stat', '-P', self.there + '/corpus/link')[0]['target'], 'deep')

    def test_a_folder_is_not_copied_over_a_file(self):
        (self.here / 'empty').mkdir()
        self.fs.ffs('mkdir', self.there + '/empty', self.there + '/in')
        self.fs.put(self.there + '/in/empty', b'a file')
        for copy in (('cp', '-r', self.there + '/empty', self.there + '/in'),
                     ('put', '-r', self.here / 'empty', self.there + '/in')):
            done = self.fs.ffs(*copy, check=False)
            self.assertEqual(done.returncode, 1, copy)
            self.assertIn(b'stands where a folder is wanted', done.stderr)
        self.assertEqual(self.fs.cat(self.there + '/in/empty'), b'a file')

    def test_put_takes_the_name_that_is_there(self):
        source = self.source()
        self.fs.ffs('put', '-r', f'{source}/', self.there)
        self.assertEqual(self.fs.names(self.there), ['corpus'])
        # What has no name of its own: its content, as cp does.
        self.fs.ffs('mkdir', self.there + '/in')
        self.fs.ffs('put', '-r', '.', self.there + '/in', cwd=source)
        self.assertEqual(self.fs.names(self.there + '/in'), ['deep', 'link'])
        self.fs.ffs('mkdir', self.there + '/up')
        self.fs.ffs('put', '-r', '..', self.there + '/up', cwd=source / 'deep')
        self.assertEqual(self.fs.names(self.there + '/up'), ['deep', 'link'])

    def test_what_comes_out_stays_below_the_target(self):
        home = self.here / 'home'
        home.mkdir()
        for user in ('u1', 'u2'):
            self.fs.ffs('mkdir', '-p', f'{self.there}/{user}/data')
        self.fs.ffs('ln', '-s', str(home), self.there + '/u1/data/x')
        self.fs.ffs('mkdir', self.there + '/u2/data/x')
        self.fs.put(self.there + '/u2/data/x/authorized_keys', b'evil')
        (self.here / 'target').mkdir()
        done = self.fs.ffs('get', '-r', self.there + '/u1/data', self.there + '/u2/data', self.here / 'target', check=False)
        self.assertEqual((done.returncode, list(home.iterdir())), (1, []), done.stderr)
        self.assertIn(b'link or a file stands where a folder is wanted', done.stderr)
        # Inside the file system, likewise.
        self.fs.ffs('mkdir', self.there + '/etc', self.there + '/target')
        self.fs.ffs('rm', self.there + '/u1/data/x')
        self.fs.ffs('ln', '-s', self.there + '/etc', self.there + '/u1/data/x')
        done = self.fs.ffs('cp', '-r', self.there + '/u1/data', self.there + '/u2/data', self.there + '/target', check=False)
        self.assertEqual((done.returncode, self.fs.names(self.there + '/etc')), (1, []), done.stderr)

    def test_copies_do_not_keep_set_ids(self):
        self.fs.put(self.there + '/tool', b'#!')
        self.fs.ffs('mkdir', self.there + '/d')
        self.fs.ffs('chmod', '6755', self.there + '/tool', self.there + '/d')
        self.fs.ffs('cp', '-r', self.there + '/tool', self.there + '/tool2')
        self.fs.ffs('cp', '-r', self.there + '/d', self.there + '/d2')
        self.assertEqual([self.fs.mode(self.there + name) for name in ('/tool', '/tool2', '/d2')],
                         ['-rwsr-sr-x', '-rwxr-xr-x', 'drwxr-xr-x'])

    def test_a_folder_is_not_copied_into_itself(self):
        self.fs.ffs('mkdir', self.there + '/d')
        self.fs.ffs('ln', '-s', self.there + '/d', self.there + '/link')
        for target in ('/d', '/d/e', '/link'):
            done = self.fs.ffs('cp', '-r', self.there + '/d', self.there + target, check=False)
            self.assertIn(b'copied for ever', done.stderr, target)
            self.assertEqual(done.returncode, 2)


if __name__ == '__main__':
    ffs_cluster.take_programs()
    unittest.main()
