"""What a figure depends on besides the code: the machine, its packages and what else it did meanwhile."""

import os
import pathlib
import platform
import re
import subprocess

PACKAGES = ['libopenmpi3', 'libmpich12', 'libucx0', 'libgloo0', 'libc6']


def read(path, otherwise=''):
    try:
        return pathlib.Path(path).read_text(encoding='utf-8').strip()
    except OSError:
        return otherwise


def output(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ''


def congestion_control():
    """The same for everybody: the kernel's classic where it is there."""
    available = read('/proc/sys/net/ipv4/tcp_available_congestion_control').split()
    return next((name for name in ['cubic', 'reno'] if name in available), '')


def cache_bytes():
    """The last cache that the cores share; 0 when the kernel does not say."""
    text = read('/sys/devices/system/cpu/cpu0/cache/index3/size')
    found = re.fullmatch(r'(\d+)([KM]?)', text)
    return int(found[1]) * {'': 1, 'K': 1 << 10, 'M': 1 << 20}[found[2]] if found else 0


def cpu_times():
    """Ticks since the machine started: (stolen by the host, all)."""
    fields = [int(f) for f in read('/proc/stat').splitlines()[0].split()[1:9]]
    return fields[7], sum(fields)


def facts(build, compiler):
    cpu = re.search(r'model name\s*:\s*(.*)', read('/proc/cpuinfo'))
    versions = output('dpkg-query', '-W', '-f', '${Package}\t${Version}\t${db:Status-Abbrev}\n', *PACKAGES)
    packages = {line.split('\t')[0]: line.split('\t')[1] for line in versions.splitlines() if '\tii' in line}
    options = read(build / 'meson-info' / 'intro-buildoptions.json')
    build_type = re.search(r'"name": "buildtype", "value": "(\w+)"', options)
    memory = re.search(r'MemTotal:\s*(\d+)', read('/proc/meminfo'))
    flags = read('/proc/cpuinfo')
    return {
        'cpu': cpu[1] if cpu else platform.machine(),
        'cpu_count': os.cpu_count(),
        'vector': next((n for n in ['avx512f', 'avx2'] if re.search(rf'\b{n}\b', flags)), ''),
        'cache_bytes': cache_bytes(),
        'memory_bytes': int(memory[1]) * 1024 if memory else 0,
        'kernel': platform.release(),
        'transparent_hugepage': read('/sys/kernel/mm/transparent_hugepage/enabled'),
        'shmem_hugepage': read('/sys/kernel/mm/transparent_hugepage/shmem_enabled'),
        'congestion_control': congestion_control(),
        'congestion_control_default': read('/proc/sys/net/ipv4/tcp_congestion_control'),
        'compiler': output(compiler, '--version').splitlines()[0] if output(compiler, '--version') else compiler,
        'build_type': build_type[1] if build_type else '',
        'packages': packages,
        'commit': output('git', '-C', str(pathlib.Path(__file__).resolve().parent), 'rev-parse', '--short', 'HEAD'),
    }
