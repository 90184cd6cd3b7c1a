"""What is measured: loads and phases, with the ratio to the best peer that FFS is to reach."""

import collections

# A load on files. `target`: FFS to the best peer, where one is set.
Job = collections.namedtuple('Job', 'name title pattern block depth jobs fsync target')

LOADS = [
    Job('randread-qd1', '4K random read qd1', 'randread', '4K', 1, 1, 0, 3),
    Job('randread-qd16', '4K random read qd16', 'randread', '4K', 16, 1, 0, 4),
    Job('randread-qd16x4', '4K random read qd16, 4 jobs', 'randread', '4K', 16, 4, 0, None),
    Job('randwrite-qd1', '4K random write qd1', 'randwrite', '4K', 1, 1, 0, 1.5),
    Job('randwrite-qd16', '4K random write qd16', 'randwrite', '4K', 16, 1, 0, 2.2),
    Job('randwrite-fsync', '4K random write + fsync each', 'randwrite', '4K', 1, 1, 1, 4),
    Job('read-qd1', '1M read qd1', 'read', '1M', 1, 1, 0, 2),
    Job('read-qd4', '1M read qd4', 'read', '1M', 4, 1, 0, 2),
    Job('read-qd32', '1M read qd32', 'read', '1M', 32, 1, 0, 2),
    Job('write-qd1', '1M write qd1', 'write', '1M', 1, 1, 0, 2.2),
    Job('write-qd4', '1M write qd4', 'write', '1M', 4, 1, 0, 2.2),
    Job('write-qd32', '1M write qd32', 'write', '1M', 32, 1, 0, 2.2),
]

# Names of one folder, by so many clients at once.
Names = collections.namedtuple('Names', 'name clients')
NAMES = [Names(f'meta-{n}', n) for n in (1, 4, 16)]

# Phase: (verb, ratio to the best peer).
PHASES = {'create': ('create', 1.7), 'stat': ('stat', 4.5), 'unlink': ('remove', 1.7)}

# The only peer whose data are on disks when it answers, and which journals names: the one to compare a durable FFS with.
DURABLE_PEER = 'cephfs'
DURABLE_TARGETS = {'create': 4}

ALL = [*LOADS, *NAMES]
FILES = max(job.jobs for job in LOADS)


def is_small(job):
    return job.block == '4K'


def value_of(job, load):
    """What a row states: operations per second of small blocks, MB/s of large ones."""
    return load['iops'] if is_small(job) else load['rate'] / 1e6


def unit_of(job):
    return '/s' if is_small(job) else 'MB/s'
