"""Words of a script become the arguments that bash itself would make of them, where nothing has to run."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heterollm_cli.slime.bash_script import Argument, read_bash
from heterollm_cli.slime.bash_words import UnreadableScript
from tests.core.properties import quick

SAME_AS_BASH = {
    "blanks": "launch a  b\t c",
    "single quotes": """launch 'a b' '$X' 'a\\b'""",
    "double quotes": """launch "a b" "a\\"b" "a\\\\b" "a\\b" """,
    "quotes inside a word": """launch a'b c'd"e f"g""",
    "an empty word": """launch "" '' a""",
    "escapes": "launch a\\ b \\' \\$X a\\b",
    "a dollar by itself": 'launch $ a$ "$" "a $ b"',
    "comments": "launch a # b\n# launch x\nlaunch a#b '#c' # 'd\n",
    "continued lines": "launch a \\\n  b\\\nc \\\n# no\n",
    "continued lines of Windows": "launch a \\\r\n  b\r\n",
    "several on a line": "launch a; launch b && launch c || true; true & launch d | cat",
    "a variable": 'X=1; launch $X ${X} "$X" a${X}b "a${X}b"',
    "a variable with blanks": "X=' a  b '; launch $X \"$X\" x${X}y",
    "an empty variable": 'X=; launch $X a "$X"',
    "a variable of a variable": 'A=/data; B="$A/x"; A=/other; launch $B',
    "a default": "launch ${UNSET_HERE:-a b} ${UNSET_HERE:-'c d'} \"${UNSET_HERE:-e f}\"",
    "a default that is not needed": "X=1; launch ${X:-2}",
    "a default of a default": "Y=3; launch ${UNSET_HERE:-${ALSO_UNSET:-$Y}}",
    "an empty variable has a default": "X=''; launch ${X:-2}",
    "export": "export X=1 Y='a b'; launch $X \"$Y\"",
    "declare": "declare -r X=1; readonly Y=2; launch $X $Y",
    "appending to text": "X=a; X+=b; launch $X",
    "an assignment before a command": "X=1 launch a",
    "an array": 'A=(a "b c" d); launch ${A[@]} "${A[@]}"',
    "an array over lines": "A=(\n  --a 1 # one\n  #--b 2\n\n  --c\n)\nlaunch ${A[@]}",
    "an empty array": 'A=(); launch ${A[@]} "${A[@]}" x',
    "an array of variables": 'X=1; A=(--a $X "--b=$X"); X=2; launch "${A[@]}"',
    "appending to an array": "A=(a); A+=(b c); launch ${A[@]}",
    "the first of an array": "A=(a b); launch $A",
    "a declared array": "declare -a A=(a b); launch ${A[@]}",
    "arithmetic": "N=4; launch $((8 * N)) $((8*$N+1)) $(( (2+3)*4 % 7 )) $((16/${N}))",
    "numbers in sequence": "launch $(seq 3) $(seq 2 4) $(seq 16 8 40) $(seq 3 -1 1)",
    "output sent elsewhere": "launch a 3>&1 2>/dev/null b 3>>/dev/null </dev/null c <<<x d",
    "a here-document": "cat >/dev/null <<END\nlaunch x 'y\nEND\nlaunch a",
    "an indented here-document": "cat >/dev/null <<-'END'\n\tlaunch x \"y\n\tEND\nlaunch a",
    "brackets in text": 'launch "(a" "b)" {a} \'{"k": [1]}\'',
    "a block": "if true; then launch a; fi; for i in 1; do launch b; done; { launch c; }",
    "tests": '[ -n "x" ] && launch a; [[ 1 == 1 ]] && launch b',
}


def by_bash(script: str) -> list[list[str]]:
    """The arguments of every call of `launch`."""
    function = "launch() { for word in \"$@\"; do printf '%s\\0' \"$word\"; done; printf '\\1'; }\n"
    bare = {"PATH": os.environ["PATH"]}
    run = subprocess.run(["bash", "-c", function + script], capture_output=True, text=True, check=True, env=bare)
    return [call.split("\0")[:-1] for call in run.stdout.split("\1")[:-1]]


def by_us(script: str) -> list[list[str]]:
    calls = [call.arguments for call in read_bash(script).calls if call.arguments[0].text == "launch"]
    assert not any(argument.unknown for call in calls for argument in call)
    return [[argument.text for argument in call[1:]] for call in calls]


@pytest.mark.parametrize("script", SAME_AS_BASH.values(), ids=SAME_AS_BASH.keys())
def test_same_as_bash(script: str) -> None:
    # bash reads Windows line ends as text; scripts edited there mean line ends.
    assert by_us(script) == by_bash(script.replace("\r\n", "\n")) != []


