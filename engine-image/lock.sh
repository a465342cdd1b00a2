#!/bin/sh
# Recompiles the hashed locks of the engine images. UV names the uv to use (default: the one of the environment).
set -eu
cd "$(dirname "$0")"
uv="${UV:-../.venv/bin/uv}"
common="-q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11"
# shellcheck disable=SC2086  # the options are words
"$uv" pip compile $common --universal requirements-sim.in -o requirements-sim.txt
# One platform: torch's dependencies differ by platform, and the image is for x86 (glibc 2.34 or later).
# shellcheck disable=SC2086
"$uv" pip compile $common --python-platform x86_64-manylinux_2_34 --excludes requirements-cpu-unused.in \
    requirements-cpu.in -o requirements-cpu.txt
