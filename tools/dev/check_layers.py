#!/usr/bin/env python3
"""Checks the include graph against the edges that the architecture allows.

usage: check_layers.py SOURCE_ROOT

A new edge is a change to the tables below, with its reason.
"""

import fnmatch
import pathlib
import re
import sys

import tree

# Layer: (files, layers it may use beside itself, why). The first layer whose pattern matches a file is its layer;
# '*' also matches '/'. The graph has no cycle; check_table() sees to that.
LAYERS = {
    'libcommon/base': (['libcommon/base/*'], [], 'the bottom: results, sizes, files'),
    'libcommon/report': (['libcommon/report/*'], ['libcommon/base'], 'tables and JSON from one description'),
    'libcommon/log': (['libcommon/log/*'], ['libcommon/base', 'libcommon/report'], 'hides spdlog; JSON records'),
    'libcommon/runtime': (['libcommon/runtime/*'], ['libcommon/base'],
                          'tasks, time, disk; names the network without including it'),
    'libcommon/net': (['libcommon/net/*'], ['libcommon/base', 'libcommon/runtime'],
                      'links know nothing of what travels on them'),
    'libcommon/metrics': (['libcommon/metrics/*'], ['libcommon/base', 'libcommon/report'],
                          'counts; hides the HTTP server'),
    'libcommon/rpc': (['libcommon/rpc/*'],
                      ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/metrics', 'libcommon/report'],
                      'calls over any net::Network'),
    'libcommon/kv': (['libcommon/kv/*'], ['libcommon/base', 'libcommon/runtime'],
                     'transactions; hides RocksDB and gRPC'),
    'libcommon/cli': (['libcommon/cli/*'], ['libcommon/base', 'libcommon/log', 'libcommon/report'],
                      'the face of every tool: levels of logging, formats of reports; hides CLI11'),
    'libcommon/config': (['libcommon/config/*'], ['libcommon/base', 'libcommon/report', 'libcommon/cli'],
                         'hides yaml-cpp; values are read, and near misses suggested, as on the command line'),
    'libcommon/machine': (['libcommon/machine/*'], ['libcommon/base'], 'what this machine is, from /sys and /proc'),
    'libcommon/blas': (['libcommon/blas/*'], ['libcommon/base'], 'hides OpenBLAS'),
    'libcommon/testing': (['libcommon/testing/*'],
                          ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/report'],
                          'linked by tests only'),

    'hfreduce/core': (['hfreduce/types.*', 'hfreduce/op.*', 'hfreduce/trace.*'], ['libcommon/base', 'libcommon/report'],
                      'what a call is: types, operations, records'),
    'hfreduce/cpu': (['hfreduce/cpu/*'], ['libcommon/base', 'hfreduce/core'], 'kernels over memory, no I/O'),
    'hfreduce/tree': (['hfreduce/tree/*'], ['libcommon/base', 'hfreduce/core'], 'pure functions of rank and size'),
    'hfreduce/control': (['hfreduce/control/*'],
                         ['libcommon/base', 'libcommon/net', 'libcommon/report', 'hfreduce/core'],
                         'rendezvous and verdicts; does not know how data travels'),
    'hfreduce/shm': (['hfreduce/shm/*'],
                     ['libcommon/base', 'hfreduce/core', 'hfreduce/cpu', 'hfreduce/tree', 'hfreduce/control'],
                     'data between ranks of one host'),
    'hfreduce/net': (['hfreduce/net/*'],
                     ['libcommon/base', 'libcommon/net', 'hfreduce/core', 'hfreduce/cpu', 'hfreduce/tree',
                      'hfreduce/control'],
                     'data between hosts; does not know shm, the communicator joins the two'),
    'hfreduce/npy': (['hfreduce/npy/*'], ['libcommon/base', 'hfreduce/core'], 'a file format, usable alone'),
    'hfreduce/run': (['hfreduce/run/*'], ['libcommon/base', 'libcommon/net', 'libcommon/log', 'libcommon/report'],
                     'starts any program as ranks; needs nothing of the collectives'),
    'hfreduce/cmd': (['hfreduce/cmd/*', 'hfreduce/main.cc'],
                     ['libcommon/base', 'libcommon/net', 'libcommon/log', 'libcommon/report', 'libcommon/config',
                      'libcommon/cli', 'libcommon/machine', 'hfreduce/core', 'hfreduce/cpu', 'hfreduce/tree', 'hfreduce/control',
                      'hfreduce/shm', 'hfreduce/net', 'hfreduce/npy', 'hfreduce/run', 'hfreduce'],
                     'the executable'),
    'hfreduce': (['hfreduce/*'],
                 ['libcommon/base', 'libcommon/net', 'libcommon/report', 'hfreduce/core', 'hfreduce/cpu',
                  'hfreduce/tree', 'hfreduce/control', 'hfreduce/shm', 'hfreduce/net'],
                 'the public API: the communicator joins the engines'),

    'tools/fftrain': (['tools/fftrain/*'],
                      ['libcommon/base', 'libcommon/log', 'libcommon/report', 'libcommon/config', 'libcommon/cli',
                       'libcommon/blas', 'libcommon/runtime', 'hfreduce/core', 'hfreduce', 'ffs/cluster', 'ffs/meta', 'ffs/client',
                       'ffs/blocking', 'ffctl/ffjob'],
                      'a user of libhfreduce, libffs and libffjob like any other: their public headers only'),
    'ffs/format': (['ffs/format/*'], ['libcommon/base', 'libcommon/rpc'], 'ids, layouts, shared messages: pure'),
    'ffs/cluster': (['ffs/cluster/*'], ['libcommon/base', 'libcommon/report', 'libcommon/cli', 'libcommon/config', 'libcommon/net',
                                       'libcommon/runtime', 'ffs/format'],
                    'the file that describes a file system'),
    'ffs/store': (['ffs/store/*'], ['libcommon/base', 'libcommon/runtime', 'libcommon/metrics', 'ffs/format'],
                  'chunks on a disk; knows no network'),
    'ffs/mgmt': (['ffs/mgmt/*'],
                 ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc', 'libcommon/kv',
                  'libcommon/metrics', 'libcommon/log', 'ffs/format'],
                 'who is there and what makes a chain'),
    'ffs/meta': (['ffs/meta/*'],
                 ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc', 'libcommon/kv',
                  'libcommon/metrics', 'libcommon/log', 'ffs/format', 'ffs/mgmt', 'ffs/storage'],
                 'the namespace; asks storage for lengths and removals'),
    'ffs/storage': (['ffs/storage/*'],
                    ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc', 'libcommon/metrics',
                     'libcommon/log', 'ffs/format', 'ffs/store', 'ffs/mgmt'],
                    'replication of chunks over a chain'),
    'ffs/client': (['ffs/client/*'],
                   ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc', 'libcommon/metrics',
                    'libcommon/log', 'ffs/format', 'ffs/mgmt', 'ffs/meta', 'ffs/storage'],
                   'libffs: files over metadata and chunks'),
    'ffs/blocking': (['ffs/blocking/*'],
                     ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'ffs/cluster', 'ffs/meta', 'ffs/client'],
                     'libffs for programs without a reactor, and its C ABI'),
    'ffs/daemon': (['ffs/daemon/*'],
                   ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc', 'libcommon/kv', 'libcommon/cli',
                    'libcommon/metrics', 'libcommon/log', 'ffs/format', 'ffs/cluster', 'ffs/store', 'ffs/mgmt', 'ffs/storage',
                    'ffs/meta'],
                   'the roles of a node in one process'),
    'ffs/cmd': (['ffs/cmd/*', 'ffs/main.cc'],
                ['libcommon/base', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc', 'libcommon/kv', 'libcommon/cli',
                 'libcommon/report', 'libcommon/metrics', 'libcommon/log', 'libcommon/config', 'ffs/format', 'ffs/cluster',
                 'ffs/store', 'ffs/mgmt', 'ffs/storage', 'ffs/meta', 'ffs/client', 'ffs/blocking', 'ffs/daemon'],
                'the executable ffs'),
    'ffctl/proto': (['ffctl/proto/*'], ['libcommon/base', 'libcommon/rpc'], 'messages of jobs, agents and the master'),
    'ffctl/job': (['ffctl/job/*'],
                  ['libcommon/base', 'libcommon/report', 'libcommon/cli', 'libcommon/config', 'ffctl/proto'],
                  'descriptions of jobs and their phases: pure'),
    'ffctl/sched': (['ffctl/sched/*'], ['libcommon/base'], 'decisions: a pure function of nodes, jobs and time'),
    'ffctl/sim': (['ffctl/sim/*'], ['libcommon/base', 'libcommon/report', 'ffctl/sched'],
                  'traces replayed through the same decisions'),
    'ffctl/ffjob': (['ffctl/ffjob/*'], ['libcommon/base'], 'a C library that programs of others link'),
    'ffctl/rank': (['ffctl/rank/*', 'ffctl/ffrank.cc'], ['libcommon/base'],
                   'what runs beside each rank; few libraries, as it is started for every one'),
    'ffctl/node': (['ffctl/node/*'],
                   ['ffctl/rank', 'libcommon/base', 'libcommon/report', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc',
                    'libcommon/metrics', 'libcommon/log', 'libcommon/cli', 'libcommon/machine', 'ffctl/proto', 'ffctl/ffjob'],
                   'the agent of a node; knows no scheduler'),
    'ffctl/master': (['ffctl/master/*'],
                     ['libcommon/base', 'libcommon/report', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc',
                      'libcommon/kv', 'libcommon/metrics', 'libcommon/log', 'libcommon/cli', 'ffctl/proto', 'ffctl/job',
                      'ffctl/sched'],
                     'state, journal, and the loop that schedules; starts no process'),
    'ffctl/cluster': (['ffctl/cluster/*'],
                      ['libcommon/base', 'libcommon/report', 'libcommon/cli', 'libcommon/config', 'libcommon/net',
                       'libcommon/runtime', 'ffctl/proto'],
                      'bringing a cluster up and down'),
    'ffctl/executor': (['ffctl/executor/*'], ['libcommon/base', 'libcommon/runtime', 'ffctl/proto'],
                       'what an engine of others answers in the place of a master'),
    'ffctl/slurm': (['ffctl/slurm/*'],
                    ['libcommon/base', 'libcommon/report', 'libcommon/runtime', 'libcommon/config', 'ffctl/proto',
                     'ffctl/job', 'ffctl/executor'],
                    'Slurm as such an engine; knows no master and no agent'),
    'ffctl/cmd': (['ffctl/cmd/*', 'ffctl/*.cc'],
                  ['libcommon/base', 'libcommon/report', 'libcommon/runtime', 'libcommon/net', 'libcommon/rpc', 'libcommon/cli',
                   'libcommon/config', 'libcommon/log', 'libcommon/metrics', 'libcommon/kv', 'ffctl/proto', 'ffctl/job', 'ffctl/sched',
                   'ffctl/sim', 'ffctl/node', 'ffctl/master', 'ffctl/cluster', 'ffctl/executor', 'ffctl/slurm'],
                  'the executables'),
    'ffbench/result': (['ffbench/result/*'], ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'ffbench/stats'],
                       'what one run measured, and its JSON'),
    'ffbench/stats': (['ffbench/stats/*'], ['libcommon/base'], 'pure functions of samples'),
    'ffbench/measure': (['ffbench/measure/*'],
                        ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'libcommon/cli', 'libcommon/machine',
                         'ffbench/result', 'ffbench/stats'],
                        'rounds, clocks, environment: how every command measures'),
    'ffbench/view': (['ffbench/view/*'],
                     ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'ffbench/result', 'ffbench/stats'],
                     'results as tables, charts, pages'),
    'ffbench/net': (['ffbench/net/*'],
                    ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'libcommon/runtime', 'libcommon/net',
                     'libcommon/rpc', 'libcommon/log', 'libcommon/cli', 'hfreduce/run', 'ffbench/result', 'ffbench/stats', 'ffbench/measure'],
                    'traffic between agents'),
    'ffbench/storage': (['ffbench/storage/*'],
                        ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'libcommon/runtime', 'ffbench/result',
                         'ffbench/stats', 'ffbench/measure'],
                        'load on files and devices'),
    'ffbench/meta': (['ffbench/meta/*'],
                     ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'ffbench/result', 'ffbench/stats',
                      'ffbench/measure'],
                     'load on names'),
    'ffbench/ffs': (['ffbench/ffs/*'],
                    ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'libcommon/runtime', 'libcommon/net', 'ffs/format',
                     'ffs/mgmt', 'ffs/cluster', 'ffs/meta', 'ffs/client', 'ffs/blocking', 'ffbench/result', 'ffbench/measure',
                     'ffbench/storage', 'ffbench/meta'],
                    'the same loads on a file system without a mount: libffs like any other user of it'),
    'ffbench/compute': (['ffbench/compute/*'],
                        ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'libcommon/machine', 'libcommon/blas',
                         'hfreduce/core', 'hfreduce/cpu', 'hfreduce/run', 'ffbench/result', 'ffbench/stats',
                         'ffbench/measure'],
                        'load on memory and processors; runs hfreduce as a process'),
    'ffbench/faults': (['ffbench/faults/*'], ['libcommon/base', 'libcommon/report', 'ffbench/stats'],
                       'kernel logs and failure statistics'),
    'ffbench/node': (['ffbench/node/*'],
                     ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'libcommon/machine', 'libcommon/config',
                      'ffbench/result', 'ffbench/stats', 'ffbench/measure', 'ffbench/net', 'ffbench/storage',
                      'ffbench/compute', 'ffbench/faults'],
                     'the validator joins the measurements'),
    'ffbench/cmd': (['ffbench/cmd/*', 'ffbench/main.cc'],
                    ['libcommon/base', 'libcommon/report', 'libcommon/metrics', 'libcommon/runtime', 'libcommon/net',
                     'libcommon/log', 'libcommon/cli', 'libcommon/machine', 'hfreduce/core', 'hfreduce/cpu', 'hfreduce/run',
                     'ffbench/result', 'ffbench/stats', 'ffbench/measure', 'ffbench/view', 'ffbench/net', 'ffbench/storage',
                     'ffbench/meta', 'ffbench/ffs', 'ffbench/compute', 'ffbench/faults', 'ffbench/node', 'ffs/cluster', 'ffs/meta',
                     'ffs/client', 'ffs/blocking'],
                    'the executable'),
    'tests': (['tests/*'], None, 'tests use anything; nothing uses tests'),
}

