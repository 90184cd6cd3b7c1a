"""Runs a libFuzzer binary for a few seconds on a copy of its corpus, so that the source tree stays as it is.

usage: run_fuzzer.py BINARY CORPUS SECONDS
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


def main() -> int:
    binary, corpus, seconds = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix='ff_fuzz.') as folder:
        copy = pathlib.Path(folder) / 'corpus'
        shutil.copytree(corpus, copy)
        command = [binary, f'-max_total_time={seconds}', '-rss_limit_mb=512', '-timeout=10', '-max_len=4096',
                   f'-artifact_prefix={folder}/', str(copy)]
        # Freed memory that AddressSanitizer holds back counts too, 256 MiB by default: a fast target that allocates much
        # would meet the limit without holding anything.
        options = ':'.join(filter(None, [os.environ.get('ASAN_OPTIONS'), 'quarantine_size_mb=64']))
        log = pathlib.Path(folder) / 'log'
        with log.open('wb') as out:
            try:
                code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, timeout=seconds + 30,
                                      env=dict(os.environ, ASAN_OPTIONS=options)).returncode
            except subprocess.TimeoutExpired:
                # Out of memory inside an allocation: libFuzzer says so and cannot leave.
                code = 1
        sys.stdout.buffer.write(log.read_bytes()[-8000:])
        for found in sorted(pathlib.Path(folder).glob('*-*')):
            print(f'{found.name}: {found.read_bytes().hex()}')
        return code


if __name__ == '__main__':
    sys.exit(main())
