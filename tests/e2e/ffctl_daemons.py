"""ffctld and ffnoded started by hand, each of which a test may kill, stop, cut off, or take the disk from."""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import ffctl_run

RANK = r'''
import fcntl, os, pathlib, signal, sys, time
steps, code, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
folder, job, rank, attempt = pathlib.Path(sys.argv[4]), os.environ['FF_JOB'], os.environ['FF_RANK'], os.environ['FF_ATTEMPT']
asked = []
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda *_: asked.append(1))
# Of this rank of this job one may live on the whole cluster; the kernel knows.
lock = os.open(folder / f'{job}-{rank}.lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    (folder / f'{job}-{rank}.twice.{attempt}').write_text(str(os.getpid()))
    os._exit(99)
log = os.open(folder / f'{job}-{rank}.steps', os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
lines = os.read(log, 1 << 20).split(b'\n')
step = int(lines[-2].split()[1]) if len(lines) > 1 else 0
while step < steps and not asked:
    time.sleep(pause)
    step += 1
    os.write(log, f'{attempt} {step}\n'.encode())
os._exit(code if step >= steps else 75)
'''


class Daemon:
    def __init__(self, words, log, environment):
        self.words, self.log, self.environment = [str(w) for w in words], log, environment
        self.process = None
        self.start()

    def start(self):
        if self.process is not None and self.process.poll() is None:
            return
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment)

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()


