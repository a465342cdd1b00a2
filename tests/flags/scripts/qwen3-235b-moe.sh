#!/bin/bash
# A large mixture of experts: engines of 32 GPUs over four nodes, apart from the trainer.
if [ -z "${BASE_FOLDER}" ]; then
  echo "set BASE_FOLDER: that's where the checkpoints lie"
  exit 1
fi

NODES_PER_ENGINE=${NODES_PER_ENGINE:-4}
GPUS_PER_NODE=8
ENGINES=2

cat > hosts.txt <<HOSTS
first    # isn't a comment of the script
second
HOSTS

CKPT_ARGS=(
   --hf-checkpoint $BASE_FOLDER/Qwen3-235B-A22B-FP8/
   --load $BASE_FOLDER/Qwen3-235B-A22B_slime/
)

PERF_ARGS=(
   --tensor-model-parallel-size 4
   --pipeline-model-parallel-size 4
   --context-parallel-size 2
   --expert-model-parallel-size 16
)

SGLANG_ARGS=(
   --rollout-num-gpus-per-engine $(( GPUS_PER_NODE * NODES_PER_ENGINE ))
   --sglang-mem-fraction-static 0.5
   --sglang-enable-dp-attention
   --sglang-dp-size 4
   --sglang-ep-size 32
   --sglang-enable-dp-lm-head
   --sglang-cuda-graph-bs 1 2 4 $(seq 8 8 32)
   --sglang-moe-a2a-backend deepep
   --sglang-deepep-mode auto
   --sglang-context-length 32k
   --sglang-server-concurrency 512
   --sglang-router-ip 10.0.0.1
)
SGLANG_ARGS+=( --sglang-disable-radix-cache )

for host in first second; do
  ssh "$host" "ray start --address=${MASTER_ADDR}:6379 --num-gpus 8" &
done
wait

ray job submit --address=http://127.0.0.1:8265 -- python3 train_async.py \
   --actor-num-nodes 8 --actor-num-gpus-per-node 8 \
   --rollout-num-gpus $(( ENGINES * 8 * NODES_PER_ENGINE )) \
   ${CKPT_ARGS[@]} ${PERF_ARGS[@]} ${SGLANG_ARGS[@]}
