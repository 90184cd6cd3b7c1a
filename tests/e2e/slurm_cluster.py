"""A Slurm of our own on this machine: munged, slurmctld and slurmd in a temporary folder, on free ports.

Debian's packages munge, slurmctld, slurmd and slurm-client. One slurmd stands for one node; where Slurm was built for
several on a machine (--enable-multiple-slurmd, as Debian does) there are as many as asked for. Nothing of the machine's
own Slurm or munge is used or changed, and everything ends with stop().
"""

import functools
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

DAEMONS = ('munged', 'slurmctld', 'slurmd')
COMMANDS = ('sbatch', 'squeue', 'scancel', 'scontrol', 'sinfo', 'srun')


def find(program):
    return shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/local/sbin:/usr/sbin:/sbin')


def missing():
    """What keeps a Slurm from being started here, in words; None: nothing."""
    for program in DAEMONS + COMMANDS:
        if find(program) is None:
            return f'{program} is not installed (packages munge, slurmctld, slurmd, slurm-client)'
    if os.geteuid() != 0:
        return 'slurmd runs as root, and this is not root'
    return None


def free_ports(count):
    """Below those that the kernel gives out by itself, so that nobody else is likely to take them meanwhile."""
    found = []
    start = 20000 + os.getpid() * 7 % 10000
    for port in range(start, 32000):
        sockets = []
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = socket.socket(socket.AF_INET, kind)
                sockets.append(one)
                one.bind(('127.0.0.1', port))
            found.append(port)
        except OSError:
            pass
        finally:
            for one in sockets:
                one.close()
        if len(found) == count:
            return found
    raise RuntimeError('no free ports')


