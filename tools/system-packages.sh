#!/usr/bin/env bash
# Sees to the programs that real parts of the tests use, beside Python's packages.
#
# Installs what is missing if this user may; else says what is missing and goes
# on: the tests that need it are then skipped with their reason (and fail under
# CI=true, see tests/support/real.py). With the argument "soak" also what only
# make soak needs.
set -euo pipefail
cd "$(dirname "$0")/.."

# program, or pattern of a file | Debian package | what for. The one place to add to.
needed='
mount   | mount      | full disks and read-only folders, as small file systems of their own
umount  | mount      | the same
sort    | coreutils  | the yardstick of the comparison in make bench
comm    | coreutils  | the same
git     | git        | the tests that read every tracked file
openssl | openssl    | certificates of the tests
unshare | util-linux | a server that trusts an authority of its own
postgres | postgresql-15 | the inventory on a real PostgreSQL server
xrootd  | xrootd-server | storage over root:// and https
/usr/lib/*/libXrdHttp-5.so | xrootd-server-plugins | its https door
/usr/lib/*/libXrdCryptossl-5.so | xrootd-plugins | its certificates and checksums
/usr/lib/*/libXrdAccSciTokens-5.so | xrootd-scitokens-plugins | its tokens
/usr/lib/*/libXrdVoms-5.so | xrootd-voms-plugins | its VOMS attributes
xrdfs   | xrootd-client | the driver xrdfs
voms-proxy-fake | voms-clients | proxies with VOMS attributes, made without a VOMS server
curl    | curl       | a mover
rclone  | rclone     | an independent WebDAV server, and a mover
rsync   | rsync      | a mover
setpriv | util-linux | movers that die with us
gcc     | gcc        | the client of FTS3, built from source
/usr/include/openssl/ssl.h | libssl-dev | the same
/usr/include/python3*/Python.h | python3-dev | the same
gfal-ls | gfal2-util-scripts | the driver gfal, by programs
/usr/lib/python3/dist-packages/gfal2.*.so | python3-gfal2 | the driver gfal, by bindings
/usr/lib/python3/dist-packages/gfal2_util | python3-gfal2-util | the same programs
/usr/lib/*/gfal2-plugins/libgfal_plugin_file.so | gfal2-plugin-file | what gfal speaks
/usr/lib/*/gfal2-plugins/libgfal_plugin_http.so | gfal2-plugin-http | the same
/usr/lib/*/gfal2-plugins/libgfal_plugin_xrootd.so | gfal2-plugin-xrootd | the same
'

there() {
  [[ $1 == /* ]] && { compgen -G "$1" >/dev/null; return; }
  # Debian keeps the PostgreSQL servers of several releases apart, and none on PATH.
  command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

# What only make soak needs: much to install.
if [[ ${1-} == soak ]]; then
  needed+='
swift-proxy-server     | swift-proxy     | an object store that others than Amazon have made
swift-account-server   | swift-account   | the same
swift-container-server | swift-container | the same
swift-object-server    | swift-object    | the same
swift-ring-builder     | swift           | the same
memcached              | memcached       | the same
'
fi

missing=() lines=()
while IFS='|' read -r program package reason; do
  program=${program// /} package=${package// /}
  if [[ -z $program ]] || there "$program"; then continue; fi
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
