"""The command line of an engine: derived flags, and what the user gives instead."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api.installation import Config
from heterollm_controllers.sglang.launch import launch_args, model_folder
from heterollm_controllers.sizing import size
from tests.core.builders import tier


def flags(api_key: bool = False, **fields: Any) -> list[str]:
    subject = tier(**fields)
    return launch_args("demo", "team", Config(), subject, size(subject), api_key)


def value(args: list[str], flag: str) -> str:
    assert args.count(flag) == 1, args
    return args[args.index(flag) + 1]


def test_plain_engine() -> None:
    labels = '{"heterollm_cluster":"demo","heterollm_namespace":"team","heterollm_tier":"small"}'
    assert flags() == [
        *("--model-path", "org/small"),
        *("--served-model-name", "org/small"),
        *("--host", "0.0.0.0"),
        *("--port", "30000"),
        *("--tp-size", "1"),
        "--enable-metrics",
        *("--extra-metric-labels", labels),
    ]


@pytest.mark.parametrize(
    ("fields", "flag", "expected"),
    [
        ({"engine": {"gpus": 4}}, "--tp-size", "4"),
        ({"engine": {"memFractionStatic": "0.7"}}, "--mem-fraction-static", "0.7"),
        ({"engine": {"contextLength": 4096}}, "--context-length", "4096"),
        ({"engine": {"gpus": 4, "attentionDataParallel": 2}}, "--attn-dp-size", "2"),
        ({"engine": {"gpus": 4, "expertParallel": 4}}, "--ep-size", "4"),
        ({"model": {"id": "m", "source": {"hub": {"revision": "v2"}}}}, "--revision", "v2"),
        ({"model": {"id": "org/m"}}, "--served-model-name", "org/m"),
        ({"engine": {"gpus": 16}}, "--nnodes", "2"),
        ({"engine": {"gpus": 16}}, "--node-rank", "$(NODE_RANK)"),
        ({"engine": {"gpus": 16}}, "--dist-init-addr", "$(ENGINE)-0.demo-small-engines.team.svc.cluster.local:5000"),
        ({"api_key": True}, "--api-key", "$(API_KEY)"),
    ],
)
def test_each_setting_has_its_flag(fields: dict[str, Any], flag: str, expected: str) -> None:
    assert value(flags(**fields), flag) == expected
    assert flag not in flags() or flags()[flags().index(flag) + 1] != expected


@pytest.mark.parametrize("setting", ["attentionDataParallel", "expertParallel"])
def test_parallelism_of_one_is_not_spelled_out(setting: str) -> None:
    assert flags(engine={setting: 1}) == flags()


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        (None, "org/m"),
        ({"hub": {}}, "org/m"),
        ({"pvc": {"claimName": "c"}}, "/models"),
        ({"pvc": {"claimName": "c", "path": "/qwen//4b/"}}, "/models/qwen/4b"),
        ({"hostPath": {"path": "/srv/weights"}}, "/models"),
    ],
)
def test_model_folder_follows_the_source(source: dict[str, Any] | None, folder: str) -> None:
    model = {"id": "org/m", "source": source}
    assert model_folder(tier(model=model)) == folder
    assert value(flags(model=model), "--model-path") == folder
    assert value(flags(model=model), "--served-model-name") == "org/m"


@pytest.mark.parametrize(
    ("args", "replaced"),
    [
        (["--mem-fraction-static", "0.9"], "--mem-fraction-static"),
        (["--mem-fraction-static=0.9"], "--mem-fraction-static"),
        (["--tp-size", "16"], "--tp-size"),
        (["--ep-size", "4"], "--ep-size"),
        (["--expert-parallel-size=2"], "--ep-size"),
        (["--model", "other"], "--model-path"),
        (["--served-model-name", "alias"], "--served-model-name"),
    ],
)
def test_the_users_flag_replaces_ours_whatever_its_spelling(args: list[str], replaced: str) -> None:
    engine = {"gpus": 16, "expertParallel": 2, "memFractionStatic": "0.5"}
    derived = flags(engine=engine)
    assert replaced in derived
    result = flags(engine={**engine, "args": args})
    assert result[-len(args) :] == args
    assert replaced not in result[: -len(args)]
    gone = derived.index(replaced)
    assert result[: -len(args)] == derived[:gone] + derived[gone + 2 :]


def test_a_replaced_switch_takes_no_value_with_it() -> None:
    assert flags(engine={"args": ["--enable-metrics"]}) == [
        *(part for part in flags() if part != "--enable-metrics"),
        "--enable-metrics",
    ]


def test_values_that_look_like_flags_of_ours_replace_nothing() -> None:
    result = flags(engine={"args": ["--chat-template", "tp-size"]})
    assert result == [*flags(), "--chat-template", "tp-size"]


def test_the_users_arguments_keep_their_order() -> None:
    args = ["--watchdog-timeout", "2", "--enable-mixed-chunk", "--log-level=info", "--random-seed", "4"]
    assert flags(engine={"args": args})[-6:] == args
