#!/usr/bin/env python3
"""A file system of real processes on this machine: what its commands do, for people, C programs and training.

usage: ffs_test.py FFS C_API_TEST [FFTRAIN]
"""

import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
import ffs_cluster  # noqa: E402
from ffs_cluster import Cluster, pattern  # noqa: E402

C_API_TEST = FFTRAIN = None


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fs = Cluster('--chains', '2')

    @classmethod
    def tearDownClass(cls):
        code = cls.fs.stop()
        cls.fs.remove()
        if code != 0:
            raise AssertionError(f'serve ended with {code} when it was asked to')

    def test_what_goes_in_comes_out(self):
        # Nothing, in the inode, at its bound, over it, a chunk's border, several chunks.
        for size in (0, 1, 8192, 8193, 1 << 20, (1 << 20) + 1, 5_000_000):
            with self.subTest(size=size):
                data = pattern(size, size)
                self.fs.put('/sizes', data)
                self.assertEqual(self.fs.cat('/sizes'), data)
                self.assertEqual(self.fs.rows('stat', '/sizes')[0]['size'], size)

    def test_c_programs_use_it(self):
        done = subprocess.run([C_API_TEST], env=self.fs.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120)
        self.assertEqual((done.returncode, done.stdout), (0, b'ok\n'), done.stderr.decode())

    def test_a_training_reads_from_it_and_saves_to_it(self):
        if FFTRAIN is None:
            self.skipTest('fftrain is not built: no BLAS')
        text = b''.join(b'line %d of a text to learn\n' % i for i in range(3000))
        self.fs.put('/text', text)
        self.fs.ffs('mkdir', '/runs')
        local = self.fs.folder / 'text'
        local.write_bytes(text)

        def train(*options):
            done = subprocess.run([FFTRAIN, '--layers', '1', '--dim', '32', '--heads', '2', '--ctx', '16', '--sample', '0',
                                   '--checkpoint-every', '5', '--log-every', '1', '--json', *map(str, options)],
                                  env=self.fs.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr.decode())

        def saved(step):
            name = f'step-{step:08}.ckpt'
            return self.fs.cat(f'/runs/a/{name}'), (self.fs.folder / 'run' / name).read_bytes()

        # The same bytes as with folders of this machine, and the last two steps are kept.
        train('--text', 'ffs:/text', '--checkpoint', 'ffs:/runs/a', '--steps', 15)
        train('--text', local, '--checkpoint', self.fs.folder / 'run', '--steps', 15)
        self.assertEqual([row['name'] for row in self.fs.rows('ls', '/runs/a')], ['step-00000010.ckpt', 'step-00000015.ckpt'])
        self.assertEqual(*saved(15))
        # A rotten last one is passed over; what a killed writer left goes away.
        self.fs.put('/runs/a/step-00000015.ckpt', saved(15)[0][:-1] + b'x')
        self.fs.put('/runs/a/step-00000012.ckpt.tmp-1', b'half')
        train('--text', 'ffs:/text', '--checkpoint', 'ffs:/runs/a', '--steps', 20, '--resume')
        train('--text', local, '--checkpoint', self.fs.folder / 'run', '--steps', 20, '--resume')
        self.assertEqual(*saved(20))
        self.assertNotIn('step-00000012.ckpt.tmp-1', [row['name'] for row in self.fs.rows('ls', '/runs/a')])

    def test_a_training_says_what_is_not_there(self):
        if FFTRAIN is None:
            self.skipTest('fftrain is not built: no BLAS')
        for options, message in ((['--text', 'ffs:/none'], 'ffs:/none'),
                                 (['--checkpoint', 'ffs:/no/parent'], 'ffs:/no/parent')):
            done = subprocess.run([FFTRAIN, *options, '--steps', '1'], env=self.fs.environment, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=120)
            self.assertEqual(done.returncode, 1, done.stderr.decode())
            self.assertIn(message, done.stderr.decode())

    def test_files_and_folders_of_this_machine(self):
        source = self.fs.folder / 'source'
        (source / 'deep' / 'er').mkdir(parents=True)
        (source / 'a').write_bytes(b'one')
        (source / 'deep' / 'er' / 'b').write_bytes(pattern(7, 3_000_000))
        (source / 'link').symlink_to('deep/er/b')
        self.fs.ffs('put', '-r', source, '/tree')
        self.fs.ffs('cp', '-r', '/tree', '/copy')
        back = self.fs.folder / 'back'
        self.fs.ffs('get', '-r', '/copy', back)
        compared = subprocess.run(['diff', '-r', '--no-dereference', source, back], stdout=subprocess.PIPE)
        self.assertEqual(compared.stdout, b'')
        self.assertEqual(self.fs.ffs('cat', '/tree/link').stdout, pattern(7, 3_000_000))
        self.assertEqual(self.fs.rows('du', '/tree'), [{'path': '/tree', 'bytes': 3_000_003 + len('deep/er/b'), 'files': 3, 'folders': 3}])

    def test_names_change(self):
        self.fs.ffs('mkdir', '-p', '/names/x/y')
        self.fs.put('/names/f', b'f')
        self.fs.put('/names/g', b'g')
        self.fs.ffs('mv', '-x', '/names/f', '/names/g')
        self.assertEqual(self.fs.cat('/names/f'), b'g')
        refused = self.fs.ffs('mv', '-n', '/names/f', '/names/g', check=False)
        self.assertEqual(refused.returncode, 1)
        self.fs.ffs('mv', '/names/f', '/names/x/y')
        self.fs.ffs('ln', '/names/g', '/names/h')
        self.assertEqual(self.fs.rows('stat', '/names/g')[0]['links'], 2)
        self.fs.ffs('ln', '-s', 'g', '/names/s')
        self.assertEqual(self.fs.cat('/names/s'), b'f')
        found = self.fs.ffs('find', '/names', '-t', 'file', '-o', 'name').stdout.split()
        self.assertEqual(found, [b'/names/g', b'/names/h', b'/names/x/y/f'])
        refused = self.fs.ffs('rm', '/names', check=False)
        self.assertEqual(refused.returncode, 1)
        self.fs.ffs('rm', '-r', '/names')
        self.assertNotIn('names', [row['name'] for row in self.fs.rows('ls', '/')])

    def test_attributes_change(self):
        self.fs.put('/attr', b'x' * 100_000)
        self.fs.ffs('chmod', '600', '/attr')
        self.fs.ffs('chown', '1000:100', '/attr')
        row = self.fs.rows('stat', '/attr')[0]
        self.assertEqual((row['mode'], row['uid'], row['gid']), ('-rw-------', 1000, 100))
        self.fs.ffs('truncate', '-s', '10', '/attr')
        self.assertEqual(self.fs.cat('/attr'), b'x' * 10)
        # Growing again shows zeros, not what was cut off.
        self.fs.ffs('truncate', '-s', '100000', '/attr')
        self.assertEqual(self.fs.cat('/attr'), b'x' * 10 + b'\0' * 99_990)

    def test_errors_say_what_to_do(self):
        for arguments, code, text in [
            (['cat', '/none'], 1, '/none'),
            (['cat', 'relative'], 2, 'not an absolute path'),
            (['rm', '/'], 2, 'the root stays'),
            (['mkdir', '/no/such'], 1, '/no'),
            (['chmod', '9', '/'], 2, 'not a mode'),
            (['ls', '/' + 'n' * 256], 2, '256 bytes'),
            (['put', '/nowhere/file', '/x'], 1, '/nowhere/file'),
            (['chain', 'remove', '1', '99'], 1, '99'),
        ]:
            with self.subTest(arguments=arguments):
                done = self.fs.ffs(*arguments, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(text, done.stderr.decode())
                self.assertEqual(done.stderr.count(b'\n'), 1)

    def test_nothing_is_formatted_over(self):
        done = subprocess.run([ffs_cluster.FFS, 'format', '--local', self.fs.home], stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'is not empty', done.stderr)
        done = subprocess.run([ffs_cluster.FFS, 'format', self.fs.home, '--node', '2'], stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_who_has_another_key_gets_nothing(self):
        other = self.fs.folder / 'other'
        other.mkdir()
        shutil.copy(self.fs.home / 'cluster.yaml', other)
        key = (self.fs.home / 'cluster.key').read_text()
        (other / 'cluster.key').write_text(key[:-3] + ('00' if key[-3:-1] != '00' else '11') + '\n')
        (other / 'cluster.key').chmod(0o600)
        done = self.fs.ffs('ls', '/', '--cluster', other, '--timeout', '2s', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn(b'NAME', done.stdout)


if __name__ == '__main__':
    C_API_TEST, FFTRAIN = (ffs_cluster.take_programs() + [None])[:2]
    unittest.main()
