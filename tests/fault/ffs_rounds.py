#!/usr/bin/env python3
"""Rounds of faults against a file system of real processes: five storage daemons, each in a network namespace of its own
on a loop-mounted ext4 of its own, a sixth process with manager and metadata, and writers that go on through it all.

usage: ffs_rounds.py FFS LIBFFS [--rounds N] [--seed N] [--only FAULT,...] [--keep]

  FFS        the executable
  LIBFFS     libffs.so, through which the writers write

Each round puts one fault in while the writers work, takes it away, waits until every chain is whole again and then reads
every block: kill (one, or two at once), stop (SIGSTOP for longer than the failure timeout), cut (a daemon's link down),
full (its disk filled up), flip (bytes of its files changed while it is down), all (kill -9 of every process at once),
names (kill -9 of manager and metadata). A block holds the number of the write that made it and where it belongs; it must
be the last acknowledged write's, or one's whose outcome the writer does not know. Printed are each round's time until a
write was acknowledged again and until all was whole again; at the end, medians and longest.

Needs root (it makes its namespaces and mounts in namespaces of its own, and they go with it), /dev/loop*, ip and mkfs.ext4.
What a page cache holds survives kill -9: lost writes of a disk are the simulator's part (tests/sim).

Exit status: 0 nothing was lost; 1 something was, or it did not come back; 2 wrong usage; 77 not possible here (says why).
"""

import argparse
import collections
import ctypes
import os
import pathlib
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

NODES = 5
WRITERS = 3
FILES_OF_ONE = 2
BLOCK = 64 << 10
BLOCKS = 48
DISK_BYTES = 640 << 20
HEAL_SECONDS = 120
FAULTS = ['kill', 'kill two', 'stop', 'cut', 'full', 'flip', 'all', 'names']
FFS_READ, FFS_WRITE, FFS_CREATE = 1, 2, 4


def enter_namespaces():
    """Runs this program again in a network and mount namespace of its own."""
    if os.environ.get('FF_ROUNDS_INSIDE'):
        return
    if os.geteuid() != 0:
        print('skipped: needs root for namespaces and mounts')
        sys.exit(77)
    for program in ('ip', 'mkfs.ext4', 'unshare', 'mount', 'losetup'):
        if shutil.which(program) is None:
            print(f'skipped: {program} is not installed')
            sys.exit(77)
    for what, probe in (('namespaces, bridges', ['unshare', '--net', '--mount', 'ip', 'link', 'add', 'b0', 'type', 'bridge']),
                        ('loop devices', ['losetup', '--find'])):
        done = subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30)
        if done.returncode != 0:
            print(f'skipped: no {what}: {done.stderr.decode().strip()}')
            sys.exit(77)
    os.environ['FF_ROUNDS_INSIDE'] = 'yes'
    os.execvp('unshare', ['unshare', '--net', '--mount', '--propagation', 'private', sys.executable, '-B', *sys.argv])


def run(*command):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f'{" ".join(map(str, command))}: {done.stdout.decode()}')
    return done.stdout.decode()


class Library:
    """What the writers need of ffs.h."""

    def __init__(self, path):
        c = ctypes.CDLL(path)
        c.ffs_last_error.restype = ctypes.c_char_p
        c.ffs_pread.restype = c.ffs_pwrite.restype = ctypes.c_int64
        c.ffs_connect.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_void_p)]
        c.ffs_disconnect.argtypes = [ctypes.c_void_p]
        c.ffs_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32,
                               ctypes.POINTER(ctypes.c_void_p)]
        c.ffs_pread.argtypes = c.ffs_pwrite.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
        c.ffs_fsync.argtypes = c.ffs_close.argtypes = [ctypes.c_void_p]
        self.c = c

    def connect(self, cluster, timeout_ms):
        fs = ctypes.c_void_p()
        while (code := self.c.ffs_connect(str(cluster).encode(), b'rounds', timeout_ms, ctypes.byref(fs))) != 0:
            time.sleep(0.2)
        return fs

    def open(self, fs, path, flags):
        file = ctypes.c_void_p()
        code = self.c.ffs_open(fs, path.encode(), flags, 0o644, ctypes.byref(file))
        return file if code == 0 else None

    def error(self):
        return self.c.ffs_last_error().decode(errors='replace')


def block_of(name, index, sequence):
    """Self-describing: whose it is, where it belongs, which write made it, and bytes that follow from that."""
    head = struct.pack('<16sQQ', name.encode(), index, sequence)
    return head + random.Random(f'{name}/{index}/{sequence}').randbytes(BLOCK - len(head))


