# shellcheck shell=bash
# Shared by tools/check, tools/quickstart and tools/dev/*: packages, configuration, build. Sourced by bash, never run.
# Expects `set -euo pipefail`; leaves the working directory at the root of the repository.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
script=$(realpath "$0")
me=${script#"$root"/}
cd "$root" || exit

# Objects do not hold the name of the build folder (-ffile-prefix-map), so clones share one cache.
export CC_LD=lld-19 CXX_LD=lld-19 CCACHE_NOHASHDIR=1
jobs=${FF_JOBS:-$(nproc)}

say() { printf '== %s\n' "$*"; }
die() { printf '%s: %s\n' "$me" "$*" >&2; exit 1; }
usage_error() { printf '%s: %s (see %s --help)\n' "$me" "$*" "$me" >&2; exit 2; }

# The header comment of a script is its help text.
print_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$script"; }

# packages_of GROUP… prints the packages of these groups of tools/packages.txt.
packages_of() {
  local group
  for group in "$@"; do
    awk -v want="[$group]" '
      { sub(/#.*/, ""); gsub(/[ \t]+/, "") }
      /^\[/ { on = ($0 == want); if (on) seen = 1; next }
      on && $0 != "" { print }
      END { if (!seen) exit 3 }' tools/packages.txt || die "tools/packages.txt has no group [$group]"
  done
}

# Prints those of its arguments that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

# install_packages GROUP… installs what is missing of these groups; without network when nothing is.
install_packages() {
  local list missing as_root=()
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    die 'this is no Debian: install the packages of tools/packages.txt by their names here, then use --no-install'
  list=$(packages_of "$@") || return
  # shellcheck disable=SC2086  # one word a package
  mapfile -t missing < <(missing_packages $list)
  if ((${#missing[@]} == 0)); then
    say 'packages: all there'
    return
  fi
  say "packages: installing ${missing[*]}"
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "not root and no sudo; as root: apt-get install ${missing[*]}"
    as_root=(sudo)
    # With nobody to type a password, fail at once rather than wait for one.
    [[ -t 0 && -z ${CI:-} ]] || as_root=(sudo -n)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
    update </dev/null || die 'apt-get update failed: see above (no network? then --no-install uses what is there)'
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 install "${missing[@]}" </dev/null ||
    die 'apt-get install failed: see above'
}

# configure FOLDER [MESON OPTION…]: sets up a build folder as CI has it; leaves one that is so already alone.
# Warnings are errors and every optional feature is wanted, so that nothing is left out silently.
configure() {
  local folder=$1 option
  shift
  local options=(-Dwerror=true -Dauto_features=enabled "$@")
  if [[ ! -f $folder/build.ninja ]]; then
    local cache=''
    # Meson looks for ccache by itself only when it chooses the compiler as well.
    ! command -v ccache >/dev/null || cache='ccache '
    say "configure $folder"
    CC="${cache}clang-19" CXX="${cache}clang++-19" meson setup "$folder" "${options[@]}" </dev/null
    return
  fi
  # A folder that somebody set up by hand: bring the options that differ to ours.
  for option in "${options[@]}"; do
    option=${option#-D}
    python3 - "$folder" "${option%%=*}" "${option#*=}" <<'PY' && continue
import json, sys
folder, name, want = sys.argv[1:]
with open(f'{folder}/meson-info/intro-buildoptions.json', encoding='utf-8') as f:
    have = next((o['value'] for o in json.load(f) if o['name'] == name), None)
sys.exit(0 if str(have).lower() == want.lower() else 1)
PY
    say "configure $folder: $option"
    meson configure "$folder" "-D$option" || return
  done
}

# build FOLDER [TARGET…]: on a terminal with ninja's progress line, else only what goes wrong.
build() {
  local folder=$1 quiet=()
  shift
  [[ -t 1 ]] || quiet=(--quiet)
  say "build $folder"
  ninja -C "$folder" -j "$jobs" "${quiet[@]}" "$@"
}

# executable FOLDER NAME prints the path of a built program.
executable() {
  python3 - "$1" "$2" <<'PY'
import json, os, sys
folder, name = sys.argv[1:]
with open(f'{folder}/meson-info/intro-targets.json', encoding='utf-8') as f:
    for target in json.load(f):
        if target['name'] == name and target['type'] == 'executable':
            print(os.path.relpath(target['filename'][0]))
            break
    else:
        sys.exit(f'{folder} builds no executable named {name}')
PY
}