# Layers that only tests may use, wherever else an edge would allow it.
ONLY_TESTS = {'libcommon/testing'}

# Library headers that stay behind one door: (pattern of the include, files that may include it, why).
LIBRARIES = [
    (r'CLI/', ['libcommon/cli/*'], 'one inclusion of CLI11 costs seconds of compile time'),
    (r'spdlog/', ['libcommon/log/*'], 'the engine of logging can be exchanged'),
    (r'yaml-cpp/', ['libcommon/config/*', 'ffctl/job/import_hai.cc'],
     'one strict loader, beside a lenient one for descriptions of others; yaml-cpp throws'),
    (r'liburing', ['libcommon/runtime/uring_*'], 'one backend among others'),
    (r'httplib', ['libcommon/metrics/http_message.cc'], 'behind metrics/http_message.hpp'),
    (r'rocksdb/', ['libcommon/kv/rocksdb_*', 'tests/*'], 'behind kv_store.hpp'),
    (r'grpc', ['libcommon/kv/etcd_*', 'tests/*'], 'behind kv_store.hpp'),
    (r'openssl/', ['libcommon/net/*', 'hfreduce/*', 'tests/*'], 'keys, handshakes, TLS'),
    (r'nlohmann/', ['libcommon/report/json_value.cc', 'tests/*'], 'behind json_value.hpp; tests read our JSON with it'),
    (r'(gtest|gmock)/', ['tests/*', 'libcommon/testing/*'], 'test framework'),
    (r'isa-l', ['libcommon/base/crc32c*'], 'behind crc32c.hpp, which works without it'),
    (r'(cblas|openblas)', ['libcommon/blas/*', 'tests/*'], 'behind blas.hpp'),
]

