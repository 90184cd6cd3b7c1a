#!/usr/bin/env python3
"""Attributes, layouts, quotas and the trash, chains and nodes, and the supervisor of the processes, on a file system of
real processes.

usage: ffs_administration_test.py FFS
"""

import base64
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
import ffs_cluster  # noqa: E402
from ffs_cluster import Cluster, pattern  # noqa: E402


class Administration(unittest.TestCase):
    """Names, attributes, flags, layouts and quotas where users are not each other's friends."""

    @classmethod
    def setUpClass(cls):
        cls.fs = Cluster('--chains', '2')

    @classmethod
    def tearDownClass(cls):
        cls.fs.remove()

    def test_chown_does_not_follow_a_link_that_came_meanwhile(self):
        names = [f'/race/f{i:04}' for i in range(1500)]
        self.fs.ffs('mkdir', '/race')
        self.fs.put('/shadow', b'of root')
        self.fs.ffs('touch', *names)
        chown = self.fs.popen('chown', '-r', '4711', '/race')
        end = time.monotonic() + 60
        while self.fs.rows('stat', names[0])[0]['uid'] != 4711 and time.monotonic() < end:
            pass
        chown.send_signal(signal.SIGSTOP)
        last = self.fs.rows('stat', names[-1])[0]['uid']
        self.fs.ffs('mv', names[-1], '/race/moved')
        self.fs.ffs('ln', '-s', '/shadow', names[-1])
        chown.send_signal(signal.SIGCONT)
        self.assertEqual(last, 0, 'it was too fast for this test: more files are needed')
        self.assertEqual(chown.wait(timeout=60), 0)
        self.assertEqual(self.fs.rows('stat', '/shadow')[0]['uid'], 0)
        self.assertEqual(self.fs.rows('stat', '/race/moved')[0]['uid'], 4711)

    def test_names_of_any_bytes(self):
        name = b'a \n\xff\x1b[31m'
        self.fs.ffs('mkdir', '/odd')
        self.fs.ffs('touch', b'/odd/' + name, b'/odd/plain')
        self.assertEqual(self.fs.ffs('find', '/odd', '-t', 'file', '-0').stdout,
                         b'/odd/' + name + b'\0/odd/plain\0')
        rows = self.fs.rows('ls', '/odd')
        self.assertEqual([row['name_base64'] for row in rows], [base64.b64encode(name).decode(), None])
        for shown in (self.fs.ffs('tree', '/odd').stdout, self.fs.ffs('ls', '/odd').stdout,
                      self.fs.ffs('ls', '-R', '-o', 'name', '/odd').stdout):
            self.assertNotIn(b'\x1b', shown)
        self.assertEqual(self.fs.ffs('tree', '/odd').stdout.count(b'\n'), 4)
        self.fs.ffs('rm', b'/odd/' + name)

    def test_folders_that_may_not_be_searched(self):
        self.fs.ffs('mkdir', '-p', '/closed/below')
        self.fs.put('/closed/f', b'123')
        self.fs.ffs('chmod', '744', '/closed')  # names may be read, and nothing else
        ann = self.fs.for_user(4711)
        for command in (('du', '/closed'), ('ls', '/closed'), ('ls', '-R', '/closed'), ('find', '/closed'), ('tree', '/closed')):
            done = self.fs.ffs(*command, check=False, **ann)
            self.assertEqual(done.returncode, 3, command)
            self.assertIn(b'/closed/below: its attributes may not be read', done.stderr)
        rows = json.loads(self.fs.ffs('ls', '/closed', '--json', check=False, **ann).stdout)['rows']
        self.assertEqual([(row['name'], row['type'], row['size']) for row in rows],
                         [('below', 'folder', None), ('f', 'file', None)])
        self.fs.ffs('mkdir', '-m', '777', '/open')
        for command in (('chmod', '-r', '700', '/closed'), ('cp', '-r', '/closed', '/open/copy'),
                        ('get', '-r', '/closed', f'{self.fs.folder}-user-4711/copy')):
            done = self.fs.ffs(*command, check=False, **ann)
            self.assertEqual(done.returncode, 1, command)
            self.assertIn(b'its attributes may not be read', done.stderr)

    def test_rm_does_what_it_can(self):
        self.fs.ffs('mkdir', '-p', '/rm/full/x')
        self.fs.ffs('touch', '/rm/a', '/rm/b')
        done = self.fs.ffs('rm', '/rm/a', '/rm/full', '/rm/none', '/rm/b', check=False)
        self.assertEqual((done.returncode, done.stderr.count(b'\n')), (1, 2), done.stderr)
        self.assertEqual(self.fs.names('/rm'), ['full'])
        self.fs.ffs('touch', '/rm/a')
        self.fs.ffs('rm', '-f', '/rm/no/such', '/rm/a/b', '/rm/none')
        # Wrong usage does nothing at all.
        self.assertEqual(self.fs.ffs('rm', '-r', '/rm', '/.', check=False).returncode, 2)
        self.assertEqual(self.fs.names('/rm'), ['a', 'full'])

    def test_touch_of_what_others_own(self):
        self.fs.put('/shared', b'')
        self.fs.ffs('chmod', '666', '/shared')
        before = self.fs.rows('stat', '/shared')[0]['modified']
        time.sleep(1.1)
        self.fs.ffs('touch', '/shared', **self.fs.for_user(4711))
        self.assertGreater(self.fs.rows('stat', '/shared')[0]['modified'], before)
        self.fs.ffs('touch', '-c', '/not-there')
        self.assertEqual(self.fs.ffs('stat', '/not-there', check=False).returncode, 1)

    def test_layouts(self):
        self.fs.ffs('mkdir', '/laid', '/laid/before')
        self.fs.put('/laid/old', pattern(1, 300_000))
        row = self.fs.rows('layout', '/laid')[0]
        self.assertEqual((row['type'], row['chunk_bytes'], row['stripe'], row['from']), ('folder', 1 << 20, 2, 'default'))
        self.fs.ffs('layout', '--chunk', '64KiB', '/laid')
        self.fs.ffs('layout', '--stripe', '1', '/laid')
        self.fs.ffs('mkdir', '/laid/after')
        self.fs.put('/laid/new', pattern(2, 300_000))
        self.fs.put('/laid/after/new', pattern(3, 300_000))
        self.fs.put('/laid/before/new', pattern(4, 300_000))
        paths = ['/laid', '/laid/old', '/laid/new', '/laid/after', '/laid/after/new', '/laid/before', '/laid/before/new']
        self.assertEqual([(row['chunk_bytes'], row['stripe'], row['from']) for row in self.fs.rows('layout', *paths)],
                         [(65536, 1, 'folder'), (1 << 20, 2, 'file'), (65536, 1, 'file'), (65536, 1, 'folder'),
                          (65536, 1, 'file'), (1 << 20, 2, 'default'), (1 << 20, 2, 'file')])
        for path, seed in (('/laid/old', 1), ('/laid/new', 2), ('/laid/after/new', 3)):
            self.assertEqual(self.fs.cat(path), pattern(seed, 300_000))
        for arguments, code, text in (
                (('--chunk', '100000', '/laid'), 2, 'power of two'), (('--chunk', '1KiB', '/laid'), 2, '64KiB'),
                (('--stripe', '3', '/laid'), 2, 'more than the 2 chains'), (('--stripe', '1', '/laid/new'), 2, 'a file keeps'),
                (('/laid/none',), 1, 'none')):
            done = self.fs.ffs('layout', *arguments, check=False)
            self.assertEqual(done.returncode, code, arguments)
            self.assertIn(text, done.stderr.decode())
        self.assertEqual(self.fs.ffs('layout', '--stripe', '2', '/laid', check=False, **self.fs.for_user(4711)).returncode, 1)

    def test_quotas(self):
        self.fs.ffs('mkdir', '/held')
        dash = {'bytes_used': None, 'bytes_limit': None, 'files_used': None, 'files_limit': None}
        shown = self.fs.rows('quota', '/held')[0]
        self.assertEqual({key: shown[key] for key in dash}, dash)
        self.fs.ffs('quota', '--bytes', '1MiB', '--files', '5', '/held')
        self.fs.ffs('mkdir', '/held/below')
        self.fs.put('/held/below/f', b'x' * 600_000)
        shown = self.fs.rows('quota', '/held/below')[0]  # of the folder above
        self.assertEqual({key: shown[key] for key in dash},
                         {'bytes_used': 600_000, 'bytes_limit': 1 << 20, 'files_used': 3, 'files_limit': 5})
        # A writer stops where the quota ends, and its file is not there. (What it wrote counts until it is destroyed.)
        done = self.fs.ffs('put', '-', '/held/too-much', data=b'x' * 600_000, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'quota', done.stderr.lower())
        self.assertEqual(self.fs.ffs('stat', '/held/too-much', check=False).returncode, 1)
        self.fs.ffs('quota', '--bytes', '0', '/held')
        self.assertEqual([(row['bytes_limit'], row['files_limit']) for row in self.fs.rows('quota', '/held')], [(None, 5)])
        self.fs.put('/held/fits-now', b'x' * 600_000)
        self.fs.ffs('touch', '/held/fifth', check=False)
        self.assertEqual(self.fs.ffs('touch', '/held/sixth', check=False).returncode, 1)
        self.fs.put('/full', b'')
        for arguments, how, code, text in (
                (('--files', '9', '/held'), self.fs.for_user(4711), 1, 'only root'),
                (('--files', '9', '/full'), {}, 1, 'directory'), (('--files', 'x', '/held'), {}, 2, 'not a count'),
                (('--bytes', '-1', '/held'), {}, 2, '-1'), (('--files', '9', '/'), {}, 1, 'before')):
            done = self.fs.ffs('quota', *arguments, check=False, **how)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr.decode())

    def test_flags(self):
        self.fs.ffs('mkdir', '/kept')
        self.fs.put('/kept/f', b'as it is')
        self.fs.ffs('flag', '+immutable', '/kept', '/kept/f')
        self.assertEqual([row['immutable'] for row in self.fs.rows('flag', '/kept', '/kept/f', '/')], [True, True, False])
        for command in (('put', '-', '/kept/f'), ('rm', '/kept/f'), ('mv', '/kept/f', '/f'), ('chmod', '600', '/kept/f'),
                        ('ln', '/kept/f', '/g'), ('truncate', '-s', '0', '/kept/f'), ('touch', '/kept/new'), ('rm', '-r', '/kept')):
            self.assertEqual(self.fs.ffs(*command, data=b'', check=False).returncode, 1, command)
        self.assertEqual(self.fs.cat('/kept/f'), b'as it is')
        refused = self.fs.ffs('flag', '-immutable', '/kept/f', check=False, **self.fs.for_user(4711))
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b'only root', refused.stderr)
        self.fs.ffs('flag', '-immutable', '/kept/f', '/kept')
        self.fs.ffs('rm', '/kept/f')
        for words in (['+immutible', '/kept'], ['-immutible', '/kept'], ['+immutable'], ['-immutable', '+immutable', '/kept']):
            done = self.fs.ffs('flag', *words, check=False)
            self.assertEqual(done.returncode, 2, words)


