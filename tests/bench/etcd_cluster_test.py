#!/usr/bin/env python3
"""A cluster survives the loss of one member, serves nothing after the loss of two, has its data when they are back, and
leaves nothing behind. Driven as a test in another language drives it: through the program's standard input.

usage: etcd_cluster_test.py ETCD_CLUSTER
"""

import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

SKIP = 77


def post(endpoint, path, timeout_s=5, **body):
    request = urllib.request.Request(f'http://{endpoint}/v3/kv/{path}', json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        return json.load(answer)


def text(value):
    return base64.b64encode(value.encode()).decode()


def check(condition, message):
    if not condition:
        sys.exit(message)


class Driver:
    def __init__(self, script, folder):
        self.process = subprocess.Popen([sys.executable, '-B', script, '--members', '3'], text=True,
                                        env={'TMPDIR': folder, 'PATH': '/usr/bin:/bin', 'ETCD_NAME': 'not-for-members'},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.hello = json.loads(self.process.stdout.readline())

    def tell(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def exercise(driver):
    first, second, third = driver.hello['endpoints']
    post(first, 'put', key=text('k'), value=text('v'))

    check(driver.tell('kill 0')['ok'], 'kill 0')
    check(driver.tell('wait_healthy 20')['ok'], 'two of three serve')
    check(post(third, 'range', key=text('k'))['kvs'][0]['value'] == text('v'), 'two of three have the data')
    check(driver.tell('kill 1')['ok'], 'kill 1')
    refused = driver.tell('wait_healthy 2')
    check(not refused['ok'] and 'not healthy' in refused['error'], f'one of three serves: {refused}')
    try:
        post(third, 'put', timeout_s=2, key=text('k'), value=text('w'))
        sys.exit('one of three takes writes')
    except (OSError, urllib.error.URLError):
        pass
    check(driver.tell('start 0')['ok'] and driver.tell('start 1')['ok'], 'start again')
    check(driver.tell('wait_healthy 30')['ok'], 'three of three serve')
    check(post(second, 'range', key=text('k'))['kvs'], 'the data are back')
    for wrong in ('start 0', 'kill 3', 'kill', 'nonsense'):
        check(not driver.tell(wrong)['ok'], f"'{wrong}' is refused")


def main():
    if shutil.which('etcd') is None:
        print('etcd is not installed (apt-get install etcd-server)')
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(sys.argv[1], folder)
        try:
            check(driver.hello['ok'], driver.hello)
            exercise(driver)
        finally:
            driver.process.stdin.close()
            status = driver.process.wait(60)
        check(status == 0, f'exit {status}')
        check(not list(pathlib.Path(folder).iterdir()), 'its folder is left behind')
    for endpoint in driver.hello['endpoints']:
        try:
            urllib.request.urlopen(f'http://{endpoint}/health', timeout=2)
            sys.exit(f'{endpoint}: still runs')
        except (OSError, urllib.error.URLError):
            pass


if __name__ == '__main__':
    main()
