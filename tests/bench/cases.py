"""What tests/bench/rpc measures: cases, and in each the contenders that take turns.

What our programs offer; options and reports are those of the peers' programs in peers/ where one is named:

    rpc_bench server --port P [--idle]      prints {"listening": true, "port": P}, and {"cpu_seconds": …} after SIGTERM
    rpc_bench client small …                as `grpc_echo client`
    rpc_bench client bulk …                 as `stream_sender client` without --form; and --checksum
    kv_bench --engine rocksdb …             as `rocksdb_txn`: --path, --clients, --seconds, --no-sync
    kv_bench --engine etcd …                as `etcd_txn`: --endpoints A,B,C, --clients, --seconds
    rpc_bench idle --port P --connections N prints {"connections": N} when all are open, holds them until SIGTERM, and
                                            prints an object then
"""

import collections
import contextlib
import resource
import shutil
import statistics
import tempfile

import etcd_cluster
from running import Failed, Resident, Skipped, end, finish, read_line, run, start

MIB = 1 << 20
OURS = 'ours'
BARE = 'bare sockets'  # a limit, not a peer: no library stands between
SHAPES = {'1x64': (1, 64), '64x1': (64, 1)}  # connections, outstanding on each
CLIENTS = [1, 8, 64]

# A figure against a peer's: value = ours over theirs (theirs over ours where less is better).
Ratio = collections.namedtuple('Ratio', 'name value target')


class Bench:
    """Where programs are, on which processors they run, for how long."""

    def __init__(self, build, seconds, cpus, congestion, folder):
        self.build, self.seconds, self.folder = build, seconds, folder
        self.server_cpus, self.client_cpus = {cpus[0]}, {cpus[-1]}
        self.all_cpus = set(cpus)
        self.env = {}
        shim = build / 'tests' / 'bench' / 'peers' / 'libcongestion_shim.so'
        if congestion != 'kernel':
            if not shim.exists():
                raise Skipped(f'{shim}: not built (ninja -C {build})')
            self.env = {'LD_PRELOAD': str(shim), 'PEERS_CONGESTION': congestion}

    def program(self, name):
        path = self.build / 'tests' / 'bench' / ('' if name in ('rpc_bench', 'kv_bench') else 'peers') / name
        if not path.exists():
            raise Skipped(f'{name} is not built (see the summary of meson setup for what it needs)')
        return str(path)

    @contextlib.contextmanager
    def server(self, argv):
        with Resident([*argv, '--port', '0'], self.server_cpus, self.env) as server:
            yield server

    def load(self, server, argv):
        """The client's report, with the server's processor time."""
        report = run([*argv, '--port', str(server.ready['port']), '--seconds', str(self.seconds)],
                     self.client_cpus, self.seconds, self.env)
        report['server_cpu_seconds'] = server.finish()['cpu_seconds']
        return report


class Case:
    """`name`, `unit` and `metric` of the table, and contenders in `runs`: {name: function of nothing to a report}."""

    def __init__(self, name, metric, unit, runs, ratios):
        self.name, self.metric, self.unit, self.runs, self.ratios = name, metric, unit, runs, ratios


def best(medians, peers, metric):
    """The best of the peers that were measured, or None."""
    return max((medians[p][metric] for p in peers if p in medians), default=None)


def share_of_best(metric, peers, target, ours=OURS, name=None):
    """Ratios of a case where more is better and the best of the peers counts."""
    def ratios(medians):
        theirs = best(medians, peers, metric)
        if theirs and ours in medians:
            yield Ratio(name or f'{ours} / {peers[0] if len(peers) == 1 else "best peer"}',
                        medians[ours][metric] / theirs, target)
    return ratios


def together(*parts):
    return lambda medians: [ratio for part in parts for ratio in part(medians)]


def echo(bench, program, words, shape, rate=0):
    connections, outstanding = SHAPES[shape]
    executable = bench.program(program)
    with bench.server([executable, 'server']) as server:
        report = bench.load(server, [executable, *words, '--connections', str(connections),
                                     '--outstanding', str(outstanding), '--bytes', '64', '--rate', str(rate)])
    report['requests_per_core_second'] = report['requests'] / (report['cpu_seconds'] + report['server_cpu_seconds'])
    return report


def p99_against_p50(medians):
    if 'grpc' in medians and OURS in medians:
        yield Ratio("grpc's p50 / ours' p99", medians['grpc']['latency_ns_p50'] / medians[OURS]['latency_ns_p99'], 1)