def die_with_parent():
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class SlurmCluster:
    """`cpus`, `gpus`: of each node, as Slurm is told; the machine need not have them. `settings`: more lines of
    slurm.conf."""

    def __init__(self, nodes=3, cpus=4, settings=(), node_settings='', gpus=0):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ff-slurm-'))
        # Jobs of other users write here too.
        self.folder.chmod(0o755)
        self.processes = {}
        self.nodes = [f'n{i}' for i in range(nodes)]
        self.config = self.folder / 'slurm.conf'
        self.environment = dict(os.environ, SLURM_CONF=str(self.config))
        for name in list(self.environment):
            if name.startswith(('SLURM_', 'SBATCH_', 'SRUN_')) and name != 'SLURM_CONF':
                del self.environment[name]
        try:
            self._configure(cpus, settings, node_settings, gpus)
            self._start()
        except BaseException:
            self.stop()
            raise

    def _configure(self, cpus, settings, node_settings, gpus):
        for name in ('munge', 'state', 'log', *(f'spool-{node}' for node in self.nodes)):
            (self.folder / name).mkdir(mode=0o755)
        key = self.folder / 'munge' / 'key'
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        ports = free_ports(1 + len(self.nodes))
        host = socket.gethostname().split('.')[0]
        user = pwd.getpwuid(os.geteuid()).pw_name
        lines = [
            'ClusterName=ffslurm', f'SlurmctldHost={host}(127.0.0.1)', f'SlurmctldPort={ports[0]}',
            f'SlurmUser={user}', f'SlurmdUser={user}', 'AuthType=auth/munge', 'CredType=cred/munge',
            f'AuthInfo=socket={self.folder}/munge/socket',
            f'StateSaveLocation={self.folder}/state',
            f'SlurmdSpoolDir={self.folder}/spool-%n', f'SlurmctldPidFile={self.folder}/slurmctld.pid',
            f'SlurmdPidFile={self.folder}/slurmd-%n.pid', f'SlurmctldLogFile={self.folder}/log/slurmctld',
            f'SlurmdLogFile={self.folder}/log/%n', 'ProctrackType=proctrack/linuxproc', 'TaskPlugin=task/none',
            'JobAcctGatherType=jobacct_gather/none', 'AccountingStorageType=accounting_storage/none',
            'JobCompType=jobcomp/filetxt', f'JobCompLoc={self.folder}/log/completed', 'MpiDefault=none',
            'SelectType=select/cons_tres', 'SelectTypeParameters=CR_CPU', 'SwitchType=switch/none',
            'SchedulerType=sched/backfill', 'SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0',
            'PriorityType=priority/basic', 'ReturnToService=2', 'KillWait=2', 'InactiveLimit=0', 'MinJobAge=300',
            'MaxJobCount=100000', 'SlurmdParameters=config_overrides', 'LaunchParameters=disable_send_gids',
            *settings]
        if gpus:
            # Files that stand for devices.
            lines.append('GresTypes=gpu')
            for i in range(gpus):
                (self.folder / f'gpu{i}').touch()
            (self.folder / 'gres.conf').write_text(f'Name=gpu Flags=nvidia_gpu_env File={self.folder}/gpu[0-{gpus - 1}]\n')
            node_settings += f' Gres=gpu:{gpus}'
        for node, port in zip(self.nodes, ports[1:]):
            lines.append(f'NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} '
                         f'RealMemory=1000 {node_settings}')
        lines.append(f'PartitionName=main Nodes={",".join(self.nodes)} Default=YES MaxTime=INFINITE State=UP')
        self.config.write_text('\n'.join(lines) + '\n')

    def _spawn(self, name, *words):
        log = open(self.folder / 'log' / f'{name}.out', 'wb')
        with log:
            self.processes[name] = subprocess.Popen([find(words[0]), *words[1:]], stdin=subprocess.DEVNULL, stdout=log,
                                                    stderr=log, env=self.environment, cwd=self.folder,
                                                    start_new_session=True, preexec_fn=die_with_parent)

    def _until(self, what, ready, within=60):
        end = time.monotonic() + within
        while not ready():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f'{name} ended with {process.returncode}: {self._logs()}')
            if time.monotonic() > end:
                raise RuntimeError(f'{what}: not within {within} s: {self._logs()}')
            time.sleep(0.05)

    def _logs(self):
        return '\n'.join(f'== {file.name}\n{file.read_text(errors="replace")[-1500:]}'
                         for file in sorted((self.folder / 'log').iterdir()))

    def _start(self):
        munge = self.folder / 'munge'
        self._spawn('munged', 'munged', '--foreground', '--force', f'--key-file={munge}/key',
                    f'--socket={munge}/socket', f'--pid-file={munge}/pid', f'--log-file={munge}/log',
                    f'--seed-file={munge}/seed', '--num-threads=2')
        self._until('munged', (munge / 'socket').exists)
        self._spawn('slurmctld', 'slurmctld', '-D', '-f', str(self.config))
        for node in self.nodes:
            self._spawn(node, 'slurmd', '-D', '-N', node, '-f', str(self.config))
        self._until('nodes', self._all_idle)

    def _all_idle(self):
        done = self.slurm('sinfo', '-h', '-N', '-o', '%T', expect=None)
        states = done.stdout.split()
        return done.returncode == 0 and len(states) == len(self.nodes) and all(s == 'idle' for s in states)

    def slurm(self, *words, expect=0, timeout=60, **others):
        done = subprocess.run([find(words[0]), *map(str, words[1:])], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=timeout, env=self.environment, cwd=self.folder, **others)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f'{" ".join(map(str, words))}: exit {done.returncode}, not {expect}: '
                                 f'{done.stdout[-2000:]}{done.stderr[-2000:]}')
        return done

    def version(self):
        return self.slurm('sbatch', '--version').stdout.strip()

    def _steps(self):
        """slurmstepd processes of our slurmds: those are sessions of their own."""
        mark = f'SLURM_CONF={self.config}'.encode()
        found = []
        for entry in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if mark in (entry / 'environ').read_bytes().split(b'\0'):
                    found.append(int(entry.name))
            except OSError:
                pass
        return [pid for pid in found if pid != os.getpid()]

    def stop(self):
        try:
            if 'slurmctld' in self.processes and self.processes['slurmctld'].poll() is None:
                self.slurm('scancel', '--user', pwd.getpwuid(os.geteuid()).pw_name, '--full', '--signal=KILL',
                           expect=None, timeout=20)
        except (OSError, subprocess.SubprocessError):
            pass
        for name in reversed(list(self.processes)):
            process = self.processes[name]
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        end = time.monotonic() + 15
        while (left := self._steps()) and time.monotonic() < end:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
