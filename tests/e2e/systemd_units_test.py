#!/usr/bin/env python3
"""The units in configs/systemd are what systemd understands, and keep jobs alive while an agent is restarted.

usage: systemd_units_test.py FOLDER FFCTLD FFNODED FFS
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIP = 77


def main():
    folder, *programs = sys.argv[1:]
    if shutil.which('systemd-analyze') is None:
        print('systemd-analyze: not installed (package systemd): units are not verified')
        return SKIP
    with tempfile.TemporaryDirectory(prefix='ff-units-') as temporary:
        out = pathlib.Path(temporary)
        # All programs in one folder, as they are installed.
        (out / 'bin').mkdir()
        for program in programs:
            os.symlink(pathlib.Path(program).resolve(), out / 'bin' / pathlib.Path(program).name)
        units = []
        for source in sorted(pathlib.Path(folder).glob('*.service.in')):
            name = source.name.removesuffix('.in').replace('@', '@4')
            (out / name).write_text(source.read_text().replace('@bindir@', str(out / 'bin')))
            units.append(out / name)
        assert [unit.name for unit in units] == ['ffctld.service', 'ffnoded.service', 'ffs@4.service'], units
        agent = (out / 'ffnoded.service').read_text().splitlines()
        for line in ('KillMode=process', 'Delegate=yes'):
            assert line in agent, line
        # Their man pages need not be installed.
        done = subprocess.run(['systemd-analyze', 'verify', '--man=no', *units], capture_output=True, text=True, timeout=50)
        said = done.stdout + done.stderr
        ours = [line for line in said.splitlines() if any(unit.name in line for unit in units)]
        if done.returncode != 0 or ours:
            print(said)
            if not ours and 'Failed to' in said:
                print('systemd-analyze does not work here: units are not verified')
                return SKIP
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
