#!/usr/bin/env bash
# Sees to the programs that real parts of the tests use, beside Python's packages.
#
# Installs what is missing if this user may; else says what is missing and goes
# on: the tests that need it are then skipped with their reason (and fail under
# CI=true, see tests/support/real.py).
set -euo pipefail
cd "$(dirname "$0")/.."

# program | Debian package | what for. The one place to add to.
needed='
mount   | mount      | full disks and read-only folders, as small file systems of their own
umount  | mount      | the same
sort    | coreutils  | the yardstick of the comparison in make bench
comm    | coreutils  | the same
git     | git        | the tests that read every tracked file
postgres | postgresql-15 | the inventory on a real PostgreSQL server
xrootd   | xrootd-server | storage over root:// and https
xrdfs    | xrootd-client | the driver xrdfs
voms-proxy-fake | voms-clients | proxies with VOMS attributes, made without a VOMS server
rclone   | rclone | an independent WebDAV server
gfal-ls  | gfal2-util-scripts | the driver gfal
openssl  | openssl | certificates of the tests' own authority
unshare  | util-linux | a server with an authority of its own
'

missing=() lines=()
while IFS='|' read -r program package reason; do
  program=${program// /} package=${package// /}
  if [[ -z $program ]] || command -v "$program" >/dev/null; then continue; fi
  # Debian keeps the servers of several releases apart, and none on PATH.
  if compgen -G "/usr/lib/postgresql/*/bin/$program" >/dev/null; then continue; fi
  [[ " ${missing[*]-} " == *" $package "* ]] || missing+=("$package")
  lines+=("$(printf '  %-12s (%s):%s' "$package" "$program" "$reason")")
done <<<"$needed"
[[ ${#missing[@]} -gt 0 ]] || exit 0

echo "==> installing system packages: ${missing[*]}" >&2
if ! tools/apt.sh "${missing[@]}"; then
  echo "These system packages are missing; tests that need them will be skipped:" >&2
  printf '%s\n' "${lines[@]}" >&2
  echo "As an administrator: apt-get install ${missing[*]}" >&2
fi
