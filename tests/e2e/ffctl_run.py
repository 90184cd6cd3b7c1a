"""ffctl as people run it, and what it has left running: for the tests of ffctl."""

import pathlib
import subprocess


def run(program, arguments, *, environment, folder=None, expect=0, timeout=120, explain=None, **others):
    """Its end, with text. An AssertionError that has what it said where the exit code is not `expect` (None: any);
    explain(): what to say beside."""
    words = [str(word) for word in arguments]
    others.setdefault('stdin', subprocess.DEVNULL)
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                          env=environment, cwd=folder, check=False, **others)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f'ffctl {" ".join(words)}: exit {done.returncode}, not {expect}: {done.stdout[-2000:]}'
                             f'{done.stderr[-2000:]}{explain() if explain else ""}')
    return done


def processes_with(text):
    """Number -> command line of all processes that have a word with `text` on it."""
    found = {}
    for file in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = file.read_bytes().split(b'\0')
        except OSError:
            continue
        if any(text.encode() in word for word in words):
            found[int(file.parent.name)] = b' '.join(words).decode()
    return found
