"""Builds the drivers: ours by the Meson build, the peers' here, each only where its library is installed."""

import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMMON = ['driver.cc', 'meeting.cc']
HEADERS = ['driver.hpp', 'meeting.hpp']
FLAGS = ['-std=c++20', '-O3', '-march=native', '-D_GNU_SOURCE', f'-I{ROOT}']
# The C++ bindings of MPI are not needed, and do not compile without warnings.
MPI_FLAGS = ['-DOMPI_SKIP_MPICXX', '-DMPICH_SKIP_MPICXX']


class BuildError(Exception):
    pass


def compiler():
    for name in [os.environ.get('CXX'), 'clang++-19', 'clang++', 'g++']:
        if name and shutil.which(name):
            return name
    raise BuildError('no C++ compiler: install clang-19, or set CXX')


def run(argv, env=None):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        text = (done.stdout + done.stderr).strip()
        raise BuildError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{text[-3000:]}")


def build_ours(build):
    """Paths of our driver and of the program that measures bounds."""
    if not (build / 'build.ninja').is_file():
        raise BuildError(f'{build}: no Meson build there (tools/check makes one, or name another with --build)')
    names = ['peer_driver_hfreduce', 'peer_bounds']
    run(['ninja', '-C', str(build), *(f'tests/peers/{name}' for name in names)])
    return [build / 'tests' / 'peers' / name for name in names]


def make(output, sources, argv, env=None):
    """Compiles unless the output is newer than everything that it is made of."""
    inputs = [HERE / name for name in [*sources, *HEADERS]]
    if not output.is_file() or any(i.stat().st_mtime > output.stat().st_mtime for i in inputs):
        output.parent.mkdir(parents=True, exist_ok=True)
        run([*argv, '-o', str(output)], env)
    return output


def build_shim(folder):
    source = 'congestion_shim.cc'
    return make(folder / 'congestion_shim.so', [source],
                [compiler(), *FLAGS, '-shared', '-fPIC', str(HERE / source)])


def build_mpi(folder, name):
    """Path of the driver of 'openmpi' or 'mpich'; nothing where it is not installed."""
    wrapper = f'mpicc.{name}'
    if not (shutil.which(wrapper) and shutil.which(launcher(name))):
        return None
    sources = ['driver_mpi.cc', *COMMON]
    # The wrappers compile C by the compiler that these variables name; -x says that it is C++.
    env = {'OMPI_CC': compiler(), 'MPICH_CC': compiler()}
    return make(folder / f'peer_driver_{name}', sources,
                [wrapper, '-x', 'c++', *FLAGS, *MPI_FLAGS, *(str(HERE / s) for s in sources), '-lstdc++'], env)


def launcher(name):
    return {'openmpi': 'mpirun.openmpi', 'mpich': 'mpiexec.mpich'}[name]


def build_gloo(folder):
    if not pathlib.Path('/usr/include/gloo/allreduce.h').is_file():
        return None
    sources = ['driver_gloo.cc', *COMMON]
    return make(folder / 'peer_driver_gloo', sources,
                [compiler(), *FLAGS, *(str(HERE / s) for s in sources), '-lgloo', '-pthread'])
