#!/usr/bin/env python3
"""Checks what no compiler sees: notes left for later, trailing spaces, tabs, line ends, line lengths of C++ sources,
and that scripts are executable.

usage: check_text.py SOURCE_ROOT
"""

import os
import pathlib
import re
import sys

import tree

COLUMNS = 120
# In pieces, so that this file does not find itself.
LEFT_FOR_LATER = re.compile(r'\b(' + '|'.join(['TO' 'DO', 'FIX' 'ME', 'XX' 'X']) + r')\b')
SOURCES = tree.CXX_SUFFIXES | {'.py', '.sh', '.build', '.scd', '.yaml', ''}


def check(root, file):
    raw = (root / file).read_bytes()
    try:
        text = raw.decode('utf-8')
    except UnicodeDecodeError as e:
        yield f'{file}: not UTF-8 at byte {e.start}'
        return
    if raw and not raw.endswith(b'\n'):
        yield f'{file}: no newline at the end'
    if raw.endswith(b'\n\n'):
        yield f'{file}: empty lines at the end'
    if b'\r' in raw:
        yield f'{file}: carriage returns'
    for number, line in enumerate(text.split('\n'), 1):
        if line != line.rstrip():
            yield f'{file}:{number}: trailing space'
        if file.suffix in SOURCES and (found := LEFT_FOR_LATER.search(line)):
            yield f'{file}:{number}: {found[0]}: do it now or write an issue'
        if file.suffix in tree.CXX_SUFFIXES:
            if '\t' in line:
                yield f'{file}:{number}: tab'
            # A link cannot be broken over two lines.
            if len(line) > COLUMNS and '://' not in line:
                yield f'{file}:{number}: {len(line)} columns, at most {COLUMNS}'
    if raw.startswith(b'#!') and not os.access(root / file, os.X_OK):
        yield f'{file}: starts with #! but is not executable'


def main():
    root = pathlib.Path(sys.argv[1])
    tree.finish([p for f in tree.text_files(root) for p in check(root, f)], 'see CONTRIBUTING.md')


if __name__ == '__main__':
    main()
