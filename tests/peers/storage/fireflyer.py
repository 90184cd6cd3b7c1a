"""FFS: three processes, three copies, as `ffs format --local` makes it; loaded through libffs by ffbench, not mounted."""

import json
import resource

from system import Failed, Load, System, lay_out_limit_s


class FireFlyer(System):
    name, title = 'ffs', 'FFS (libffs)'
    ours = True
    data_answer = 'on 3 disks'
    sync_answer = 'on 3 disks, and the length'
    name_answer = 'on disk (the metadata log is synced)'
    caches = 'no cache at the client; a storage process reads its disk past the page cache'

    def missing(self):
        lack = self.not_built(self.tools.ffs, self.tools.ffbench)
        if lack:
            return lack
        if not self.succeeds(self.tools.ffbench, 'storage', 'ffs', '--help'):
            return f"{self.tools.ffbench} has no 'storage ffs' (build the current tree)"
        return ''

    def bring_up(self):
        self.cluster = self.folder / 'fs'
        self.command(self.tools.ffs, 'format', '--local', self.cluster)
        self.start(self.tools.ffs, 'serve', self.cluster)
        self.wait_for('file system', lambda: self.succeeds(self.tools.ffs, 'mkdir', '/peers', '--cluster', self.cluster))
        # 0: every node is alive and every chain whole.
        self.wait_for('three copies', lambda: self.succeeds(self.tools.ffs, 'status', '--cluster', self.cluster))

    def paths(self, files):
        return [f'/peers/data.{i}' for i in range(files)]

    def lay_out(self, files, size):
        self.command(self.tools.ffbench, 'storage', 'ffs', *self.paths(files), '--cluster', self.cluster, '--keep',
                     '--rw', 'read', '--bs', '1MiB', '--qd', 1, '--jobs', files, '--size', size, '--operations', 1,
                     '--repeat', 1, '--warmup', '0ns', '--json', '--quiet', seconds=lay_out_limit_s(files, size), marked=False)

    def run(self, job, size, seconds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = self.command(self.tools.ffbench, 'storage', 'ffs', *self.paths(job.jobs), '--cluster', self.cluster,
                            '--force', '--rw', job.pattern, '--bs', job.block, '--qd', job.depth, '--jobs', job.jobs,
                            '--fsync', job.fsync, '--size', size, '--repeat', 1, '--duration', f'{seconds}s',
                            '--warmup', '0ns', '--json', '--quiet', seconds=seconds + 120, marked=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        side = 'read' if 'read' in job.pattern else 'write'
        values = {m['name']: m['median'] for m in json.loads(text)['rows'][0]['metrics']}
        try:
            iops, rate = values[f'{side}_iops'], values[f'{side}_bandwidth']
        except KeyError as error:
            raise Failed(f'ffbench storage ffs: no {error} in its document') from error
        return Load(iops, rate, rate * seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    def meta_folder(self):
        return ['ffs:/peers', '--cluster', str(self.cluster)]