def nft(*words):
    return subprocess.run(['nft', *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


class Daemons:
    """`nodes` agents at loopback addresses of their own, and one ffctld over RocksDB, or `masters` of them over etcd."""

    def __init__(self, binaries, nodes, failure_timeout, etcd=(), masters=1):
        self.binaries = pathlib.Path(binaries)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ffctl-chaos-'))
        self.data = self.folder / 'jobs'
        self.data.mkdir()
        self.net = f'127.77.{secrets.randbelow(250) + 1}'
        self.table = f'ffchaos{os.getpid()}'
        self.cuts = self.mounted = False
        key = self.folder / 'key'
        key.write_text(f'ffkey1 {secrets.token_hex(32)}\n')
        key.chmod(0o600)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith('FF_')}
        (self.folder / 'rank.py').write_text(RANK)
        self.masters, self.nodes = [], []
        try:
            if os.geteuid() == 0:
                self.cuts = shutil.which('nft') is not None and nft('add', 'table', 'inet', self.table)
                for chain in ('input', 'output'):
                    self.cuts = self.cuts and nft('add', 'chain', 'inet', self.table, chain,
                                                  f'{{ type filter hook {chain} priority 0; }}')
            self.sockets = [self.folder / f'ctld{i}.sock' for i in range(masters)]
            ports = [self.free_port() for _ in range(masters)]
            for i in range(masters):
                store = f'etcd:{",".join(etcd)}' if etcd else f'rocksdb:{self.folder}/ctld'
                self.masters.append(Daemon(
                    [self.binaries / 'ffctld', '--store', store, '--socket', self.sockets[i], '--listen', f'0.0.0.0:{ports[i]}',
                     '--key', key, '--name', f'master{i}', '--min-run', '0s', '--failure-timeout', f'{failure_timeout}s'],
                    self.folder / f'ctld{i}.log', self.environment))
            (self.folder / 'nodes').mkdir()
            for i in range(nodes):
                home = self.folder / 'nodes' / f'n{i}'
                home.mkdir()
                if i == 0 and os.geteuid() == 0:
                    self.mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', home],
                                                  stderr=subprocess.DEVNULL, check=False).returncode == 0
                host = f'{self.net}.{i + 1}'
                self.nodes.append(Daemon(
                    [self.binaries / 'ffnoded', '--master', ','.join(f'{host}:{p}' for p in ports), '--key', key, '--name',
                     f'n{i}', '--listen', f'{host}:0', '--folder', home, '--gpus', 8, '--fake-gpus', '--heartbeat', '500ms'],
                    self.folder / f'n{i}.log', self.environment))
            self.until(lambda: self.ready() == nodes, 'all nodes are there')
        except BaseException:
            self.remove()
            raise

    def free_port(self):
        with socket.socket() as s:
            s.bind(('0.0.0.0', 0))
            return s.getsockname()[1]

    # ---- asking ----

    def ffctl(self, *words, expect=0, timeout=120):
        environment = dict(self.environment, FF_MASTER=','.join(f'unix:{s}' for s in self.sockets))
        return ffctl_run.run(self.binaries / 'ffctl', words, environment=environment, expect=expect, timeout=timeout)

    def rows(self, *words):
        done = self.ffctl(*words, '--json', expect=None)
        return json.loads(done.stdout)['rows'] if done.returncode == 0 else []

    def ready(self):
        return sum(row['state'] in ('ready', 'busy') for row in self.rows('node', 'ls'))

    def job(self, job):
        return json.loads(self.ffctl('show', job, '--json').stdout)

    def until(self, true, what, within=90):
        end = time.monotonic() + within
        while not true():
            if time.monotonic() > end:
                raise AssertionError(f'not in {within} s: {what}')
            time.sleep(0.1)

    def submit(self, steps, code, *options, pause=0.1):
        words = ['submit', '--retries', 1000, '--backoff', '0s', '--grace', '2s', *options, '--', 'python3', '-S', '-E',
                 self.folder / 'rank.py', steps, code, pause, self.data]
        return int(self.ffctl(*words).stdout)

    # ---- what of ranks is there ----

    def ranks(self):
        found = []
        for file in pathlib.Path('/proc').glob('[0-9]*/environ'):
            with contextlib.suppress(OSError):
                if f'FF_CTL={self.folder}/'.encode() in file.read_bytes():
                    found.append(int(file.parent.name))
        return found

    def twice(self):
        return sorted(file.name for file in self.data.glob('*.twice.*'))

    def steps(self, job, rank):
        """(attempt, step) as the rank has written them."""
        try:
            return [tuple(map(int, line.split())) for line in (self.data / f'{job}-{rank}.steps').read_text().splitlines()]
        except FileNotFoundError:
            return []

    # ---- faults ----

    def cut(self, node):
        """No packet comes or goes; without nft the agent is stopped in place of it."""
        if not self.cuts:
            return self.nodes[node].signal(signal.SIGSTOP)
        host = f'{self.net}.{node + 1}'
        for chain in ('input', 'output'):
            nft('add', 'rule', 'inet', self.table, chain, 'ip', 'saddr', host, 'drop')
            nft('add', 'rule', 'inet', self.table, chain, 'ip', 'daddr', host, 'drop')
        return None

    def heal(self):
        """Everything runs, and reaches everything."""
        if self.cuts:
            nft('flush', 'table', 'inet', self.table)
        (self.folder / 'nodes/n0/filler').unlink(missing_ok=True)
        for daemon in self.masters + self.nodes:
            daemon.signal(signal.SIGCONT)
            daemon.start()
        for pid in self.ranks():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)

    def fill(self):
        """The disk of the first node, if that is a small one of its own."""
        if not self.mounted:
            return
        with contextlib.suppress(OSError), open(self.folder / 'nodes/n0/filler', 'wb', buffering=0) as file:
            while True:
                file.write(b'\0' * 65536)
        with contextlib.suppress(OSError), open(self.folder / 'nodes/n0/filler', 'ab', buffering=0) as file:
            while True:
                file.write(b'\0')

    def remove(self):
        if self.cuts or os.geteuid() == 0:
            nft('delete', 'table', 'inet', self.table)
        for daemon in self.masters + self.nodes:
            daemon.kill()
        end = time.monotonic() + 20
        while (left := self.ranks()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        # The processes beside ranks.
        for file in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
            with contextlib.suppress(OSError):
                if f'ffrank\0{self.folder}/'.encode() in file.read_bytes():
                    os.kill(int(file.parent.name), signal.SIGKILL)
        if self.mounted:
            subprocess.run(['umount', '-l', self.folder / 'nodes/n0'], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
