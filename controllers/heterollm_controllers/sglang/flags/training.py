"""Flags of SLIME scripts that a server has no use for, by what they are about: SLIME's own and those of its trainer,
Megatron. Some have a counterpart in a cluster's spec; the message names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["INSTEAD", "SUBJECTS", "explain"]

_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "how the trainer splits the model": """
            tensor-model-parallel-size pipeline-model-parallel-size context-parallel-size expert-model-parallel-size
            expert-tensor-parallel-size sequence-parallel decoder-first-pipeline-num-layers
            decoder-last-pipeline-num-layers num-layers-per-virtual-pipeline-stage virtual-pipeline-model-parallel-size
            allgather-cp distributed-backend distributed-timeout-minutes moe-enable-deepep moe-token-dispatcher-type
            use-distributed-optimizer overlap-grad-reduce overlap-param-gather tp-comm-overlap""",
        "where trainer and engines run": """
            actor-num-nodes actor-num-gpus-per-node critic-num-nodes critic-num-gpus-per-node num-gpus-per-node
            rollout-num-gpus rollout-num-gpus-per-engine rollout-external-engine-addrs colocate offload offload-train
            offload-rollout no-offload-train no-offload-rollout release-train train-env-vars""",
        "the trainer's memory and batches": """
            max-tokens-per-gpu log-probs-max-tokens-per-gpu log-probs-chunk-size use-dynamic-batch-size micro-batch-size
            global-batch-size num-steps-per-rollout balance-data balance-by-flops recompute-granularity recompute-method
            recompute-num-layers recompute-modules recompute-loss-function data-pad-size-multiplier seq-length
            no-gradient-accumulation-fusion gradient-checkpointing accumulate-allreduce-grads-in-fp32
            attention-softmax-in-fp32 attention-dropout hidden-dropout fp16 bf16 fp8-format fp8-recipe transformer-impl
            fp8-param-gather""",
        "the optimizer": """
            optimizer lr min-lr lr-decay-style lr-decay-iters lr-warmup-iters lr-warmup-fraction lr-warmup-init
            weight-decay adam-beta1 adam-beta2 adam-eps clip-grad optimizer-cpu-offload overlap-cpu-optimizer-d2h-h2d
            use-precision-aware-optimizer use-stateless-adam reset-optimizer-states calculate-per-token-loss seed
            only-train-params-name-list freeze-params-name-list freeze-indexer train-backend""",
        "the reinforcement-learning algorithm": """
            advantage-estimator kl-coef kl-loss-coef kl-loss-type use-kl-loss use-unbiased-kl entropy-coef eps-clip
            eps-clip-high eps-clip-c value-clip gamma lambd normalize-advantages loss-type pg-loss-type
            custom-loss-function-path custom-advantage-function-path disable-compute-advantages-and-returns
            disable-grpo-std-normalization disable-rewards-normalization use-rollout-entropy get-mismatch-metrics
            use-rollout-logprobs use-tis tis-clip tis-clip-low custom-tis-function-path use-routing-replay
            use-rollout-routing-replay use-opsm opsm-delta use-opd opd-type opd-kl-coef opd-teacher-load
            use-slime-router use-score-centering score-centering-top-k num-critic-only-steps ref-update-interval
            custom-pg-loss-reducer-function-path enable-mtp-training mtp-num-layers mtp-loss-scaling-factor""",
        "the prompts and samples of a rollout": """
            prompt-data input-key label-key metadata-key tool-key multimodal-keys apply-chat-template
            apply-chat-template-kwargs data-source-path num-rollout num-epoch rollout-batch-size n-samples-per-prompt
            rollout-shuffle rollout-seed rollout-temperature rollout-top-p rollout-top-k rollout-max-context-len
            rollout-max-prompt-len rollout-max-response-len rollout-skip-special-tokens rollout-stop
            rollout-stop-token-ids rollout-function-path rollout-task-type rollout-data-postprocess-path
            rollout-sample-filter-path rollout-buffer-url over-sampling-batch-size dynamic-sampling-filter-path
            partial-rollout mask-offpolicy-in-partial-rollout custom-generate-function-path buffer-filter-path
            start-rollout-id loss-mask-type rollout-global-dataset no-rollout-global-dataset custom-config-path""",
        "rewards": """
            rm-type rm-url reward-key group-rm custom-rm-path custom-reward-post-process-path
            custom-convert-samples-to-train-data-path""",
        "evaluation": """
            eval-interval eval-prompt-data eval-config eval-function-path eval-input-key eval-label-key eval-tool-key
            eval-reward-key n-samples-per-eval-prompt eval-temperature eval-top-p eval-top-k eval-max-response-len
            eval-max-prompt-len eval-min-new-tokens eval-max-context-len skip-eval-before-train""",
        "checkpoints and weights": """
            hf-checkpoint model-name load save save-interval async-save save-hf ref-load ref-ckpt-step ckpt-step
            no-load-optim no-load-rng no-save-optim no-save-rng finetune megatron-to-hf-mode
            critic-load critic-save update-weight-buffer-size update-weight-mode update-weight-transport
            update-weights-interval keep-old-actor flush-cache-interval check-weight-update-equal""",
        "health, logs and debugging of a training run": """
            use-wandb wandb-mode wandb-dir wandb-key wandb-host wandb-team wandb-group wandb-project wandb-run-id
            wandb-always-use-train-step disable-wandb-random-suffix use-tensorboard tensorboard-dir tb-project-name
            tb-experiment-name log-multi-turn log-passrate log-reward-category log-correct-samples log-interval
            use-fault-tolerance rollout-health-check-interval rollout-health-check-timeout
            rollout-health-check-first-wait debug-rollout-only debug-train-only save-debug-rollout-data
            load-debug-rollout-data save-debug-train-data dump-details record-memory-history memory-snapshot-dir
            memory-snapshot-num-steps memory-recorder profile use-pytorch-profiler ci-test ci-disable-kl-checker""",
        "the model's shape, which a server reads from the model itself": """
            num-layers hidden-size ffn-hidden-size num-attention-heads num-query-groups group-query-attention
            kv-channels qk-layernorm norm-epsilon normalization position-embedding-type rotary-base rotary-percent
            use-rotary-position-embeddings rotary-scaling-factor swiglu disable-bias-linear add-qkv-bias
            untie-embeddings-and-output-weights vocab-size padded-vocab-size make-vocab-size-divisible-by
            max-position-embeddings num-experts moe-ffn-hidden-size moe-router-topk moe-router-score-function
            moe-router-load-balancing-type moe-router-dtype moe-router-pre-softmax moe-aux-loss-coeff moe-grouped-gemm
            moe-layer-freq moe-shared-expert-intermediate-size moe-permute-fusion multi-latent-attention q-lora-rank
            kv-lora-rank qk-head-dim qk-pos-emb-head-dim v-head-dim spec attention-output-gate""",
    }
)

SUBJECTS: Mapping[str, str] = MappingProxyType(
    {f"--{name}": subject for subject, names in _GROUPS.items() for name in names.split()}
)
"""What a training flag is about."""

INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "--tensor-model-parallel-size": "engine.gpus",
        "--rollout-num-gpus-per-engine": "engine.gpus",
        "--expert-model-parallel-size": "engine.expertParallel",
        "--expert-tensor-parallel-size": "engine.expertParallel",
        "--pipeline-model-parallel-size": "--pp-size in engine.args",
        "--context-parallel-size": "engine.contextLength for the longest request",
        "--max-tokens-per-gpu": "--chunked-prefill-size or --max-total-tokens in engine.args",
        "--rollout-num-gpus": "replicas.min",
        "--rollout-batch-size": "--max-running-requests in engine.args",
        "--rollout-max-context-len": "engine.contextLength",
        "--actor-num-gpus-per-node": "accelerator.perNode",
        "--num-gpus-per-node": "accelerator.perNode",
        "--hf-checkpoint": "model.id and model.source",
    }
)
"""What of a tier's spec comes nearest."""


def explain(flag: str) -> str | None:
    """Why a flag is refused as a training flag; None for one that is not known as such."""
    subject = SUBJECTS.get(flag)
    if subject is None:
        return None
    instead = f"; use {INSTEAD[flag]} instead" if flag in INSTEAD else ""
    return f"{flag} is a training flag of SLIME, about {subject}; serving has no such thing{instead}"
