#!/usr/bin/env python3
"""Checks that clang-format 19 would change nothing in the C and C++ files.

usage: check_format.py SOURCE_ROOT [--fix]
"""

import concurrent.futures
import pathlib
import shutil
import subprocess
import sys

import tree

FORMATTER = 'clang-format-19'


def main():
    root, fix = pathlib.Path(sys.argv[1]), '--fix' in sys.argv[2:]
    if not shutil.which(FORMATTER):
        print(f'{FORMATTER} is not installed (other versions format differently)')
        sys.exit(tree.SKIP)
    names = [f.as_posix() for f in tree.cxx_files(root)]

    def run(name):
        mode = ['-i'] if fix else ['--dry-run', '-Werror', '--ferror-limit=1']
        done = subprocess.run([FORMATTER, *mode, name], cwd=root, capture_output=True, text=True, check=False)
        return done.stderr.splitlines()[0] if done.returncode else None

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        problems = [p for p in pool.map(run, names) if p]
    tree.finish(problems, 'run tools/dev/check_format.py . --fix')


if __name__ == '__main__':
    main()
