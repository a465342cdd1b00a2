"""From a SLIME launch to a tier of a cluster: what it says of the rollout engines. The training is left behind."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from heterollm_cli.slime.bash_words import UnreadableScript
from heterollm_cli.slime.launch_script import SlimeLaunch
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.sglang.flags.arguments import Arguments, check
from heterollm_controllers.sglang.flags.catalogue import catalogue
from heterollm_controllers.sglang.flags.training import SUBJECTS
from heterollm_controllers.sglang.flags.translations import TRANSLATIONS

__all__ = ["DEFAULT_ACCELERATOR", "ImportedTier", "to_tier"]

DEFAULT_ACCELERATOR = "A100-80GB"
_PER_NODE = 8
"""SLIME's and the resource's own default."""
_PREFIX = "--sglang-"
_FRACTION = re.compile(r"0\.\d{1,4}")
_CLIENT_SIDE = {
    "--sglang-server-concurrency": "it limits what SLIME's client has in flight; --max-running-requests in engine.args"
    " limits what an engine runs at once",
    "--sglang-config": "it names a file that describes other groups of engines, which was not read",
}
_ROUTER = ("--sglang-router-", "--use-slime-router")
_ROUTER_REASON = "the cluster has its own routers"
_FIELDS = {
    "--attn-dp-size": "attentionDataParallel",
    "--ep-size": "expertParallel",
    "--context-length": "contextLength",
    "--mem-fraction-static": "memFractionStatic",
}
"""Server flags that a field of engine says better: the operator derives them, and the user sees them explained."""


@dataclass(frozen=True)
class ImportedTier:
    """A tier as it is written in a spec, with what became of the script."""

    tier: dict[str, Any]
    remarks: tuple[str, ...]


def to_tier(
    launch: SlimeLaunch,
    name: str,
    accelerator: str | None,
    release: str,
    model_ids: Collection[str],
) -> ImportedTier:
    """The tier that serves what the launch's rollout engines serve.

    Args:
        launch: What the script gives SLIME.
        name: Name of the tier.
        accelerator: Kind of GPU; a script does not say.
        release: SGLang release that the engines will run.
        model_ids: Known models, to find the hub's id of a local folder.

    Raises:
        UnreadableScript: no tier can be made of it; the message says what is missing.
    """
    importing = _Importing(launch, release, list(launch.remarks))
    model = importing.model(model_ids)
    gpus = importing.gpus()
    tier = {
        "name": name,
        "model": {"id": model},
        "accelerator": importing.accelerator(accelerator),
        "engine": {"gpus": gpus, **importing.engine(gpus)},
        "replicas": {"min": importing.replicas(gpus)},
    }
    importing.leave_the_rest()
    _validate(tier)
    return ImportedTier(tier, tuple(importing.remarks))


def _validate(tier: dict[str, Any]) -> None:
    try:
        Tier.model_validate(tier)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise UnreadableScript(f"the tier would not be valid: {'; '.join(problems)}") from None


def _said_by(fields: Collection[str]) -> set[str]:
    """The server flags that fields of engine stand for."""
    said = {flag for flag, name in _FIELDS.items() if name in fields}
    return said | ({"--dp-size", "--enable-dp-attention"} if "attentionDataParallel" in fields else set())


@dataclass
class _Importing:
    """The launch, and what has been said of it so far."""

    launch: SlimeLaunch
    release: str
    remarks: list[str]
    used: set[str] = field(default_factory=set)

    def model(self, model_ids: Collection[str]) -> str:
        given = self._value("--hf-checkpoint")
        if not given:
            raise UnreadableScript("the script names no model: --hf-checkpoint is missing or could not be read")
        path = given.rstrip("/")
        if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", path):
            self.remarks.append(f"--hf-checkpoint {given}: model.id, taken for an id of the hub")
            return path
        folder = path.rpartition("/")[2]
        if "$" in folder or not folder:
            raise UnreadableScript(f"the script names no model: --hf-checkpoint {given} could not be read")
        known = [model for model in model_ids if model.rpartition("/")[2].lower() == folder.lower()]
        if len(known) == 1:
            self.remarks.append(
                f"--hf-checkpoint {given}: model.id is {known[0]}, from the hub; set model.source to read it elsewhere"
            )
            return known[0]
        self.remarks.append(f"--hf-checkpoint {given}: set model.id to the hub's id, or model.source to a volume")
        return folder

    def gpus(self) -> int:
        given = self._integer("--rollout-num-gpus-per-engine")
        if given is None:
            self.remarks.append("--rollout-num-gpus-per-engine is not given: engine.gpus is 1, SLIME's default")
            return 1
        self.remarks.append(f"--rollout-num-gpus-per-engine {given}: engine.gpus")
        return given

    def accelerator(self, kind: str | None) -> dict[str, Any]:
        if kind is None:
            self.remarks.append(f"the script does not say which GPUs: accelerator.type is {DEFAULT_ACCELERATOR}")
        per_node = self._integer("--num-gpus-per-node")
        if per_node is None and "--colocate" in self.launch.flags:
            per_node = self._integer("--actor-num-gpus-per-node")
        found: dict[str, Any] = {"type": kind or DEFAULT_ACCELERATOR}
        if per_node is not None and per_node != _PER_NODE:
            self.remarks.append(f"{per_node} GPUs per node: accelerator.perNode")
            found["perNode"] = per_node
        return found

    def replicas(self, gpus: int) -> int:
        """As many engines as the rollout's GPUs hold."""
        total = self._integer("--rollout-num-gpus")
        if total is None and "--colocate" in self.launch.flags:
            total = (self._integer("--actor-num-nodes") or 1) * (
                self._integer("--actor-num-gpus-per-node") or _PER_NODE
            )
        if total is None:
            self.remarks.append("--rollout-num-gpus is not given: replicas.min is 1")
            return 1
        engines = max(1, total // gpus)
        rest = f", {total - engines * gpus} GPUs are left over" if total > engines * gpus else ""
        self.remarks.append(f"{total} GPUs for rollout, {gpus} per engine: replicas.min is {engines}{rest}")
        return engines

    def engine(self, gpus: int) -> dict[str, Any]:
        """What the --sglang- flags say of an engine."""
        good = [word for words in self._server_flags() for word in words]
        # The GPUs of an engine are its TP size times its PP size, as in SLIME.
        pipeline = check(good, self.release).integer("--pp-size") or 1
        arguments = check(good, self.release, tp=max(1, gpus // pipeline))
        self.remarks += arguments.warnings
        fields = self._fields(arguments)
        left = arguments.without(_said_by(fields))
        for flag, name in _FIELDS.items():
            if name in fields:
                self.remarks.append(f"{flag} {fields[name]}: engine.{name}")
        if left:
            self.remarks.append(f"engine.args: {' '.join(left)}")
        return {**fields, **({"args": list(left)} if left else {})}

    def _server_flags(self) -> list[list[str]]:
        """The server flags that are in order, each as its words."""
        good: list[list[str]] = []
        for name, flag in self.launch.flags.items():
            if not name.startswith(_PREFIX) or name in _CLIENT_SIDE or name.startswith(_ROUTER):
                continue
            self.used.add(name)
            words = [f"--{name.removeprefix(_PREFIX)}", *flag.values]
            problems = flag.unknown or check(words, self.release).errors
            if problems:
                self.remarks.append(f"{name} {' '.join(flag.values)} is left out: {'; '.join(problems)}")
            else:
                good.append(words)
        return good

    @staticmethod
    def _fields(arguments: Arguments) -> dict[str, Any]:
        found: dict[str, Any] = {}
        sizes = {
            "attentionDataParallel": arguments.attention_data_parallel,
            "expertParallel": arguments.integer("--ep-size"),
            "contextLength": arguments.integer("--context-length"),
        }
        found |= {name: size for name, size in sizes.items() if size is not None and size > 0}
        fraction = arguments.text("--mem-fraction-static") or ""
        if _FRACTION.fullmatch(fraction) and float(fraction) > 0:
            found["memFractionStatic"] = fraction
        return found

    def leave_the_rest(self) -> None:
        """Say of every flag that was not used why not."""
        dropped: dict[str, list[str]] = {}
        for name in self.launch.flags:
            if name not in self.used:
                dropped.setdefault(self._reason(name), []).append(name)
        self.remarks += [f"left out, {reason}: {', '.join(names)}" for reason, names in dropped.items()]

    def _reason(self, name: str) -> str:
        if name in _CLIENT_SIDE:
            return _CLIENT_SIDE[name]
        if name.startswith(_ROUTER):
            return _ROUTER_REASON
        subject = SUBJECTS.get(name)
        if subject is not None:
            return f"training only ({subject})"
        if name in catalogue(self.release).spellings or name in TRANSLATIONS:
            return f"read by the trainer, as SGLang's flags begin with {_PREFIX} in SLIME"
        return "not known here"

    def _value(self, name: str) -> str | None:
        """The last value of a flag, taken note of as used."""
        flag = self.launch.flags.get(name)
        if flag is None:
            return None
        self.used.add(name)
        return flag.values[-1] if flag.values else ""

    def _integer(self, name: str) -> int | None:
        flag = self.launch.flags.get(name)
        value = self._value(name)
        if flag is None or value is None:
            return None
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
            why = f": {'; '.join(flag.unknown)}" if flag.unknown else ""
            self.remarks.append(f"{name} {value} could not be read{why}")
            return None
        return int(value) or None
