#!/bin/sh
# Starts SGLang's server with the arguments given. Shared by the GPU image, the CPU image and the simulated image.
#
# The root file system may be read-only, so everything that SGLang, its compilers and the hub client keep goes under
# one directory, which a pod can put on a volume (HETEROLLM_CACHE_DIR) to keep it over restarts.
set -eu

cache="${HETEROLLM_CACHE_DIR:-${HOME:-/tmp}/.cache}"
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$cache}"
export HF_HOME="${HF_HOME:-$cache/huggingface}"
export SGLANG_CACHE_DIR="${SGLANG_CACHE_DIR:-$cache/sglang}"
export TRITON_CACHE_DIR="${TRITON_CACHE_DIR:-$cache/triton}"
export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$cache/inductor}"
export FLASHINFER_WORKSPACE_BASE="${FLASHINFER_WORKSPACE_BASE:-$cache/flashinfer}"
export TVM_FFI_CACHE_DIR="${TVM_FFI_CACHE_DIR:-$cache/tvm-ffi}"
export CUTE_DSL_CACHE_DIR="${CUTE_DSL_CACHE_DIR:-$cache/cute-dsl}"
export QUACK_CACHE_DIR="${QUACK_CACHE_DIR:-$cache/quack}"
export HUMMING_CACHE_DIR="${HUMMING_CACHE_DIR:-$cache/humming}"
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$cache/numba}"
export CUDA_CACHE_PATH="${CUDA_CACHE_PATH:-$cache/nv}"
mkdir -p "$cache"

# exec: the server must be the process that receives SIGTERM, for it drains on it.
exec python3 -m sglang.launch_server "$@"
