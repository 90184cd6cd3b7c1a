#!/usr/bin/env python3
"""Tests tools/dev/count_tests.py: each case writes the two files that `meson test` leaves, in the form in which Meson
1.0.1 writes them, and checks the totals and what is said about failures and skips.

usage: count_tests_test.py FOLDER_OF_COUNT_TESTS
"""

import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, sys.argv.pop(1))
sys.dont_write_bytecode = True
import count_tests  # noqa: E402  (found through the argument)


def record(name, result, returncode=0, stdout='', stderr=None):
    entry = {'name': name, 'stdout': stdout, 'result': result, 'starttime': 1.0, 'duration': 0.1,
             'returncode': returncode, 'env': {}, 'command': ['x']}
    if stderr is not None:
        entry['stderr'] = stderr
    return entry


def gtest_suite(meson_name, suite, *cases):
    return f'<testsuite name="fire-flyer.{meson_name}.{suite}" tests="{len(cases)}">{"".join(cases)}</testsuite>'


def case(suite, name, inner='', status='run'):
    return f'<testcase name="{name}" status="{status}" time="0" classname="{suite}">{inner}</testcase>'


def plain(name, inner=''):
    """How Meson writes a program that is no GoogleTest program (or whose report is missing)."""
    return f'<testsuite name="fire-flyer"><testcase name="{name}" classname="fire-flyer">{inner}</testcase></testsuite>'


