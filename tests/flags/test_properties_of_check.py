"""Whatever is given: `check` answers, what it accepts it accepts again unchanged, and nothing is lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.sglang.flags.arguments import Arguments, check
from heterollm_controllers.sglang.flags.catalogue import catalogue, releases
from heterollm_controllers.sglang.flags.owned import OWNED
from heterollm_controllers.sglang.flags.training import SUBJECTS
from heterollm_controllers.sglang.flags.translations import TRANSLATIONS
from tests.core.properties import quick

SPELLINGS = sorted({spelling for release in releases() for spelling in catalogue(release).spellings})
WORDS = (
    st.text(max_size=12)
    | st.sampled_from([*SPELLINGS, *TRANSLATIONS, *SUBJECTS])
    | st.sampled_from(
        ["1", "-1", "0.5", "deepep", "in-seq-split", "$(X)", "--sim-x", "--sglang-tp-size", "", "-", "--"]
    )
    | st.builds("{}={}".format, st.sampled_from([*SPELLINGS, *TRANSLATIONS]), st.text(max_size=5))
    | st.builds("--sglang-{}".format, st.sampled_from([name[2:] for name in [*SPELLINGS, *TRANSLATIONS]]))
)
ARGS = st.lists(WORDS, max_size=10)
RELEASES = st.sampled_from(releases())
SIZES = st.none() | st.integers(1, 64)


def answered(args: list[str], release: str, tp: int | None) -> Arguments:
    answer = check(args, release, tp)
    assert all(isinstance(line, str) and line.strip() for line in (*answer.errors, *answer.warnings))
    return answer


@quick(examples=500)
@given(ARGS, RELEASES, SIZES)
def test_it_always_answers(args: list[str], release: str, tp: int | None) -> None:
    answered(args, release, tp)


@quick(examples=500)
@given(ARGS, RELEASES, SIZES)
def test_what_is_in_order_stays_as_it_is(args: list[str], release: str, tp: int | None) -> None:
    answer = answered(args, release, tp)
    again = answered(list(answer.args), release, tp)
    assert (again.args, again.errors, again.warnings) == (answer.args, (), ())
    assert dict(again.values) == dict(answer.values)


@quick(examples=300)
@given(ARGS, RELEASES)
def test_only_flags_of_the_release_are_passed_on(args: list[str], release: str) -> None:
    answer = answered(args, release, None)
    known = catalogue(release)
    assert answer.values.keys() <= known.flags.keys() - OWNED.keys()
    assert all(name in known.flags or name.startswith("--sim-") for name, _ in answer.flags)


@quick(examples=300)
@given(ARGS, RELEASES)
def test_arguments_less_some_flags(args: list[str], release: str) -> None:
    answer = answered(args, release, None)
    names = [name for name, _ in answer.flags]
    left = check(answer.without(names[:1]), release)
    assert left.values.keys() == answer.values.keys() - {*names[:1]}
