#!/usr/bin/env python3
"""Checks that tools/packages.txt names the Debian package of every library that the build found, so that a bare system
gets all of them.

usage: check_packages.py SOURCE_ROOT BUILD_ROOT
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import tree

# Groups that tools/check and tools/quickstart install.
GROUPS = ['build', 'test', 'run']


def read_groups(path):
    groups, current = {}, None
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        line = line.split('#')[0].strip()
        if heading := re.fullmatch(r'\[([a-z]+)\]', line):
            current = groups.setdefault(heading[1], [])
        elif line:
            if current is None or not re.fullmatch(r'[a-z0-9][a-z0-9.+-]+', line):
                sys.exit(f"{path}:{number}: '{line}' is neither [group] nor a package in a group")
            current.append(line)
    return groups


def output(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ''


def owner(library):
    """The package that owns the .pc file of a library, following Debian's alternatives; '' when there is none."""
    folder = output('pkg-config', '--variable=pcfiledir', library).strip()
    if not folder:
        return ''
    file = pathlib.Path(folder, f'{library}.pc').resolve()
    return output('dpkg', '-S', str(file)).split(':')[0]


def main():
    root, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    groups = read_groups(root / 'tools' / 'packages.txt')
    listed = [p for g in GROUPS for p in groups.get(g, [])]
    problems = [f'tools/packages.txt: {p} is there twice' for p in sorted({p for p in listed if listed.count(p) > 1})]
    if not (shutil.which('dpkg') and shutil.which('pkg-config')):
        print('no dpkg or no pkg-config here')
        sys.exit(tree.SKIP)
    depends = output('dpkg-query', '-W', '-f', '${Depends}\n', *listed)
    brought = set(listed) | set(re.findall(r'[a-z0-9][a-z0-9.+-]+', depends))
    with open(build / 'meson-info' / 'intro-dependencies.json', encoding='utf-8') as f:
        libraries = sorted({d['name'] for d in json.load(f)})
    for library in libraries:
        package = owner(library)
        if package and package not in brought:
            problems.append(f'tools/packages.txt: {package} is missing: the build uses {library}')
    print(f'{len(libraries)} libraries')
    tree.finish(problems, 'a bare Debian could not build this')


if __name__ == '__main__':
    main()
