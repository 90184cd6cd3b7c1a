#!/usr/bin/env python3
"""libhfreduce.so from Python by ctypes: what a training script without our headers does.

usage: ctypes_test.py LIBRARY
Four processes sum an array of floats and broadcast another.
"""
import array
import ctypes
import os
import sys

RANKS = 4
COUNT = 100_000
FLOAT32, SUM = 0, 0


class UniqueId(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char * 128)]


def check(library, code):
    if code != 0:
        raise SystemExit(f"hfreduce: {library.hfr_last_error().decode()}")


def rank_main(library, unique_id, rank):
    comm = ctypes.c_void_p()
    check(library, library.hfr_comm_init_rank(ctypes.byref(comm), RANKS, ctypes.byref(unique_id), rank, None))
    data = array.array("f", [rank + 1.0] * COUNT)
    view = (ctypes.c_float * COUNT).from_buffer(data)
    check(library, library.hfr_all_reduce(view, view, ctypes.c_uint64(COUNT), FLOAT32, SUM, comm, None))
    if set(data) != {10.0}:
        raise SystemExit(f"rank {rank}: wrong sum {data[0]}")
    check(library, library.hfr_broadcast(view, view, ctypes.c_uint64(COUNT), FLOAT32, 2, comm, None))
    check(library, library.hfr_comm_destroy(comm))


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.hfr_last_error.restype = ctypes.c_char_p
    unique_id = UniqueId()
    check(library, library.hfr_get_unique_id(ctypes.byref(unique_id), None))
    children = []
    for rank in range(1, RANKS):
        pid = os.fork()
        if pid == 0:
            rank_main(library, unique_id, rank)
            os._exit(0)
        children.append(pid)
    rank_main(library, unique_id, 0)
    failed = [pid for pid in children if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