def describe(name, index, data):
    if data == bytes(BLOCK):
        return 0
    whose, where, sequence = struct.unpack('<16sQQ', data[:32])
    if whose.rstrip(b'\0').decode(errors='replace') != name or where != index or block_of(name, index, sequence) != data:
        return None
    return sequence


class Writer(threading.Thread):
    """Overwrites blocks of its files for ever; remembers of each block the last acknowledged write and those in doubt."""

    def __init__(self, library, cluster, number, seed):
        super().__init__(daemon=True)
        self.library, self.cluster = library, cluster
        self.rng = random.Random(f'{seed}/{number}')
        self.names = [f'w{number}-{i}' for i in range(FILES_OF_ONE)]
        self.acknowledged = collections.defaultdict(int)
        self.doubtful = collections.defaultdict(set)
        self.lock = threading.Lock()
        self.go, self.resting, self.ending = threading.Event(), threading.Event(), False
        self.writes = self.failures = 0
        self.last_success = 0.0

    def run(self):
        fs = self.library.connect(self.cluster, 8000)
        files = {}
        sequence = 0
        while not self.ending:
            if not self.go.is_set():
                for file in files.values():
                    self.library.c.ffs_close(file)
                files.clear()
                self.resting.set()
                self.go.wait(1)
                continue
            self.resting.clear()
            name = self.rng.choice(self.names)
            if name not in files:
                file = self.library.open(fs, f'/{name}', FFS_WRITE | FFS_CREATE)
                if file is None:
                    self.failures += 1
                    time.sleep(0.05)
                    continue
                files[name] = file
            index = self.rng.randrange(BLOCKS)
            sequence += 1
            key = name, index
            with self.lock:
                self.doubtful[key].add(sequence)
            done = self.library.c.ffs_pwrite(files[name], block_of(name, index, sequence), BLOCK, index * BLOCK)
            if done == BLOCK and self.library.c.ffs_fsync(files[name]) == 0:
                with self.lock:
                    self.doubtful[key].discard(sequence)
                    self.acknowledged[key] = sequence
                self.writes += 1
                self.last_success = time.monotonic()
            else:
                self.failures += 1
                self.library.c.ffs_close(files.pop(name))
        self.library.c.ffs_disconnect(fs)

    def pause(self):
        self.go.clear()
        if not self.resting.wait(60):
            raise AssertionError(f'a write hangs beyond every deadline ({self.names})')

    def check(self, fs):
        """Every block through a client of its own: what is wrong."""
        wrong = []
        into = ctypes.create_string_buffer(BLOCK)
        for name in self.names:
            file = self.library.open(fs, f'/{name}', FFS_READ)
            if file is None:
                if any(key[0] == name for key in self.acknowledged):
                    wrong.append(f'/{name}: {self.library.error()}')
                continue
            for index in range(BLOCKS):
                got = self.library.c.ffs_pread(file, into, BLOCK, index * BLOCK)
                key = name, index
                if got < 0:
                    wrong.append(f'/{name} block {index}: {self.library.error()}')
                    continue
                sequence = describe(name, index, into.raw[:got].ljust(BLOCK, b'\0'))
                last = self.acknowledged[key]
                if sequence != last and sequence not in self.doubtful[key]:
                    wrong.append(f'/{name} block {index}: acknowledged write {last}, in doubt {sorted(self.doubtful[key])}, '
                                 f'read {"garbage" if sequence is None else sequence} ({got} bytes)')
            self.library.c.ffs_close(file)
        return wrong


