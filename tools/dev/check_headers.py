#!/usr/bin/env python3
"""Checks that every header stands alone: a source file that includes it twice, and nothing else, compiles.

usage: check_headers.py SOURCE_ROOT BUILD_ROOT SCRATCH_FOLDER

Flags are those of a source file of the same folder in compile_commands.json. Objects are written (not only checked for
syntax) because ccache, where the build uses it, then makes all but the first run cheap. Public C headers (.h) are
compiled as C and as C++.
"""

import concurrent.futures
import itertools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import tree

DROPPED_WITH_VALUE = {'-o', '-MF', '-MQ', '-MT'}
# Colours would be control characters in the report of the test run, which is XML.
DROPPED = {'-c', '-MD', '-MMD', '-g', '-fcolor-diagnostics', '-fdiagnostics-color=always'}


def compile_flags(build, root):
    """The C++ compile command without its files, by folder, from compile_commands.json."""
    flags = {}
    with open(build / 'compile_commands.json', encoding='utf-8') as f:
        entries = json.load(f)
    for entry in entries:
        source = pathlib.Path(os.path.normpath(os.path.join(entry['directory'], entry['file'])))
        if source.suffix != '.cc' or not source.is_relative_to(root):
            continue
        words, kept = iter(shlex.split(entry['command'])), []
        for word in words:
            if word in DROPPED_WITH_VALUE:
                next(words)
            elif word not in DROPPED and word != entry['file']:
                kept.append(word)
        flags.setdefault(source.relative_to(root).parent, kept)
    return flags


def flags_for(flags, folder):
    """The flags of the folder, or of the nearest one above it or below that."""
    for candidate in [folder, *folder.parents]:
        for have, argv in flags.items():
            if have == candidate or candidate in have.parents:
                return argv
    return None


def compile_twice(header, language, argv, build, scratch):
    source = scratch / (str(header).replace('/', '_') + ('.c' if language == 'C' else '.cc'))
    text = f'#include "{header}"\n#include "{header}"\nextern int ff_header_stands_alone;\n'
    if not source.exists() or source.read_text(encoding='utf-8') != text:
        source.write_text(text, encoding='utf-8')
    done = subprocess.run([*argv, '-Werror', '-O0', '-c', source, '-o', source.with_suffix('.o')], cwd=build,
                          capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if 'error:' in line] or done.stderr.splitlines()
    return f'{header} (as {language}): {lines[0] if lines else "compiler failed"}'


def main():
    root, build, scratch = (pathlib.Path(os.path.abspath(a)) for a in sys.argv[1:4])
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault('CCACHE_NOHASHDIR', '1')
    flags = compile_flags(build, root)
    # The tree has no C source to take flags from: strict C11, as the header promises.
    compiler = [re.sub(r'\bg\+\+', 'gcc', word).replace('clang++', 'clang')
                for word in itertools.takewhile(lambda w: not w.startswith('-'), next(iter(flags.values()), []))]
    c_flags = [*compiler, '-std=c11', '-Wall', '-Wextra', '-pedantic', '-I', root]
    work = []
    for file in tree.cxx_files(root):
        argv = flags_for(flags, file.parent)
        if file.suffix not in ('.hpp', '.h') or not argv:
            continue
        work.append((file, 'C++', argv))
        if file.suffix == '.h':
            work.append((file, 'C', c_flags))
    if not work:
        sys.exit('no header found')
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        problems = [p for p in pool.map(lambda w: compile_twice(*w, build, scratch), work) if p]
    print(f'{len(work)} compilations')
    tree.finish(problems, 'a header must include what it uses, once')


if __name__ == '__main__':
    main()
