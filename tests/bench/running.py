"""Processes of a benchmark: pinned to processors, ended with the driver, with a deadline on all that they do."""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import time

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
GRACE_S = 30  # for a program to start, or to end after its load


class Failed(Exception):
    """A program failed: said in the table, and the exit status is 1."""


class Skipped(Exception):
    """What is needed is not here: said in the table, and no failure."""


def title(argv):
    return ' '.join([os.path.basename(argv[0]), *argv[1:3]])


def start(argv, cpus, env=None):
    def before_exec():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cpus)

    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=os.environ | (env or {}), preexec_fn=before_exec)


def end(process):
    if process.poll() is None:
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    process.stdout.close()
    process.stderr.close()


def parse(argv, text):
    try:
        value = json.loads(text)
    except ValueError as e:
        raise Failed(f'{title(argv)}: its output is no JSON: {text[:200]!r}') from e
    if not isinstance(value, dict):
        raise Failed(f'{title(argv)}: its output is no JSON object: {text[:200]!r}')
    return value


def finish(process, argv, seconds):
    """What a program printed until it ended by itself with status 0."""
    try:
        out, errors = process.communicate(timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired as e:
        raise Failed(f'{title(argv)}: not done after {seconds + GRACE_S:.0f} s') from e
    finally:
        end(process)
    if process.returncode != 0:
        said = errors.decode(errors='replace').strip().splitlines()
        raise Failed(f'{title(argv)}: status {process.returncode}: {said[-1] if said else "no message"}')
    return out.decode(errors='replace')


def run(argv, cpus, seconds, env=None):
    """The JSON object that a load generator prints."""
    return parse(argv, finish(start(argv, cpus, env), argv, seconds))


def read_line(process, argv):
    """The first line of a program that goes on running."""
    deadline = time.monotonic() + GRACE_S
    line = b''
    while not line.endswith(b'\n'):
        if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise Failed(f'{title(argv)}: says nothing for {GRACE_S} s')
        byte = os.read(process.stdout.fileno(), 1)
        if not byte:
            errors = process.communicate(timeout=GRACE_S)[1].decode(errors='replace').strip()
            raise Failed(f'{title(argv)}: ended: {errors or "no message"}')
        line += byte
    return line.decode(errors='replace')


class Resident:
    """A program that says one line of JSON when it is ready and another after SIGTERM. A context manager."""

    def __init__(self, argv, cpus, env=None):
        self.argv = argv
        self.process = start(argv, cpus, env)
        try:
            self.ready = parse(argv, read_line(self.process, argv))
        except BaseException:
            end(self.process)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)

    def resident_bytes(self):
        with open(f'/proc/{self.process.pid}/status', encoding='utf-8') as f:
            kib = next(line.split()[1] for line in f if line.startswith('VmRSS:'))
        return int(kib) * 1024

    def finish(self):
        """Its report, after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return parse(self.argv, finish(self.process, self.argv, 0))
