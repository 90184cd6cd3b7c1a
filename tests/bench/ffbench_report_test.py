#!/usr/bin/env python3
"""The documents of ffbench keep to their schema, and its HTML report shows their figures in a browser.

usage: ffbench_report_test.py FFBENCH SCHEMA DOCUMENT

DOCUMENT has every kind of field, and a row whose name is markup.
"""

import html
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
BROWSER = 'chromium-headless-shell'


def check(condition, message):
    if not condition:
        sys.exit(message)


def ffbench(program, *arguments, code=0):
    done = subprocess.run([program, *map(str, arguments)], text=True, capture_output=True, timeout=120)
    check(done.returncode == code, f'{arguments}: exit code {done.returncode}, not {code}: {done.stderr}')
    return done.stdout


def validate(schema, document, name):
    try:
        import jsonschema
    except ImportError:
        print(f'python3-jsonschema is not installed; {name} is not validated')
        return
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    broken = json.loads(json.dumps(document))
    broken['rows'][0]['metrics'][0]['samples'] = ['x']
    try:
        jsonschema.validate(broken, schema)
    except jsonschema.ValidationError:
        return
    sys.exit('the schema accepts a text as a sample')


def dom_of(page, profile):
    """The page's elements after the browser has read it, as text."""
    done = subprocess.run([BROWSER, '--no-sandbox', '--headless', '--disable-gpu', f'--user-data-dir={profile}',
                           '--virtual-time-budget=2000', '--dump-dom', page.as_uri()],
                          text=True, capture_output=True, timeout=120)
    check(done.returncode == 0 and done.stdout, f'{BROWSER}: exit code {done.returncode}: {done.stderr[-2000:]}')
    return done.stdout


def check_dom(dom, document):
    check('<svg' in dom, 'no figure in the page')
    for row in document['rows']:
        check(html.escape(row['name'], quote=False) in dom, f"row {row['name']} is not shown")
        for metric in row['metrics']:
            # A figure states the value as it is beside its human form.
            check(f"({metric['median']:.15g})" in dom or f"({metric['median']!r})" in dom,
                  f"{row['name']} {metric['name']}: the median {metric['median']} is in no figure")
    check('<script>' not in dom, 'a name from the document became markup')
    check('4KiB: ' in dom, 'the swept size is in no figure')


def main(program, schema_path, document_path):
    schema = json.loads(pathlib.Path(schema_path).read_text())
    document = json.loads(pathlib.Path(document_path).read_text())
    validate(schema, document, document_path)
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder, 'report.html')
        ffbench(program, 'report', document_path, '--out', page)
        before = page.read_bytes()
        ffbench(program, 'report', document_path, '--out', page, code=1)
        check(page.read_bytes() == before, 'an existing report was replaced')
        ffbench(program, 'compare', document_path, document_path)
        script = ffbench(program, 'plot', document_path, '--script')
        check(script.count('\nplot ') == 3, 'not one plot a metric and one for the latencies')
        if not shutil.which(BROWSER):
            print(f'{BROWSER} is not installed')
            return SKIP
        check_dom(dom_of(page, pathlib.Path(folder, 'profile')), document)
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