class Supervision(unittest.TestCase):
    def test_a_fork_that_fails_leaves_the_others(self):
        fs = Cluster('--chains', '1', user=4711 if os.getuid() == 0 else None)  # limits do not bind root
        self.addCleanup(fs.remove)
        fs.folder.chmod(0o755)
        nodes = fs.pids()

        def limit_processes(soft):
            subprocess.run(['prlimit', '--pid', str(fs.server.pid), f'--nproc={soft}:'], check=True, user=fs.user,
                           group=fs.user)

        limit_processes(1)
        os.kill(nodes[2], signal.SIGKILL)
        time.sleep(3)
        self.assertIsNone(fs.server.poll(), 'the supervisor has ended')
        self.assertEqual({n: pid for n, pid in fs.pids().items() if n != 2}, {n: pid for n, pid in nodes.items() if n != 2})
        self.assertNotIn(2, fs.pids())
        soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        limit_processes('unlimited' if soft == resource.RLIM_INFINITY else soft)
        end = time.monotonic() + 30
        while 2 not in fs.pids() and time.monotonic() < end:
            time.sleep(0.2)
        self.assertIn(2, fs.pids())
        fs.wait_until_healthy()

    def test_a_second_signal_ends_it_at_once(self):
        fs = Cluster('--chains', '1')
        self.addCleanup(fs.remove)
        nodes = fs.pids()
        os.kill(nodes[3], signal.SIGSTOP)  # it will not end by itself
        fs.server.terminate()
        time.sleep(1)
        self.assertIsNone(fs.server.poll())
        fs.server.send_signal(signal.SIGINT)
        fs.server.wait(timeout=8)
        fs.server = None
        self.assertFalse(any(pathlib.Path(f'/proc/{pid}').exists() for pid in nodes.values()))

    def test_targets_share_what_is_free(self):
        fs = Cluster('--chains', '4', '--capacity', '0')
        self.addCleanup(fs.remove)
        given = sum(row['capacity_bytes'] for row in fs.rows('target', 'list'))
        space = os.statvfs(fs.home)
        self.assertGreater(given, 0)
        # The targets are not large yet: what is free now was when they were made, give or take others on the disk.
        self.assertLess(given, space.f_bavail * space.f_frsize * 1.2)


if __name__ == '__main__':
    ffs_cluster.take_programs()
    unittest.main()
