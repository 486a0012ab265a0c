#!/usr/bin/env bash
# Installs Debian packages if this user may: as root, or by sudo without a password.
#
#     tools/apt.sh PACKAGE...
#
# Ends with 1 and a sentence if it may not or cannot.
set -euo pipefail

command -v apt-get >/dev/null || { echo "apt: this machine has no apt-get" >&2; exit 1; }
if [[ $(id -u) == 0 ]]; then
  become=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  become=(sudo -n env)
else
  echo "apt: not root, and no sudo without a password" >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt=("${become[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)

install() { "${apt[@]}" install --no-install-recommends "$@" </dev/null >>"$log" 2>&1; }

# The lists may be absent or old: only then is fetching them worth the time.
if ! install "$@" && ! { "${apt[@]}" update </dev/null >>"$log" 2>&1 && install "$@"; }; then
  tail -n 15 "$log" >&2
  echo "apt: could not install $*" >&2
  exit 1
fi
