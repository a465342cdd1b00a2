"""What a bash script would call a program with, as far as that can be told without running anything."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from heterollm_cli.slime.bash_words import Array, Part, Statement, Word, statements

__all__ = ["Argument", "Call", "Script", "read_bash"]

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=")
_REFERENCE = re.compile(r"([A-Za-z_]\w*)(\[[@*]\])?(?::?[-=](.*))?", re.DOTALL)
_DECLARING = ("export", "declare", "local", "readonly", "typeset")
_OPENING = ("if", "for", "while", "until", "case", "select", "{")
_CLOSING = ("fi", "done", "esac", "}")
_SEQUENCE = re.compile(r"seq((?:\s+-?\d{1,9}){1,3})")
_LONGEST_SEQUENCE = 1000


@dataclass(frozen=True)
class Argument:
    """One argument, with what is uncertain of it."""

    text: str
    unknown: frozenset[str] = frozenset()
    """Why parts of it are not known; they stand in the text as in the script."""
    doubts: frozenset[str] = frozenset()
    """What was assumed."""


@dataclass(frozen=True)
class Call:
    """One command as the script would give it."""

    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Script:
    """What a script holds."""

    calls: tuple[Call, ...]
    arrays: Mapping[str, tuple[Argument, ...]]
    sourced: tuple[str, ...]
    """Other scripts that it reads; they are not followed."""


def read_bash(text: str) -> Script:
    """Read a script.

    Raises:
        UnreadableScript: it is not a script that bash would read.
    """
    shell = _Shell()
    for statement in statements(text):
        shell.take(statement)
    return Script(tuple(shell.calls), MappingProxyType(shell.arrays), tuple(shell.sourced))


@dataclass
class _Shell:
    scalars: dict[str, Argument] = field(default_factory=dict)
    arrays: dict[str, tuple[Argument, ...]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    sourced: list[str] = field(default_factory=list)
    depth: int = 0
    """Blocks (if, for, functions) around the statement: what is assigned there may not be."""

    def take(self, statement: Statement) -> None:
        items = list(self._without_keywords(statement.items))
        sure = self.depth == 0 and statement.after not in ("&&", "||")
        if items and isinstance(items[0], Word) and items[0].plain in _DECLARING:
            for item in items[1:]:
                self._assign(item, sure)
            return
        while items and self._assign(items[0], sure):
            items.pop(0)
        words = [item for item in items if isinstance(item, Word)]
        if words:
            self._call(words)

    def _without_keywords(self, items: Iterable[Word | Array]) -> Iterable[Word | Array]:
        """The statement without what only says whether it runs."""
        leading = True
        for item in items:
            word = item.plain if leading and isinstance(item, Word) else ""
            self.depth = max(0, self.depth + (word in _OPENING) - (word in _CLOSING))
            leading = word in (*_OPENING, *_CLOSING, "then", "else", "elif", "do", "!", "time", "[[", "[")
            if not leading:
                yield item

    def _assign(self, item: Word | Array, sure: bool) -> bool:
        """Take an assignment; False if it is none."""
        if isinstance(item, Array):
            before = self.arrays.get(item.name, ()) if item.appended else ()
            self.arrays[item.name] = (*before, *self._marked(item.name, sure, self.expand(item.words)))
            self.scalars.pop(item.name, None)
            return True
        first = item.parts[0] if item.parts else None
        match = _ASSIGNMENT.match(first.text) if first is not None and first.kind == "text" else None
        if first is None or match is None or first.quoted:
            return False
        rest = (Part("text", first.text[match.end() :], quoted=True), *item.parts[1:])
        value = _joined(self.expand([Word(tuple(Part(part.kind, part.text, quoted=True) for part in rest))]))
        if match[2]:
            value = _joined([*self._lookup(match[1], ""), value], between="")
        self.scalars[match[1]] = next(iter(self._marked(match[1], sure, [value])))
        self.arrays.pop(match[1], None)
        return True

    @staticmethod
    def _marked(name: str, sure: bool, values: Iterable[Argument]) -> list[Argument]:
        doubt: frozenset[str] = (
            frozenset() if sure else frozenset({f"{name} is set under a condition, which was taken to hold"})
        )
        return [Argument(value.text, value.unknown, value.doubts | doubt) for value in values]

    def _call(self, words: list[Word]) -> None:
        arguments = tuple(self.expand(words))
        if not arguments:
            return
        if arguments[0].text in ("source", ".") and len(arguments) > 1:
            self.sourced.append(arguments[1].text)
        self.calls.append(Call(arguments))

    def expand(self, words: Iterable[Word]) -> list[Argument]:
        """Arguments that words become."""
        return [argument for word in words for argument in self._expand(word)]

    def _expand(self, word: Word) -> list[Argument]:
        fields = [Argument("")]
        stays = [False]  # an empty field stays only if it was quoted
        for part in word.parts:
            values = self._values(part)
            first, *rest = values or [Argument("")]
            fields[-1] = _joined([fields[-1], first], between="")
            stays[-1] = stays[-1] or (part.quoted and bool(values))
            fields += rest
            stays += [part.quoted] * len(rest)
        return [made for made, stay in zip(fields, stays, strict=True) if made.text or stay]

    def _values(self, part: Part) -> list[Argument]:
        """What one part becomes: several where an array or unquoted blanks split it."""
        if part.kind == "text":
            return [Argument(part.text)]
        if part.kind == "variable":
            return self._variable(part.text, part.quoted)
        found = self._arithmetic(part.text) if part.kind == "arithmetic" else _output(part.text)
        return [found] if part.quoted else _split(found)

    def _variable(self, inner: str, quoted: bool) -> list[Argument]:
        match = _REFERENCE.fullmatch(inner)
        if match is None:
            return [_unknown(f"${{{inner}}}", f"${{{inner}}} was not worked out")]
        name, every, default = match.groups()
        found = self._lookup(name, every or "")
        if default is not None and not any(value.text for value in found):
            return self._default(default, quoted)
        if name not in self.scalars and name not in self.arrays:
            return [_unknown(f"${{{inner}}}", f"{name} is not set in the script")]
        return found if quoted else [piece for value in found for piece in _split(value)]

    def _lookup(self, name: str, every: str) -> list[Argument]:
        if name in self.arrays:
            values = list(self.arrays[name])
            return values if every else values[:1]
        return [self.scalars[name]] if name in self.scalars else []

    def _default(self, text: str, quoted: bool) -> list[Argument]:
        words = [item for statement in statements(text) for item in statement.items if isinstance(item, Word)]
        values = self.expand(words)
        return [_joined(values)] if quoted else values

    def _arithmetic(self, text: str) -> Argument:
        """$(( ... )) of whole numbers."""
        names = {name: self._lookup(name, "") for name in re.findall(r"[A-Za-z_]\w*", text)}
        known = {name: values[0].text for name, values in names.items() if values and values[0].text.isdigit()}
        doubts = frozenset(doubt for values in names.values() for value in values for doubt in value.doubts)
        plain = re.sub(r"\$?\{?([A-Za-z_]\w*)\}?", lambda match: known.get(match[1], match[0]), text)
        try:
            return Argument(str(_evaluate(ast.parse(plain.strip(), mode="eval").body)), doubts=doubts)
        except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
            return _unknown(f"$(({text}))", f"$(({text})) was not worked out")


_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.floordiv,
        ast.Mod: operator.mod,
    }
)


def _evaluate(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_evaluate(node.left), _evaluate(node.right))
    raise ValueError("not arithmetic of whole numbers")


def _output(command: str) -> Argument:
    """$( ... ): only `seq` is known here, everything else would have to run."""
    sequence = _SEQUENCE.fullmatch(command.strip())
    if sequence:
        numbers = [int(number) for number in sequence[1].split()]
        first, step, last = [(1, 1, *numbers), (numbers[0], 1, numbers[-1]), tuple(numbers)][len(numbers) - 1]
        values = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
        if 0 < len(values) <= _LONGEST_SEQUENCE:
            return Argument(" ".join(map(str, values)))
    return _unknown(f"$({command})", f"$({command}) would have to run")


def _unknown(text: str, why: str) -> Argument:
    return Argument(text, unknown=frozenset({why}))


def _joined(arguments: Iterable[Argument], between: str = " ") -> Argument:
    several = list(arguments)
    return Argument(
        between.join(argument.text for argument in several),
        frozenset(why for argument in several for why in argument.unknown),
        frozenset(doubt for argument in several for doubt in argument.doubts),
    )


def _split(argument: Argument) -> list[Argument]:
    """At blanks, as bash splits what is put in without quotation marks. What is unknown stays in one piece."""
    if argument.unknown:
        return [argument]
    return [Argument(piece, doubts=argument.doubts) for piece in re.split(r"[ \t\n]+", argument.text)]