# Code that runs over an Env, so that the simulation can run it: it asks the Env, never the machine. (files, except)
OVER_ENV = (['libcommon/rpc/*', 'libcommon/kv/*', 'libcommon/testing/sim_*'],
            ['libcommon/kv/rocksdb_*', 'libcommon/kv/etcd_*'])
ASKS_MACHINE = re.compile(r'(?:steady_clock|system_clock|high_resolution_clock)::now|random_device|'
                          r'this_thread::sleep|\b(?:std::)?(?:o|i)?fstream\b|std::thread\b|\bgetenv\(')

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
# Paths of one person's machine.
MACHINE_PATH = re.compile(r'(?<![\w.])/(?:home|root|Users|work)/[\w.]')


def layer_of(name):
    for layer, (patterns, _, _) in LAYERS.items():
        if any(fnmatch.fnmatchcase(name, p) for p in patterns):
            return layer
    return None


def check_table():
    """The table itself has no cycle and no unknown layer."""
    problems = []
    below = {layer: uses or [] for layer, (_, uses, _) in LAYERS.items()}
    for layer, uses in below.items():
        problems += [f"check_layers.py: '{layer}' uses unknown layer '{u}'" for u in uses if u not in below]
    done, active = set(), []

    def visit(layer):
        if layer in active:
            problems.append('check_layers.py: cycle: ' + ' -> '.join(active[active.index(layer):] + [layer]))
        elif layer not in done:
            active.append(layer)
            for used in below.get(layer, []):
                visit(used)
            active.pop()
            done.add(layer)

    for layer in below:
        visit(layer)
    return problems


