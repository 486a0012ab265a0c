#!/usr/bin/env bash
# Installs FTS3's own client, which drives our stand-in of FTS3 in the tests.
#
#     tools/fts-client.sh FOLDER
#
# FOLDER is the virtual environment. The client needs M2Crypto, which has no
# wheels: it is built from source, with gcc and OpenSSL's headers of the machine
# and swig from the registry. Where that does not work, it says so and goes on:
# the tests that need it are then skipped (and fail under CI=true).
set -euo pipefail

folder=${1:?folder of the virtual environment}
[[ $folder == /* ]] || folder=$PWD/$folder
client=fts3==3.14.2 m2crypto=M2Crypto==0.51.0 swig=swig==4.5.1

"$folder/bin/python" -c 'import fts3, M2Crypto' 2>/dev/null && exit 0

echo "==> installing $client, for the tests" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { "$folder/bin/python" -m pip --disable-pip-version-check --no-input install -q "$@" </dev/null >>"$log" 2>&1; }
# The build of M2Crypto looks for swig on PATH, and that swig for its Python package: hence without isolation.
if ! { install setuptools wheel "$swig" && PATH="$folder/bin:$PATH" install --no-build-isolation "$m2crypto" && install "$client"; }; then
  tail -n 5 "$log" >&2
  echo "FTS3's client cannot be installed; tests that need it will be skipped." >&2
  echo "As an administrator: apt-get install gcc libssl-dev python3-dev" >&2
fi
