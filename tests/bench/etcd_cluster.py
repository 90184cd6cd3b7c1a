#!/usr/bin/env python3
"""An etcd cluster on loopback for tests and benchmarks: members that are started, killed and started again with their
data, in a temporary folder that goes with it.

As a module:

    with Cluster(members=3) as cluster:
        cluster.endpoints            # ['127.0.0.1:40001', ...]
        cluster.kill(0)              # SIGKILL, at once
        cluster.start(0)             # with its data
        cluster.wait_healthy(30)     # until each running member answers linearizable reads

As a program it is driven through standard input, for tests in any language: it prints one line of JSON when the cluster
is healthy and after each command, and ends, taking the members along, when its input ends.

    $ etcd_cluster.py --members 3
    {"ok": true, "endpoints": ["127.0.0.1:40001", ...]}
    kill 0 | stop 0 | start 0 | wait_healthy [SECONDS] | quit
"""

import argparse
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
HEALTH_POLL_S = 0.05


class ClusterError(Exception):
    pass


def free_ports(count):
    """Ports that nobody listens on now. All are held while the next is chosen, so that no two are the same."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Member:
    def __init__(self, name, folder, client_port, peer_port):
        self.name, self.folder = name, folder
        self.client_port, self.peer_port = client_port, peer_port
        self.process = None

    @property
    def endpoint(self):
        return f'127.0.0.1:{self.client_port}'

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def log_tail(self):
        log = self.folder / 'log'
        text = log.read_text(encoding='utf-8', errors='replace') if log.exists() else ''
        return '\n'.join(text.splitlines()[-5:])


class Cluster:
    """`cpus`: the processors that members may run on (all: None). `parent`: the folder to make the temporary one in;
    members sync their logs there, so its disk is part of what a benchmark measures."""

    def __init__(self, members=3, cpus=None, parent=None, timeout_s=60, etcd=None):
        self.etcd = etcd or shutil.which('etcd')
        if self.etcd is None:
            raise ClusterError('etcd: not installed (apt-get install etcd-server)')
        if members < 1:
            raise ClusterError(f'members: {members} is less than 1 (give at least one)')
        self.cpus, self.timeout_s = cpus, timeout_s
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='etcd-', dir=parent))
        ports = free_ports(2 * members)
        self.members = [Member(f'm{i}', self.folder / f'm{i}', ports[2 * i], ports[2 * i + 1]) for i in range(members)]

    @property
    def endpoints(self):
        return [m.endpoint for m in self.members]

    def __enter__(self):
        try:
            for i in range(len(self.members)):
                self.start(i)
            self.wait_healthy(self.timeout_s)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, i):
        """Starts a member that does not run, with the data that it has. From a thread that outlives it: the kernel ends
        members with the thread that started them, so that none is left behind by a killed test."""
        member = self.members[i]
        if member.running:
            raise ClusterError(f'{member.name}: runs already')
        member.folder.mkdir(mode=0o700, exist_ok=True)
        peers = ','.join(f'{m.name}=http://127.0.0.1:{m.peer_port}' for m in self.members)
        client, peer = f'http://{member.endpoint}', f'http://127.0.0.1:{member.peer_port}'
        command = [self.etcd, '--name', member.name, '--data-dir', str(member.folder / 'data'),
                   '--listen-client-urls', client, '--advertise-client-urls', client,
                   '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
                   '--initial-cluster', peers, '--initial-cluster-state', 'new',
                   '--initial-cluster-token', self.folder.name, '--logger', 'zap', '--log-level', 'warn',
                   '--quota-backend-bytes', str(2 << 30)]

        def before_exec():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if self.cpus:
                os.sched_setaffinity(0, self.cpus)

        with open(member.folder / 'log', 'ab') as log:
            # ETCD_* variables of whoever calls would be options of the members.
            env = {k: v for k, v in os.environ.items() if not k.startswith('ETCD_')}
            member.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                              preexec_fn=before_exec)

    def kill(self, i, how=signal.SIGKILL):
        """Ends a member and waits for its end; nothing happens to one that has ended."""
        member = self.members[i]
        if member.process is None:
            return
        member.process.send_signal(how)
        try:
            member.process.wait(10)
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait(10)
        member.process = None

    def stop(self, i):
        self.kill(i, signal.SIGTERM)

    def wait_healthy(self, timeout_s):
        """Until every member that was started answers /health, which is a linearizable read of its own."""
        deadline = time.monotonic() + timeout_s
        for member in self.members:
            while member.process is not None:
                if not member.running:
                    raise ClusterError(f'{member.name}: ended with {member.process.returncode}: {member.log_tail()}')
                if self._healthy(member):
                    break
                if time.monotonic() > deadline:
                    raise ClusterError(f'{member.name}: not healthy after {timeout_s} s (do enough members run for a '
                                       f'majority?): {member.log_tail()}')
                time.sleep(HEALTH_POLL_S)

    @staticmethod
    def _healthy(member):
        try:
            with urllib.request.urlopen(f'http://{member.endpoint}/health', timeout=1) as answer:
                return json.load(answer).get('health') in (True, 'true')
        except (OSError, ValueError, urllib.error.URLError):
            return False

    def cpu_seconds(self):
        """User and system time of the running members."""
        total = 0
        for member in self.members:
            if member.running:
                fields = pathlib.Path(f'/proc/{member.process.pid}/stat').read_text(encoding='utf-8').rsplit(')')[-1]
                total += sum(int(ticks) for ticks in fields.split()[11:13])
        return total / os.sysconf('SC_CLK_TCK')

    def close(self):
        for i in range(len(self.members)):
            self.kill(i)
        shutil.rmtree(self.folder, ignore_errors=True)


def answer(**fields):
    print(json.dumps(fields), flush=True)


def obey(cluster, line):
    """One command of the program's standard input; False after the last."""
    word, *arguments = line.split() or ['']
    if word == 'quit':
        return False
    if word in ('kill', 'stop', 'start') and len(arguments) == 1 and arguments[0].isdigit() \
            and int(arguments[0]) < len(cluster.members):
        getattr(cluster, word)(int(arguments[0]))
    elif word == 'wait_healthy' and len(arguments) <= 1:
        cluster.wait_healthy(float(arguments[0]) if arguments else cluster.timeout_s)
    else:
        raise ClusterError(f"'{line.strip()}': no such command or member (kill N, stop N, start N, "
                           'wait_healthy [SECONDS], quit)')
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--members', type=int, default=3)
    parser.add_argument('--timeout', type=float, default=60, help='seconds until all must be healthy')
    options = parser.parse_args()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that members and folder go
    try:
        with Cluster(options.members, timeout_s=options.timeout) as cluster:
            answer(ok=True, endpoints=cluster.endpoints)
            for line in sys.stdin:
                try:
                    if not obey(cluster, line):
                        break
                    answer(ok=True)
                except (ClusterError, ValueError) as e:
                    answer(ok=False, error=str(e))
    except ClusterError as e:
        answer(ok=False, error=str(e))
        sys.exit(1)


if __name__ == '__main__':
    main()