class CountTests(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        (self.folder / 'meson-logs').mkdir()

    def count(self, records, suites, status=0):
        logs = self.folder / 'meson-logs'
        (logs / 'testlog.json').write_text(''.join(json.dumps(r) + '\n' for r in records), encoding='utf-8')
        (logs / 'testlog.junit.xml').write_text(f'<testsuites>{"".join(suites)}</testsuites>', encoding='utf-8')
        totals = count_tests.Totals()
        count_tests.count_folder(self.folder, status, totals)
        return totals

    def assert_totals(self, totals, passed, failed, skipped):
        self.assertEqual((totals.passed, totals.failed, totals.skipped), (passed, failed, skipped))

    def test_counts_each_gtest_case(self):
        name = 'fire-flyer:unit / tree'
        totals = self.count([record(name, 'OK')],
                            [gtest_suite(name, 'A', case('A', 'One'), case('A', 'Two')),
                             gtest_suite(name, 'All/P', case('All/P', 'Ok/0'))])
        self.assert_totals(totals, 3, 0, 0)

    def test_gtest_failure_and_error_fail_with_their_text(self):
        name = 'fire-flyer:unit / tree'
        totals = self.count([record(name, 'FAIL', 1)],
                            [gtest_suite(name, 'A', case('A', 'One', '<failure message="m">x.cc:3\nwant 1</failure>'),
                                         case('A', 'Two', '<error message="broke"/>'), case('A', 'Three'))], status=1)
        self.assert_totals(totals, 1, 2, 0)
        self.assertEqual(totals.failures[0], ('tree: A.One', 'failed', 'x.cc:3\nwant 1'))
        self.assertEqual(totals.failures[1][2], 'broke')

    def test_gtest_skip_shows_its_reason_without_the_place(self):
        name = 'fire-flyer:unit / tree'
        totals = self.count([record(name, 'OK')],
                            [gtest_suite(name, 'A', case('A', 'One', '<skipped message="../g.cc:4&#10;no device"/>'))])
        self.assert_totals(totals, 0, 0, 1)
        self.assertEqual(totals.skips, [('tree: A.One', 'no device')])

    def test_disabled_gtest_case_is_skipped_not_passed(self):
        name = 'fire-flyer:unit / tree'
        totals = self.count([record(name, 'OK')],
                            [gtest_suite(name, 'A', case('A', 'DISABLED_One', status='notrun'), case('A', 'Two'))])
        self.assert_totals(totals, 1, 0, 1)

    def test_name_with_dots_belongs_to_its_program(self):
        totals = self.count([record('a.b', 'OK'), record('a', 'OK')],
                            [gtest_suite('a.b', 'S', case('S', 'One'), case('S', 'Two')), plain('a')])
        self.assert_totals(totals, 3, 0, 0)

    def test_exit_code_programs_count_one_each(self):
        totals = self.count([record('p:cli / ok', 'OK'), record('p:cli / bad', 'FAIL', 3, 'out', 'err')],
                            [plain('p:cli / ok'), plain('p:cli / bad', '<failure/>')], status=1)
        self.assert_totals(totals, 1, 1, 0)
        self.assertEqual(totals.failures, [('bad', 'failed (exit 3)', 'out\nerr')])

    def test_exit_77_is_skipped_with_the_last_line_as_reason(self):
        totals = self.count([record('p:rdma / verbs', 'SKIP', 77, '', 'looking\nno RDMA device\n')],
                            [plain('p:rdma / verbs', '<skipped/>')])
        self.assert_totals(totals, 0, 0, 1)
        self.assertEqual(totals.skips, [('verbs', 'no RDMA device')])

    def test_timeout_fails_though_the_report_shows_no_failure(self):
        totals = self.count([record('p:e2e / slow', 'TIMEOUT', -15)], [plain('p:e2e / slow')], status=1)
        self.assert_totals(totals, 0, 1, 0)
        self.assertEqual(totals.failures[0][1], 'timed out (signal 15)')

    def test_crash_of_a_gtest_program_fails_once(self):
        totals = self.count([record('p:unit / tree', 'FAIL', -6, '[ RUN      ] A.Crashes')],
                            [plain('p:unit / tree', '<failure/>')], status=1)
        self.assert_totals(totals, 0, 1, 0)

    def test_gtest_program_that_fails_after_its_cases_passed_still_fails(self):
        # A sanitizer's leak report comes at exit: every case passed, the exit code says otherwise.
        name = 'p:unit / tree'
        totals = self.count([record(name, 'FAIL', 1, '', 'leaked 8 bytes')],
                            [gtest_suite(name, 'A', case('A', 'One'))], status=1)
        self.assert_totals(totals, 1, 1, 0)
        self.assertEqual(totals.failures[0][2], 'leaked 8 bytes')

    def test_expected_failure_passes_and_unexpected_pass_fails(self):
        totals = self.count([record('a', 'EXPECTEDFAIL', 1), record('b', 'UNEXPECTEDPASS')], [plain('a'), plain('b')], 1)
        self.assert_totals(totals, 1, 1, 0)

    def test_interrupted_and_erroneous_programs_fail(self):
        totals = self.count([record('a', 'INTERRUPT', -2), record('b', 'ERROR', 99)], [plain('a'), plain('b')], 1)
        self.assert_totals(totals, 0, 2, 0)

    def test_bad_exit_of_meson_without_a_failed_test_fails(self):
        self.assert_totals(self.count([record('a', 'OK')], [plain('a')], status=125), 1, 1, 0)

    def test_missing_or_cut_off_results_fail(self):
        totals = count_tests.Totals()
        count_tests.count_folder(self.folder, 1, totals)
        self.assert_totals(totals, 0, 1, 0)
        (self.folder / 'meson-logs' / 'testlog.json').write_text('{"name": "a", "res', encoding='utf-8')
        (self.folder / 'meson-logs' / 'testlog.junit.xml').write_text('<testsuites/>', encoding='utf-8')
        totals = count_tests.Totals()
        count_tests.count_folder(self.folder, 0, totals)
        self.assert_totals(totals, 0, 1, 0)

    def test_two_programs_of_one_name_are_refused(self):
        totals = self.count([record('p:unit / a', 'OK'), record('p:cli / a', 'OK')],
                            [plain('p:unit / a'), plain('p:cli / a')])
        self.assert_totals(totals, 1, 1, 0)

    def test_last_line_and_exit_code(self):
        for totals, code, last in [
                (count_tests.Totals(passed=2, skipped=1), 0, '2 passed, 0 failed, 1 skipped'),
                (count_tests.Totals(passed=2, failed=1), 1, '2 passed, 1 failed, 0 skipped'),
                (count_tests.Totals(), 1, '0 passed, 0 failed, 0 skipped'),
                (count_tests.Totals(skipped=3), 1, '0 passed, 0 failed, 3 skipped')]:
            out = io.StringIO()
            self.assertEqual(count_tests.report(totals, out), code)
            self.assertEqual(out.getvalue().splitlines()[-1], last)

    def test_long_output_is_cut_to_its_end(self):
        totals = self.count([record('a', 'FAIL', 1, '\n'.join(f'line {i}' for i in range(1000)))],
                            [plain('a', '<failure/>')], status=1)
        lines = totals.failures[0][2].splitlines()
        self.assertEqual(len(lines), count_tests.TAIL_LINES)
        self.assertEqual(lines[-1], 'line 999')


if __name__ == '__main__':
    unittest.main()
