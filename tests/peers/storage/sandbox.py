"""A place for the systems to run in: process, mount and network namespaces of their own.

Whatever happens to a run, Ctrl-C and kill -9 included, its end is the end of all its processes and mounts: the first
process inside is the measuring program itself, and the kernel ends the rest with it. The machine's addresses, mounts and
services are neither used nor changed.
"""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys

# GlusterFS and MooseFS refuse 127.x as addresses of servers.
ADDRESS = '10.99.0.1'

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x8000000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 0x40000, 0x1000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The kernel or the machine does not allow what a sandbox needs."""


def call(what, result):
    if result != 0:
        raise Refused(f'{what}: {os.strerror(ctypes.get_errno())} (run it as root, outside of unprivileged containers)')


def mount(source, target, kind, flags):
    call(f'mount {target}', libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, None))


def bind(source, target):
    """Inside only: `target` of the machine is the folder `source` from here on. Both are made if they are not there."""
    source.mkdir(parents=True, exist_ok=True)
    pathlib.Path(target).mkdir(parents=True, exist_ok=True)
    mount(str(source), target, '', MS_BIND)


def furnish(work, congestion_control):
    call('unshare', libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC))
    mount('none', '/', '', MS_REC | MS_PRIVATE)
    mount('proc', '/proc', 'proc', 0)
    bind(work / 'run', '/run')
    for command in (['link', 'set', 'lo', 'up'], ['address', 'add', f'{ADDRESS}/32', 'dev', 'lo']):
        subprocess.run(['ip', *command], check=True, timeout=10)
    if congestion_control:
        pathlib.Path('/proc/sys/net/ipv4/tcp_congestion_control').write_text(congestion_control, encoding='utf-8')


def first_process(work, congestion_control, main):
    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # stopping is under way
        sys.exit(143)

    call('prctl', libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which passes it on
    signal.signal(signal.SIGTERM, stop)
    try:
        furnish(work, congestion_control)
        return main()
    except (Refused, OSError, subprocess.SubprocessError) as error:
        print(f'compare_storage: {error}', file=sys.stderr)
        return 1


def run_inside(work, congestion_control, main):
    """The exit status of `main`, called in a sandbox. One request to stop is passed on, a second one ends it at once."""
    call('unshare', libc.unshare(CLONE_NEWPID))
    asked = []
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = first_process(work, congestion_control, main)
        except SystemExit as request:
            status = request.code if isinstance(request.code, int) else 1
        finally:
            sys.stdout.flush()
            os._exit(status)

    def pass_on(number, _):
        os.kill(child, signal.SIGKILL if asked else signal.SIGTERM)
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 + asked[0] if asked else status
