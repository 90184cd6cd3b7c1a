#!/usr/bin/env python3
"""Checks --help of every command of every installed executable: it exits 0, writes to stdout only, at most 100 columns
wide, and has an example. A tool without arguments says what it can do on stderr and exits 2, unless it runs without any.

usage: check_help.py BUILD_ROOT
"""

import subprocess
import sys

import tree

COLUMNS = 100


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def check_command(tool, program, path, command):
    title = ' '.join([tool, *path])
    done = run(program, *path, '--help')
    if done.returncode != 0:
        yield f'{title} --help: exit {done.returncode}'
    if done.stderr:
        yield f'{title} --help: writes to stderr: {done.stderr.splitlines()[0]}'
    for line in done.stdout.splitlines():
        if len(line) > COLUMNS:
            yield f'{title} --help: {len(line)} columns, at most {COLUMNS}: {line[:40]}…'
    if not command.get('examples') or 'Examples:' not in done.stdout:
        yield f'{title} --help: no example'


def main():
    programs = tree.programs(sys.argv[1])
    if not programs:
        print('this build has no installed executable')
        sys.exit(tree.SKIP)
    problems = []
    for tool, program in sorted(programs.items()):
        root = tree.dump_cli(program)
        for path, command in tree.visible_commands(root):
            problems += check_command(tool, program, path, command)
        if not root.get('runs', False):
            bare = run(program)
            if bare.returncode != 2 or bare.stdout or not bare.stderr:
                problems.append(f'{tool} without arguments: exit {bare.returncode}, must be 2 with help on stderr')
        version = run(program, '--version')
        if version.returncode != 0 or not version.stdout.startswith(tool):
            problems.append(f"{tool} --version: exit {version.returncode}, must print '{tool} VERSION'")
    tree.finish(problems, 'see libcommon/cli/app.hpp')


if __name__ == '__main__':
    main()
