"""What is measured: a storage system that is brought up in a folder, loaded through a mount, and stopped."""

import collections
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time

MARK = 'FF_PEERS_SYSTEM'
SESSIONS = {}  # of processes that were started: the system's name
TICKS = os.sysconf('SC_CLK_TCK')

# iops, bytes/s; what was moved in all; processor seconds of the load program.
Load = collections.namedtuple('Load', 'iops rate bytes cpu_s')


class Failed(Exception):
    """A system did not come up, or a load on it failed."""


def processes():
    """(pid, system it belongs to, fields of its stat from the state on) of all that systems have started.

    What becomes a daemon leaves the session that it was started in, but inherits the mark; what overwrites its
    environment with a title (mfsmount) stays in its session.
    """
    for entry in os.listdir('/proc'):
        try:
            fields = pathlib.Path(f'/proc/{entry}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()
            owner = SESSIONS.get(int(fields[3]))
            if owner is None:
                marks = pathlib.Path(f'/proc/{entry}/environ').read_bytes().split(b'\0')
                owner = next((m.decode().partition('=')[2] for m in marks if m.startswith(f'{MARK}='.encode())), None)
        except (OSError, IndexError, ValueError):
            continue  # no process, or one that has just ended
        if owner:
            yield int(entry), owner, fields


def cpu_seconds():
    """{system: processor seconds of all its processes and those they have waited for}; kernel threads do not count."""
    seconds = collections.Counter()
    for _, owner, fields in processes():
        seconds[owner] += sum(map(int, fields[11:15])) / TICKS
    return seconds


def wait_until(what, seconds, ready):
    """Polls until `ready()` is true."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Failed(f'{what}: not after {seconds} s')
        time.sleep(0.2)


def lay_out_limit_s(files, size):
    """At 10 MB/s even the slowest is done."""
    return 120 + files * size // 10_000_000


class System:
    """Subclasses say what they are in the attributes, and bring themselves up in `bring_up()`."""

    name = title = ''
    ours = False
    packages, programs = [], []
    tested = ''        # begin of the version that this driver was written for
    data_answer = ''   # what an acknowledged write of data promises
    sync_answer = ''   # and an fsync
    name_answer = ''   # and a create or remove
    caches = ''        # where reads may come from
    write_cache = 0    # bytes at the client; in files no larger, writes replace each other before they are sent

    def __init__(self, work, tools):
        self.folder, self.tools = work / self.name, tools
        self.mount = self.folder / 'mount'
        self.log = self.folder / 'log.txt'
        self.started = []

    # --- bringing up and stopping

    def missing(self):
        """Why it cannot run here, or nothing."""
        lacking = [p for p in [*self.programs, 'fio'] if shutil.which(p) is None]
        if lacking:
            return f"{', '.join(lacking)} not found (apt-get install {' '.join([*self.packages, 'fio'])})"
        return self.not_built(self.tools.ffbench)

    def not_built(self, *tools):
        return next((f'{t} is not there (meson compile -C {self.tools.build})' for t in tools if not t.is_file()), '')

    def up(self):
        self.mount.mkdir(parents=True)
        try:
            self.bring_up()
        except (OSError, Failed) as error:
            raise Failed(f'{error}\n{self.last_words()}') from error

    def bring_up(self):
        raise NotImplementedError

    def environment(self):
        return {**os.environ, MARK: self.name}

    def start(self, *argv, **environment):
        """A process of the system, which stays in the foreground."""
        with open(self.log, 'ab') as log:
            process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**self.environment(), **environment}, start_new_session=True)
        self.started.append(process)
        SESSIONS[process.pid] = self.name
        return process

    def command(self, *argv, seconds=60, marked=True):
        """Standard output of a command that must succeed in time."""
        argv = [str(a) for a in argv]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False,
                                  stdin=subprocess.DEVNULL, env=self.environment() if marked else None)
        except subprocess.TimeoutExpired as error:
            raise Failed(f'{argv[0]}: no end after {seconds} s ({" ".join(argv)})') from error
        if done.returncode != 0:
            words = ' '.join((done.stderr.strip() or done.stdout.strip()).split())
            raise Failed(f'{argv[0]}: {words[-600:] or done.returncode} ({" ".join(argv)})')
        return done.stdout

    def succeeds(self, *argv, seconds=20):
        try:
            self.command(*argv, seconds=seconds)
        except Failed:
            return False
        return True

    def wait_for(self, what, ready, seconds=60):
        def watched():
            dead = [p for p in self.started if p.poll() is not None]
            if dead:
                raise Failed(f'{pathlib.Path(dead[0].args[0]).name} ended with {dead[0].returncode}')
            return ready()
        wait_until(what, seconds, watched)

    def wait_for_mount(self):
        self.wait_for('mount', self.mount.is_mount)

    def last_words(self):
        try:
            return '\n'.join(self.log.read_text(encoding='utf-8', errors='replace').splitlines()[-12:])
        except OSError:
            return ''

    def down(self):
        """Ends it, in order while that works: the mount, then its processes. Says what was left."""
        # It may be no mount, or one whose server is dead, which nothing but this can be asked.
        subprocess.run(['umount', '-l', str(self.mount)], check=False, timeout=30, stderr=subprocess.DEVNULL)
        for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
            end = time.monotonic() + seconds
            alive = self.alive()
            for pid in alive:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            while alive and time.monotonic() < end:
                time.sleep(0.1)
                alive = self.alive()
            if not alive:
                return
        raise Failed(f'{self.title}: processes {alive} do not end')

    def alive(self):
        """Processes that have not ended; one that only waits for its parent has."""
        return [pid for pid, owner, fields in processes() if owner == self.name and fields[0] != 'Z']

    # --- loads: on files of a mounted folder, unless a subclass knows better

    def lay_out(self, files, size):
        """Files full of data, synced."""
        (self.mount / 'peers').mkdir(exist_ok=True)
        self.fio(['--name=lay_out', '--rw=write', '--bs=1M', '--end_fsync=1', f'--numjobs={files}',
                  '--ioengine=psync'], size, lay_out_limit_s(files, size))

    def run(self, job, size, seconds):
        """Writes end with a sync, which counts: what still waits in a client's cache has not been written."""
        engine = 'psync' if job.depth == 1 else 'io_uring'
        return self.fio([f'--name={job.name}', f'--rw={job.pattern}', f'--bs={job.block}', '--direct=1',
                         f'--ioengine={engine}', f'--iodepth={job.depth}', f'--numjobs={job.jobs}',
                         f'--fsync={job.fsync}', '--end_fsync=1', '--time_based', f'--runtime={seconds}'], size, seconds + 120)

    def fio(self, arguments, size, limit_s):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = self.command('fio', *arguments, f'--directory={self.mount / "peers"}', f'--size={size}',
                            '--filename_format=data.$jobnum', '--fallocate=none', '--randrepeat=0',
                            '--group_reporting', '--output-format=json', seconds=limit_s, marked=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # fio may print warnings before its document.
        job = json.loads(text[text.index('{'):])['jobs'][0]
        if job['error']:
            raise Failed(f'fio: {os.strerror(job["error"])}')
        sides = [job['read'], job['write']]
        return Load(sum(s['iops'] for s in sides), sum(s['bw_bytes'] for s in sides),
                    sum(s['io_bytes'] for s in sides),
                    after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    def meta_folder(self):
        return [str(self.mount)]

    def run_meta(self, tasks, files):
        """{phase: operations per second}, with `files` in one folder, shared by all tasks."""
        text = self.command(self.tools.ffbench, 'meta', *self.meta_folder(), '-t', tasks, '-n', max(1, files // tasks),
                            '--repeat', 1, '--json', '--quiet', seconds=600, marked=False)
        rates = {}
        for row in json.loads(text)['rows']:
            rate = next((m['median'] for m in row['metrics'] if m['name'] == 'rate'), None)
            rates[row['parameters']['phase']] = rate
        return rates
