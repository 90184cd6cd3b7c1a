#!/usr/bin/env python3
"""Clusters of a file, brought up over ssh: three hosts that are addresses of this machine, each with an sshd of its own.

usage: ffctl_hosts_test.py FFCTL CONFIGS
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import ffctl_run

FFCTL = None
CONFIGS = None
SSHD = shutil.which('sshd') or ('/usr/sbin/sshd' if os.path.exists('/usr/sbin/sshd') else None)
HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4']


def free_port():
    """One that is free on all addresses."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            for host in HOSTS:
                with socket.socket() as s:
                    s.bind((host, port))
            return port
        except OSError:
            continue


class Hosts:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffh-'))
        self.ssh_port, self.master_port, self.node_port = free_port(), free_port(), free_port()
        self.daemons = {}
        self.key = self.folder / 'user'
        self.generate(self.key)
        known = ''
        for host in HOSTS:
            self.generate(self.folder / f'host-{host}')
            kind, key = (self.folder / f'host-{host}.pub').read_text().split()[:2]
            known += f'[{host}]:{self.ssh_port} {kind} {key}\n'
        (self.folder / 'known').write_text(known)
        # sshd as root wants the file that it trusts to be root's alone.
        shutil.copy(self.folder / 'user.pub', self.folder / 'authorized')
        os.chmod(self.folder / 'authorized', 0o600)
        if os.getuid() == 0:
            os.makedirs('/run/sshd', mode=0o755, exist_ok=True)
        for host in HOSTS:
            self.start(host)
        self.file = self.folder / 'cluster.yaml'
        lines = '\n'.join(f'  - n{i + 1} {host} {"master," if i == 0 else ""}node ssh={host}:{self.ssh_port} gpus=8 fake_gpus '
                          f'zone=z{i // 2} labels=l{i} folder={self.folder}/n{i + 1}' for i, host in enumerate(HOSTS))
        self.file.write_text(f'name: test\nbinaries: {pathlib.Path(FFCTL).parent}\n'
                             f'master: {{port: {self.master_port}, min_run: 1s}}\nnode: {{port: {self.node_port}}}\n'
                             f'ssh:\n  options: [IdentityFile={self.key}, IdentitiesOnly=yes, '
                             f'UserKnownHostsFile={self.folder}/known, "IdentityAgent=none"]\nhosts:\n{lines}\n')
        self.environment = dict(os.environ, FF_MASTER=f'{HOSTS[0]}:{self.master_port}', FF_KEY=str(self.folder / 'cluster.key'))
        for name in ('FF_LOG', 'FF_CLUSTER', 'FF_LOCAL_DIR', 'SSH_AUTH_SOCK'):
            self.environment.pop(name, None)

    @staticmethod
    def generate(file):
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', file], check=True, timeout=60)

    def start(self, host):
        with open(self.folder / f'sshd-{host}.log', 'ab') as log:
            self.daemons[host] = subprocess.Popen(
                [SSHD, '-D', '-e', '-f', '/dev/null', '-p', str(self.ssh_port), '-h', self.folder / f'host-{host}',
                 '-o', f'ListenAddress={host}', '-o', f'AuthorizedKeysFile={self.folder}/authorized', '-o', 'PidFile=none',
                 '-o', 'UsePAM=no', '-o', 'StrictModes=no', '-o', 'PasswordAuthentication=no', '-o', 'PermitRootLogin=yes'],
                stdout=subprocess.DEVNULL, stderr=log)
        end = time.monotonic() + 60
        while True:
            with socket.socket() as s:
                if s.connect_ex((host, self.ssh_port)) == 0:
                    return
            if self.daemons[host].poll() is not None or time.monotonic() > end:
                raise AssertionError((self.folder / f'sshd-{host}.log').read_text())
            time.sleep(0.05)

    def stop(self, host):
        self.daemons[host].terminate()
        self.daemons.pop(host).wait()

    def ffctl(self, *arguments, expect=0, timeout=150):
        return ffctl_run.run(FFCTL, arguments, environment=self.environment, folder=self.folder, expect=expect,
                             timeout=timeout, explain=self.logs)

    def logs(self):
        return ''.join(f'{log}: {log.read_text()[-1000:]}' for log in self.folder.glob('n*/*.log'))

    def up(self, *options, expect=0):
        return json.loads(self.ffctl('up', '-f', self.file, '--json', *options, expect=expect).stdout)['rows']

    def processes(self):
        """Of daemons, ranks and what keeps them, below the folders of the hosts."""
        found = ffctl_run.processes_with(f'{self.folder}/n')
        return {pid: line for pid, line in found.items() if 'sshd' not in line.split()[0]}

    def remove(self):
        self.ffctl('down', '--file', self.file, '--force', expect=None)
        left = self.processes()
        for host in list(self.daemons):
            self.stop(host)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder)
        if left:
            raise AssertionError(f'processes are left: {left}')


