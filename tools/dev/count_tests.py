#!/usr/bin/env python3
"""Counts the tests of `meson test` runs and prints them as CI reads them: failures with the end of their output, skips
with their reasons, and last `N passed, N failed, N skipped`.

usage: count_tests.py FOLDER:STATUS… [STEP=STATUS…]

FOLDER is a build folder and STATUS what `meson test` exited with there; STEP=STATUS is another step that counts as one
test, passed when STATUS is 0. Exit: 0 when nothing failed and something passed, else 1; 2 wrong usage.

Two files are read, because neither tells all. meson-logs/testlog.json has one record for each program, with Meson's
verdict; meson-logs/testlog.junit.xml has the cases of GoogleTest programs, but shows a program that timed out like one
that passed. A GoogleTest program counts by its cases, any other program as one. When Meson says that a program went
wrong and no case of it failed (it crashed, timed out, or failed outside of a case), one failure is added.
"""

import dataclasses
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

GOOD = {'OK', 'EXPECTEDFAIL'}
SKIPPED = {'SKIP'}
TAIL_LINES = 60


@dataclasses.dataclass
class Totals:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list = dataclasses.field(default_factory=list)  # (name, what, output)
    skips: list = dataclasses.field(default_factory=list)  # (name, reason)

    def fail(self, name, what, output=''):
        self.failed += 1
        self.failures.append((name, what, output))

    def skip(self, name, reason):
        self.skipped += 1
        self.skips.append((name, reason or 'no reason given'))


def short_name(name):
    """'fire-flyer:unit / byte_size' -> 'byte_size'; Meson shows the suite only when there are several."""
    return name.rsplit(' / ', 1)[-1]


def read_records(path):
    records = []
    for number, line in enumerate(path.read_text(encoding='utf-8', errors='replace').splitlines(), 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            raise ValueError(f'{path}:{number}: cut off in the middle of a record') from None
    return records


def read_cases(path):
    """GoogleTest cases by the name of the record in testlog.json: {NAME: [(full case name, element), …]}."""
    cases = {}
    for suite in ElementTree.parse(path).getroot().iter('testsuite'):
        for case in suite.findall('testcase'):
            # Meson's own entries have no status; GoogleTest's say run or notrun.
            if case.get('status') is None:
                continue
            # Suite: PROJECT.NAME.GTESTSUITE, where NAME may hold dots; the other two do not.
            name = suite.get('name', '').split('.', 1)[-1].rsplit('.', 1)[0]
            title = f"{short_name(name)}: {case.get('classname')}.{case.get('name')}"
            cases.setdefault(name, []).append((title, case))
    return cases


def tail(*texts):
    lines = [line for text in texts if text for line in text.rstrip().splitlines()]
    return '\n'.join(lines[-TAIL_LINES:])


def skip_reason(record):
    """The last line that a skipped program wrote; programs that exit 77 say why there."""
    return tail(record.get('stderr')).splitlines()[-1:] or tail(record.get('stdout')).splitlines()[-1:]


def gtest_skip_message(element):
    """GoogleTest writes 'FILE:LINE\\nMESSAGE' as text or 'message'."""
    text = element.get('message') or element.text or ''
    lines = [line for line in text.splitlines() if line.strip() and not re.fullmatch(r'\S+:\d+', line.strip())]
    return ' '.join(line.strip() for line in lines)


def count_gtest(record, cases, totals):
    failed_before = totals.failed
    for name, case in cases:
        problems = case.findall('failure') + case.findall('error')
        skipped = case.find('skipped')
        if problems:
            totals.fail(name, 'failed', tail(*(p.text or p.get('message') for p in problems)))
        elif skipped is not None:
            totals.skip(name, gtest_skip_message(skipped))
        elif case.get('status') == 'notrun':
            totals.skip(name, 'disabled in the source')
        else:
            totals.passed += 1
    return totals.failed > failed_before


def count_record(record, cases, totals):
    name, result = short_name(record['name']), record['result']
    if cases:
        if not count_gtest(record, cases, totals) and result not in GOOD | SKIPPED:
            totals.fail(name, f'{describe(record)}, no case failed', tail(record.get('stdout'), record.get('stderr')))
    elif result in GOOD:
        totals.passed += 1
    elif result in SKIPPED:
        totals.skip(name, ''.join(skip_reason(record)))
    else:
        totals.fail(name, describe(record), tail(record.get('stdout'), record.get('stderr')))


def describe(record):
    what = {'FAIL': 'failed', 'ERROR': 'could not run', 'TIMEOUT': 'timed out', 'INTERRUPT': 'interrupted',
            'UNEXPECTEDPASS': 'passed, but is marked as failing'}.get(record['result'], record['result'])
    code = record.get('returncode')
    if code is None:
        return what
    return f'{what} (signal {-code})' if code < 0 else f'{what} (exit {code})'


def count_folder(folder, status, totals):
    """Adds one run. `status` is what `meson test` exited with; a run that it calls bad never counts as all passed."""
    logs = pathlib.Path(folder) / 'meson-logs'
    failed_before = totals.failed
    try:
        records = read_records(logs / 'testlog.json')
        cases = read_cases(logs / 'testlog.junit.xml')
    except (OSError, ValueError, ElementTree.ParseError) as e:
        totals.fail(f'{folder}: meson test', f'left no readable results (exit {status}): {e}')
        return
    seen = set()
    for record in records:
        name = short_name(record['name'])
        if name in seen:
            # Their GoogleTest reports would overwrite each other.
            totals.fail(name, 'two Meson tests have this name: rename one')
            continue
        seen.add(name)
        count_record(record, cases.get(record['name']), totals)
    if status != 0 and totals.failed == failed_before:
        totals.fail(f'{folder}: meson test', f'exited with {status}, though no test failed')


def report(totals, out=sys.stdout):
    for name, reason in totals.skips:
        print(f'SKIPPED {name}: {reason}', file=out)
    for name, what, output in totals.failures:
        print(f'\nFAILED {name}: {what}', file=out)
        for line in output.splitlines():
            print(f'    {line}', file=out)
    if totals.failures:
        print(file=out)
    if totals.passed + totals.failed == 0:
        print('no test ran', file=out)
    print(f'{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped', file=out)
    return 0 if totals.failed == 0 and totals.passed > 0 else 1


def main(arguments):
    totals = Totals()
    if not arguments:
        print('count_tests.py: which build folders? (FOLDER:STATUS, as tools/check passes them)', file=sys.stderr)
        return 2
    for argument in arguments:
        match = re.fullmatch(r'(.+)([:=])(\d+)', argument)
        if not match:
            print(f"count_tests.py: '{argument}': neither FOLDER:STATUS nor STEP=STATUS", file=sys.stderr)
            return 2
        what, kind, status = match[1], match[2], int(match[3])
        if kind == ':':
            count_folder(what, status, totals)
        elif status == 0:
            totals.passed += 1
        else:
            totals.fail(what, f'failed (exit {status}); its messages are above')
    return report(totals)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
