#!/usr/bin/env bash
# Make a virtual environment from the hashed lock. On a bare Debian the standard library's venv lacks ensurepip: install it.
set -euo pipefail
venv=$1
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  if [ "$(id -u)" != 0 ]; then echo "Install python3-venv first (apt-get install python3-venv)" >&2; exit 1; fi
  echo "==> python3-venv is missing: installing it"
  apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
fi
echo "==> virtual environment $venv: installing the locked requirements"
"$python" -m venv "$venv"
# Python compiles what is imported when it is; compiling all of it here takes a third of the time.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r "$root/requirements/dev.txt"
# The project itself, editable; its dependencies are the locked ones above.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e "$root"
