#!/usr/bin/env python3
"""The examples of configs/: formatted, served by real processes and used, as their comments say. The six machines are six
loopback addresses, with three managers and three metadata services on a real etcd of three members; managers, metadata
services and storage are killed under it.

usage: ffs_configs_test.py FFS CONFIGS
"""

import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / 'bench'))
import etcd_cluster  # noqa: E402

FFS = CONFIGS = None


def free_port(addresses):
    """A port that is free on all of these addresses."""
    for _ in range(200):
        port = random.randrange(20000, 60000)
        sockets = []
        try:
            for address in addresses:
                sockets.append(socket.socket())
                sockets[-1].bind((address, port))
            return port
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError('no free port')


class Site:
    """An example, with addresses and folders of this machine."""

    def __init__(self, name, replacements):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffs-configs-'))
        text = (CONFIGS / name).read_text()
        for pattern, replacement in replacements(self.folder):
            text, count = re.subn(pattern, replacement, text)
            assert count > 0, f'{name}: nothing like {pattern}'
        # Bounded, and small: this is the machine of a test.
        text = re.sub(r'\nstored:\n(  .*\n)*', '\n', text)
        text = text.replace('\nnodes:', '\nstored:\n  capacity: 256MiB\n  journal: 4MiB\nnodes:')
        self.file = self.folder / 'cluster.yaml'
        self.file.write_text(text)
        subprocess.run([FFS, 'key', 'generate', self.folder / 'cluster.key'], check=True, stdout=subprocess.DEVNULL,
                       timeout=30)
        self.nodes = [int(n) for n in re.findall(r'^  - (\d+) ', text, re.MULTILINE)]
        self.environment = dict(os.environ, FF_CLUSTER=str(self.file))
        self.log = open(self.folder / 'log', 'wb')
        self.processes = {}

    def ffs(self, *arguments, data=None, check=True):
        done = subprocess.run([FFS, *map(str, arguments)], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f'ffs {arguments}: exit {done.returncode}: {done.stderr.decode()}\n'
                                 f'{(self.folder / "log").read_text()[-4000:]}')
        return done

    def format(self):
        for node in self.nodes:
            self.ffs('format', self.file, '--node', node)

    def start(self, node):
        self.processes[node] = subprocess.Popen([FFS, 'serve', self.file, '--node', str(node)], stdout=self.log,
                                                stderr=self.log)

    def kill(self, *nodes):
        for node in nodes:
            self.processes[node].send_signal(signal.SIGKILL)
        for node in nodes:
            self.processes.pop(node).wait(timeout=30)

    def wait_until_healthy(self, seconds=90):
        end = time.monotonic() + seconds
        while self.ffs('status', '--timeout', '5s', check=False).returncode != 0:
            if time.monotonic() > end:
                raise AssertionError('not healthy: ' + self.ffs('chain', 'list', check=False).stdout.decode() +
                                     (self.folder / 'log').read_text()[-4000:])
            time.sleep(0.3)

    def remove(self):
        for process in self.processes.values():
            process.terminate()
        codes = [process.wait(timeout=60) for process in self.processes.values()]
        self.log.close()
        said = (self.folder / 'log').read_text()
        shutil.rmtree(self.folder)
        if any(codes) or 'assertion' in said:
            raise AssertionError(f'serve ended with {codes}: {said[-4000:]}')


