#!/bin/bash
# Written for SGLang 0.4: the mixture-of-experts switches of then, and one command line in a variable.
CKPT_ARGS=(--hf-checkpoint /mnt/models/DeepSeek-R1)
SGLANG_ARGS=(
   --rollout-num-gpus-per-engine 64
   --sglang-mem-fraction-static 0.75
   --sglang-enable-ep-moe
   --sglang-enable-dp-attention
   --sglang-dp-size 8
   --sglang-moe-dense-tp-size 1
   --sglang-enable-deepep-moe
   --sglang-cuda-graph-max-bs 128
   --sglang-no-such-flag 3
   --sglang-attention-backend ${BACKEND}
)
LAUNCH="python3 /opt/slime/train.py --rollout-num-gpus 100 --num-gpus-per-node 4 ${CKPT_ARGS[@]} ${SGLANG_ARGS[@]}"
bash -c "$LAUNCH"
