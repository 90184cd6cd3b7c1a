"""MooseFS: one master, three chunk servers, goal 3. Writes travel from the client through a chain of chunk servers."""

import pathlib
import socket

import sandbox
from system import System

# As shipped, all its processes and its mount run at nice -19; beside others on the same cores that would be a lead.
NICE = 0


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((sandbox.ADDRESS, port)) == 0


class MooseFs(System):
    name, title = 'moosefs', 'MooseFS'
    programs = ['mfsmaster', 'mfschunkserver', 'mfsmount', 'mfssetgoal']
    packages = ['moosefs-master', 'moosefs-chunkserver', 'moosefs-client']
    tested = '3.'
    data_answer = "in memory: the client's write cache, then the chunk servers' page caches"
    sync_answer = "in the chunk servers' page caches (they do not fsync as shipped)"
    name_answer = "in the master's memory; its change log is not fsynced"
    write_cache = 256 << 20
    caches = 'chunk servers read through the page cache; the client caches attributes for 1 s and reads ahead'

    def configure(self, name, **settings):
        data = self.folder / name
        data.mkdir()
        settings |= {'DATA_PATH': data, 'WORKING_USER': 'root', 'WORKING_GROUP': 'root', 'NICE_LEVEL': NICE}
        file = self.folder / f'{name}.cfg'
        file.write_text(''.join(f'{k} = {v}\n' for k, v in settings.items()), encoding='utf-8')
        return data, file

    def bring_up(self):
        exports = self.folder / 'exports.cfg'
        exports.write_text('* / rw,alldirs,admin,maproot=0:0\n* . rw\n', encoding='utf-8')
        data, master = self.configure('master', EXPORTS_FILENAME=exports, TOPOLOGY_FILENAME=self.folder / 'topology')
        (self.folder / 'topology').touch()
        (data / 'metadata.mfs').write_bytes(b'MFSM NEW')
        self.start('mfsmaster', '-f', '-c', master, 'start')
        self.wait_for('master', lambda: listens(9421))
        for i in range(3):
            disk = self.folder / f'disk{i}'
            disk.mkdir()
            disks = self.folder / f'disks{i}.cfg'
            disks.write_text(f'{disk}\n', encoding='utf-8')
            _, server = self.configure(f'server{i}', HDD_CONF_FILENAME=disks, MASTER_HOST=sandbox.ADDRESS,
                                       CSSERV_LISTEN_HOST=sandbox.ADDRESS, CSSERV_LISTEN_PORT=9430 + i)
            self.start('mfschunkserver', '-f', '-c', server, 'start')
        self.start('mfsmount', '-f', '-H', sandbox.ADDRESS, '-o', f'mfsnice={NICE}', self.mount)
        self.wait_for_mount()
        self.command('mfssetgoal', '-r', '3', self.mount)
        self.wait_for('three chunk servers', self.three_copies)

    def three_copies(self):
        """A file has three copies as soon as all chunk servers are there."""
        probe = pathlib.Path(self.mount, '.probe')
        try:
            probe.write_bytes(b'here')
            return self.command('mfsfileinfo', probe).count('copy ') >= 3
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