def check_include(root, name, place, kind, included):
    layer = layer_of(name)
    for pattern, allowed, why in LIBRARIES:
        if re.match(pattern, included) and not any(fnmatch.fnmatchcase(name, a) for a in allowed):
            return f"{place}: <{included}> belongs in {' '.join(allowed)} ({why})"
    if kind == '<':
        # A tree header in angle brackets would escape the check below.
        return f'{place}: write "{included}" with quotes' if (root / included).is_file() else None
    if ((root / name).parent / (included + '.in')).is_file():
        return None  # made by the build from a template beside this file
    if made := re.fullmatch(r'(.+?)(\.grpc\.pb\.h|\.pb\.h|\.ff\.hpp)', included):
        # Made by the build from a .proto; its layer is that of the .proto.
        source = made[1] + '.proto'
        if not (root / source).is_file():
            source = ((root / name).parent / source).resolve().relative_to(root.resolve()).as_posix()
        if not (root / source).is_file():
            return f'{place}: "{included}" is made from no .proto of this tree'
        included = source
    if not (root / included).is_file():
        return f'{place}: "{included}" is no file: includes are relative to the root of the repository'
    used = layer_of(included)
    if used in (None, layer):
        return None if used else f"{place}: '{included}' is in no layer of tools/dev/check_layers.py"
    if used in ONLY_TESTS and layer != 'tests':
        return f"{place}: '{used}' is for tests only"
    allowed = LAYERS[layer][1]
    if allowed is not None and used not in allowed:
        return f"{place}: '{layer}' may not use '{used}' (it may use {', '.join(allowed) or 'nothing'}; " \
               f"{layer}: {LAYERS[layer][2]})"
    return None