@unittest.skipIf(SSHD is None, 'sshd: not installed (package openssh-server)')
class HostsTest(unittest.TestCase):
    def setUp(self):
        self.h = Hosts()
        self.addCleanup(self.h.remove)

    def test_three_hosts(self):
        planned = self.h.up('--dry-run')
        self.assertEqual([(row['host'], row['daemon'], row['state']) for row in planned],
                         [('n1', 'ffctld', 'would run'), ('n1', 'ffnoded', 'would run'), ('n2', 'ffnoded', 'would run'),
                          ('n3', 'ffnoded', 'would run')])
        self.assertFalse((self.h.folder / 'n1').exists())
        # One host is down: the others go on.
        self.h.stop(HOSTS[2])
        rows = self.h.up(expect=1)
        self.assertEqual([row['state'] for row in rows], ['started', 'started', 'started', 'failed'])
        self.assertIn('refused', rows[3]['error'])
        self.h.start(HOSTS[2])
        again = self.h.up()
        self.assertEqual([row['state'] for row in again], ['runs', 'runs', 'runs', 'started'])
        self.assertEqual([row['pid'] for row in again[:3]], [row['pid'] for row in rows[:3]])
        self.assertEqual([row['state'] for row in self.h.up('--limit', 'n2')], ['runs'])
        done = self.h.ffctl('run', '-N', 3, '--rank', 'all', '--', 'sh', '-c', 'echo $FF_NODE_LIST')
        self.assertEqual(done.stdout.count('n1,n2,n3'), 3)
        # The secret is in its files alone.
        secret = (self.h.folder / 'cluster.key').read_text().strip()
        for host in ('n1', 'n2', 'n3'):
            self.assertEqual((self.h.folder / host / 'key').stat().st_mode & 0o777, 0o600)
            self.assertEqual((self.h.folder / host / 'key').read_text().strip(), secret)
        self.assertFalse(any(secret in words for words in self.h.processes().values()))
        job = int(self.h.ffctl('submit', '--grace', '1s', '--', 'sleep', '600').stdout)
        self.h.ffctl('wait', job, '--until', 'running')
        self.h.ffctl('down', '--file', self.h.file)
        self.assertEqual(self.h.processes(), {})
        self.h.ffctl('down', '--file', self.h.file)
        # What was suspended goes on.
        self.h.up()
        self.h.ffctl('wait', job, '--until', 'running')
        self.h.ffctl('down', '--file', self.h.file, '--force')
        self.assertEqual(self.h.processes(), {})

    def test_files_that_are_wrong(self):
        good = self.h.file.read_text()
        for old, new, said in (('node: {port', 'nodes: {port', "unknown key (did you mean 'node'?)"),
                               (' n2 127', ' n1 127', 'n1: is there twice'),
                               ('zone=z1', 'zonne=z1', 'zonne=z1: unknown'),
                               ('master,node', 'node', 'none is a master'),
                               ('binaries: /', 'binaries: /x;y/', 'plain characters')):
            self.h.file.write_text(good.replace(old, new))
            done = self.h.ffctl('up', '-f', self.h.file, expect=2)
            self.assertIn(said, done.stderr)
            self.assertIn('cluster.yaml:', done.stderr)
        self.h.file.write_text(good)
        self.h.ffctl('up', '-f', self.h.file, '--limit', 'n9', expect=2)
        self.h.ffctl('host', expect=None)
        self.assertEqual(self.h.processes(), {})

    def test_the_example(self):
        done = self.h.ffctl('up', '-f', pathlib.Path(CONFIGS) / 'cluster-three-hosts.yaml', '--dry-run', '--json')
        self.assertEqual(len(json.loads(done.stdout)['rows']), 4)


if __name__ == '__main__':
    FFCTL, CONFIGS = str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2]
    del sys.argv[1:3]
    unittest.main()
