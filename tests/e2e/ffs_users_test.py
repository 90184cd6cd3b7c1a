#!/usr/bin/env python3
"""Users and tokens on a file system of real processes: who may do what, before tokens are asked for and after.

usage: ffs_users_test.py FFS C_API_TEST
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
import ffs_cluster  # noqa: E402

C_API_TEST = None


class Site:
    """A file system with users root (an administrator), ann and bob, which asks for tokens. Commands run as root."""

    def __init__(self):
        self.fs = ffs_cluster.Cluster('--chains', '1')
        try:
            self.before()
            self.ask_for_tokens()
        except BaseException:
            self.fs.remove()
            raise

    def before(self):
        """As long as no tokens are asked for, root by number is the administrator, and all is as ever."""
        self.fs.put('/old', b'old')
        self.fs.ffs('chmod', '600', '/old')
        for name, number, *options in (('root', 0, '--admin'), ('ann', 4711), ('bob', 4712, '--groups', '10,20')):
            self.fs.ffs('user', 'add', name, '--uid', str(number), '--gid', str(number), *options)
            self.fs.ffs('user', 'token', name, '--write', self.file(name), '--expires', '0', '--label', 'a test')
        self.fs.ffs('mkdir', '/homes')
        self.fs.ffs('chmod', '777', '/homes')

    def ask_for_tokens(self):
        description = self.fs.home / 'cluster.yaml'
        text = description.read_text()
        assert '\n  one_host: true\n' in text
        description.write_text(text.replace('\n  one_host: true\n', '\n  one_host: true\n  require_tokens: true\n'))
        self.fs.stop()
        self.fs.start()

    def file(self, name):
        return self.fs.folder / f'{name}.token'

    def run(self, who, *arguments, **how):
        """As the user `who`, by token alone; None: without a token."""
        environment = dict(self.fs.environment)
        if who is not None:
            environment['FF_FFS_TOKEN_FILE'] = str(self.file(who))
        return self.fs.ffs(*arguments, **{'check': False, 'env': environment, **how})


@unittest.skipIf(os.getuid() != 0, 'the first administrator is root: run it as root')
class Users(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()

    @classmethod
    def tearDownClass(cls):
        log = (cls.site.fs.folder / 'log').read_text()
        cls.site.fs.remove()
        assert 'fftoken1_' not in log, 'a daemon logs tokens'

    def done(self, who, *arguments, **how):
        done = self.site.run(who, *arguments, **how)
        self.assertEqual(done.returncode, 0, f'{who} {arguments}: {done.stderr.decode()}')
        return done.stdout

    def refused(self, who, *arguments, text=b'', **how):
        done = self.site.run(who, *arguments, **how)
        self.assertEqual(done.returncode, 1, f'{who} {arguments}: {done.stdout} {done.stderr.decode()}')
        self.assertIn(text, done.stderr)
        self.assertNotIn(b'fftoken1_', done.stderr)
        self.assertEqual(done.stderr.count(b'\n'), 1, done.stderr)
        return done.stderr

    def rows(self, who, *arguments):
        return json.loads(self.done(who, *arguments, '--json'))['rows']

    def test_without_a_token_nothing_is_answered(self):
        # Commands of a user 0, which would be root.
        for arguments in (['cat', '/old'], ['ls', '/'], ['stat', '/'], ['df'], ['mkdir', '/x'], ['rm', '/old'],
                          ['chmod', '777', '/old'], ['quota', '/homes'], ['user', 'list'], ['user', 'whoami'],
                          ['user', 'add', 'eve', '--uid', '0', '--gid', '0', '--admin'], ['user', 'token', 'root'],
                          ['user', 'remove', 'root'], ['node', 'disable', '1'], ['node', 'drain', '2'],
                          ['chain', 'offline', '1', '16781313']):
            with self.subTest(arguments=arguments):
                self.refused(None, *arguments, text=b'FF_FFS_TOKEN_FILE')
        self.refused(None, 'put', '-', '/x', data=b'x', text=b'FF_FFS_TOKEN_FILE')
        self.done(None, 'status')
        self.assertEqual(self.done('root', 'cat', '/old'), b'old')

    def test_the_token_says_who_it_is_whatever_the_process_is(self):
        self.done('ann', 'put', '-', '/homes/secret', data=b'mine')
        self.done('ann', 'put', '-', '/homes/large', data=ffs_cluster.pattern(1, 3_000_000))
        self.done('ann', 'chmod', '600', '/homes/secret', '/homes/large')
        row = self.rows('ann', 'stat', '/homes/secret')[0]
        self.assertEqual((row['uid'], row['gid'], row['mode']), (4711, 4711, '-rw-------'))
        for path in ('/homes/secret', '/homes/large', '/old'):
            self.refused('bob', 'cat', path, text=path.encode())
        self.refused('ann', 'cat', '/old', text=b'/old')  # root's, and the process is root's
        self.refused('bob', 'chown', '4712', '/homes/secret')
        self.refused('bob', 'chmod', '644', '/homes/secret')
        self.assertEqual(self.done('ann', 'cat', '/homes/large'), ffs_cluster.pattern(1, 3_000_000))
        self.assertEqual(self.done('root', 'cat', '/homes/secret'), b'mine')
        # And a process of bob's with the token of ann is ann.
        how = self.site.fs.for_user(4712)
        folder = pathlib.Path(how['env']['FF_CLUSTER'])
        copy = folder / 'ann.token'
        copy.write_bytes(self.site.file('ann').read_bytes())
        copy.chmod(0o600)
        os.chown(copy, 4712, 4712)
        done = self.site.fs.ffs('cat', '/homes/secret', '--token', copy, **how)
        self.assertEqual(done.stdout, b'mine')

    def test_who_am_i(self):
        row = self.rows('bob', 'user', 'whoami')[0]
        self.assertEqual((row['name'], row['uid'], row['groups'], row['admin'], row['expires']),
                         ('bob', 4712, '10,20', False, None))

    def test_wrong_tokens(self):
        other = ffs_cluster.Cluster('--chains', '1')
        try:
            other.ffs('user', 'add', 'root', '--uid', '0', '--gid', '0', '--admin')
            other.ffs('user', 'token', 'root', '--write', self.site.file('foreign'))
        finally:
            other.remove()
        self.refused('foreign', 'ls', '/', text=b'not known here')
        self.refused('foreign', 'node', 'disable', '1', text=b'not known here')
        good = self.site.file('root').read_bytes()
        for name, content, code, text in (
                ('flipped', good[:-2] + (b'0' if good[-2:-1] != b'0' else b'1') + b'\n', 1, b'not known here'),
                ('short', good[:-2], 2, b'too few'),
                ('long', good[:-1] * 2, 2, b'too long'),
                ('huge', b'x' * 10_000_000, 2, b'begin'),
                ('empty', b'', 2, b'empty'),
                ('bytes', bytes(range(256)), 2, b'begin')):
            with self.subTest(name=name):
                self.site.file(name).write_bytes(content)
                self.site.file(name).chmod(0o600)
                done = self.site.run(name, 'ls', '/')
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(text, done.stderr)
                self.assertNotIn(good[20:60], done.stderr)

    def test_a_token_file_is_private(self):
        for mode in (0o644, 0o640, 0o606):
            self.site.file('open').write_bytes(self.site.file('root').read_bytes())
            self.site.file('open').chmod(mode)
            self.refused('open', 'ls', '/', text=b'chmod 600')
        self.refused('none', 'ls', '/', text=b'none.token')
        # A token in the place of its file is not shown again.
        token = self.site.file('ann').read_text().strip()
        done = self.site.run(None, 'ls', '/', '--token', token)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertNotIn(token[9:].encode(), done.stderr)
        # What --write made is, and it is never written over.
        self.assertEqual(self.site.file('ann').stat().st_mode & 0o7777, 0o600)
        self.refused('root', 'user', 'token', 'ann', '--write', self.site.file('ann'), text=b'never overwritten')

    def token_for(self, name, *options):
        """Prints a token, and gives the name of its file and its number."""
        made = self.site.run('root', 'user', 'token', 'ann', *options)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertRegex(made.stdout, rb'^fftoken1_[0-9a-f]{64}\n$')
        self.site.file(name).write_bytes(made.stdout)
        self.site.file(name).chmod(0o600)
        return made.stderr.decode().split()[2]

    def test_tokens_expire(self):
        self.token_for('brief', '--expires', '3s')
        self.done('brief', 'ls', '/')
        time.sleep(3.1)
        self.refused('brief', 'ls', '/', text=b'expired')
        self.assertIn(True, [row['expired'] for row in self.rows('root', 'user', 'token-list', 'ann')])

    def test_tokens_and_users_end(self):
        number = self.token_for('lost', '--label', 'a laptop')
        self.done('lost', 'ls', '/')
        row = next(row for row in self.rows('root', 'user', 'token-list') if row['token'] == number)
        self.assertEqual((row['user'], row['label'], row['expired']), ('ann', 'a laptop', False))
        self.done('root', 'user', 'token-revoke', number)
        time.sleep(2.1)
        self.refused('lost', 'ls', '/', text=b'revoked')
        self.refused('root', 'user', 'token-revoke', number, text=b'there is none')
        self.done('ann', 'ls', '/')

        self.done('root', 'user', 'add', 'carol', '--uid', '4713', '--gid', '4713')
        self.done('root', 'user', 'token', 'carol', '--write', self.site.file('carol'))
        self.done('carol', 'ls', '/')
        self.done('root', 'user', 'add', 'carol', '--uid', '4714', '--gid', '4713', '--replace')
        time.sleep(2.1)
        self.assertEqual(self.rows('carol', 'user', 'whoami')[0]['uid'], 4714)
        self.done('root', 'user', 'remove', 'carol')
        time.sleep(2.1)
        self.refused('carol', 'ls', '/', text=b'not known here')
        self.assertNotIn('carol', [row['name'] for row in self.rows('root', 'user', 'list')])

    def test_administration_is_for_administrators(self):
        for arguments in (['user', 'list'], ['user', 'add', 'eve', '--uid', '0', '--gid', '0', '--admin'],
                          ['user', 'token', 'root'], ['user', 'token-list'], ['user', 'remove', 'bob'],
                          ['user', 'token-revoke', '0' * 16], ['node', 'disable', '2'], ['node', 'forget', '2'],
                          ['node', 'drain', '2'], ['chain', 'offline', '1', '16781313'],
                          ['chain', 'rotate', '1', '16781313', '--force'], ['target', 'drain', '16781313']):
            with self.subTest(arguments=arguments):
                self.refused('ann', *arguments, text=b'no administrator')
        self.assertEqual([row['disabled'] for row in self.rows('ann', 'node', 'list')], [False] * 3)
        self.done('root', 'node', 'disable', '2')
        self.done('root', 'node', 'enable', '2')
        for arguments, code, text in ((['user', 'add', 'a b', '--uid', '1', '--gid', '1'], 2, b'no name'),
                                      (['user', 'add', 'x' * 100_000, '--uid', '1', '--gid', '1'], 2, b'no name'),
                                      (['user', 'add', 'x', '--uid', '4294967295', '--gid', '1'], 2, b'uid'),
                                      (['user', 'add', 'x', '--uid', '1', '--gid', '1', '--groups', '1,x'], 2, b'--groups'),
                                      (['user', 'add', 'ann', '--uid', '1', '--gid', '1'], 1, b'--replace'),
                                      (['user', 'token', 'nobody'], 1, b'there is none'),
                                      (['user', 'token', 'ann', '--label', 'x' * 101], 2, b'label'),
                                      (['user', 'token', 'ann', '--expires', '99999d'], 2, b'--expires'),
                                      (['user', 'token-revoke', 'x'], 2, b'token-list')):
            with self.subTest(arguments=[word[:40] for word in arguments]):
                done = self.site.run('root', *arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(text, done.stderr)
                self.assertLess(len(done.stderr), 600)

    def test_c_programs_show_tokens(self):
        environment = dict(self.site.fs.environment)
        done = subprocess.run([C_API_TEST], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        self.assertNotEqual(done.returncode, 0)
        environment['FF_FFS_TOKEN_FILE'] = str(self.site.file('root'))
        done = subprocess.run([C_API_TEST], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (0, b'ok\n'), done.stderr.decode())


if __name__ == '__main__':
    C_API_TEST, = ffs_cluster.take_programs()
    unittest.main()