def main():
    root = pathlib.Path(sys.argv[1])
    problems = check_table()
    for file in tree.cxx_files(root):
        name = file.as_posix()
        if layer_of(name) is None:
            problems.append(f'{name}: in no layer: add its folder to the table in tools/dev/check_layers.py')
            continue
        over_env = (any(fnmatch.fnmatchcase(name, p) for p in OVER_ENV[0])
                    and not any(fnmatch.fnmatchcase(name, p) for p in OVER_ENV[1]))
        for number, line in enumerate((root / file).read_text(encoding='utf-8').splitlines(), 1):
            if over_env and (found := ASKS_MACHINE.search(line.split('//')[0])):
                problems.append(f"{name}:{number}: '{found[0]}' asks the machine; ask the Env, so that it can be simulated")
            if found := INCLUDE.match(line):
                if problem := check_include(root, name, f'{name}:{number}', found[1], found[2]):
                    problems.append(problem)
    for file in tree.text_files(root):
        for number, line in enumerate((root / file).read_text(encoding='utf-8').splitlines(), 1):
            if found := MACHINE_PATH.search(line):
                problems.append(f"{file}:{number}: '{found[0]}…' is a path of one machine")
    tree.finish(problems, 'see the table in tools/dev/check_layers.py')


if __name__ == '__main__':
    main()
