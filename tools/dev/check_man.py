#!/usr/bin/env python3
"""Compares man pages with what the programs say of themselves (--dump-cli), both ways.

usage: check_man.py SOURCE_ROOT BUILD_ROOT [ABSENT…]

ABSENT names programs that this build leaves out; their pages are not compared.

Every installed executable has man/NAME.1.scd or man/NAME.8.scd, and each of those an executable. All options that help
shows are in the page and all options of the page exist. A heading that names a command ("## hfreduce run", "## run")
opens a section whose options are compared with that command's alone. Pages have the fixed headings, in order.

In a page, an option is declared by a line that starts with its bold names: `*-n*, *--ranks* _N_`. Bold options in running
text must exist too, but do not count as described. All pages in man/ must render without warnings.
"""

import pathlib
import re
import shutil
import subprocess
import sys

import tree

HEADINGS = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'COMMANDS', 'OPTIONS', 'CONFIGURATION', 'ENVIRONMENT',
            'EXIT STATUS', 'EXAMPLES', 'FILES', 'SEE ALSO']
REQUIRED = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO']
# What libcommon/cli gives every tool; fireflyer(7) describes it once.
BUILT_IN = {'-h', '--help', '--version'}
BUILT_IN_COMMANDS = {('version',), ('completion',)}

BOLD = re.compile(r'\*([^*\n]+)\*')
OPTION = re.compile(r'(?<![\w-])(--?[A-Za-z][\w-]*|-[0-9](?![\w.]))')


def options_in(text):
    return set(OPTION.findall(text.replace('\\', '')))


class Page:
    """What a scdoc source declares and mentions, for each section that names a command and for the whole."""

    def __init__(self, text, tool, commands):
        self.headings = []  # top level, in order
        self.declared = {None: set()}  # command path -> options; None: no command's section
        self.mentioned = set()
        self.bold = set()
        where, literal = None, False
        for line in text.splitlines():
            if line.strip() == '```':
                literal = not literal
                continue
            if literal:  # examples: other programs' options appear there as well
                continue
            if line.startswith('#'):
                title = line.lstrip('# ').replace('*', '').replace('\\', '')
                if not line.startswith('##'):
                    self.headings.append(title)
                words = tuple(title.lower().split())
                where = words[1:] if words[:1] == (tool,) else words
                where = where if where and where in commands else None
                self.declared.setdefault(where, set())
                continue
            spans = BOLD.findall(line)
            self.bold.update(s.replace('\\', '') for s in spans)
            self.mentioned |= options_in(' '.join(s for s in spans if s.startswith(('-', '\\-'))))
            if re.match(r'\t*\*-', line):
                self.declared[where] |= options_in(' '.join(spans))

    def all_declared(self):
        return set().union(*self.declared.values())


def visible_options(command):
    return {n for o in command.get('options', []) if not o.get('hidden', False)
            for n in o['names'] if n.startswith('-')}


def check_headings(page, name):
    known = [h for h in page.headings if h in HEADINGS]
    for heading in REQUIRED:
        if heading not in known:
            yield f"{name}: no section '{heading}'"
    if known != sorted(known, key=HEADINGS.index):
        yield f"{name}: sections out of order: {', '.join(known)}"


def check_page(file, tool, root):
    commands = dict(tree.visible_commands(root))
    page = Page(file.read_text(encoding='utf-8'), tool, commands)
    name = f'man/{file.name}'
    yield from check_headings(page, name)
    shared = visible_options(commands[()]) | BUILT_IN
    exist = shared.union(*(visible_options(c) for c in commands.values()))
    wanted = set().union(*(visible_options(c) for p, c in commands.items() if p not in BUILT_IN_COMMANDS))
    for option in sorted(wanted - BUILT_IN - page.all_declared()):
        yield f"{name}: '{option}' of {tool} is not described"
    for option in sorted((page.all_declared() | page.mentioned) - exist):
        yield f"{name}: '{option}' does not exist in {tool} --dump-cli"
    for path, command in commands.items():
        title = ' '.join(path)
        if path and path not in BUILT_IN_COMMANDS and not any(title == b or title in b for b in page.bold) and path not in page.declared:
            yield f"{name}: command '{title}' is not described"
        if path in page.declared and path:
            for option in sorted(visible_options(command) - BUILT_IN - page.declared[path]):
                yield f"{name}: section '{title}' does not describe '{option}'"
            for option in sorted(page.declared[path] - visible_options(command) - shared):
                yield f"{name}: section '{title}' describes '{option}', which is no option of {tool} {title}"


def check_rendering(file):
    page = subprocess.run(['scdoc'], input=file.read_bytes(), capture_output=True, check=False)
    if page.returncode != 0:
        return f'man/{file.name}: scdoc: {page.stderr.decode().strip()}'
    shown = subprocess.run(['man', '--warnings', '-E', 'UTF-8', '-l', '-'], input=page.stdout, capture_output=True,
                           check=False)
    return f'man/{file.name}: man: {shown.stderr.decode().splitlines()[0]}' if shown.stderr else None


def main():
    root, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    programs, problems = tree.programs(build), []
    if shutil.which('scdoc') and shutil.which('man'):
        problems = [p for f in sorted((root / 'man').glob('*.scd')) if (p := check_rendering(f))]
    pages = {f.name.split('.')[0]: f for f in sorted((root / 'man').glob('*.[18].scd'))}
    if not programs and not problems:
        print('this build has no installed executable')
        sys.exit(tree.SKIP)
    problems += [f'{p}: no page man/{p}.1.scd' for p in sorted(programs.keys() - pages.keys())]
    for tool, file in pages.items():
        if tool in programs:
            problems += check_page(file, tool, tree.dump_cli(programs[tool]))
        elif tool in sys.argv[3:]:
            print(f'{file.name}: {tool} is not part of this build')
        else:
            problems.append(f'man/{file.name}: no executable of that name')
    tree.finish(problems, 'man pages and programs differ')


if __name__ == '__main__':
    main()