def latencies_of_bare_sockets(medians):
    """What the machine allows: the same ratio for the least program that sleeps and is woken for each message."""
    if 'grpc' in medians and BARE in medians:
        yield Ratio(f"grpc's p50 / p99 of {BARE}", medians['grpc']['latency_ns_p50'] / medians[BARE]['latency_ns_p99'],
                    None)


def small_cases(bench):
    programs = {'grpc': ('grpc_echo', ['client']), OURS: ('rpc_bench', ['client', 'small'])}

    def programs_of(shape):
        # One message at a time on a connection needs no framing, so bare sockets can do it.
        return programs | ({BARE: ('epoll_echo', ['client'])} if SHAPES[shape][1] == 1 else {})

    for shape in SHAPES:
        rate = 'requests_per_core_second'
        yield Case(f'small-{shape}', rate, '1/s a core',
                   {name: lambda p=p, w=w, s=shape: echo(bench, p, w, s)
                    for name, (p, w) in programs_of(shape).items()},
                   together(share_of_best(rate, ['grpc'], 5), share_of_best(rate, [BARE], None),
                            share_of_best(rate, ['grpc'], None, BARE, f'{BARE} / grpc'), p99_against_p50))

    # Half of what gRPC reaches, found once, so that all rounds have the same load.
    rates = {}

    def at_half(program, words, shape):
        executable = bench.program(program)
        if shape not in rates:
            rates[shape] = echo(bench, 'grpc_echo', ['client'], shape)['requests_per_second'] / 2
        report = echo(bench, program, words, shape, rates[shape])
        if not report['requests'] >= 0.9 * rates[shape] * bench.seconds:
            raise Failed(f'{executable}: {report["requests"] / bench.seconds:.0f} requests a second at a load of '
                         f'{rates[shape]:.0f}')
        return report

    for shape in SHAPES:
        yield Case(f'latency-{shape}', 'latency_ns_p99', 'ns, p99',
                   {name: lambda p=p, w=w, s=shape: at_half(p, w, s) for name, (p, w) in programs_of(shape).items()},
                   together(p99_against_p50, latencies_of_bare_sockets))


def iperf3(bench):
    """As shipped, one stream, 1 MiB a call. Not with -Z: sendfile sends a file's pages, not a message of the caller."""
    executable = shutil.which('iperf3')
    if executable is None:
        raise Skipped('iperf3 is not installed (apt-get install iperf3)')
    port = str(etcd_cluster.free_ports(1)[0])
    server_argv = [executable, '--server', '--one-off', '--bind', '127.0.0.1', '--port', port, '--forceflush']
    server = start(server_argv, bench.server_cpus, bench.env)
    try:
        while 'listening' not in read_line(server, server_argv):
            pass
        argv = [executable, '--client', '127.0.0.1', '--port', port, '--time', str(max(1, round(bench.seconds))),
                '--length', '1M', '--json']
        report = run(argv, bench.client_cpus, bench.seconds, bench.env)
        finish(server, server_argv, 0)
    finally:
        end(server)
    return {'bytes_per_second': report['end']['sum_received']['bits_per_second'] / 8}


def bulk_cases(bench):
    def sender(program, *words):
        executable = bench.program(program)
        with bench.server([executable, 'server']) as server:
            return bench.load(server, [executable, 'client', *words, '--bytes', str(MIB)])

    runs = {
        'iperf3': lambda: iperf3(bench),
        'sender, stream': lambda: sender('stream_sender', '--form', 'stream'),
        'sender, 4 requests': lambda: sender('stream_sender', '--form', 'request', '--outstanding', '4'),
        OURS: lambda: sender('rpc_bench', 'bulk', '--outstanding', '4'),
        'ours, checksum': lambda: sender('rpc_bench', 'bulk', '--outstanding', '4', '--checksum'),
    }
    peers = ['iperf3', 'sender, stream', 'sender, 4 requests']
    yield Case('bulk-1MiB', 'bytes_per_second', 'B/s', runs,
               together(share_of_best('bytes_per_second', peers, 0.95),
                        share_of_best('bytes_per_second', peers, 0.8, 'ours, checksum')))


