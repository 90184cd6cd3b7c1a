"""Tables and JSON of a comparison; all from the same measurements."""

import statistics

import jobs
from tables import markdown_table, number, text_table


def times(ours, theirs):
    return f'{ours / theirs:.2f}x' if ours and theirs else '-'


def wanted(ratio):
    return '-' if ratio is None else f'{ratio}x'


def median(values):
    return statistics.median(values) if values else None


class Report:
    """`samples[system.name, job.name]`: a list, one reading a round, of dicts; see compare_storage."""

    def __init__(self, facts, systems, samples, troubles, chosen):
        self.facts, self.systems, self.samples, self.troubles = facts, systems, samples, troubles
        self.chosen = chosen
        self.ours = next((s for s in systems if s.ours), None)
        self.peers = [s for s in systems if not s.ours and s.name != 'raw']

    def middle(self, system, job, take):
        return median([value for reading in self.samples.get((system.name, job.name), [])
                       if (value := take(reading)) is not None])

    def rows(self):
        """(title, unit, target, job, reading -> value) of each line."""
        for job in self.chosen:
            if job in jobs.LOADS:
                yield job.title, jobs.unit_of(job), job.target, job, lambda r, job=job: jobs.value_of(job, r)
            else:
                for phase, (verb, target) in jobs.PHASES.items():
                    clients = f'{job.clients} client' + ('s' if job.clients > 1 else '')
                    yield f'{verb}, {clients}', '/s', target, job, lambda r, phase=phase: r['rates'].get(phase)

    def rates_table(self):
        head = ['', 'unit', *(s.title for s in self.systems), 'best peer', 'FFS / best', 'target',
                'FFS / CephFS', 'target', 'spread']
        rows = []
        for title, unit, target, job, take in self.rows():
            values = {s: self.middle(s, job, take) for s in self.systems}
            best = max((p for p in self.peers if values[p]), key=values.get, default=None)
            ours = values.get(self.ours)
            durable = next((p for p in self.peers if p.name == jobs.DURABLE_PEER), None)
            verb = title.partition(',')[0]
            rows.append([title, unit, *(number(v) for v in values.values()), best.title if best else '-',
                         times(ours, values.get(best)), wanted(target), times(ours, values.get(durable)),
                         wanted(jobs.DURABLE_TARGETS.get(verb)), self.spread(job, take)])
        return head, rows

    def spread(self, job, take):
        """Of the system that varied most: from the lowest round to the highest, in percent of the median."""
        shares = []
        for system in self.systems:
            values = [v for r in self.samples.get((system.name, job.name), []) if (v := take(r))]
            if len(values) > 1:
                shares.append(100 * (max(values) - min(values)) / statistics.median(values))
        return f'{max(shares):.0f} %' if shares else '-'

    def cost_table(self, title, digits, take):
        loads = [j for j in self.chosen if j in jobs.LOADS]
        rows = []
        for job in loads:
            values = [self.middle(s, job, take) for s in self.systems]
            rows.append([job.title, *('-' if v is None else f'{v:.{digits}f}' for v in values)])
        return title, (['', *(s.title for s in self.systems)], rows)

    def flush_table(self):
        loads = [j for j in self.chosen if j in jobs.LOADS and 'write' in j.pattern]
        rows = [[job.title, *('-' if v is None else f'{v:.2f}'
                              for v in (self.middle(s, job, lambda r: r['flushes_per_write']) for s in self.systems))]
                for job in loads]
        return ['', *(s.title for s in self.systems)], rows

    def answers_table(self):
        head = ['', 'a write has been answered when it is', 'an fsync, when it is', 'a create or remove, when it is']
        return head, [[s.title, s.data_answer, s.sync_answer, s.name_answer] for s in self.systems]

    def caches_table(self):
        return ['', 'reads may come from'], [[s.title, s.caches] for s in self.systems]

    def lines(self):
        f = self.facts
        versions = ', '.join(f'{name} {version}' for name, version in f['packages'].items())
        load = [' '.join(f'{x:.1f}' for x in f[k]) for k in ('load_before', 'load_after')]
        return [
            f"Machine: {f['cpu_count']} x {f['cpu']}, memory {f['memory_bytes'] / 2**30:.0f} GiB, kernel {f['kernel']}, "
            f"all on {f['file_system']} of {f['device']}.",
            f"Software: {versions}; {f['ffbench']}; congestion control {f['congestion_control'] or 'the default'}.",
            f"Method: {f['rounds']} rounds of {f['seconds_each']} s a load after {f['warmup_s']} s uncounted, systems in "
            f"turn within each job; files of {f['size']}, direct=1, writes end with a sync that counts, what they leave in memory is written down before the next load; caches of the machine "
            f"{'dropped before each load' if f['caches_dropped'] else 'kept'}; {f['names']} names a round; "
            f"three copies each; medians.",
            f"Other load: load average {load[0]} before, {load[1]} after; stolen by the host {f['steal_percent']} %; "
            f"the systems not in turn took up to {f['idle_percent']} % of a core; {f['elapsed_s']} s in all.",
            *self.troubles,
        ]

    def sections(self):
        if any(j in jobs.LOADS or j in jobs.NAMES for j in self.chosen):
            yield 'Operations and bytes (more is better)', self.rates_table()
        if any(j in jobs.LOADS for j in self.chosen):
            yield self.cost_table('Processor seconds per GiB moved: all processes of the system and the load program, '
                                  'kernel threads not counted', 2, lambda r: r['cpu_s_per_gib'])
        if any('write' in j.pattern for j in self.chosen if j in jobs.LOADS):
            yield 'Flushes of the disk per write (all three copies are on it; counts all that ' \
                  'the machine did)', self.flush_table()
        yield 'What an answer promises', self.answers_table()
        yield 'Caches', self.caches_table()

    def render(self, table, line, title):
        parts = ['\n'.join(line(text) for text in self.lines())]
        parts += [f'{title(name)}\n{table(*content)}' for name, content in self.sections()]
        return '\n\n'.join(parts)

    def text(self):
        return self.render(text_table, str, str)

    def markdown(self):
        return self.render(markdown_table, lambda text: f'- {text}', lambda name: f'### {name}\n')

    def json(self):
        return {
            'schema': 'ff.peers.storage/1',
            'machine': self.facts,
            'systems': [{'name': s.name, 'title': s.title, 'write_answered_when': s.data_answer,
                         'fsync_answered_when': s.sync_answer, 'name_answered_when': s.name_answer,
                         'reads_from': s.caches} for s in self.systems],
            'troubles': self.troubles,
            'results': [{'system': name, 'job': job, 'rounds': readings}
                        for (name, job), readings in self.samples.items()],
        }
