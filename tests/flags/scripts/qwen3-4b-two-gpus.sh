#!/usr/bin/env bash
# A small dense model: eight GPUs of one node, shared by trainer and engines.

set -euo pipefail

export PYTHONUNBUFFERED=1
CHECKPOINTS=/data/checkpoints

links=$(nvidia-smi topo -m 2>/dev/null | grep -c 'NV[0-9]' || true)
if [ "${links}" -gt 0 ]; then
    NVLS=1
else
    NVLS=0
fi

HERE="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" &>/dev/null && pwd)"
source "${HERE}/models/qwen3-4B.sh"

CKPT_ARGS=(
    --hf-checkpoint "${CHECKPOINTS}/Qwen3-4B"   # weights as the hub has them
    # --hf-checkpoint "${CHECKPOINTS}/Qwen3-4B-FP8"
    --ref-load "${CHECKPOINTS}/Qwen3-4B_dist/"
    --save-interval 50
)

ROLLOUT_ARGS=(
    --prompt-data /data/prompts.jsonl
    --rollout-batch-size 32
    --n-samples-per-prompt 8
    --rollout-max-response-len 4096
    --rollout-temperature 0.9
)

TRAIN_ARGS=(
    --tensor-model-parallel-size 2
    --sequence-parallel
    --use-dynamic-batch-size
    --max-tokens-per-gpu 9216
    --advantage-estimator grpo
    --optimizer adam
    --lr 1e-6
    --attention-backend flash
)

WANDB_ARGS=(
    # --use-wandb
)

SGLANG_ARGS=(
    --rollout-num-gpus-per-engine 2
    --sglang-mem-fraction-static 0.7
)

RUNTIME_ENV="{
  \"env_vars\": {\"NCCL_NVLS_ENABLE\": \"${NVLS}\"}
}"

ray job submit --address="http://127.0.0.1:8265" \
    --runtime-env-json="${RUNTIME_ENV}" \
    -- python3 train.py \
    --actor-num-nodes 1 \
    --actor-num-gpus-per-node 8 \
    --colocate \
    "${MODEL_ARGS[@]}" \
    "${CKPT_ARGS[@]}" \
    "${ROLLOUT_ARGS[@]}" \
    "${TRAIN_ARGS[@]}" \
    "${WANDB_ARGS[@]}" \
    "${SGLANG_ARGS[@]}" 2>&1 | tee run.log
