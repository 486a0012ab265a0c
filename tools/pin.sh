#!/usr/bin/env bash
# Renews constraints.txt: the versions that tests and checks run with.
#
# Takes what the registry has now for pyproject.toml, in a scratch environment,
# then sees that the same versions can be had for every Python we support.
# Names and versions only: no index, no address, no hashes.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
pip=("$scratch/venv/bin/python" -m pip --disable-pip-version-check)

"${pip[@]}" install -qq --upgrade setuptools
"${pip[@]}" install -qq '.[dev]'
{
  echo "# Versions that tests and checks run with; renewed by \`make pin\`."
  "${pip[@]}" freeze --all --exclude holdfast --exclude pip --exclude wheel | grep -E '^[A-Za-z0-9._-]+==' | sort -f
} >"$scratch/constraints.txt"

for version in 3.11 3.12 3.13; do
  echo "Python $version: looking whether all of it is there" >&2
  # pip takes conditions for its own Python, whatever version it is asked about; so they are settled here.
  "$scratch/venv/bin/python" - "$version" >"$scratch/wanted.txt" <<'PYTHON'
import sys
import tomllib

from packaging.requirements import Requirement

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
groups = [project["dependencies"], *project["optional-dependencies"].values()]
wanted = [Requirement(line) for group in groups for line in group if not line.startswith("holdfast")]
there = [each for each in wanted if each.marker is None or each.marker.evaluate({"python_version": sys.argv[1]})]
print("\n".join(f"{each.name}{each.specifier}" for each in there))
PYTHON
  "${pip[@]}" install -qq --dry-run --ignore-installed --only-binary :all: --python-version "$version" \
    --target "$scratch/none" -c "$scratch/constraints.txt" -r "$scratch/wanted.txt"
done
cp "$scratch/constraints.txt" constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) versions" >&2
