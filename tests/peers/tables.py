"""Tables, Markdown and JSON of a comparison; all from the same rows."""

import statistics

# Smaller messages are bound by latency, which no bandwidth bounds.
BOUND_FROM = 64 << 10


def size_text(size):
    for unit, scale in (('MiB', 1 << 20), ('KiB', 1 << 10)):
        if size >= scale and size % scale == 0:
            return f'{size // scale} {unit}'
    return f'{size} B'


def number(value):
    """Three figures."""
    if value is None:
        return '-'
    return f'{value:,.0f}' if value >= 100 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def ratio(theirs, ours):
    return '-' if theirs is None or ours is None else f'{theirs / ours:.2f}x'


def text_table(head, rows):
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    return '\n'.join('  '.join(c.rjust(w) for c, w in zip(r, widths)) for r in [head, *rows])


def markdown_table(head, rows):
    lines = [head, ['---:'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


class Report:
    def __init__(self, facts, bounds, bounds_each, programs, configurations):
        self.facts, self.bounds, self.bounds_each = facts, bounds, bounds_each
        self.programs, self.configurations = programs, configurations
        self.ours = next(p for p in programs if p.ours)
        self.shipped = [p for p in programs if not p.ours and not p.tuned]
        self.tuned = [p for p in programs if p.tuned]

    def bound_us(self, transport, ranks, size, element='float'):
        """The least time that memory, arithmetic or the sockets' copies allow; nothing where latency decides."""
        if size < BOUND_FROM:
            return None
        in_cache = 2 * ranks * size <= self.facts['cache_bytes']
        if transport == 'tcp':
            return 2 * (ranks - 1) * size / self.bounds['tcp_hot' if in_cache else 'tcp_cold'] / 1e3
        rates = self.bounds['arithmetic'][element]
        inputs = max((k for k in rates if int(k) <= ranks), key=int)
        seconds = ranks * size / rates[inputs]
        if not in_cache:
            memory = max(self.bounds['memory_copy'], self.bounds['memory_add'])
            seconds = max(seconds, 2 * ranks * size / memory)
        return seconds / 1e3

    def our_us(self, configuration, variant, element, size):
        return next((us for c in configuration.all_cases(self.ours) if c == (variant, element, size)
                     and (us := configuration.median(self.ours, c)) is not None), None)

    def main_table(self, configuration):
        """fp32: our kinds of memory against the best peers."""
        variants = self.ours.transports[configuration.transport]
        short = {'window': 'window', 'ordinary': 'ordinary' if len(variants) > 1 else 'ours'}
        names = [short[v] for v in variants]
        head = ['bytes', *(f'{n} us' for n in names)]
        for kind in ('best peer', 'malloc tuned'):
            head += [f'{kind} us', 'which', *(f'/ {n}' for n in names)]
        head += ['bound us', 'share']
        rows = []
        for size in configuration.sizes:
            ours = [self.our_us(configuration, v, 'float', size) for v in variants]
            row = [size_text(size), *map(number, ours)]
            for peers in (self.shipped, self.tuned):
                us, label = configuration.best(peers, 'float', size) or (None, '-')
                row += [number(us), label, *(ratio(us, our) for our in ours)]
            bound = self.bound_us(configuration.transport, configuration.ranks, size)
            share = '-' if bound is None or ours[0] is None else f'{100 * bound / ours[0]:.0f} %'
            rows.append([*row, number(bound), share])
        return head, rows

    def low_types_table(self, configuration):
        """16-bit types: bytes per second against our fp32, and against the peer that has fp16."""
        variant = self.ours.transports[configuration.transport][0]
        head = ['bytes', 'fp32 us', 'bf16 us', 'fp16 us', 'bf16 rate', 'fp16 rate', 'best peer fp16 us', 'which',
                '/ fp16']
        rows = []
        for size in configuration.sizes:
            full, brain, half = (self.our_us(configuration, variant, e, size) for e in ('float', 'bfloat16', 'half'))
            if brain is None and half is None:
                continue
            us, label = configuration.best(self.shipped, 'half', size) or (None, '-')
            rows.append([size_text(size), number(full), number(brain), number(half), ratio(full, brain),
                         ratio(full, half), number(us), label, ratio(us, half)])
        return head, rows

    def machine_lines(self):
        f, b = self.facts, self.bounds
        packages = ', '.join(f'{name} {version}' for name, version in f['packages'].items())
        arithmetic = ', '.join(f"{e} {'/'.join(f'{rate:.0f}' for rate in rates.values())}"
                               for e, rates in b['arithmetic'].items())
        load = [' '.join(f'{x:.1f}' for x in f[k]) for k in ('load_before', 'load_after')]
        return [
            f"Machine: {f['cpu_count']} x {f['cpu']} ({f['vector'] or 'no AVX'}), "
            f"last cache {f['cache_bytes'] >> 20} MiB, memory {f['memory_bytes'] / 2**30:.0f} GiB, "
            f"kernel {f['kernel']}.",
            f"Software: {packages}; {f['compiler']}, {f['build_type']} build of {f['commit']}; "
            f"congestion control {f['congestion_control']} for all (the machine's default: "
            f"{f['congestion_control_default']}).",
            f"Other load: load average {load[0]} before, {load[1]} after; stolen by the host {f['steal_percent']} %; "
            f"{f['seconds']} s in all.",
            f"Limits, GB/s: memory {b['memory_copy']:.1f} copied, {b['memory_add']:.1f} added "
            f"(read + written); arithmetic with 2/4/8 inputs {arithmetic}; "
            f"TCP loopback {b['tcp_cold']:.2f} cold, {b['tcp_hot']:.2f} hot.",
        ]

    def troubles(self):
        """What a peer could not do, each once."""
        found = {}
        for configuration in self.configurations:
            for (program, case), status in configuration.status.items():
                if status in ('hung', 'failed', 'wrong'):
                    name = program.label(case.variant) + (' (malloc tuned)' if program.tuned else '')
                    key = (name, status, configuration.transport, configuration.ranks, case.element)
                    found[key] = min(case.bytes, found.get(key, case.bytes))
        return [f'{name}: {status} from {size_text(size)} on ({transport}, {ranks} ranks, {element}).'
                for (name, status, transport, ranks, element), size in found.items()]

    def sections(self):
        transports = {'shm': 'Shared memory', 'tcp': 'TCP loopback'}
        for configuration in self.configurations:
            title = f'{transports[configuration.transport]}, {configuration.ranks} ranks'
            yield f'{title}, fp32 sum', self.main_table(configuration)
            head, rows = self.low_types_table(configuration)
            if rows:
                yield f'{title}, 16-bit types', (head, rows)

    def text(self):
        parts = ['\n'.join([*self.machine_lines(), *self.troubles()])]
        parts += [f'{title}\n{text_table(*table)}' for title, table in self.sections()]
        return '\n\n'.join(parts)

    def markdown(self):
        parts = ['\n'.join(f'- {line}' for line in [*self.machine_lines(), *self.troubles()])]
        parts += [f'### {title}\n\n{markdown_table(*table)}' for title, table in self.sections()]
        return '\n\n'.join(parts)

    def json(self, rounds):
        return {
            'schema': 'ff.peers/1',
            'machine': self.facts,
            'rounds': rounds,
            'bounds_gbs': self.bounds,
            'bounds_gbs_each': self.bounds_each,
            'configurations': [self.json_configuration(c) for c in self.configurations],
        }

    def json_configuration(self, configuration):
        measurements = []
        for (program, case), status in configuration.status.items():
            values = configuration.samples[program, case]
            entry = {'library': program.name, 'variant': case.variant, 'malloc_tuned': program.tuned,
                     'dtype': case.element, 'bytes': case.bytes, 'status': status}
            if values:
                entry |= {'median_us': statistics.median(values), 'min_us': min(values), 'max_us': max(values),
                          'batches_us': values}
            bound = self.bound_us(configuration.transport, configuration.ranks, case.bytes, case.element)
            if bound is not None:
                entry['bound_us'] = bound
            measurements.append(entry)
        return {'transport': configuration.transport, 'ranks': configuration.ranks,
                'complaints': configuration.complaints, 'measurements': measurements}