def idle_cases(bench, connections=10_000):
    def idle():
        executable = bench.program('rpc_bench')
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < connections + 100:
            raise Skipped(f'{connections} connections need as many open files, of which {hard} are allowed (ulimit -Hn)')
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with bench.server([executable, 'server', '--idle']) as server:
            argv = [executable, 'idle', '--connections', str(connections), '--port', str(server.ready['port'])]
            with Resident(argv, bench.client_cpus, bench.env) as client:
                if client.ready.get('connections') != connections:
                    raise Failed(f'rpc_bench idle: opened {client.ready.get("connections")} of {connections}')
                bytes_resident = server.resident_bytes()
                client.finish()
            server.finish()
        return {'resident_bytes': bytes_resident}

    def bound(medians):
        if OURS in medians:
            yield Ratio('300 MiB / ours', 300 * MIB / medians[OURS]['resident_bytes'], 1)

    yield Case('idle-10000', 'resident_bytes', 'B', {OURS: idle}, bound)


def rocksdb_cases(bench):
    def transactions(argv, clients, synced):
        with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
            return run([*argv, f'{folder}/db', '--clients', str(clients), '--seconds', str(bench.seconds),
                        *([] if synced else ['--no-sync'])], bench.all_cpus, bench.seconds)

    for synced in (True, False):
        for clients in CLIENTS:
            def contender(program, *words, n=clients, s=synced):
                return lambda: transactions([bench.program(program), *words], n, s)

            yield Case(f'rocksdb-{"synced" if synced else "unsynced"}-{clients}', 'transactions_per_second', '1/s',
                       {'optimistic': contender('rocksdb_txn', '--engine', 'optimistic', '--dir'),
                        'pessimistic': contender('rocksdb_txn', '--engine', 'pessimistic', '--dir'),
                        'plain': contender('rocksdb_txn', '--engine', 'plain', '--dir'),
                        OURS: contender('kv_bench', '--engine', 'rocksdb', '--path')},
                       # 'plain' isolates nothing, so it is shown and not compared with.
                       share_of_best('transactions_per_second', ['optimistic', 'pessimistic'], 0.8))


class Etcd:
    """One cluster for all etcd cases, started by the first of them."""

    def __init__(self, bench, stack):
        self.bench, self.stack, self.cluster = bench, stack, None

    def run(self, argv, clients):
        try:
            if self.cluster is None:
                self.cluster = self.stack.enter_context(
                    etcd_cluster.Cluster(3, cpus=self.bench.all_cpus, parent=self.bench.folder))
        except etcd_cluster.ClusterError as e:
            raise (Skipped if shutil.which('etcd') is None else Failed)(str(e)) from e
        endpoints = (['--endpoints', ','.join(self.cluster.endpoints)] if argv[0].endswith('kv_bench')
                     else [word for e in self.cluster.endpoints for word in ('--endpoint', e)])
        return run([*argv, *endpoints, '--clients', str(clients), '--seconds', str(self.bench.seconds)],
                   self.bench.all_cpus, self.bench.seconds)


def etcd_cases(bench, stack):
    etcd = Etcd(bench, stack)

    def contender(program, *words, clients):
        return lambda: etcd.run([bench.program(program), *words], clients)

    metric = 'transactions_per_second'
    for n in CLIENTS:
        yield Case(f'etcd-create-{n}', metric, '1/s',
                   {'create': contender('etcd_txn', '--operation', 'create', clients=n),
                    'read-create': contender('etcd_txn', '--operation', 'read-create', clients=n),
                    OURS: contender('kv_bench', '--engine', 'etcd', clients=n)},
                   # Ours reads values and then commits, as read-create does; create sends comparisons blindly.
                   together(share_of_best(metric, ['read-create'], 0.8), share_of_best(metric, ['create'], None)))
    for n in (1, 64):
        yield Case(f'etcd-get-{n}', metric, '1/s',
                   {o: contender('etcd_txn', '--operation', f'get-{o}', clients=n)
                    for o in ('linearizable', 'serializable')}, lambda medians: [])


def all_cases(bench, stack):
    return [*small_cases(bench), *bulk_cases(bench), *idle_cases(bench), *rocksdb_cases(bench),
            *etcd_cases(bench, stack)]


def medians(reports):
    """The median of each number over the rounds."""
    numbers = {key for report in reports for key, value in report.items()
               if isinstance(value, (int, float)) and not isinstance(value, bool)}
    return {key: statistics.median(r[key] for r in reports if key in r) for key in sorted(numbers)}
