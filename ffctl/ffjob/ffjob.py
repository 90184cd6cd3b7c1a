"""libffjob for Python: what a program that runs as a job of ffctl may ask and tell. See ffjob(3).

    import ffjob
    for step in range(ffjob.resume_step() + 1, steps + 1):
        train()
        if ffjob.should_stop(step):     # on every rank, after every step
            with ffjob.saving():
                save(step)
            ffjob.saved(step)
            sys.exit(0)

Outside a job nothing is ever asked. The library is found beside this file, by FF_LIBFFJOB, or by the system's loader.
"""

import contextlib
import ctypes
import os
import pathlib

EXIT_REQUEUE = 75


def _load():
    beside = pathlib.Path(__file__).resolve().parent / 'libffjob.so.1'
    for name in (os.environ.get('FF_LIBFFJOB'), str(beside) if beside.exists() else None, 'libffjob.so.1'):
        if name:
            return ctypes.CDLL(name)
    raise OSError('libffjob.so.1: not found')


_lib = _load()
_lib.ff_should_stop.argtypes = [ctypes.c_uint64]
_lib.ff_saving.argtypes = [ctypes.c_uint64, ctypes.c_double]
_lib.ff_saved.argtypes = [ctypes.c_uint64]
_lib.ff_yield.restype = None
_lib.ff_state_get.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_lib.ff_state_get.restype = ctypes.c_int64
_lib.ff_state_set.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_lib.ff_resume_step.restype = ctypes.c_uint64
_lib.ff_attempt.restype = ctypes.c_uint32
_lib.ff_error.restype = ctypes.c_char_p


def _check(code):
    if code < 0:
        raise OSError(-code, _lib.ff_error().decode(errors='replace'))
    return code


def init():
    """Finds the page of this job; OSError where it cannot be used."""
    _check(_lib.ff_init())


def active():
    """Whether this is a job."""
    return _lib.ff_active() == 1


def should_stop(step):
    """`step`: how many are done. True: save and leave now."""
    return _lib.ff_should_stop(step) == 1


@contextlib.contextmanager
def saving(size=0, seconds=0.0):
    """A checkpoint is being written; more time is given meanwhile."""
    _check(_lib.ff_saving(size, seconds))
    yield


def saved(step):
    """The checkpoint of `step` is whole."""
    _check(_lib.ff_saved(step))


def give_back():
    """Gives the nodes back: ends this process (ff_yield). Outside a job it returns."""
    if active():
        import sys
        sys.stdout.flush()
        sys.stderr.flush()
    _lib.ff_yield()


def heartbeat():
    """Is alive, for programs whose steps take long."""
    _check(_lib.ff_heartbeat())


def state():
    """The bytes that rank 0 set last, in this attempt or an earlier one."""
    buffer = ctypes.create_string_buffer(65536)
    return buffer.raw[:_check(_lib.ff_state_get(buffer, len(buffer)))]


def set_state(data):
    """Keeps up to 64 KiB for later attempts; rank 0's count."""
    _check(_lib.ff_state_set(bytes(data), len(data)))


def resume_step():
    """The step of the last checkpoint that was reported; 0: from the beginning."""
    return _lib.ff_resume_step()


def attempt():
    """1, 2, ...; 0 outside a job."""
    return _lib.ff_attempt()
