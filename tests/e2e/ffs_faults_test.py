#!/usr/bin/env python3
"""What a file system of real processes keeps when processes and bytes die, and while what it holds moves elsewhere.

usage: ffs_faults_test.py FFS
"""

import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
import ffs_cluster  # noqa: E402
from ffs_cluster import Cluster, pattern  # noqa: E402


class Drains(unittest.TestCase):
    """Targets leave their chains while others take their places."""

    def cluster(self, *options):
        fs = Cluster(*options)
        self.addCleanup(fs.remove)
        return fs

    def members(self, fs):
        """The targets of each chain, once all of them serve: on a busy machine a node may be out for a moment."""
        end = time.monotonic() + 60
        while True:
            rows = fs.rows('chain', 'list')
            words = {row['chain']: [word.split(':') for word in row['members'].split()] for row in rows}
            if all(state == 'serving' for chain in words.values() for _, state in chain):
                return {chain: {int(target) for target, _ in members} for chain, members in words.items()}
            self.assertLess(time.monotonic(), end, rows)
            time.sleep(0.3)

    def wait_until_nothing_leaves(self, fs):
        end = time.monotonic() + 60
        while fs.rows('status')[0]['targets_leaving'] and time.monotonic() < end:
            time.sleep(0.2)
        fs.wait_until_healthy()

    def test_a_node_is_drained_under_load_though_the_manager_dies(self):
        fs = self.cluster('--processes', '4', '--replicas', '3', '--chains', '3', '--spares', '2')
        data = pattern(1, 40_000_000)
        fs.put('/before', data)
        fs.ffs('node', 'drain', '4')
        os.kill(fs.pids()[1], signal.SIGKILL)  # before it can be at the end
        for i in range(4):
            fs.put(f'/meanwhile{i}', pattern(10 + i, 3_000_000))
        done = fs.ffs('node', 'drain', '4', '--wait')  # asked for again: goes on
        self.assertNotIn(b'Error', done.stderr)
        fs.wait_until_healthy()
        members = self.members(fs)
        self.assertEqual(len(members), 4)
        for targets in members.values():
            nodes = {target >> 24 for target in targets}
            self.assertEqual(len(nodes), 3)
            self.assertNotIn(4, nodes)
        self.assertEqual([row['drain'] for row in fs.rows('node', 'list')], [None, None, None, 'done'])
        self.assertEqual(fs.ffs('chain', 'explain', '1').returncode, 0)
        # What it has still, nobody needs.
        shutil.rmtree(fs.home / 'node-4')
        os.kill(fs.pids()[4], signal.SIGKILL)
        self.assertEqual(fs.cat('/before'), data)
        for i in range(4):
            self.assertEqual(fs.cat(f'/meanwhile{i}'), pattern(10 + i, 3_000_000))

    def test_a_target_is_replaced_by_the_one_named_and_stays_when_regretted(self):
        fs = self.cluster('--processes', '4', '--replicas', '3', '--chains', '1', '--spares', '1')
        data = pattern(2, 10_000_000)
        fs.put('/data', data)
        chain, = self.members(fs).values()
        outside, = {1, 2, 3, 4} - {target >> 24 for target in chain}
        spares = {row['target'] >> 24: row['target'] for row in fs.rows('target', 'list') if row['chain'] is None}
        old = max(chain)
        for words, code, text in (
                ((old, spares[min(chain) >> 24]), 2, 'on the machine of target'), ((old, 99), 1, 'no node has it'),
                ((99, old), 1, 'no such target'), ((old, min(chain)), 2, 'is of chain 1'), ((old, 'x'), 2, 'not a number')):
            done = fs.ffs('target', 'replace', *map(str, words), check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr.decode())
        fs.ffs('target', 'replace', str(old), str(spares[outside]), '--wait')
        fs.wait_until_healthy()
        self.assertEqual(self.members(fs)[1], chain - {old} | {spares[outside]})
        self.assertEqual(fs.cat('/data'), data)
        rows = {row['target']: row for row in fs.rows('target', 'list')}
        self.assertEqual((rows[old]['chain'], rows[old]['drain']), (None, 'done'))
        # Another one, undone at once: whichever step it was at, the chain is whole in the end, with what it had.
        second = min(chain)
        fs.ffs('target', 'drain', str(second))
        fs.ffs('target', 'undrain', str(second))
        self.wait_until_nothing_leaves(fs)
        self.assertEqual(len(self.members(fs)[1]), 3)
        self.assertEqual(fs.cat('/data'), data)

    def test_room_is_made_by_a_new_node(self):
        fs = self.cluster('--processes', '3', '--replicas', '3', '--chains', '2')
        data = pattern(3, 10_000_000)
        fs.put('/data', data)
        for words in (('node', 'drain', '3'), ('target', 'drain', str(3 << 24 | 1 << 12 | 1))):
            refused = fs.ffs(*words, '--timeout', '20s', check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(b'there is no spare target', refused.stderr)
            self.assertIn(b'cluster.spares_per_folder', refused.stderr)
        fs.stop()
        with open(fs.home / 'cluster.yaml', 'a') as file:
            file.write(f'  - 4 127.0.0.1:{fs.port + 3} stored node-4\n')
        fs.ffs('format', str(fs.home), '--node', '4')
        # The first node's new disk; its chains are known and stay.
        fs.start()
        fs.ffs('node', 'drain', '3', '--wait')
        fs.wait_until_healthy()
        self.assertEqual({target >> 24 for targets in self.members(fs).values() for target in targets}, {1, 2, 4})
        fs.stop()
        lost = fs.home / 'node-1' / str(1 << 24 | 1 << 12 | 1)
        shutil.rmtree(lost)
        said = fs.ffs('format', str(fs.home), '--node', '1').stdout
        self.assertIn(b'stay as they are', said)
        fs.start()
        self.assertEqual({target >> 24 for targets in self.members(fs).values() for target in targets}, {1, 2, 4})
        self.assertEqual(fs.cat('/data'), data)


class Faults(unittest.TestCase):
    def setUp(self):
        self.fs = Cluster('--chains', '2')

    def tearDown(self):
        self.fs.remove()

    def check_all(self, kept):
        for path, digest in kept.items():
            self.assertEqual(hashlib.sha256(self.fs.cat(path)).hexdigest(), digest, path)

    def store(self, kept, path, seed, size):
        data = pattern(seed, size)
        self.fs.put(path, data)
        kept[path] = hashlib.sha256(data).hexdigest()

    def test_what_was_acknowledged_survives_kill_9(self):
        kept = {}
        self.store(kept, '/before', 1, 3_000_000)
        dice = random.Random(5)
        for turn in range(6):
            nodes = self.fs.pids()
            # One of the three in turn, and all at once.
            victims = list(nodes) if turn % 3 == 2 else [dice.choice(list(nodes))]
            for node in victims:
                os.kill(nodes[node], signal.SIGKILL)
            self.store(kept, f'/turn{turn}', 100 + turn, dice.choice([100, 50_000, 2_500_000]))
            self.fs.wait_until_healthy()
            self.check_all(kept)

    def test_a_flipped_byte_is_never_served(self):
        kept = {}
        self.store(kept, '/data', 3, 4_000_000)
        self.fs.stop()
        flipped = 0
        for blocks in sorted((self.fs.home / 'node-2').glob('*/blocks.1MiB')):
            with open(blocks, 'r+b') as file:
                content = file.read()
                # In the middle of what was written, wherever that lies.
                for found in re.finditer(rb'[^\0]', content):
                    at = found.start() + 5000
                    file.seek(at)
                    file.write(bytes([content[at] ^ 0x10]))
                    flipped += 1
                    break
        self.assertGreater(flipped, 0)
        self.fs.start()
        for _ in range(6):  # replicas take turns in answering
            self.check_all(kept)

    def test_explain_names_trouble_of_members_that_serve(self):
        alone = Cluster('--processes', '1', '--replicas', '1', '--chains', '1')
        self.addCleanup(alone.remove)
        self.assertEqual(alone.ffs('chain', 'explain', '1').returncode, 0)
        alone.put('/data', pattern(3, 1_000_000))
        alone.stop()
        blocks, = (alone.home / 'node-1').glob('*/blocks.1MiB')
        content = bytearray(blocks.read_bytes())
        content[re.search(rb'[^\0]', content).start() + 5000] ^= 0x10
        blocks.write_bytes(content)
        alone.start()
        self.assertEqual(alone.ffs('cat', '/data', '--timeout', '3s', check=False).returncode, 1)
        end = time.monotonic() + 20
        while (why := alone.ffs('chain', 'explain', '1', '--json', check=False)).returncode == 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.3)
        self.assertEqual(why.returncode, 10, why.stderr)
        told = json.loads(why.stdout)
        self.assertEqual((told['serves'], told['complete']), (True, True))
        texts = {row['what']: row['text'] for row in told['rows']}
        self.assertIn('serves, but', texts['because'])
        self.assertIn('remove those files', texts['to mend'])

    def test_a_paused_process_delays_and_loses_nothing(self):
        kept = {}
        self.store(kept, '/before', 9, 1_000_000)
        pid = self.fs.pids()[3]
        os.kill(pid, signal.SIGSTOP)
        try:
            self.store(kept, '/meanwhile', 10, 2_000_000)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.fs.wait_until_healthy()
        self.check_all(kept)


if __name__ == '__main__':
    ffs_cluster.take_programs()
    unittest.main()
