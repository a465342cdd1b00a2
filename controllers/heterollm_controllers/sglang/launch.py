"""The command line of an engine: SGLang's flags from a sized tier. What the user gives replaces what we derive."""

from __future__ import annotations

import json

from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.names import engines_name
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.sglang.flags.dp_attention import attention_dp_flags
from heterollm_controllers.sglang.tier_arguments import arguments_of, release_of

__all__ = ["DIST_PORT", "HTTP_PORT", "launch_args", "model_folder"]

HTTP_PORT = 30000
"""SGLang's own default port."""
DIST_PORT = 5000
"""Where the ranks of an engine meet; with attention data parallelism the next six ports are used too."""
MODEL_MOUNT = "/models"


def model_folder(tier: Tier) -> str:
    """What --model-path gets: a folder of the pod, or the model's id on the hub."""
    source = tier.model.source
    if source is not None and source.pvc is not None:
        return "/".join([MODEL_MOUNT, *filter(None, source.pvc.path.split("/"))])
    if source is not None and source.host_path is not None:
        return MODEL_MOUNT
    return tier.model.id


def launch_args(cluster: str, namespace: str, config: Config, tier: Tier, sizing: Sizing, api_key: bool) -> list[str]:
    """Flags of one engine. $(ENGINE), $(NODE_RANK) and $(API_KEY) are expanded by the kubelet from the environment."""
    users = arguments_of(tier, config.sglang_version, sizing.tensor_parallel)
    told = {"heterollm_cluster": cluster, "heterollm_namespace": namespace, "heterollm_tier": tier.name}
    labels = json.dumps(told, separators=(",", ":"))
    derived: list[tuple[str, str | None]] = [
        ("--model-path", model_folder(tier)),
        ("--served-model-name", tier.model.id),
        ("--host", "0.0.0.0"),
        ("--port", str(HTTP_PORT)),
        ("--tp-size", str(sizing.tensor_parallel)),
        ("--enable-metrics", None),
        ("--extra-metric-labels", labels),
    ]
    if tier.model.source is not None and tier.model.source.hub is not None and tier.model.source.hub.revision:
        derived.append(("--revision", tier.model.source.hub.revision))
    if tier.engine.mem_fraction_static is not None:
        derived.append(("--mem-fraction-static", tier.engine.mem_fraction_static.text))
    if tier.engine.context_length is not None:
        derived.append(("--context-length", str(tier.engine.context_length)))
    if sizing.attention_data_parallel > 1 and users.attention_data_parallel is None:
        derived += attention_dp_flags(sizing.attention_data_parallel, release_of(tier, config.sglang_version))
    if sizing.expert_parallel > 1:
        derived.append(("--ep-size", str(sizing.expert_parallel)))
    if sizing.nodes > 1:
        leader = f"$(ENGINE)-0.{engines_name(cluster, tier.name)}.{namespace}.svc.{config.cluster_domain}:{DIST_PORT}"
        derived += [
            ("--nnodes", str(sizing.nodes)),
            ("--node-rank", "$(NODE_RANK)"),
            ("--dist-init-addr", leader),
        ]
    if api_key:
        derived.append(("--api-key", "$(API_KEY)"))
    kept = [part for flag, value in derived if flag not in users.values for part in (flag, value) if part is not None]
    return [*kept, *users.args]
