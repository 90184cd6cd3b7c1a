#!/usr/bin/env python3
"""`ffbench storage ffs`, `ffbench meta ffs:` and `ffbench storage verify ... ffs:` on a file system of three processes: what they
refuse and leave behind, and what `verify` says when processes die.

usage: ffbench_ffs_test.py FFBENCH FFS
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import ffs_cluster
from ffbench_storage_test import metrics, synced

FFBENCH = None
LIMIT_S = 90
QUICK = ('--repeat', 1, '--warmup', '0', '--json')


def group(document, name):
    return next(g['fields'] for g in document['machine'] if g['name'] == name)


class OnFfs(unittest.TestCase):
    """What all tests on a file system that runs have."""

    @classmethod
    def setUpClass(cls):
        cls.fs = ffs_cluster.Cluster('--chains', '2')
        cls.fs.ffs('mkdir', '/bench')

    @classmethod
    def tearDownClass(cls):
        cls.fs.remove()

    def setUp(self):
        self.addCleanup(lambda: self.fs.ffs('rm', '-r', '-f', *(f'/bench/{name}' for name in self.fs.names('/bench')),
                                            check=False))

    def run_bench(self, *words, code=0):
        """(document or None, standard error) of a command that must end with `code`."""
        done = subprocess.run([FFBENCH, *map(str, words)], env=self.fs.environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
        self.assertEqual(done.returncode, code, f'{words}\n{done.stderr}')
        return (json.loads(done.stdout) if done.stdout.startswith('{') else None), done.stderr

    def start(self, *words):
        return subprocess.Popen([FFBENCH, *map(str, words)], env=self.fs.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for(self, condition, what):
        end = time.monotonic() + LIMIT_S
        while not condition():
            self.assertLess(time.monotonic(), end, f'{what}: not in time')
            time.sleep(0.05)

    def assert_empty(self):
        self.assertEqual(self.fs.names('/bench'), [])

    def journal(self):
        path = pathlib.Path(self.fs.folder) / f'{self.id()}.journal'
        self.addCleanup(lambda: path.unlink(missing_ok=True))
        return path

    def check_good(self, path, journal, blocks):
        """How many writes were promised, all of which are there."""
        document, errors = self.run_bench('storage', 'verify', 'check', path, '--journal', journal, '--json')
        row = document['rows'][0]
        counts = metrics(row)
        self.assertEqual(counts['good'] + counts['unsynced'] + counts['unwritten'], blocks, errors)
        return row['parameters']['synced']


class Loads(OnFfs):
    def test_a_folder_is_loaded_and_left_as_it_was(self):
        document, _ = self.run_bench('storage', 'ffs', '/bench', '--rw', 'read,randwrite,randrw', '--bs', '4K,64K', '--qd', 8,
                                     '--jobs', 2, '--size', '1MiB', '--duration', '200ms', '--fsync', 20, *QUICK)
        self.assertTrue(document['complete'])
        self.assertEqual(len(document['rows']), 6)
        for row in document['rows']:
            values = metrics(row)
            self.assertGreater(max(v for k, v in values.items() if k.endswith('_iops')), 0, row)
            self.assertGreater(values['cpu_client'], 0, row)
            self.assertEqual((row['parameters']['engine'], row['parameters']['files']), ('ffs', 2))
        about = group(document, 'ffs')
        self.assertEqual({k: about[k] for k in ('nodes', 'nodes_alive', 'storage_nodes', 'chains', 'replicas',
                                                'replicas_serving_least', 'chunk_bytes')},
                         {'nodes': 3, 'nodes_alive': 3, 'storage_nodes': 3, 'chains': 2, 'replicas': 3,
                          'replicas_serving_least': 3, 'chunk_bytes': 1 << 20})
        self.assertTrue(any(g['name'] == 'cpu' for g in document['machine']))
        self.assert_empty()

    def test_operations_are_counted_and_files_stay_when_asked(self):
        document, _ = self.run_bench('storage', 'ffs', '/bench/a', '/bench/b', '--jobs', 2, '--rw', 'randread', '--size', '256K',
                                     '--operations', 100, '--keep', *QUICK)
        self.assertEqual(document['rows'][0]['latencies'][0]['count'], 200)
        self.assertEqual(self.fs.names('/bench'), ['a', 'b'])
        # Every job has data of its own, all over the file.
        a, b = self.fs.cat('/bench/a'), self.fs.cat('/bench/b')
        self.assertEqual((len(a), len(b)), (256 << 10, 256 << 10))
        self.assertNotEqual(a, b)
        for at in range(0, len(a), 4096):
            self.assertNotEqual(a[at:at + 4096], bytes(4096))

    def test_files_that_exist_are_read_as_they_are_and_written_only_by_force(self):
        data = ffs_cluster.pattern(1, 1 << 20)
        self.fs.put('/bench/data', data)
        document, _ = self.run_bench('storage', 'ffs', 'ffs:/bench/data', '--rw', 'randread', '--jobs', 2, '--duration', '50ms',
                                     *QUICK)
        self.assertEqual(document['rows'][0]['parameters']['size'], 1 << 20)
        _, errors = self.run_bench('storage', 'ffs', '/bench/data', '--rw', 'read,randwrite', code=1)
        self.assertIn('1048576 bytes', errors)
        self.assertIn('--force', errors)
        _, errors = self.run_bench('storage', 'ffs', '/bench/data', '--size', '2M', code=2)
        self.assertIn('--size', errors)
        self.assertEqual(self.fs.cat('/bench/data'), data)
        self.run_bench('storage', 'ffs', '/bench/data', '--rw', 'randwrite', '--force', '--duration', '50ms', '--offset', '512K',
                       *QUICK)
        after = self.fs.cat('/bench/data')
        self.assertEqual(after[:512 << 10], data[:512 << 10])
        self.assertEqual(len(after), 1 << 20)
        self.assertNotEqual(after, data)

    def test_wrong_words_are_named(self):
        self.fs.put('/bench/small', b'x')
        for words, code, text in ((('/none/file',), 1, '/none/file'),
                                  (('relative',), 2, 'not an absolute path'),
                                  (('/bench', '/bench/small', '--jobs', 2), 2, 'a folder is given alone'),
                                  (('/bench/x', '/bench/y'), 2, '--jobs 1'),
                                  (('/bench/x', '/bench/x', '--jobs', 2), 2, 'given twice'),
                                  (('/bench', '--offset', '4K'), 2, '--offset'),
                                  (('/bench', '--rw', 'bad'), 2, "'bad'"),
                                  (('/bench', '--buffered'), 2, '--buffered'),
                                  (('/bench', '--engine', 'psync'), 2, '--engine'),
                                  (('/bench/small',), 2, '--size')):
            with self.subTest(words=words):
                _, errors = self.run_bench('storage', 'ffs', *words, code=code)
                self.assertIn(text, errors)
                self.assertEqual(errors.count('\n'), 1, errors)
        self.assertEqual(self.fs.names('/bench'), ['small'])

    def test_ctrl_c_leaves_nothing_and_keeps_what_was_measured(self):
        for words in (('storage', 'ffs', '/bench', '--size', '4M', '--rw', 'randread,randwrite', '--jobs', 2),
                      ('meta', 'ffs:/bench', '-n', 200, '-t', 16, '--clients', 2)):
            with self.subTest(words=words):
                process = self.start(*words, '--repeat', 1000, '--json')
                self.wait_for(lambda: self.fs.names('/bench'), 'a folder')
                time.sleep(1)
                process.send_signal(signal.SIGINT)
                out, errors = process.communicate(timeout=LIMIT_S)
                self.assertEqual(process.returncode, 128 + signal.SIGINT, errors)
                self.assertFalse(json.loads(out)['complete'])
                self.assert_empty()

    def test_meta_does_what_the_tree_says_with_many_tasks(self):
        document, _ = self.run_bench('meta', 'ffs:/bench', '-t', 64, '-n', 2, '-z', 1, '-b', 2, '-u', '-w', '9K', '-y', '-N', 1,
                                     '-R', '--clients', 2, '--repeat', 2, '--json')
        # 1 + 2 folders for each of 64 tasks, 2 files of each task in each folder.
        self.assertEqual({row['name'].split()[0]: metrics(row)['operations'] for row in document['rows']},
                         {'mkdir': 192, 'create': 384, 'stat': 384, 'read': 384, 'readdir': 192, 'rename': 384, 'unlink': 384,
                          'rmdir': 192})
        self.assertEqual(group(document, 'ffs')['nodes'], 3)
        self.assert_empty()

    def test_meta_names_what_failed(self):
        for words, text in ((('ffs:/none',), 'ffs:/none'), (('ffs:/bench', '-t', 2, '-N', 2), '--shift')):
            _, errors = self.run_bench('meta', *words, code=1 if 'none' in text else 2)
            self.assertIn(text, errors)
        self.assert_empty()


class Promises(OnFfs):
    def test_what_was_synced_while_writing_went_on_is_there(self):
        journal = self.journal()
        document, _ = self.run_bench('storage', 'verify', 'write', 'ffs:/bench/v', '--size', '4M', '--sequential', '--qd', 32,
                                     '--fsync', 64, '--writes', 1000, '--journal', journal, '--json')
        self.assertEqual(metrics(document['rows'][0])['synced'], 1000)
        self.assertEqual(self.check_good('ffs:/bench/v', journal, 1024), 1000)

    def test_damage_is_found(self):
        journal = self.journal()
        self.run_bench('storage', 'verify', 'write', 'ffs:/bench/v', '--size', '1M', '--fsync', 16, '--writes', 600, '--journal',
                       journal, '--json')
        self.fs.ffs('truncate', '-s', str((1 << 20) - 4096), '/bench/v')
        document, errors = self.run_bench('storage', 'verify', 'check', 'ffs:/bench/v', '--journal', journal, '--json', code=1)
        self.assertEqual(metrics(document['rows'][0])['lost'], 1, errors)

    def test_verify_asks_for_what_it_needs(self):
        journal = self.journal()
        self.fs.put('/bench/data', b'precious' * 4096)
        for words, code, text in ((('write', 'ffs:/bench/v', '--size', '1M'), 2, '--journal'),
                                  (('write', 'ffs:/bench/v', '--size', '1M', '--journal', 'ffs:/bench/j'), 2, '--journal'),
                                  (('write', 'ffs:/bench/v', '--size', '1M', '--journal', journal, '--buffered'), 2, '--buffered'),
                                  (('write', 'ffs:/bench/data', '--journal', journal), 1, '--force'),
                                  (('write', 'ffs:/bench', '--size', '1M', '--journal', journal), 2, 'folder'),
                                  (('check', 'ffs:/bench/none', '--journal', journal), 1, 'does not exist')):
            with self.subTest(words=words):
                _, errors = self.run_bench('storage', 'verify', *words, code=code)
                self.assertIn(text, errors)
        self.assertEqual(self.fs.cat('/bench/data'), b'precious' * 4096)
        self.assertEqual(self.fs.names('/bench'), ['data'])


class Deaths(OnFfs):
    """Many writes of the same few chunks under way where others die: each is repeated, and must be told from those beside it."""

    def test_a_process_that_is_killed_takes_nothing_with_it(self):
        journal = self.journal()
        self.run_bench('storage', 'verify', 'write', 'ffs:/bench/v', '--size', '2M', '--qd', 16, '--fsync', 32, '--writes', 700,
                       '--journal', journal, '--json')
        os.kill(self.fs.pids()[3], signal.SIGKILL)
        self.assertEqual(self.check_good('ffs:/bench/v', journal, 512), 700)
        self.fs.wait_until_healthy()

    def test_processes_may_die_while_it_writes(self):
        journal = self.journal()
        process = self.start('storage', 'verify', 'write', 'ffs:/bench/v', '--size', '2M', '--qd', 16, '--fsync', 16, '--duration',
                             '8s', '--timeout', '60s', '--journal', journal, '--json')
        for node in (2, 3):
            time.sleep(2)
            os.kill(self.fs.pids()[node], signal.SIGKILL)
            self.fs.wait_until_healthy()
        out, errors = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 0, errors)
        self.assertGreater(metrics(json.loads(out)['rows'][0])['synced'], 0)
        self.assertGreater(self.check_good('ffs:/bench/v', journal, 512), 0)

    def test_a_writer_that_is_killed_has_kept_its_promises(self):
        journal = self.journal()
        process = self.start('storage', 'verify', 'write', 'ffs:/bench/v', '--size', '2M', '--qd', 16, '--fsync', 16, '--duration',
                             '60s', '--journal', journal)
        try:
            self.wait_for(lambda: synced(journal) >= 200 or process.poll() is not None, 'promises')
        finally:
            process.kill()
            _, errors = process.communicate()
        self.assertEqual(process.returncode, -signal.SIGKILL, errors)
        self.assertGreaterEqual(self.check_good('ffs:/bench/v', journal, 512), 200)


class NobodyAnswers(unittest.TestCase):
    """A description of a file system whose processes do not run."""

    @classmethod
    def setUpClass(cls):
        cls.fs = ffs_cluster.Cluster()
        cls.fs.stop()

    @classmethod
    def tearDownClass(cls):
        cls.fs.remove()

    def test_every_command_says_so_in_time(self):
        journal = self.fs.folder / 'journal'
        for words in (('storage', 'ffs', '/'), ('meta', 'ffs:/'),
                      ('storage', 'verify', 'write', 'ffs:/v', '--size', '1M', '--journal', journal)):
            with self.subTest(words=words):
                begin = time.monotonic()
                done = subprocess.run([FFBENCH, *map(str, words), '--timeout', '2s'], env=self.fs.environment,
                                      capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(f'127.0.0.1:{self.fs.port}', done.stderr)
                self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
                self.assertLess(time.monotonic() - begin, 10)
        self.assertFalse(journal.exists())

    def test_ctrl_c_does_not_wait_for_it(self):
        process = subprocess.Popen([FFBENCH, 'storage', 'ffs', '/', '--timeout', '60s'], env=self.fs.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT_S)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertNotEqual(process.returncode, 0)

    def test_no_description_is_named(self):
        done = subprocess.run([FFBENCH, 'storage', 'ffs', '/', '--cluster', '/nowhere/cluster.yaml'], capture_output=True,
                              text=True, timeout=LIMIT_S, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn('/nowhere/cluster.yaml', done.stderr)


if __name__ == '__main__':
    FFBENCH, ffs_cluster.FFS = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:3])
    del sys.argv[1:3]
    unittest.main()