PIECES = st.sampled_from(["a", "b c", "'", '"', "\\", "$X", "${X}", "${Y:-d e}", "#", " ", "  ", '"$X"', "'$X'", "="])


@quick(examples=60)
@given(st.lists(PIECES, min_size=1, max_size=10))
def test_any_quotation(pieces: list[str]) -> None:
    script = "X='1  2'\nlaunch " + "".join(pieces)
    assume("$'" not in script and '$"' not in script)
    try:
        arguments = read_bash(script).calls[-1].arguments
    except UnreadableScript:
        with pytest.raises(subprocess.CalledProcessError):
            by_bash(script)
        return
    assume(not any(argument.unknown for argument in arguments))
    assert [[argument.text for argument in arguments[1:]]] == by_bash(script)


@pytest.mark.parametrize(
    ("script", "text", "why"),
    [
        ("launch $X", "${X}", "X is not set in the script"),
        ("launch ${X}/y", "${X}/y", "X is not set in the script"),
        ("launch ${X[@]}", "${X[@]}", "X is not set in the script"),
        ("launch $1", "${1}", "${1} was not worked out"),
        ("X=abc; launch ${X%c}", "${X%c}", "${X%c} was not worked out"),
        ("launch $(hostname -I)", "$(hostname -I)", "$(hostname -I) would have to run"),
        ("launch `hostname`", "$(hostname)", "$(hostname) would have to run"),
        ("launch $(seq 1 0 3)", "$(seq 1 0 3)", "$(seq 1 0 3) would have to run"),
        ("launch $(seq 999999999)", "$(seq 999999999)", "$(seq 999999999) would have to run"),
        ("launch $((X * 2))", "$((X * 2))", "$((X * 2)) was not worked out"),
        ("launch $((1 / 0))", "$((1 / 0))", "$((1 / 0)) was not worked out"),
        ("launch $((9 ** 9))", "$((9 ** 9))", "$((9 ** 9)) was not worked out"),
        ('N=$(nproc); launch "$N"', "$(nproc)", "$(nproc) would have to run"),
        ('D=$BASE/x; launch "$D"', "${BASE}/x", "BASE is not set in the script"),
    ],
)
def test_what_would_have_to_run_is_named(script: str, text: str, why: str) -> None:
    assert read_bash(script).calls[-1].arguments[1] == Argument(text, unknown=frozenset({why}))


@pytest.mark.parametrize(
    "script",
    [
        "if test -d /x; then\n  N=2\nfi\nlaunch $N",
        "N=1\ntest -d /x && N=2\nlaunch $N",
        "f() {\n  N=2\n}\nlaunch $N",
        "for i in a b; do N=2; done; launch $N",
        "if test -d /x; then A=(2); fi; launch ${A[@]}",
    ],
)
def test_what_is_set_under_a_condition_is_a_doubt(script: str) -> None:
    arguments = read_bash(script).calls[-1].arguments
    (doubt,) = arguments[1].doubts
    assert arguments[1].text == "2"
    assert re.fullmatch(r"[NA] is set under a condition, which was taken to hold", doubt)


def test_after_a_condition_all_is_sure_again() -> None:
    script = "if true; then X=1; fi\nf() { :; }\nfor i in 1; do :; done\nN=2\nlaunch $N"
    assert read_bash(script).calls[-1].arguments[1] == Argument("2")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("a\nb 'c\nd", "line 2: the quotation that begins here never ends"),
        ('a\n\nb "c', "line 3: the quotation that begins here never ends"),
        ("A=(\n  --x\n", "line 1: the array that begins here never ends"),
        ("a $(b", "line 1: the bracket that begins here never ends"),
        ("a ${b", "line 1: the bracket that begins here never ends"),
        ("a `b", "line 1: the command that begins here never ends"),
    ],
)
def test_what_never_ends_is_found_by_its_line(script: str, message: str) -> None:
    with pytest.raises(UnreadableScript) as error:
        read_bash(script)
    assert str(error.value) == message


@quick(examples=500)
@given(st.text(alphabet="ab1 \n\t\r'\"\\$(){}[]<>|&;#`=+-@*:!~,", max_size=60) | st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UnreadableScript):
        read_bash(text)


def test_output_sent_elsewhere_is_no_argument() -> None:
    calls = read_bash("launch a &>/dev/null; launch b > >(tee log) 2>&1 | tee log").calls
    assert [[argument.text for argument in call.arguments] for call in calls] == [
        ["launch", "a"],
        ["launch", "b"],
        ["tee", "log"],
    ]
