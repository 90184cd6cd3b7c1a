"""A file system of real processes on this machine, for the tests of ffs: brought up, used and taken down."""

import itertools
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

FFS = None  # the program; set by take_programs()
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


def take_programs():
    """Takes the programs off the front of the command line, for unittest.main() after it; gives those behind FFS."""
    global FFS
    programs = [str(pathlib.Path(p).resolve()) for p in itertools.takewhile(lambda word: '/' in word, sys.argv[1:])]
    del sys.argv[1:1 + len(programs)]
    FFS = programs[0]
    return programs[1:]
