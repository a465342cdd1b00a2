"""The words of a bash script: enough of the grammar to read assignments and commands, and nothing is ever run."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Array", "Part", "Statement", "UnreadableScript", "Word", "statements"]

_ARRAY = re.compile(r"([A-Za-z_]\w*)(\+?)=\(")
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(['\"]?)([A-Za-z_]\w*)\2")
_REDIRECTION = re.compile(r"\d*(?:<<<|&>>|&>|>>|>&|<&|>\||<>|<|>)[ \t]*&?")
_BLANK = " \t\r"
_ENDS_WORD = " \t\r\n;&|()<>"


class UnreadableScript(ValueError):
    """The script cannot be read; the message says where and why."""


@dataclass(frozen=True)
class Part:
    """A piece of a word: text as it stands ("text"), or what the shell would put in its place."""

    kind: str
    """text, variable (what stands in ${...}), command (in $(...)) or arithmetic (in $((...)))."""
    text: str
    quoted: bool


@dataclass(frozen=True)
class Word:
    """One word."""

    parts: tuple[Part, ...]

    @property
    def plain(self) -> str:
        """Its text where nothing has to be put in, else the empty string."""
        return "".join(part.text for part in self.parts) if all(part.kind == "text" for part in self.parts) else ""


@dataclass(frozen=True)
class Array:
    """NAME=( ... )."""

    name: str
    appended: bool
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Statement:
    """A simple command with its assignments."""

    items: tuple[Word | Array, ...]
    after: str
    """What stood before it: a line end, ;, &&, ||, | or &."""


def statements(script: str) -> list[Statement]:
    """All simple commands in the order they stand, whatever would decide whether they run.

    Raises:
        UnreadableScript: a quotation or a bracket never ends.
    """
    return _Reader(script.replace("\r\n", "\n")).statements()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._heredocs: list[tuple[bool, str]] = []

    def statements(self) -> list[Statement]:
        found: list[Statement] = []
        items: list[Word | Array] = []
        after = "\n"
        while self._at < len(self._text):
            separator = self._separator()
            if separator:
                if items:
                    found.append(Statement(tuple(items), after))
                items, after = [], separator
            else:
                items += self._item()
        return [*found, Statement(tuple(items), after)] if items else found

    def _separator(self) -> str:
        """Pass blanks and comments; then one separator, if there is one."""
        self._pass_blanks()
        for separator in ("&&", "||", ";;", "\n", ";", "&", "|", "(", ")"):
            if self._begins(separator) and not self._begins("&>"):
                self._at += len(separator)
                if separator == "\n":
                    self._pass_heredocs()
                return separator
        return ""

    def _pass_blanks(self) -> None:
        while self._at < len(self._text):
            if self._here in _BLANK:
                self._at += 1
            elif self._begins("\\\n"):
                self._at += 2
            elif self._here == "#":
                self._at = self._line_end()
            else:
                return

    def _pass_heredocs(self) -> None:
        for indented, end in self._heredocs:
            while self._at < len(self._text):
                line = self._text[self._at : self._line_end()]
                self._at = min(len(self._text), self._at + len(line) + 1)
                if (line.lstrip("\t") if indented else line) == end:
                    break
        self._heredocs = []

    def _item(self) -> list[Word | Array]:
        if self._at >= len(self._text):
            return []
        heredoc = _HEREDOC.match(self._text, self._at)
        if heredoc:
            self._heredocs.append((bool(heredoc[1]), heredoc[3]))
            self._at = heredoc.end()
            return []
        redirection = _REDIRECTION.match(self._text, self._at)
        if redirection:
            self._at = redirection.end()
            if self._begins("("):
                self._balanced("(", ")")
            else:
                self._word()
            return []
        array = _ARRAY.match(self._text, self._at)
        return [self._array(array)] if array else [self._word()]

    def _array(self, opening: re.Match[str]) -> Array:
        start, self._at = self._at, opening.end()
        words: list[Word] = []
        while True:
            self._pass_blanks()
            if self._at >= len(self._text):
                raise self._unended(start, "the array")
            if self._here == ")":
                self._at += 1
                return Array(opening[1], bool(opening[2]), tuple(words))
            if self._here in _ENDS_WORD:
                self._at += 1
            else:
                words.append(self._word())

    def _word(self) -> Word:
        parts: list[Part] = []
        while self._at < len(self._text) and self._here not in _ENDS_WORD:
            parts += self._piece()
        return Word(tuple(parts))

    def _piece(self) -> list[Part]:
        """What stands here outside of quotations."""
        if self._begins("$'"):
            self._at += 1
        if self._here == "'":
            return [self._single_quoted()]
        if self._begins('$"'):
            self._at += 1
        if self._here == '"':
            return self._double_quoted()
        if self._here == "\\":
            return self._escaped()
        if self._here in "$`":
            return [self._expansion(quoted=False)]
        start = self._at
        while self._at < len(self._text) and self._here not in _ENDS_WORD + "'\"\\$`":
            self._at += 1
        return [Part("text", self._text[start : self._at], quoted=False)]

    def _single_quoted(self) -> Part:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise self._unended(self._at, "the quotation")
        text, self._at = self._text[self._at + 1 : end], end + 1
        return Part("text", text, quoted=True)

    def _double_quoted(self) -> list[Part]:
        start = self._at
        self._at += 1
        parts: list[Part] = []
        while self._at < len(self._text):
            if self._here == '"':
                self._at += 1
                return parts or [Part("text", "", quoted=True)]
            if self._here == "\\" and self._text[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                parts += self._escaped()
            elif self._here in "$`":
                parts.append(self._expansion(quoted=True))
            else:
                parts.append(Part("text", self._here, quoted=True))
                self._at += 1
        raise self._unended(start, "the quotation")

    def _escaped(self) -> list[Part]:
        escaped = self._text[self._at + 1 : self._at + 2]
        self._at += 1 + len(escaped)
        return [] if escaped == "\n" else [Part("text", escaped or "\\", quoted=True)]

    def _expansion(self, quoted: bool) -> Part:
        if self._here == "`":
            end = self._text.find("`", self._at + 1)
            if end < 0:
                raise self._unended(self._at, "the command")
            text, self._at = self._text[self._at + 1 : end], end + 1
            return Part("command", text, quoted)
        self._at += 1
        if self._begins("(("):
            return Part("arithmetic", self._balanced("(", ")")[1:-1], quoted)
        if self._begins("("):
            return Part("command", self._balanced("(", ")"), quoted)
        if self._begins("{"):
            return Part("variable", self._balanced("{", "}"), quoted)
        name = _NAME.match(self._text, self._at)
        if name is None:
            return Part("text", "$", quoted)
        self._at = name.end()
        return Part("variable", name[0], quoted)

    def _balanced(self, opening: str, closing: str) -> str:
        """What stands between the brackets here, which are passed. Brackets in quotations do not count."""
        start, depth = self._at, 0
        while self._at < len(self._text):
            here = self._here
            if here == "\\":
                self._at += 1
            elif here == "'":
                self._single_quoted()
                continue
            elif here == '"':
                self._double_quoted()
                continue
            depth += (here == opening) - (here == closing)
            self._at += 1
            if depth == 0:
                return self._text[start + 1 : self._at - 1]
        raise self._unended(start, "the bracket")

    def _line_end(self) -> int:
        end = self._text.find("\n", self._at)
        return end if end >= 0 else len(self._text)

    @property
    def _here(self) -> str:
        return self._text[self._at]

    def _begins(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _unended(self, start: int, what: str) -> UnreadableScript:
        line = self._text.count("\n", 0, start) + 1
        return UnreadableScript(f"line {line}: {what} that begins here never ends")
