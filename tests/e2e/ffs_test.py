#!/usr/bin/env python3
"""A file system of real processes on this machine: its commands, and what it keeps when processes and bytes die.

usage: ffs_test.py FFS C_API_TEST [FFTRAIN]
"""

import base64
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

FFS = C_API_TEST = FFTRAIN = None
PROCESSES = 3
PORTS = 5  # of the processes that a test has at most


def free_ports(count):
    """The first of `count` free ports in a row."""
    for _ in range(200):
        first = random.randrange(20000, 60000)
        try:
            sockets = []
            for port in range(first, first + count):
                s = socket.socket()
                sockets.append(s)
                s.bind(('127.0.0.1', port))
            return first
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError('no free ports')


class Cluster:
    """A file system of this machine. `user`: whose processes serve it; None: ours."""

    def __init__(self, *options, user=None):
        self.user = user
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffs-e2e-'))
        if user is not None:
            os.chown(self.folder, user, user)
        self.home = self.folder / 'fs'
        self.port = free_ports(PORTS)
        self.environment = dict(os.environ, FF_CLUSTER=str(self.home))
        self.environment.pop('FF_LOG', None)
        subprocess.run([FFS, 'format', '--local', self.home, '--port', str(self.port), '--capacity', '512MiB', *options],
                       check=True, stdout=subprocess.DEVNULL, timeout=60, user=user, group=user)
        self.log = open(self.folder / 'log', 'wb')
        self.server = None
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self):
        self.server = subprocess.Popen([FFS, 'serve', self.home], stdout=self.log, stderr=self.log, user=self.user,
                                       group=self.user)
        self.wait_until_healthy()

    def stop(self):
        if self.server is not None:
            self.server.terminate()
            code = self.server.wait(timeout=40)
            self.server = None
            if 'assertion' in (log := (self.folder / 'log').read_text()):
                raise AssertionError(f'a process did not end in order: {log[-2000:]}')
            return code
        return 0

    def remove(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder)
        for copy in self.folder.parent.glob(self.folder.name + '-user-*'):
            shutil.rmtree(copy)

    def for_user(self, uid):
        """The options of ffs() that make it a command of this user, who gets a copy of description and key."""
        if os.getuid() != 0:
            raise unittest.SkipTest('acts as several users: run it as root')
        folder = pathlib.Path(f'{self.folder}-user-{uid}')
        if not folder.exists():
            folder.mkdir()
            os.chown(folder, uid, uid)
            for name in ('cluster.yaml', 'cluster.key'):
                shutil.copy(self.home / name, folder)
                os.chown(folder / name, uid, uid)
        return {'user': uid, 'group': uid, 'extra_groups': [], 'env': dict(self.environment, FF_CLUSTER=str(folder))}

    def ffs(self, *arguments, data=None, check=True, timeout=90, **how):
        # The key of another user's file system is not taken from root either.
        whose = {} if self.user is None else {'user': self.user, 'group': self.user, 'extra_groups': []}
        done = subprocess.run([FFS, *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, **{'env': self.environment, **whose, **how})
        if check and done.returncode != 0:
            raise AssertionError(f'ffs {" ".join(map(str, arguments))}: exit {done.returncode}: {done.stderr.decode()}\n'
                                 f'log: {(self.folder / "log").read_text()[-3000:]}')
        return done

    def popen(self, *arguments, **how):
        return subprocess.Popen([FFS, *arguments], env=self.environment, **how)

    def rows(self, *arguments):
        return json.loads(self.ffs(*arguments, '--json').stdout)['rows']

    def names(self, path):
        return [row['name'] for row in self.rows('ls', path)]

    def mode(self, path):
        return self.rows('stat', '-P', path)[0]['mode']

    def put(self, path, data):
        self.ffs('put', '-', path, data=data)

    def cat(self, path):
        return self.ffs('cat', path).stdout

    def wait_until_healthy(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.ffs('status', '--timeout', '5s', check=False).returncode == 0:
                return
            time.sleep(0.3)
        raise AssertionError('not healthy: ' + self.ffs('chain', 'list', check=False).stdout.decode() +
                             (self.folder / 'log').read_text()[-3000:])

    def pids(self):
        """Of the nodes, by number."""
        children = pathlib.Path(f'/proc/{self.server.pid}/task/{self.server.pid}/children').read_text().split()
        nodes = {}
        for pid in children:
            words = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
            if b'--node' in words:
                nodes[int(words[words.index(b'--node') + 1])] = int(pid)
        return nodes


def pattern(seed, size):
    return random.Random(seed).randbytes(size)


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
        done = subprocess.run([FFS, 'format', '--local', self.fs.home], stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'is not empty', done.stderr)
        done = subprocess.run([FFS, 'format', self.fs.home, '--node', '2'], stderr=subprocess.PIPE)
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


class Drains(unittest.TestCase):
    """Targets leave their chains while others take their places."""

    def cluster(self, *options):
        fs = Cluster(*options)
        self.addCleanup(fs.remove)
        return fs

    def members(self, fs):
        """The targets of each chain, once all of them serve: on a busy machine a node may be out for a moment."""
        end = time.monotonic() + 60
        while True:
            rows = fs.rows('chain', 'list')
            words = {row['chain']: [word.split(':') for word in row['members'].split()] for row in rows}
            if all(state == 'serving' for chain in words.values() for _, state in chain):
                return {chain: {int(target) for target, _ in members} for chain, members in words.items()}
            self.assertLess(time.monotonic(), end, rows)
            time.sleep(0.3)

    def wait_until_nothing_leaves(self, fs):
        end = time.monotonic() + 60
        while fs.rows('status')[0]['targets_leaving'] and time.monotonic() < end:
            time.sleep(0.2)
        fs.wait_until_healthy()

    def test_a_node_is_drained_under_load_though_the_manager_dies(self):
        fs = self.cluster('--processes', '4', '--replicas', '3', '--chains', '3', '--spares', '2')
        data = pattern(1, 40_000_000)
        fs.put('/before', data)
        fs.ffs('node', 'drain', '4')
        os.kill(fs.pids()[1], signal.SIGKILL)  # before it can be at the end
        for i in range(4):
            fs.put(f'/meanwhile{i}', pattern(10 + i, 3_000_000))
        done = fs.ffs('node', 'drain', '4', '--wait')  # asked for again: goes on
        self.assertNotIn(b'Error', done.stderr)
        fs.wait_until_healthy()
        members = self.members(fs)
        self.assertEqual(len(members), 4)
        for targets in members.values():
            nodes = {target >> 24 for target in targets}
            self.assertEqual(len(nodes), 3)
            self.assertNotIn(4, nodes)
        self.assertEqual([row['drain'] for row in fs.rows('node', 'list')], [None, None, None, 'done'])
        self.assertEqual(fs.ffs('chain', 'explain', '1').returncode, 0)
        # What it has still, nobody needs.
        shutil.rmtree(fs.home / 'node-4')
        os.kill(fs.pids()[4], signal.SIGKILL)
        self.assertEqual(fs.cat('/before'), data)
        for i in range(4):
            self.assertEqual(fs.cat(f'/meanwhile{i}'), pattern(10 + i, 3_000_000))

    def test_a_target_is_replaced_by_the_one_named_and_stays_when_regretted(self):
        fs = self.cluster('--processes', '4', '--replicas', '3', '--chains', '1', '--spares', '1')
        data = pattern(2, 10_000_000)
        fs.put('/data', data)
        chain, = self.members(fs).values()
        outside, = {1, 2, 3, 4} - {target >> 24 for target in chain}
        spares = {row['target'] >> 24: row['target'] for row in fs.rows('target', 'list') if row['chain'] is None}
        old = max(chain)
        for words, code, text in (
                ((old, spares[min(chain) >> 24]), 2, 'on the machine of target'), ((old, 99), 1, 'no node has it'),
                ((99, old), 1, 'no such target'), ((old, min(chain)), 2, 'is of chain 1'), ((old, 'x'), 2, 'not a number')):
            done = fs.ffs('target', 'replace', *map(str, words), check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr.decode())
        fs.ffs('target', 'replace', str(old), str(spares[outside]), '--wait')
        fs.wait_until_healthy()
        self.assertEqual(self.members(fs)[1], chain - {old} | {spares[outside]})
        self.assertEqual(fs.cat('/data'), data)
        rows = {row['target']: row for row in fs.rows('target', 'list')}
        self.assertEqual((rows[old]['chain'], rows[old]['drain']), (None, 'done'))
        # Another one, undone at once: whichever step it was at, the chain is whole in the end, with what it had.
        second = min(chain)
        fs.ffs('target', 'drain', str(second))
        fs.ffs('target', 'undrain', str(second))
        self.wait_until_nothing_leaves(fs)
        self.assertEqual(len(self.members(fs)[1]), 3)
        self.assertEqual(fs.cat('/data'), data)

    def test_room_is_made_by_a_new_node(self):
        fs = self.cluster('--processes', '3', '--replicas', '3', '--chains', '2')
        data = pattern(3, 10_000_000)
        fs.put('/data', data)
        for words in (('node', 'drain', '3'), ('target', 'drain', str(3 << 24 | 1 << 12 | 1))):
            refused = fs.ffs(*words, '--timeout', '20s', check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(b'there is no spare target', refused.stderr)
            self.assertIn(b'cluster.spares_per_folder', refused.stderr)
        fs.stop()
        with open(fs.home / 'cluster.yaml', 'a') as file:
            file.write(f'  - 4 127.0.0.1:{fs.port + 3} stored node-4\n')
        fs.ffs('format', str(fs.home), '--node', '4')
        # The first node's new disk; its chains are known and stay.
        fs.start()
        fs.ffs('node', 'drain', '3', '--wait')
        fs.wait_until_healthy()
        self.assertEqual({target >> 24 for targets in self.members(fs).values() for target in targets}, {1, 2, 4})
        fs.stop()
        lost = fs.home / 'node-1' / str(1 << 24 | 1 << 12 | 1)
        shutil.rmtree(lost)
        said = fs.ffs('format', str(fs.home), '--node', '1').stdout
        self.assertIn(b'stay as they are', said)
        fs.start()
        self.assertEqual({target >> 24 for targets in self.members(fs).values() for target in targets}, {1, 2, 4})
        self.assertEqual(fs.cat('/data'), data)


class Faults(unittest.TestCase):
    def setUp(self):
        self.fs = Cluster('--chains', '2')

    def tearDown(self):
        self.fs.remove()

    def check_all(self, kept):
        for path, digest in kept.items():
            self.assertEqual(hashlib.sha256(self.fs.cat(path)).hexdigest(), digest, path)

    def store(self, kept, path, seed, size):
        data = pattern(seed, size)
        self.fs.put(path, data)
        kept[path] = hashlib.sha256(data).hexdigest()

    def test_what_was_acknowledged_survives_kill_9(self):
        kept = {}
        self.store(kept, '/before', 1, 3_000_000)
        dice = random.Random(5)
        for turn in range(6):
            nodes = self.fs.pids()
            # One of the three in turn, and all at once.
            victims = list(nodes) if turn % 3 == 2 else [dice.choice(list(nodes))]
            for node in victims:
                os.kill(nodes[node], signal.SIGKILL)
            self.store(kept, f'/turn{turn}', 100 + turn, dice.choice([100, 50_000, 2_500_000]))
            self.fs.wait_until_healthy()
            self.check_all(kept)

    def test_a_flipped_byte_is_never_served(self):
        kept = {}
        self.store(kept, '/data', 3, 4_000_000)
        self.fs.stop()
        flipped = 0
        for blocks in sorted((self.fs.home / 'node-2').glob('*/blocks.1MiB')):
            with open(blocks, 'r+b') as file:
                content = file.read()
                # In the middle of what was written, wherever that lies.
                for found in re.finditer(rb'[^\0]', content):
                    at = found.start() + 5000
                    file.seek(at)
                    file.write(bytes([content[at] ^ 0x10]))
                    flipped += 1
                    break
        self.assertGreater(flipped, 0)
        self.fs.start()
        for _ in range(6):  # replicas take turns in answering
            self.check_all(kept)

    def test_explain_names_trouble_of_members_that_serve(self):
        alone = Cluster('--processes', '1', '--replicas', '1', '--chains', '1')
        self.addCleanup(alone.remove)
        self.assertEqual(alone.ffs('chain', 'explain', '1').returncode, 0)
        alone.put('/data', pattern(3, 1_000_000))
        alone.stop()
        blocks, = (alone.home / 'node-1').glob('*/blocks.1MiB')
        content = bytearray(blocks.read_bytes())
        content[re.search(rb'[^\0]', content).start() + 5000] ^= 0x10
        blocks.write_bytes(content)
        alone.start()
        self.assertEqual(alone.ffs('cat', '/data', '--timeout', '3s', check=False).returncode, 1)
        end = time.monotonic() + 20
        while (why := alone.ffs('chain', 'explain', '1', '--json', check=False)).returncode == 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.3)
        self.assertEqual(why.returncode, 10, why.stderr)
        told = json.loads(why.stdout)
        self.assertEqual((told['serves'], told['complete']), (True, True))
        texts = {row['what']: row['text'] for row in told['rows']}
        self.assertIn('serves, but', texts['because'])
        self.assertIn('remove those files', texts['to mend'])

    def test_a_paused_process_delays_and_loses_nothing(self):
        kept = {}
        self.store(kept, '/before', 9, 1_000_000)
        pid = self.fs.pids()[3]
        os.kill(pid, signal.SIGSTOP)
        try:
            self.store(kept, '/meanwhile', 10, 2_000_000)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.fs.wait_until_healthy()
        self.check_all(kept)


if __name__ == '__main__':
    programs = [str(pathlib.Path(p).resolve()) for p in sys.argv[1:4] if '/' in p]
    del sys.argv[1:1 + len(programs)]
    FFS, C_API_TEST, FFTRAIN = (programs + [None])[:3]
    unittest.main()
