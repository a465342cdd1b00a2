"""What SGLang itself said of many launches (engine-image/oracle), and what we say of the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.engine import EngineSpec
from heterollm_controllers.sglang.flags.arguments import check
from heterollm_controllers.sizing.accelerators import accelerator
from heterollm_controllers.sizing.hf_config import architecture_from
from heterollm_controllers.sizing.plan import Plan, Split
from heterollm_controllers.sizing.requirements import Requirements, requirements_of
from heterollm_controllers.sizing.rules import A2A_SPANS_ALL, broken, launch_refusal
from heterollm_controllers.sizing.search import plan_for
from tests.sizing import catalogued

__all__ = ["Launch", "launches"]

_OPERATORS_OWN = ("--nnodes", "--dist-init-addr")
_PER_NODE = 64


@dataclass
class Launch:
    """One recorded launch."""

    record: Mapping[str, Any]
    case: Mapping[str, Any]

    @property
    def refused(self) -> bool:
        """Whether SGLang refused it."""
        return bool(self.case["verdict"] == "error")

    @property
    def resolved(self) -> dict[str, Any]:
        """What SGLang made of it."""
        return {**self.record["usual"], **self.case.get("resolved", {})}

    @property
    def words(self) -> list[str]:
        """Its flags as a user writes them, without those that are the operator's own."""
        words: list[str] = []
        for flag, value in self.case["flags"].items():
            if flag not in _OPERATORS_OWN:
                words += [flag] if value is True else [flag, str(value)]
        return words

    def __str__(self) -> str:
        return f"{self.case['model'].rpartition('/')[2]} {self.case['gpu']} {' '.join(self.words)}"

    @cached_property
    def ours(self) -> Plan | str:
        """Our plan of it, or why we refuse it."""
        arguments = check(self.words, self.record["release"])
        if arguments.errors:
            return "; ".join(arguments.errors)
        nodes = self.case["flags"].get("--nnodes", 1)
        try:
            requirements, _ = requirements_of(EngineSpec(nodes=nodes), _PER_NODE, arguments)
        except Impossible as refusal:
            return refusal.message
        return self._planned(requirements, nodes)

    def _planned(self, requirements: Requirements, nodes: int) -> Plan | str:
        name = self.case["gpu"]
        # A T4 is not in the catalogue; of a GPU only its memory and generation matter here.
        gpu = replace(accelerator(name) or catalogued.gpu("L4"), memory_mib=self.record["gpus"][name]["memory_mib"])
        model = architecture_from(self.case["model"], self.record["models"][self.case["model"]])
        tensor = requirements.tensor or 1
        expert = tensor if requirements.a2a in A2A_SPANS_ALL else requirements.expert or 1
        attention_dp, stages = requirements.attention_dp or 1, requirements.pipeline or 1
        split = Split(
            tensor, attention_dp, expert, stages, requirements.a2a, requirements.moe_dense, requirements.dp_head
        )
        page = requirements.page_size or gpu.page_size
        why = launch_refusal(model, requirements.context, requirements.chunked_prefill, page) or broken(
            model, gpu, split, nodes
        )
        free_mib = self.resolved.get("free_before_mib")
        free = replace(requirements, free_gib=free_mib / 1024) if free_mib else requirements
        return why or plan_for(model, gpu, free, split, nodes)


def launches(name: str) -> list[Launch]:
    """All launches of one record."""
    record = json.loads((Path(__file__).parent / "data" / f"oracle-{name}.json").read_text())
    return [Launch(record, case) for case in record["cases"]]
