"""Write the tables of docs/rolling.md from the list of edits: `python -m tests.core.rolling_page`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from heterollm_controllers.api.installation import Config
from heterollm_controllers.engines.revisions import choose
from tests.core.builders import cluster, spec
from tests.core.edits import Edit, Effect, Wire, pod_changes
from tests.core.field_edits import CONFIG_MAPS, EDITS

__all__ = ["PAGE", "engine_of", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "rolling.md"

_GENERATED = "<!-- From here on `make generate` writes"
"""What is above it is written by hand."""


def page() -> str:
    """The whole page, its tables anew."""
    by_hand, mark, rest = PAGE.read_text(encoding="utf-8").partition(_GENERATED)
    return "".join([by_hand, mark, *rest.splitlines(keepends=True)[:1], *_tables()])


def _tables() -> Iterator[str]:
    edits = sorted(EDITS, key=lambda edit: _ORDER.index(_topic(edit.path)))
    for topic, of_topic in groupby(edits, lambda edit: _topic(edit.path)):
        yield f"\n### {topic}\n\n| field | rolls engines | what changes |\n|---|---|---|\n"
        fields: dict[str, list[Edit]] = {}
        for edit in of_topic:
            fields.setdefault(edit.path, []).append(edit)
        yield from (_row(path, fields[path]) for path in sorted(fields))


def _topic(path: str) -> str:
    """The part of the spec that a field belongs to: of tiers one level more."""
    parts = path.split(".")
    return (
        ".".join(parts[:2] if parts[0] == "tiers[]" and len(parts) > 2 else parts[: len(parts) - 1][:1]) or "the rest"
    )


_ORDER = list(dict.fromkeys(_topic(edit.path) for edit in EDITS))


def _row(path: str, edits: list[Edit]) -> str:
    rolls = [edit for edit in edits if edit.effect.rolls]
    in_place = [edit.effect.words for edit in edits if not edit.effect.rolls]
    answer = ("if they come out different" if in_place else "yes") if rolls else "no"
    what = "; else ".join([*map(_of_pods, rolls), *in_place])
    return f"| `{path}` | {answer} | {what} |\n"


def _of_pods(edit: Edit) -> str:
    if edit.effect is Effect.RENAMED:
        return edit.effect.words
    return ", ".join(f"`{part}`" for part in pod_changes(engine_of(edit.before), engine_of(edit.after)))


def engine_of(wanted: Wire) -> Wire:
    """The StatefulSet of an engine of the first tier, as a new cluster gets it."""
    parsed = spec(*wanted["tiers"], **{key: value for key, value in wanted.items() if key != "tiers"})
    chosen = choose(cluster(), parsed, parsed.engine_tiers[0], [], None, Config(), CONFIG_MAPS)
    return chosen.revision.engine


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
