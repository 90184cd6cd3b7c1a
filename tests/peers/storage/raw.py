"""The disk itself: the file system that the work folder lies on."""

import pathlib
import re

from system import System


def file_system_of(folder):
    """Its kind, from the longest mount point above it."""
    best = ('', '?')
    for line in pathlib.Path('/proc/self/mountinfo').read_text(encoding='utf-8').splitlines():
        fields, _, rest = line.partition(' - ')
        point = re.sub(r'\\(\d{3})', lambda m: chr(int(m[1], 8)), fields.split()[4])
        if pathlib.Path(point) == folder or pathlib.Path(point) in folder.parents:
            best = max(best, (point, rest.split()[0]), key=lambda b: len(b[0]))
    return best[1]


class Raw(System):
    name = 'raw'
    data_answer = "in the disk's write cache"
    sync_answer = 'on disk'
    name_answer = 'in memory'
    caches = 'none for files (direct=1); the host of a virtual disk may hold it; names in memory'

    def __init__(self, work, tools):
        super().__init__(work, tools)
        self.title = f'raw {file_system_of(work)}'

    def bring_up(self):
        pass
