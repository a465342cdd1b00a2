#!/bin/sh
# Prints the Python command prefix that imports the real SGLang of a release: environment.sh RELEASE.
#
# The third-party packages are those of the CPU image (requirements-cpu.txt, about 6 GB, hashed), installed once into a
# cached virtual environment that every release shares; a release that is not the image's brings only its own wheel.
# Stamps carry the hash of the lock, so a changed lock makes a new environment.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
release="${1:?usage: environment.sh RELEASE}"
cache="${HETEROLLM_CACHE:-$HOME/.cache/heterollm}"
lock="$here/../requirements-cpu.txt"
image_release="$(sed -n 's/^sglang==\([0-9.]*\).*/\1/p' "$lock")"
venv="$cache/sglang-$image_release"

stamp="$venv/.installed-$(sha256sum "$lock" | cut -c1-16)"
if [ ! -e "$stamp" ]; then
    free_kib="$(mkdir -p "$cache" && df -Pk "$cache" | awk 'NR == 2 { print $4 }')"
    if [ "$free_kib" -lt 9437184 ]; then
        echo "SGLang needs about 6 GB, and 9 GB free to unpack; $cache has $((free_kib / 1024)) MiB" >&2
        exit 1
    fi
    echo "installing SGLang $image_release into $venv (about 6 GB, several minutes)" >&2
    rm -rf "$venv"
    "${PYTHON:-python3.11}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-cache-dir --no-deps --require-hashes -r "$lock" >&2
    touch "$stamp"
fi

if [ "$release" = "$image_release" ]; then
    echo "$venv/bin/python"
    exit
fi
source="$cache/sglang-$release-source"
lock="$here/requirements-$release.txt"
stamp="$source/.installed-$(sha256sum "$lock" | cut -c1-16)"
if [ ! -e "$stamp" ]; then
    rm -rf "$source"
    "$venv/bin/pip" install --quiet --no-cache-dir --no-deps --require-hashes --target "$source" -r "$lock" >&2
    touch "$stamp"
fi
# PYTHONPATH comes before the environment's own packages, so this release hides the other one.
echo "env PYTHONPATH=$source $venv/bin/python"