class OneMachine(unittest.TestCase):
    def test_it_comes_up_and_keeps_a_file(self):
        port = free_port(['127.0.0.1']), free_port(['127.0.0.1']), free_port(['127.0.0.1'])
        site = Site('ffs-one-machine.yaml', lambda folder: [(rf':960{n + 1} ', f':{port[n]} ') for n in range(3)])
        try:
            site.format()
            for node in site.nodes:
                site.start(node)
            site.wait_until_healthy()
            data = random.Random(1).randbytes(3_000_000)
            site.ffs('put', '-', '/a', data=data)
            self.assertEqual(site.ffs('cat', '/a').stdout, data)
        finally:
            site.remove()

    def test_an_empty_disk_that_returns_first_does_not_serve(self):
        """All that store die, and one whose copy counts returns with empty disks: nothing serves until its old ones are back."""
        port = [free_port(['127.0.0.1']) for _ in range(4)]
        site = Site('ffs-one-machine.yaml', lambda folder: [
            (r'mgmtd,metad,stored', 'stored'), *[(rf':960{n + 1} ', f':{port[n]} ') for n in range(3)],
            (r'(?m)^nodes:', f'nodes:\n  - 4 127.0.0.1:{port[3]} mgmtd,metad'),
            (r'(?m)^  one_host: true', '  one_host: true\n  failure_timeout: 2s')])
        try:
            site.format()
            for node in site.nodes:
                site.start(node)
            site.wait_until_healthy()
            data = random.Random(1).randbytes(3_000_000)
            site.ffs('put', '-', '/a', data=data)
            site.kill(1, 2, 3)
            # The manager may hear of the deaths one by one, so that only the last copies count.
            self.wait_for(site, lambda listed: 'lastsrv' in listed and 'serving' not in listed.split('members')[1])
            last = int(re.search(r'(\d+):lastsrv', site.ffs('chain', 'list').stdout.decode().lower())[1]) >> 24
            disks, aside = site.folder / f'node-{last}', site.folder / 'aside'
            disks.rename(aside)
            site.ffs('format', site.file, '--node', last)
            site.start(last)
            self.wait_for(site, lambda _: b'not the one that was complete' in
                          site.ffs('chain', 'explain', 1, check=False).stdout)
            self.assertNotIn('serving', site.ffs('chain', 'list').stdout.decode().split('MEMBERS')[1])
            site.kill(last)
            shutil.rmtree(disks)
            aside.rename(disks)
            for node in (1, 2, 3):
                site.start(node)
            site.wait_until_healthy()
            self.assertEqual(site.ffs('cat', '/a').stdout, data)
        finally:
            site.remove()

    def wait_for(self, site, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition(listed := site.ffs('chain', 'list').stdout.decode().lower()):
            self.assertLess(time.monotonic(), end, listed)
            time.sleep(0.2)


@unittest.skipUnless(shutil.which('etcd'), 'etcd is not installed (package etcd-server)')
class SixNodes(unittest.TestCase):
    def test_managers_and_metadata_services_stand_in_for_each_other(self):
        addresses = [f'127.0.0.{n}' for n in range(1, 7)]
        port = free_port(addresses)
        with etcd_cluster.Cluster(members=3) as etcd:
            etcd.wait_healthy(30)
            site = Site('ffs-six-nodes.yaml', lambda folder: [
                (r'etcd:\S+', 'etcd:' + ','.join(etcd.endpoints)), (r'10\.0\.0\.(\d):9601', rf'127.0.0.\1:{port}'),
                (r'  - (\d) (.*) /disk/0 /disk/1', rf'  - \1 \2 {folder}/\1/0 {folder}/\1/1'),
                (r'failure_timeout: \S+', 'failure_timeout: 3s')])
            try:
                self.use(site, etcd)
            finally:
                site.remove()

    def use(self, site, etcd):
        site.format()
        for node in site.nodes:
            site.start(node)
        site.wait_until_healthy()
        kept = {}

        def store(name, size):
            kept[name] = random.Random(name).randbytes(size)
            site.ffs('put', '-', name, data=kept[name])

        def check():
            for name, data in kept.items():
                self.assertEqual(site.ffs('cat', name).stdout, data, name)

        store('/small', 1000)
        store('/large', 9_000_000)
        # Each machine with a manager and a metadata service in turn, with a member of etcd: the other two go on at once.
        for node in (1, 2, 3):
            etcd.kill(node - 1)
            site.kill(node)
            store(f'/while-{node}-was-dead', 500_000)
            check()
            etcd.start(node - 1)
            etcd.wait_healthy(60)
            site.start(node)
            site.wait_until_healthy()
        # A machine with storage alone.
        site.kill(5)
        store('/while-5-was-dead', 5_000_000)
        site.start(5)
        site.wait_until_healthy()
        check()


if __name__ == '__main__':
    FFS = str(pathlib.Path(sys.argv.pop(1)).resolve())
    CONFIGS = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