class Site:
    def __init__(self, ffs, folder):
        self.ffs_path, self.folder = ffs, folder
        self.file = folder / 'cluster.yaml'
        self.log = open(folder / 'log', 'ab')
        self.processes = {}
        run('ip', 'link', 'set', 'lo', 'up')
        run('mount', '-t', 'tmpfs', 'none', '/run')  # names of namespaces, which only we see
        run('ip', 'link', 'add', 'ffbridge', 'type', 'bridge')
        run('ip', 'addr', 'add', '10.99.0.254/24', 'dev', 'ffbridge')
        run('ip', 'link', 'set', 'ffbridge', 'up')
        for node in range(1, NODES + 1):
            self.make_host(node)
        nodes = [f'  - {n} 10.99.0.{n}:9601 stored {folder}/disk-{n}/targets' for n in range(1, NODES + 1)]
        self.file.write_text(
            f"cluster:\n  id: '{random.randbytes(16).hex()}'\n  key: cluster.key\n  replicas: 3\n  chains_per_folder: 3\n"
            f"  chunk: 256KiB\n  failure_timeout: 2s\nmgmtd:\n  store: rocksdb:mgmtd\nmetad:\n  store: rocksdb:metad\n"
            f"stored:\n  capacity: 128MiB\n  journal: 8MiB\nnodes:\n" + '\n'.join(nodes) +
            f'\n  - {NODES + 1} 10.99.0.254:9601 mgmtd,metad\n')
        key = folder / 'cluster.key'
        key.touch(mode=0o600)
        key.write_text(f'ffkey1 {random.randbytes(32).hex()}\n')
        for node in range(1, NODES + 2):
            self.inside(node, self.ffs_path, 'format', self.file, '--node', node)

    def make_host(self, node):
        run('ip', 'netns', 'add', f'ff{node}')
        run('ip', 'link', 'add', f'ffveth{node}', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', f'ff{node}')
        run('ip', 'link', 'set', f'ffveth{node}', 'master', 'ffbridge', 'up')
        for words in (['addr', 'add', f'10.99.0.{node}/24', 'dev', 'eth0'], ['link', 'set', 'eth0', 'up'],
                      ['link', 'set', 'lo', 'up']):
            run('ip', '-n', f'ff{node}', *words)
        image, mount = self.folder / f'image-{node}', self.folder / f'disk-{node}'
        with open(image, 'wb') as f:
            f.truncate(DISK_BYTES)
        run('mkfs.ext4', '-q', '-m', '0', image)
        mount.mkdir()
        run('mount', '-o', 'loop', image, mount)

    def words(self, node):
        return ['ip', 'netns', 'exec', f'ff{node}'] if node <= NODES else []

    def inside(self, node, *command):
        return run(*self.words(node), *command)

    def ffs(self, *arguments):
        return subprocess.run([self.ffs_path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90,
                              env=dict(os.environ, FF_CLUSTER=str(self.file)))

    def start(self, node):
        self.processes[node] = subprocess.Popen(
            [*self.words(node), self.ffs_path, 'serve', str(self.file), '--node', str(node)], stdout=self.log,
            stderr=self.log)

    def kill(self, *nodes):
        for node in nodes:
            self.processes[node].kill()
        for node in nodes:
            self.processes.pop(node).wait(timeout=30)

    def ended(self):
        """Of those that should run."""
        return [node for node, process in self.processes.items() if process.poll() is not None]

    def wait_until_whole(self):
        end = time.monotonic() + HEAL_SECONDS
        while self.ffs('status', '--timeout', '3s').returncode != 0:
            for node in self.ended():
                raise AssertionError(f'node {node} ended by itself: {self.processes[node].returncode}\n{self.tail()}')
            if time.monotonic() > end:
                raise AssertionError(f'not whole after {HEAL_SECONDS} s:\n{self.ffs("chain", "list").stdout.decode()}'
                                     f'{self.ffs("target", "list").stdout.decode()}{self.tail()}')
            time.sleep(0.1)

    def tail(self):
        return (self.folder / 'log').read_text(errors='replace')[-6000:]

    def flip(self, node, rng):
        """Changes bytes of a daemon's data, journal and tables."""
        files = [p for p in (self.folder / f'disk-{node}' / 'targets').rglob('*') if p.is_file() and p.stat().st_size > 0
                 and not p.name.startswith('super')]
        flips = 0
        for _ in range(200):
            path = rng.choice(files)
            with open(path, 'r+b') as f:
                at = rng.randrange(path.stat().st_size)
                f.seek(at)
                old = f.read(512)
                if not any(old):
                    continue  # nothing is written there
                f.seek(at)
                f.write(bytes([old[0] ^ (1 << rng.randrange(8))]))
            flips += 1
            if flips == 6:
                return

    def forget_damaged(self):
        """What an operator does after a look at the disk. Returns how many stores had been set aside."""
        aside = list(self.folder.glob('disk-*/targets/*.damaged'))
        for path in aside:
            shutil.rmtree(path)
        return len(aside)

    def remove(self):
        for process in self.processes.values():
            process.terminate()
        codes = {node: process.wait(timeout=60) for node, process in self.processes.items()}
        self.log.close()
        if any(codes.values()):
            raise AssertionError(f'serve ended with {codes}: {(self.folder / "log").read_text()[-4000:]}')


def put_in_and_take_away(site, fault, rng):
    """One fault for a while. Returns which nodes it was about."""
    node = rng.randrange(1, NODES + 1)
    pause = rng.uniform(0.1, 4)
    if fault in ('kill', 'kill two'):
        nodes = rng.sample(range(1, NODES + 1), 2 if fault == 'kill two' else 1)
        site.kill(*nodes)
        time.sleep(pause)
        for n in nodes:
            site.start(n)
        return nodes
    if fault == 'stop':
        site.processes[node].send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(1, 6))
        site.processes[node].send_signal(signal.SIGCONT)
    elif fault == 'cut':
        run('ip', 'link', 'set', f'ffveth{node}', 'down')
        time.sleep(rng.uniform(1, 6))
        run('ip', 'link', 'set', f'ffveth{node}', 'up')
    elif fault == 'full':
        balloon = site.folder / f'disk-{node}' / 'balloon'
        with open(balloon, 'wb', buffering=0) as f:
            try:
                while True:
                    f.write(bytes(1 << 20))
            except OSError:
                pass
        time.sleep(pause)
        balloon.unlink()
    elif fault == 'flip':
        site.kill(node)
        site.flip(node, rng)
        time.sleep(pause)
        site.start(node)
    elif fault == 'all':
        everybody = list(site.processes)
        site.kill(*everybody)
        time.sleep(pause)
        for n in rng.sample(everybody, len(everybody)):
            site.start(n)
        return everybody
    elif fault == 'names':
        site.kill(NODES + 1)
        time.sleep(pause)
        site.start(NODES + 1)
        return [NODES + 1]
    return [node]


def one_round(site, library, writers, fault, rng):
    for writer in writers:
        writer.go.set()
    time.sleep(rng.uniform(0.3, 1))
    nodes = put_in_and_take_away(site, fault, rng)
    healed = time.monotonic()
    while not any(w.last_success > healed for w in writers):
        if time.monotonic() - healed > HEAL_SECONDS:
            raise AssertionError(f'no write was acknowledged for {HEAL_SECONDS} s:\n'
                                 f'{site.ffs("chain", "list").stdout.decode()}{site.tail()}')
        time.sleep(0.01)
    serving = time.monotonic() - healed
    site.wait_until_whole()
    whole = time.monotonic() - healed
    for writer in writers:
        writer.pause()
    fs = library.connect(site.file, 30000)
    wrong = [line for writer in writers for line in writer.check(fs)]
    library.c.ffs_disconnect(fs)
    if wrong:
        raise AssertionError('\n'.join(wrong) + '\n' + site.tail())
    return nodes, serving, whole, site.forget_damaged()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ffs', type=pathlib.Path)
    parser.add_argument('libffs', type=pathlib.Path)
    parser.add_argument('--rounds', type=int, default=200)
    parser.add_argument('--seed', type=int, default=None)
    parser.add_argument('--only', default=','.join(FAULTS), help='faults, joined by commas')
    parser.add_argument('--keep', action='store_true', help='leave the folder with the logs')
    options = parser.parse_args()
    faults = options.only.split(',')
    if options.rounds < 1 or not set(faults) <= set(FAULTS):
        parser.error(f'--rounds of at least 1; faults are {", ".join(FAULTS)}')
    enter_namespaces()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    rng = random.Random(seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix='ffs-rounds-'))
    print(f'seed {seed}, {folder}', flush=True)
    library = Library(str(options.libffs.resolve()))
    site = Site(str(options.ffs.resolve()), folder)
    times = collections.defaultdict(list)
    try:
        for node in range(1, NODES + 2):
            site.start(node)
        site.wait_until_whole()
        writers = [Writer(library, site.file, i, seed) for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        for number in range(1, options.rounds + 1):
            fault = rng.choice(faults)
            try:
                nodes, serving, whole, aside = one_round(site, library, writers, fault, rng)
            except AssertionError as e:
                print(f'round {number} ({fault}, --seed {seed}): {e}', flush=True)
                options.keep = True
                return 1
            times[fault].append((serving, whole))
            print(f'round {number:3}  {fault:8}  nodes {",".join(map(str, nodes)):11}  writes again after {serving:6.2f} s  '
                  f'whole after {whole:6.2f} s  {sum(w.writes for w in writers)} acknowledged, '
                  f'{sum(w.failures for w in writers)} failed' + (f', {aside} stores replaced' if aside else ''), flush=True)
        for writer in writers:
            writer.ending = True
            writer.go.set()
            writer.join(30)
        site.remove()
    finally:
        for process in site.processes.values():
            if process.poll() is None:
                process.kill()
        if not options.keep:
            for node in range(1, NODES + 1):
                subprocess.run(['umount', folder / f'disk-{node}'], stderr=subprocess.DEVNULL)
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f'kept: {folder}')
    print('fault      rounds  writes again: median, longest   whole again: median, longest')
    for fault, pairs in times.items():
        serving, whole = zip(*pairs)
        print(f'{fault:8}  {len(pairs):6}  {statistics.median(serving):12.2f} s {max(serving):8.2f} s   '
              f'{statistics.median(whole):12.2f} s {max(whole):8.2f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
