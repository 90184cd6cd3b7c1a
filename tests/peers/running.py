"""Programs to compare, and how one of them is run: as a process of its own, watched case by case."""

import collections
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

# glibc gives memory of large messages back after each call, unless told to keep it; Open MPI and MPICH allocate a
# message-sized temporary a call. 'tuned' runs keep it.
MALLOC_TUNED = {'MALLOC_TOP_PAD_': '67108864', 'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': '8589934592'}

Case = collections.namedtuple('Case', 'variant element bytes')
Case.__str__ = lambda self: f'{self.variant}:{self.element}:{self.bytes}'

Outcome = collections.namedtuple('Outcome', 'status us seconds')  # ok, wrong, unsupported, hung or failed


class Program:
    """One driver, as shipped or with malloc tuned. `transports`: {name: variants}."""

    def __init__(self, name, title, path, transports, elements, tuned=False):
        self.name, self.title, self.path = name, title, path
        self.transports, self.elements, self.tuned = transports, elements, tuned

    @property
    def ours(self):
        return self.name == 'hfreduce'

    def label(self, variant):
        return f'{self.title} {variant}' if variant not in ('default', '') else self.title

    def command(self, transport, ranks, arguments):
        """(argv, environment) of a run."""
        env = dict(MALLOC_TUNED) if self.tuned else {}
        argv = [str(self.path), *arguments]
        if self.name == 'openmpi':
            tcp = ['--mca', 'btl', 'tcp,self', '--mca', 'btl_tcp_if_include', 'lo', '--mca', 'oob_tcp_if_include', 'lo']
            bind = 'core' if ranks <= (os.cpu_count() or 1) else 'none'
            return ['mpirun.openmpi', *(['--allow-run-as-root'] if os.geteuid() == 0 else []), '--oversubscribe',
                    '-np', str(ranks), '--bind-to', bind, '--mca', 'pml', 'ob1',
                    *(tcp if transport == 'tcp' else ['--mca', 'btl', 'vader,self']), *argv], env
        if self.name == 'mpich':
            env |= {'UCX_TLS': 'tcp,self', 'UCX_NET_DEVICES': 'lo', 'MPIR_CVAR_NOLOCAL': '1'} \
                if transport == 'tcp' else {'UCX_TLS': 'posix,sysv,cma,self'}
            bind = ['-bind-to', 'core'] if ranks <= (os.cpu_count() or 1) else []
            return ['mpiexec.mpich', '-iface', 'lo', *bind, '-n', str(ranks), *argv], env
        if self.ours:
            env |= {'HFR_TRANSPORT': transport}
        return [*argv, '--ranks', str(ranks)], env


def stop(process):
    """The launcher first, so that it ends its ranks itself; ranks that outlive it are ended by their own alarm."""
    process.terminate()
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def read_lines(stream, lines):
    for line in stream:
        lines.put(line)
    lines.put(None)


class Runner:
    def __init__(self, environment, budget_ms, limit_s):
        self.environment, self.budget_ms, self.limit_s = environment, budget_ms, limit_s

    def run(self, program, transport, ranks, cases):
        """Outcome of each case. Sizes from a hung or failed one up are given up for that variant and type."""
        outcomes, left = {}, list(cases)
        while left:
            one_run, complaint = self.run_once(program, transport, ranks, left)
            outcomes |= one_run
            broken = next((c for c, o in one_run.items() if o.status in ('hung', 'failed')), None)
            if broken is None and len(one_run) < len(left):
                # It ended before its first case.
                outcomes |= {c: Outcome('failed', [], 0) for c in left if c not in one_run}
                return outcomes, complaint
            if broken is None:
                return outcomes, ''
            given_up = [c for c in left if c not in one_run and c[:2] == broken[:2] and c.bytes >= broken.bytes]
            outcomes |= {c: Outcome(one_run[broken].status, [], 0) for c in given_up}
            left = [c for c in left if c not in outcomes]
        return outcomes, complaint

    def run_once(self, program, transport, ranks, cases):
        folder = tempfile.mkdtemp(prefix='peers-')
        arguments = ['--meet', str(pathlib.Path(folder, 'meet')), '--cases', ','.join(map(str, cases)),
                     '--budget-ms', str(self.budget_ms), '--limit-s', str(self.limit_s + 2)]
        argv, env = program.command(transport, ranks, arguments)
        outcomes, by_text = {}, {str(c): c for c in cases}
        with tempfile.TemporaryFile('w+') as complaints:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL,
                                       text=True, env={**os.environ, **self.environment, **env},
                                       start_new_session=True)
            lines = queue.Queue()
            reader = threading.Thread(target=read_lines, args=(process.stdout, lines), daemon=True)
            reader.start()
            current, since = None, time.monotonic()
            status = 'failed'
            try:
                while True:
                    # Before the first case the library connects its ranks; that gets as long as a case.
                    line = lines.get(timeout=max(0.1, since + self.limit_s - time.monotonic()))
                    if line is None:
                        process.wait(timeout=5)
                        break
                    record = json.loads(line) if line.startswith('{') else {}
                    if 'begin' in record:
                        current, since = by_text[record['begin']], time.monotonic()
                    elif 'case' in record:
                        outcomes[by_text[record['case']]] = outcome_of(record, time.monotonic() - since)
                        current = None
            except (queue.Empty, subprocess.TimeoutExpired):
                status = 'hung'
            finally:
                stop(process)
                shutil.rmtree(folder, ignore_errors=True)
            if current is not None:
                outcomes[current] = Outcome(status, [], time.monotonic() - since)
            complaints.seek(0)
            return outcomes, complaints.read().strip()[-600:]


def outcome_of(record, seconds):
    if record.get('unsupported'):
        return Outcome('unsupported', [], seconds)
    return Outcome('ok' if record['correct'] else 'wrong', record['us'], seconds)
