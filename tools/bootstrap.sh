#!/usr/bin/env bash
# Makes the virtual environment that everything else runs in.
#
#     tools/bootstrap.sh FOLDER core|dev
#
# core is what a user needs, dev also what the tests and checks need. Safe to
# call every time: it does nothing if the environment already holds what
# pyproject.toml and constraints.txt ask for, and starts over if an earlier
# call was interrupted, the checkout has moved or its Python has gone.
#
# Asks nothing of the machine but a Python of 3.11 or newer. Where Debian keeps
# venv in a package of its own, it is installed if we may; else we say how.
# PYTHON=/path/to/python chooses the interpreter.
set -euo pipefail

folder=${1:?folder of the virtual environment}
kind=${2:?core or dev}
checkout=$(cd "$(dirname "$0")/.." && pwd)
cd "$checkout"
[[ $folder == /* ]] || folder=$checkout/$folder

# Settings that would send packages elsewhere, or let in modules from elsewhere.
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV PYTHONPATH PYTHONHOME

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }
if [[ ! -t 2 ]]; then say() { printf '==> %s\n' "$*" >&2; }; fi

# What the environment was made from; differs as soon as any of it changes.
wanted=$({ printf '%s\n' "$checkout"; cat pyproject.toml constraints.txt tools/bootstrap.sh; } | sha256sum | cut -c1-32)

is_ready() { # core|dev
  [[ $(cat "$folder/.ready-$1" 2>/dev/null) == "$wanted" ]] && "$folder/bin/python" -c '' 2>/dev/null
}

runs() { # does this interpreter run, and is it new enough? pyenv's shims may exist and not run.
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1
}
has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Every interpreter that runs, best first. Those in a home folder come last:
# the tests run parts of themselves as another user, who cannot go in there.
interpreters() {
  local name path in_home=()
  if [[ -n ${PYTHON:-} ]]; then
    runs "$PYTHON" || die "PYTHON=$PYTHON does not run or is older than Python 3.11"
    type -P "$PYTHON"
    return
  fi
  for name in python3.13 python3.12 python3.11 python3 python; do
    while read -r path; do
      runs "$path" || continue
      if [[ $path == "${HOME:-/root}"/* ]]; then in_home+=("$path"); else echo "$path"; fi
    done < <(type -aP "$name")
  done
  printf '%s\n' "${in_home[@]}"
}

find_python() { # sets $python, and $complete to "yes" if it can make environments
  python='' complete=no
  local path found
  found=$(interpreters)
  while read -r path; do
    [[ -n $path ]] || continue
    if has_venv "$path"; then python=$path complete=yes; return; fi
    [[ -n $python ]] || python=$path
  done <<<"$found"
}

make_environment() {
  find_python
  [[ -n $python ]] || die "no Python 3.11 or newer was found; on Debian or Ubuntu: apt-get install python3 python3-venv"
  if [[ $complete == no ]]; then
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "$python cannot make virtual environments: asking apt for python$version-venv"
    tools/apt.sh "python$version-venv" || tools/apt.sh python3-venv 2>/dev/null || true
    find_python
  fi
  if [[ $complete == yes ]]; then
    say "making $folder with $python ($("$python" -V))"
    "$python" -m venv "$folder"
  elif "$python" -m pip --version >/dev/null 2>&1; then
    # No ensurepip, but a pip that can serve another interpreter.
    say "making $folder with $python, pip taken from the registry"
    "$python" -m venv --without-pip "$folder"
    "$python" -m pip --python "$folder/bin/python" --disable-pip-version-check install -q pip
  else
    die "$python lacks venv and ensurepip, and apt may not be used from here.
  As an administrator: apt-get install python$version-venv
  Or name another interpreter: make PYTHON=/path/to/python3 ..."
  fi
}

remove_environment() {
  [[ -e $folder ]] || return 0
  # Only what looks like ours, and never a folder of somebody's files.
  [[ -f $folder/pyvenv.cfg || -f $folder/.unfinished ]] || die "$folder is there and is not a virtual environment"
  rm -rf "$folder"
}

install() { # pip's own words go to the log; a terminal sees what it is busy with
  local log=$folder/install.log
  say "$1 (log: $log)"
  shift
  if "$folder/bin/python" -m pip --disable-pip-version-check --no-input install --progress-bar off "$@" 2>&1 |
    tee -a "$log" | show_progress; then
    return
  fi
  printf '\n' >&2
  tail -n 40 "$log" >&2
  die "installing failed; the whole log is in $log. Is a package registry reachable?"
}

show_progress() {
  local line
  while IFS= read -r line; do
    if [[ -t 2 ]]; then printf '\r\033[K    %s' "${line:0:100}" >&2; fi
  done
  if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
}

is_ready "$kind" && exit 0

# One at a time: two calls of make would tear at the same folder.
if command -v flock >/dev/null; then
  exec 9<tools/bootstrap.sh
  flock 9
  is_ready "$kind" && exit 0
fi

# Other files changed: bring up to date. Anything worse: start over.
if [[ -e $folder/.unfinished || $(cat "$folder/.checkout" 2>/dev/null) != "$checkout" ]] ||
  ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
  remove_environment
  mkdir -p "$folder"
  touch "$folder/.unfinished"
  make_environment
fi
touch "$folder/.unfinished"
rm -f "$folder"/.ready-* "$folder/install.log"

# Our own build runs with the pinned setuptools too, hence without isolation.
install "installing the build tools" -c constraints.txt setuptools
if [[ $kind == dev ]]; then
  install "installing holdfast with what tests and checks need" --no-build-isolation -c constraints.txt -e '.[dev]'
else
  install "installing holdfast and its libraries" --no-build-isolation -c constraints.txt -e .
fi

echo "$checkout" >"$folder/.checkout"
echo "$wanted" >"$folder/.ready-core"
if [[ $kind == dev ]]; then echo "$wanted" >"$folder/.ready-dev"; fi
rm "$folder/.unfinished"
say "$folder is ready"
