#!/usr/bin/env python3
"""`ffbench storage` and `ffbench meta` on real files, devices and full disks: what they refuse, what they leave behind, and
that `verify` finds nothing after kill -9 and everything that was changed behind its back.

usage: ffbench_storage_test.py FFBENCH

What needs mounts or loop devices is skipped, with a line, where they cannot be had.
"""

import contextlib
import ctypes
import errno
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FFBENCH = None
LIMIT_S = 60
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_RDONLY, MS_REMOUNT = 0x20000, 0x4000, 0x40000, 1, 32
LIBC = ctypes.CDLL(None, use_errno=True)


def check(condition, message):
    if not condition:
        sys.exit(f'FAILED: {message}')


def run(*words, code=0, under=()):
    """(document or None, standard error) of a command that must end with `code`, run by the command `under`."""
    done = subprocess.run([*under, FFBENCH, *map(str, words)], capture_output=True, text=True, timeout=LIMIT_S, check=False,
                          stdin=subprocess.DEVNULL)
    check(done.returncode == code, f'{" ".join(map(str, words))}: exit {done.returncode}, not {code}\n{done.stderr}')
    return (json.loads(done.stdout) if done.stdout.startswith('{') else None), done.stderr


def start(*words):
    return subprocess.Popen([FFBENCH, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def end(process, number):
    process.send_signal(number)
    out, errors = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, errors


def wait_for(condition, what):
    limit = time.monotonic() + LIMIT_S
    while not condition():
        check(time.monotonic() < limit, f'{what}: not within {LIMIT_S} s')
        time.sleep(0.01)


def metrics(row):
    return {m['name']: (m['samples'] or [None])[-1] for m in row['metrics']}


def make(path, size, byte=b'x'):
    path.write_bytes(byte * size)
    return path


def random_file(path, size):
    path.write_bytes(random.Random(1).randbytes(size))
    return path


# --- loads

def test_path_measures_and_leaves_nothing(folder):
    document, _ = run('storage', 'path', folder, '--rw', 'randread,randwrite,randrw', '--bs', '4K,16K', '--qd', 4, '--jobs', 2,
                      '--size', '4MiB', '--repeat', 2, '--duration', '20ms', '--warmup', '0', '--fsync', 50, '--json',
                      '--buffered')
    check(len(document['rows']) == 6 and document['complete'], document)
    for row in document['rows']:
        values = metrics(row)
        check(all(v is not None and v >= 0 for v in values.values()), row)
        check(max(v for k, v in values.items() if k.endswith('_iops')) > 0, row)
    check(not list(folder.iterdir()), f'left behind: {list(folder.iterdir())}')


def test_what_never_happened_has_no_latency(folder):
    common = ('--size', '1MiB', '--qd', 1, '--operations', 50, '--repeat', 1, '--warmup', '0', '--buffered', '--json')
    document, _ = run('storage', 'path', folder, '--rw', 'randwrite', '--fsync', 1000000, *common, code=3)
    row = document['rows'][0]
    check('no fsync ended' in row['error'] and metrics(row)['fsync_p50'] is None, row)
    check(metrics(row)['write_latency_p50'] > 0, row)
    document, _ = run('storage', 'path', folder, '--rw', 'randrw', '--mix', 100, *common, code=3)
    row = document['rows'][0]
    check('no write ended' in row['error'] and metrics(row)['write_latency_p50'] is None, row)
    check(metrics(row)['read_latency_p50'] > 0 and metrics(row)['write_iops'] == 0, row)


def test_engines_give_the_same_shape(folder):
    for engine in ('uring', 'psync'):
        document, _ = run('storage', 'path', folder, '--rw', 'randread', '--qd', 1, '--size', '1MiB', '--operations', 500,
                          '--repeat', 1, '--engine', engine, '--buffered', '--warmup', '0', '--json')
        row = document['rows'][0]
        check(row['latencies'][0]['count'] == 500, row)
    _, errors = run('storage', 'path', folder, '--engine', 'psync', '--qd', 4, code=2)
    check('--qd' in errors, errors)


def test_raw_refuses_what_would_destroy(folder):
    file = random_file(folder / 'data', 1 << 20)
    before = file.read_bytes()
    _, errors = run('storage', 'raw', file, '--rw', 'randwrite', '--buffered', code=1)
    check('--force' in errors and '1048576' in errors, errors)
    run('storage', 'verify', 'write', file, code=1)
    check(file.read_bytes() == before, 'a refused command changed the file')
    run('storage', 'raw', file, '--rw', 'randread', '--duration', '10ms', '--repeat', 1, '--buffered', '--quiet')
    check(file.read_bytes() == before, 'a read changed the file')
    run('storage', 'raw', file, '--rw', 'randwrite', '--force', '--duration', '10ms', '--repeat', 1, '--buffered', '--quiet')
    check(file.stat().st_size == 1 << 20 and file.read_bytes() != before, '--force wrote nothing, or changed the size')


def test_bad_targets_are_named(folder):
    for words, code, text in ((('storage', 'path', folder / 'none'), 1, 'none'),
                              (('storage', 'raw', folder / 'none'), 1, 'does not exist'),
                              (('storage', 'raw', folder), 2, 'storage path'),
                              (('storage', 'verify', 'check', folder / 'none'), 1, 'does not exist'),
                              (('storage', 'verify', 'write', folder / 'new'), 2, '--size'),
                              (('storage', 'fio', folder / 'none'), 1, 'none'),
                              (('meta', folder / 'none'), 1, 'none')):
        _, errors = run(*words, code=code)
        check(text in errors and errors.count('\n') == 1, f'{words}: {errors}')
    check(not list(folder.iterdir()), list(folder.iterdir()))


def test_ctrl_c_leaves_nothing_and_keeps_what_was_measured(folder):
    for words in (('storage', 'path', folder, '--size', '8MiB', '--rw', 'randread,randwrite', '--buffered'),
                  ('meta', folder, '-n', 2000, '-t', 2)):
        process = start(*words, '--repeat', 1000, '--json')
        wait_for(lambda: list(folder.iterdir()), 'a folder to appear')
        time.sleep(0.5)
        code, out, errors = end(process, signal.SIGINT)
        check(code == 128 + signal.SIGINT, f'exit {code}: {errors}')
        check(json.loads(out)['complete'] is False, out[:200])
        check(not list(folder.iterdir()), f'left behind: {list(folder.iterdir())}')


def test_fio_files(folder):
    job = folder / 'job.fio'
    job.write_text(f'''[global]
directory={folder}
size=2m
ioengine=io_uring
runtime=50ms
time_based
[a]
rw=randread
iodepth=8
[b]
rw=randwrite
numjobs=2
[c]
stonewall
rw=read
bs=64k
''', encoding='utf-8')
    document, _ = run('storage', 'fio', job, '--json')
    check(len(document['rows']) == 2, document['rows'])
    together, alone = map(metrics, document['rows'])
    check(together['a_read_iops'] > 0 and together['b_write_iops'] > 0, together)
    check(alone['read_bandwidth'] > 0, alone)
    check([p.name for p in folder.iterdir()] == ['job.fio'], list(folder.iterdir()))
    job.write_text(f'[a]\nfilename={folder}/new\nsize=1m\nrw=write\nbs=64k\nloops=3\n', encoding='utf-8')
    document, _ = run('storage', 'fio', job, '--json', '--keep')
    check((folder / 'new').stat().st_size == 1 << 20, '--keep did not keep')
    _, errors = run('storage', 'fio', job, code=1)
    check('--force' in errors and 'job.fio:1' in errors, errors)
    job.write_text('[a]\nfilename=f\nverify=md5\n', encoding='utf-8')
    _, errors = run('storage', 'fio', job, code=2)
    check("job.fio:3: 'verify' is not understood" in errors, errors)


def test_meta_counts_what_the_tree_says(folder):
    document, _ = run('meta', folder, '-t', 3, '-n', 5, '-z', 2, '-b', 2, '-u', '-w', '1K', '--repeat', 1, '--json')
    # 1 + 2 + 4 folders for each of 3 tasks, 5 files of each task in each folder.
    expected = {'mkdir': 21, 'create': 105, 'stat': 105, 'read': 105, 'readdir': 21, 'rename': 105, 'unlink': 105, 'rmdir': 21}
    found = {row['name'].split()[0]: int(metrics(row)['operations']) for row in document['rows']}
    check(found == expected, found)
    check(not list(folder.iterdir()), list(folder.iterdir()))


# --- verify

def verify_check(target, *words, code=0):
    document, errors = run('storage', 'verify', 'check', target, *words, '--json', code=code)
    return metrics(document['rows'][0]), errors


def synced(journal):
    """What the journal promises now: verify.md has its layout."""
    data = journal.read_bytes() if journal.exists() else b''
    return max((int.from_bytes(data[page + 24:page + 32], 'little') for page in (4096, 8192)
                if data[page:page + 8] == b'FFBVREC1'), default=-1)


def test_verify_after_kill(folder):
    for i, least in enumerate((0, 16, 200, 1000)):
        target = folder / f'k{i}'
        journal = folder / f'k{i}.ffbench-journal'
        process = start('storage', 'verify', 'write', target, '--size', '2MiB', '--bs', '8K', '--fsync', 16, '--qd', 8,
                        '--seed', i, '--duration', '120s')
        wait_for(lambda: synced(journal) >= least and target.exists(), 'promises')  # noqa: B023
        code, _, _ = end(process, signal.SIGKILL)
        check(code == -signal.SIGKILL, code)
        document, _ = run('storage', 'verify', 'check', target, '--json')
        row = document['rows'][0]
        counts = metrics(row)
        check(isinstance(row['parameters']['direct'], bool), row['parameters'])
        check(counts['good'] + counts['unsynced'] + counts['unwritten'] == 256, counts)
        check(row['parameters']['synced'] >= least, row['parameters'])


def test_verify_finds_every_kind_of_damage(folder):
    target = folder / 'v'
    size = 4096
    run('storage', 'verify', 'write', target, '--size', '1MiB', '--writes', 700, '--fsync', 50, '--sequential', '--quiet')
    whole = target.read_bytes()
    check(len(whole) == 1 << 20, len(whole))

    def damaged(change):
        data = bytearray(whole)
        change(data)
        target.write_bytes(data)
        counts, errors = verify_check(target, code=1)
        check(counts['good'] == 255, counts)
        return counts, errors

    def flip(data):
        data[5 * size + 1000] ^= 0x10
    counts, errors = damaged(flip)
    check(counts['corrupt'] == 1 and 'offset 20480' in errors and 'byte 1000 bit 4' in errors, errors)

    def zero(data):
        data[7 * size:8 * size] = bytes(size)
    check(damaged(zero)[0]['lost'] == 1, 'zeros were not called lost')

    def move(data):
        data[9 * size:10 * size] = data[8 * size:9 * size]
    check(damaged(move)[0]['misplaced'] == 1, 'a moved block was not called misplaced')

    def tear(data):
        data[11 * size + 512:11 * size + 1024] = bytes(512)
    check(damaged(tear)[0]['torn'] == 1, 'a torn block was not called torn')
    target.write_bytes(whole[:-size])
    check(verify_check(target, code=1)[0]['lost'] == 1, 'a shorter file was not noticed')

    # A second run over the first: blocks of the first are then another run's, if they come back.
    target.write_bytes(whole)
    run('storage', 'verify', 'write', target, '--writes', 700, '--fsync', 50, '--sequential', '--quiet', '--force')
    data = bytearray(target.read_bytes())
    data[3 * size:4 * size] = whole[3 * size:4 * size]
    target.write_bytes(data)
    check(verify_check(target, code=1)[0]['foreign'] == 1, 'a block of the run before was not called foreign')


# --- disks of our own

def private_mounts():
    return LIBC.unshare(CLONE_NEWNS) == 0 and LIBC.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None) == 0


def mount(source, folder, kind, flags=0, options=None):
    return LIBC.mount(source.encode(), str(folder).encode(), kind.encode(), flags, options.encode() if options else None) == 0


def test_full_disks(folder):
    check(mount('none', folder, 'tmpfs', options='size=8m'), 'mount')
    _, errors = run('storage', 'path', folder, '--size', '64MiB', '--buffered', code=1)
    check('No space left' in errors, errors)
    check(not list(folder.iterdir()), list(folder.iterdir()))
    # In the middle of a run: what was done until then is told.
    document, errors = run('storage', 'verify', 'write', folder / 'v', '--size', '64MiB', '--buffered', '--json', code=3)
    row = document['rows'][0]
    check('No space left' in row['error'] and 0 < metrics(row)['writes'] < 16384, row)
    check(verify_check(folder / 'v', '--buffered')[0]['good'] > 0, 'nothing good after a full disk')
    os.unlink(folder / 'v')
    with open(folder / 'sparse', 'wb') as f:
        f.truncate(64 << 20)
    document, _ = run('storage', 'raw', folder / 'sparse', '--rw', 'write', '--bs', '64K', '--buffered', '--force', '--json',
                      '--warmup', '0', '--duration', '30s', code=3)
    row = document['rows'][0]
    check('No space left' in row['error'] and metrics(row)['write_iops'] > 0, row)
    document, _ = run('meta', folder, '-n', 300, '-w', '64K', '--repeat', 1, '--json', code=3)
    check(sorted(p.name for p in folder.iterdir()) == ['sparse', 'v.ffbench-journal'], list(folder.iterdir()))


def test_read_only_file_systems(folder):
    check(mount('none', folder, 'tmpfs'), 'mount')
    make(folder / 'file', 1 << 20)
    check(mount('none', folder, 'tmpfs', MS_REMOUNT | MS_RDONLY), 'remount')
    for words in (('storage', 'path', folder), ('meta', folder), ('storage', 'verify', 'write', folder / 'v', '--size', '1M')):
        _, errors = run(*words, code=1)
        check('Read-only file system' in errors and str(folder) in errors, errors)
    run('storage', 'raw', folder / 'file', '--buffered', '--duration', '10ms', '--repeat', 1, '--quiet')


@contextlib.contextmanager
def loop_device(file):
    done = subprocess.run(['losetup', '--find', '--show', file], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield None
        return
    device = pathlib.Path(done.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(['losetup', '--detach', device], check=False)


def test_block_devices(folder):
    image = make(folder / 'image', 16 << 20, b'\0')
    with loop_device(image) as device:
        if device is None:
            print('skipped: no loop devices here')
            return
        document, _ = run('storage', 'raw', device, '--rw', 'randread', '--duration', '20ms', '--repeat', 1, '--json')
        check(document['rows'][0]['parameters']['size'] == 16 << 20, document['rows'][0]['parameters'])
        _, errors = run('storage', 'raw', device, '--rw', 'write', code=1)
        check('--force' in errors, errors)
        _, errors = run('storage', 'verify', 'write', device, '--force', code=2)
        check('--journal' in errors, errors)
        journal = folder / 'journal'
        run('storage', 'verify', 'write', device, '--force', '--journal', journal, '--writes', 5000, '--fsync', 500, '--quiet')
        counts, _ = verify_check(device, '--journal', journal)
        check(counts['good'] == 4096, counts)
        # While it is written nobody else can take it, and afterwards anybody.
        before = image.read_bytes()
        process = start('storage', 'raw', device, '--rw', 'randwrite', '--force', '--repeat', 1, '--duration', '120s')
        wait_for(lambda: image.read_bytes() != before, 'writes')
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
            check(False, 'a device that is written could be claimed')
        except OSError as e:
            check(e.errno == errno.EBUSY, e)
        end(process, signal.SIGINT)
        os.close(os.open(device, os.O_RDWR | os.O_EXCL))
        if shutil.which('mkfs.ext4') is None:
            return
        subprocess.run(['mkfs.ext4', '-q', '-F', device], check=True, capture_output=True)
        place = folder / 'mounted'
        place.mkdir()
        check(mount(str(device), place, 'ext4'), 'mount')
        for words in (('storage', 'raw', device, '--rw', 'write', '--force'),
                      ('storage', 'verify', 'write', device, '--force', '--journal', folder / 'j2')):
            _, errors = run(*words, code=2)
            check(f'mounted on {place}' in errors, errors)
        check(LIBC.umount(str(place).encode()) == 0, 'umount')
        # Another namespace's mounts are not in our table; the kernel knows of them all the same.
        elsewhere = subprocess.Popen(['unshare', '--mount', 'sh', '-c', f'mount {device} {place} && echo ready && read x'],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            check(elsewhere.stdout.readline() == 'ready\n', 'mount in another namespace')
            _, errors = run('storage', 'raw', device, '--rw', 'write', '--force', code=2)
            check('in use' in errors, errors)
        finally:
            elsewhere.communicate('\n', timeout=LIMIT_S)


# --- without root

NOBODY = ('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs')


def can_be_nobody():
    return os.geteuid() == 0 and shutil.which('setpriv') is not None and subprocess.run(
        [*NOBODY, FFBENCH, 'version'], capture_output=True, timeout=LIMIT_S, check=False).returncode == 0


def test_an_ordinary_user_is_told_what_needs_root(folder):
    folder.chmod(0o755)
    mine = folder / 'mine'
    mine.mkdir()
    os.chown(mine, 65534, 65534)
    roots = random_file(folder / 'roots', 1 << 20)
    roots.chmod(0o600)
    theirs = folder / 'theirs'
    theirs.mkdir(mode=0o755)
    for words in (('storage', 'raw', roots, '--buffered'), ('storage', 'raw', roots, '--rw', 'randwrite', '--force'),
                  ('storage', 'path', theirs), ('meta', theirs),
                  ('storage', 'verify', 'write', theirs / 'v', '--size', '1M')):
        _, errors = run(*words, code=1, under=NOBODY)
        check('Permission denied' in errors and str(folder) in errors, f'{words}: {errors}')
    check(not list(theirs.iterdir()), list(theirs.iterdir()))
    # Threads that cannot be started end the command; the others do not wait for them.
    if shutil.which('prlimit') is not None:
        _, errors = run('meta', mine, '-t', 500, '-n', 1, '--repeat', 1, code=1, under=('prlimit', '--nproc=40:40', *NOBODY))
        check('its thread was not started' in errors, errors)
        check(not list(mine.iterdir()), list(mine.iterdir()))
    # What is done in a folder of one's own needs no privilege: io_uring, registered buffers, direct I/O.
    document, _ = run('storage', 'path', mine, '--rw', 'randread,randwrite', '--size', '4MiB', '--qd', 8, '--repeat', 1,
                      '--duration', '20ms', '--warmup', '0', '--json', under=NOBODY)
    check(document['complete'] and len(document['rows']) == 2, document)
    check(not list(mine.iterdir()), list(mine.iterdir()))
    image = make(folder / 'image', 1 << 20, b'\0')
    with loop_device(image) as device:
        if device is None:
            print('skipped: no loop devices here')
            return
        for words in (('--rw', 'randread'), ('--rw', 'randwrite', '--force')):
            _, errors = run('storage', 'raw', device, *words, code=1, under=NOBODY)
            check(f'{device}: Permission denied' in errors and 'run as root' in errors, errors)


def main():
    global FFBENCH  # noqa: PLW0603
    FFBENCH = sys.argv[1]
    tests = [test_path_measures_and_leaves_nothing, test_what_never_happened_has_no_latency,
             test_engines_give_the_same_shape, test_raw_refuses_what_would_destroy,
             test_bad_targets_are_named, test_ctrl_c_leaves_nothing_and_keeps_what_was_measured, test_fio_files,
             test_meta_counts_what_the_tree_says, test_verify_after_kill, test_verify_finds_every_kind_of_damage]
    if private_mounts():
        tests += [test_full_disks, test_read_only_file_systems, test_block_devices]
    else:
        print('skipped: full, read-only and loop disks (no private mounts here)')
    if can_be_nobody():
        tests.append(test_an_ordinary_user_is_told_what_needs_root)
    else:
        print('skipped: the ordinary user (not root, or no setpriv)')
    only = sys.argv[2:]
    for test in tests:
        if only and not any(word in test.__name__ for word in only):
            continue
        with tempfile.TemporaryDirectory(prefix='ffbench-e2e-') as folder:
            try:
                test(pathlib.Path(folder))
            finally:
                LIBC.umount2(folder.encode(), 2)
        print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    main()
