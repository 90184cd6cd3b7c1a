"""GlusterFS: a volume of three bricks, replica 3. The client sends every write to all bricks itself."""

import sandbox
from system import System


class Gluster(System):
    name, title = 'gluster', 'GlusterFS'
    programs = ['glusterd', 'gluster', 'glusterfs']
    packages = ['glusterfs-server', 'glusterfs-client']
    tested = '10.'
    data_answer = "in memory: the client's write-behind, then the bricks' page caches"
    sync_answer = 'on 3 disks'
    name_answer = "in the bricks' page caches"
    caches = "bricks read through the page cache; the client's read-ahead and io-cache are on as shipped"

    def bring_up(self):
        for kept in ('/var/lib/glusterd', '/var/log/glusterfs'):
            sandbox.bind(self.folder / kept.strip('/'), kept)
        volfile = self.folder / 'glusterd.vol'
        volfile.write_text('volume management\n    type mgmt/glusterd\n'
                           '    option working-directory /var/lib/glusterd\n'
                           '    option transport-type socket\n'
                           '    option transport.socket.listen-port 24007\n'
                           'end-volume\n', encoding='utf-8')
        self.start('glusterd', '--no-daemon', '--volfile', volfile, '--log-file', '/var/log/glusterfs/glusterd.log')
        gluster = ['gluster', '--mode=script']
        self.wait_for('glusterd', lambda: self.succeeds(*gluster, 'pool', 'list'))
        bricks = [self.folder / f'brick{i}' for i in range(3)]
        for brick in bricks:
            brick.mkdir()
        self.command(*gluster, 'volume', 'create', 'peers', 'replica', 3,
                     *(f'{sandbox.ADDRESS}:{brick}' for brick in bricks), 'force')
        self.command(*gluster, 'volume', 'start', 'peers')
        self.start('glusterfs', '--no-daemon', '--process-name', 'fuse', f'--volfile-server={sandbox.ADDRESS}',
                   '--volfile-id=peers', '--log-file=/var/log/glusterfs/mount.log', self.mount)
        self.wait_for_mount()
        # The mount answers before it has reached all bricks; one that is missed would be one copy less.
        self.wait_for('three bricks', self.all_connected)

    def all_connected(self):
        text = self.command('gluster', '--mode=script', 'volume', 'status', 'peers', 'clients')
        return text.count('Clients connected : ') == 3 and 'Clients connected : 0' not in text \
            and self.writable_on_all()

    def writable_on_all(self):
        probe = self.mount / '.probe'
        try:
            probe.write_bytes(b'here')
            return all((self.folder / f'brick{i}' / '.probe').exists() for i in range(3))
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
