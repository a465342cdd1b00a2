"""The version of the routing policy grows when its content changes, and never otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.api.v1alpha1.status import RoutingStatus
from heterollm_controllers.routing.versioning import Publication, publish
from tests.core.properties import quick


def files(content: str) -> Callable[[int], dict[str, str]]:
    return lambda version: {"a.json": f"{content} at {version}", "b.json": "same"}


def data(publication: Publication) -> dict[str, str]:
    return {"version": str(publication.version), **publication.files}


def recorded(publication: Publication) -> RoutingStatus:
    return RoutingStatus(url="", policy_version=publication.version, policy_digest=publication.digest, routers=0)


ONE = publish(files("x"), {}, None)


def test_first_policy_is_version_one() -> None:
    assert ONE.version == 1
    assert ONE.files == {"a.json": "x at 1", "b.json": "same"}


def test_unchanged_content_keeps_its_version() -> None:
    assert publish(files("x"), data(ONE), recorded(ONE)) == ONE


def test_changed_content_is_the_next_version() -> None:
    assert publish(files("y"), data(ONE), recorded(ONE)).version == 2


def test_recorded_but_not_applied_is_the_same_version_again() -> None:
    two = publish(files("y"), data(ONE), recorded(ONE))
    assert publish(files("y"), data(ONE), recorded(two)) == two
    assert publish(files("x"), {}, recorded(ONE)) == ONE


def test_recorded_but_not_applied_is_not_reused_for_other_content() -> None:
    """The view may be stale: routers may have taken version 2 with y already."""
    two = publish(files("y"), data(ONE), recorded(ONE))
    assert publish(files("z"), data(ONE), recorded(two)).version == 3


def test_stale_map_that_happens_to_fit_is_not_believed() -> None:
    """Version 2 with y may be out, though the view shows version 1 with the x that is wanted again."""
    two = publish(files("y"), data(ONE), recorded(ONE))
    assert publish(files("x"), data(ONE), recorded(two)).version == 3


def test_deleted_map_comes_back_as_it_was() -> None:
    assert publish(files("x"), {}, recorded(ONE)) == ONE


def test_edited_content_is_published_under_a_version_that_routers_have_not_seen() -> None:
    edited = {**data(ONE), "a.json": "broken"}
    assert publish(files("x"), edited, recorded(ONE)).version == 2


def test_keys_of_others_do_not_matter() -> None:
    assert publish(files("x"), {**data(ONE), "theirs": "1"}, recorded(ONE)) == ONE


@pytest.mark.parametrize("text", ["", "abc", "-1", "1.5", " 1"])
def test_edited_version_is_put_right(text: str) -> None:
    assert publish(files("x"), {**data(ONE), "version": text}, recorded(ONE)) == ONE


def test_lost_status_does_not_set_the_version_back() -> None:
    nine = Publication(9, files("x")(9), "")
    assert publish(files("x"), data(nine), None).version == 9
    assert publish(files("y"), data(nine), None).version == 10


@quick()
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.booleans(), st.booleans()), max_size=20))
def test_a_version_never_stands_for_two_contents(steps: list[tuple[str, bool, bool]]) -> None:
    """Whatever is applied or lost after it was recorded, and however often the map is deleted."""
    live: dict[str, str] = {}
    status: RoutingStatus | None = None
    taken: dict[int, str] = {}
    newest = 0
    for content, applied, deleted in steps:
        result = publish(files(content), live, status)
        status = recorded(result)
        if applied:
            live = data(result)
            assert result.version >= newest
            assert taken.setdefault(result.version, content) == content
            newest = result.version
        if deleted:
            live = {}
