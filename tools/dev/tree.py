"""What the scripts in tests/tidy share: the files of the tree, and the programs of a build."""

import fnmatch
import json
import os
import pathlib
import subprocess
import sys

SKIP = 77  # Meson's exit code for a test that could not be run

CXX_SUFFIXES = {'.cc', '.hpp', '.h', '.c', '.cu', '.cuh'}
TEXT_SUFFIXES = CXX_SUFFIXES | {'.py', '.sh', '.md', '.txt', '.scd', '.yaml', '.yml', '.build', '.json', '.toml'}
# Bytes that are test data: not ours to style.
DATA = ['*/corpus/*', '*/golden/*']


def files(root):
    """All files of the repository, tracked or new, relative to `root` (a Path); data files left out."""
    found = subprocess.run(['git', '-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                           capture_output=True, check=False)
    if found.returncode == 0:
        names = found.stdout.decode('utf-8').split('\0')
    else:  # no git, or somebody else's checkout: walk, without what .gitignore names
        names = []
        for folder, folders, leaves in os.walk(root):
            folders[:] = [d for d in folders if not d.startswith(('build', '.cache', '.git', '__pycache__'))]
            names += [os.path.relpath(os.path.join(folder, leaf), root) for leaf in leaves]
    return sorted({pathlib.Path(n) for n in names
                   if n and not any(fnmatch.fnmatch(n, d) for d in DATA) and (root / n).is_file()})


def cxx_files(root):
    return [f for f in files(root) if f.suffix in CXX_SUFFIXES]


def text_files(root):
    """Files that people write: known suffixes, and scripts without one."""
    return [f for f in files(root) if f.suffix in TEXT_SUFFIXES or f.name == 'meson_options.txt' or is_script(root / f)]


def is_script(path):
    with open(path, 'rb') as f:
        return f.read(2) == b'#!'


def programs(build):
    """Installed executables of a build folder that people call, by name: {'hfreduce': '/…/hfreduce'}. Those of libexec
    are called by other programs alone, and described in their pages."""
    with open(pathlib.Path(build) / 'meson-info' / 'intro-targets.json', encoding='utf-8') as f:
        targets = json.load(f)
    return {t['name']: t['filename'][0] for t in targets if t['type'] == 'executable' and t['installed']
            and 'libexec' not in pathlib.Path(t['install_filename'][0]).parts}


def dump_cli(program):
    """The description that a program gives of itself (schema ff.cli/1): its root command."""
    if not os.path.exists(program):
        sys.exit(f'{program}: not built yet (ninja builds it)')
    done = subprocess.run([program, '--dump-cli'], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f'{program} --dump-cli: exit {done.returncode}: {done.stderr.strip()}')
    described = json.loads(done.stdout)
    if described.get('schema') != 'ff.cli/1':
        sys.exit(f"{program} --dump-cli: schema is {described.get('schema')!r}, this script reads 'ff.cli/1'")
    return described.get('root', described)


def visible_commands(command, path=()):
    """Yields (path, command) for a command and all below it that help shows; the root's path is ()."""
    yield path, command
    for child in command.get('commands', []):
        if not child.get('hidden', False):
            yield from visible_commands(child, path + (child['name'],))


def finish(problems, what):
    """Prints the problems and exits: 0 when there are none."""
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(f'{len(problems)} problem(s): {what}')
    sys.exit(0)
