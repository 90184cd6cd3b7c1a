"""CephFS: a monitor, a manager, three BlueStore OSDs on files, a metadata server, ceph-fuse; size 3. Each object has a
primary copy, which answers when all copies are in the write-ahead logs."""

import os
import pathlib
import uuid

import sandbox
from system import System

OSD_BYTES = 12 << 30  # of a sparse file each
RUN = '/run/ceph'      # short, for paths of sockets


class CephFs(System):
    name, title = 'cephfs', 'CephFS'
    programs = ['ceph', 'ceph-mon', 'ceph-mgr', 'ceph-osd', 'ceph-mds', 'ceph-fuse', 'monmaptool']
    packages = ['ceph-mon', 'ceph-mgr', 'ceph-osd', 'ceph-mds', 'ceph-common', 'ceph-fuse']
    tested = '16.'
    data_answer = 'on 3 disks (with direct=1)'
    sync_answer = 'on 3 disks'
    name_answer = "in the metadata server's memory; journaled within seconds (fsync of the folder waits)"
    caches = "OSDs hold data in BlueStore's own cache (osd_memory_target as shipped), not in the page cache; " \
             'the client caches attributes under capabilities'

    def settings(self):
        f = self.folder
        return '[global]\n' + ''.join(f'{k} = {v}\n' for k, v in {
            'fsid': uuid.uuid4(), 'mon_host': f'[v2:{sandbox.ADDRESS}:3300,v1:{sandbox.ADDRESS}:6789]',
            'mon_initial_members': 'a', 'public_addr': sandbox.ADDRESS, 'cluster_addr': sandbox.ADDRESS,
            # Spares it the signatures; nobody else is in this network.
            'auth_cluster_required': 'none', 'auth_service_required': 'none', 'auth_client_required': 'none',
            'osd_pool_default_size': 3, 'osd_pool_default_min_size': 2, 'osd_crush_chooseleaf_type': 0,
            'bluestore_block_size': OSD_BYTES, 'bluestore_block_create': 'true',
            'run_dir': RUN, 'admin_socket': f'{RUN}/$name.asok', 'log_file': f'{f}/$name.log',
            'mon_cluster_log_file': f'{f}/cluster.log', 'crash_dir': f'{f}/crash', 'pid_file': '',
            'mon_data': f'{f}/mon.$id', 'mgr_data': f'{f}/mgr.$id', 'osd_data': f'{f}/osd.$id', 'mds_data': f'{f}/mds.$id',
            'keyring': f'{f}/keyring',
            # Warnings of a cluster this small, which would keep it from being healthy.
            'mon_data_avail_warn': 5, 'mon_data_avail_crit': 2, 'mon_allow_pool_size_one': 'true',
        }.items())

    def bring_up(self):
        f = self.folder
        pathlib.Path(RUN).mkdir()
        self.conf = f / 'ceph.conf'
        self.conf.write_text(self.settings(), encoding='utf-8')
        self.command('ceph-authtool', '--create-keyring', f / 'keyring', '--gen-key', '-n', 'client.admin',
                     '--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mds', 'allow *',
                     '--cap', 'mgr', 'allow *')
        self.command('monmaptool', '--create', '--fsid', self.conf_value('fsid'), '--addv', 'a',
                     f'[v2:{sandbox.ADDRESS}:3300,v1:{sandbox.ADDRESS}:6789]', f / 'monmap')
        for kind in ('mon.a', 'mgr.a', 'mds.a', 'osd.0', 'osd.1', 'osd.2', 'crash'):
            (f / kind).mkdir()
        self.daemon('ceph-mon', 'a', '--mkfs', '--monmap', f / 'monmap', '--keyring', f / 'keyring', wait=True)
        self.daemon('ceph-mon', 'a')
        self.wait_for('monitor', lambda: self.succeeds('ceph', '-c', self.conf, '--connect-timeout', 5, 'mon', 'stat'))
        self.daemon('ceph-mgr', 'a')
        for i in range(3):
            unique = str(uuid.uuid4())
            number = int(self.ceph('osd', 'new', unique))
            if number != i:
                raise OSError(f'OSD {i} became {number}')
            self.daemon('ceph-osd', i, '--mkfs', '--osd-uuid', unique, wait=True)
            self.daemon('ceph-osd', i)
        for pool, groups in (('names', 16), ('data', 32)):
            self.ceph('osd', 'pool', 'create', pool, groups, groups)
        self.ceph('fs', 'new', 'peers', 'names', 'data')
        self.daemon('ceph-mds', 'a')
        self.wait_for('metadata server', lambda: 'up:active' in self.ceph('mds', 'stat'), 90)
        self.wait_for('clean placement groups', self.clean, 120)
        self.start('ceph-fuse', '-f', '-c', self.conf, '-n', 'client.admin', self.mount)
        self.wait_for_mount()

    def daemon(self, program, ident, *arguments, wait=False):
        argv = [program, '-c', self.conf, '-i', ident, *arguments]
        if wait:
            self.command(*argv, seconds=120)
        else:
            self.start(*argv, '-f')

    def ceph(self, *arguments):
        return self.command('ceph', '-c', self.conf, '--connect-timeout', 10, *arguments)

    def conf_value(self, key):
        lines = self.conf.read_text(encoding='utf-8').splitlines()
        return next(line.partition('=')[2].strip() for line in lines if line.startswith(f'{key} ='))

    def clean(self):
        text = self.ceph('pg', 'stat')
        return 'active+clean' in text and not any(w in text for w in ('peering', 'creating', 'unknown', 'undersized',
                                                                     'degraded', 'activating'))

    def environment(self):
        return {**super().environment(), 'CEPH_CONF': os.fspath(self.folder / 'ceph.conf')}
