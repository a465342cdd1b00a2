"""The catalogues of flags: what is in them, and that nothing can change them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from heterollm_controllers.sglang.flags.catalogue import (
    DEFAULT_RELEASE,
    UnknownRelease,
    catalogue,
    order,
    releases,
)

NEEDED_TO_SIZE = (
    "--chunked-prefill-size",
    "--context-length",
    "--cuda-graph-backend-decode",
    "--cuda-graph-max-bs-decode",
    "--device",
    "--disable-decode-cuda-graph",
    "--dp-size",
    "--enable-dp-attention",
    "--ep-size",
    "--kv-cache-dtype",
    "--max-running-requests",
    "--max-total-tokens",
    "--mem-fraction-static",
    "--moe-a2a-backend",
    "--moe-dense-tp-size",
    "--page-size",
    "--pp-size",
    "--quantization",
    "--tp-size",
)


def test_two_releases_at_least_oldest_first() -> None:
    assert len(releases()) >= 2
    assert list(releases()) == sorted(releases(), key=order)
    assert DEFAULT_RELEASE in releases()


def test_releases_sort_as_numbers() -> None:
    assert order("0.5.9") < order("0.5.19") < order("0.6.0")


@pytest.mark.parametrize("release", releases())
@pytest.mark.parametrize("flag", NEEDED_TO_SIZE)
def test_every_release_has_what_sizing_reads(release: str, flag: str) -> None:
    assert catalogue(release).flags[flag].name == flag


@pytest.mark.parametrize("release", releases())
def test_a_spelling_belongs_to_one_flag(release: str) -> None:
    known = catalogue(release)
    spellings = [spelling for flag in known.flags.values() for spelling in (flag.name, *flag.aliases)]
    assert len(spellings) == len(set(spellings)) == len(known.spellings)


def test_an_unknown_release_is_refused_by_name() -> None:
    with pytest.raises(UnknownRelease, match=rf"0\.4\.0; known releases: .*{DEFAULT_RELEASE}"):
        catalogue("0.4.0")


@pytest.mark.parametrize("release", ["", "../x", "0.5.23/../0.5.23"])
def test_a_release_is_never_a_path(release: str) -> None:
    with pytest.raises(UnknownRelease):
        catalogue(release)


def test_a_catalogue_is_read_once() -> None:
    assert catalogue(DEFAULT_RELEASE) is catalogue(DEFAULT_RELEASE)


def test_a_catalogue_cannot_be_changed() -> None:
    known: Any = catalogue(DEFAULT_RELEASE)
    with pytest.raises(TypeError):
        known.flags["--x"] = known.flags["--tp-size"]
    with pytest.raises(TypeError):
        del known.spellings["--tp-size"]
    with pytest.raises(FrozenInstanceError):
        known.flags["--tp-size"].name = "--x"
    for flag in known.flags.values():
        assert isinstance(hash(flag), int)  # lists inside would not hash
