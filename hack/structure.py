"""How a checkout is built: rooms, arrows between them, circles, the longest functions.

A room is what lies directly in a package: a sub-package, or a module of its own (a loose one). An arrow goes from a
room to one that it imports. Upward is an arrow against the order of rooms that pyproject.toml declares to
import-linter, or, where none is declared, any arrow of a circle. Tests written in Rust are left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import grimp

PYTHON = {
    "core": "controllers/heterollm_controllers",
    "shell": "operator/heterollm_operator",
    "command line": "operator/heterollm_cli",
    "router agent": "router-image/agent/heterollm_agent",
}
RUST = {"router module": "router-image/module/src"}
LONG = 400
"""Lines of a file that is listed as a long one."""

Arrows = Counter[tuple[str, str]]


@dataclass
class Part:
    """One part of the repository. Arrows are imports of modules, counted by "from -> to"; lengths are in lines."""

    files: int = 0
    lines: int = 0
    rooms: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    arrows: dict[str, int] = field(default_factory=dict)
    upward: list[str] = field(default_factory=list)
    circles: list[list[str]] = field(default_factory=list)
    longest_function: str = ""
    longest_class: str = ""
    long_files: list[str] = field(default_factory=list)


def python_part(root: Path, folder: Path, layers: list[str]) -> Part:
    """A package, from its import graph and its syntax."""
    sys.path.insert(0, str(folder.parent))
    graph = grimp.build_graph(folder.name, cache_dir=None)
    arrows: Arrows = Counter()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            arrows[_room(module), _room(imported)] += 1
    files = sorted(folder.rglob("*.py"))
    part = _part(root, folder, files, arrows, layers)
    trees = [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in files]
    nodes = [(path, node) for path, tree in trees for node in ast.walk(tree)]
    part.longest_function = _longest(root, nodes, (ast.FunctionDef, ast.AsyncFunctionDef))
    part.longest_class = _longest(root, nodes, (ast.ClassDef,))
    return part


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _longest(root: Path, nodes: Iterable[tuple[Path, ast.AST]], kinds: tuple[type[ast.AST], ...]) -> str:
    lengths = (
        (node.end_lineno - node.lineno + 1, node.name, path)  # type: ignore[attr-defined]
        for path, node in nodes
        if isinstance(node, kinds)
    )
    return _named(root, lengths)


def _named(root: Path, lengths: Iterable[tuple[int, str, Path]]) -> str:
    lines, name, path = max(lengths, default=(0, "", root))
    return f"{lines} {name} ({path.relative_to(root)})" if lines else ""


def rust_part(root: Path, folder: Path) -> Part:
    """A crate, from its text: `crate::` paths, and braces that follow `fn`."""
    files = sorted(path for path in folder.rglob("*.rs") if path.stem != "tests")
    code = {path: _plain(path.read_text(encoding="utf-8")) for path in files}
    arrows: Arrows = Counter()
    for path, text in code.items():
        room = path.relative_to(folder).parts[0].removesuffix(".rs")
        imported = {word for names in re.findall(r"\bcrate::(\w+|\{[^}]*\})", text) for word in _heads(names)}
        arrows.update({(room, other): 1 for other in imported})
    part = _part(root, folder, files, arrows, [])
    part.longest_function = _named(root, (item for path, text in code.items() for item in _functions(path, text)))
    return part


def _plain(text: str) -> str:
    """Rust without tests, comments, and what may hold a brace that opens nothing."""
    text = text.split("#[cfg(test)]\nmod ")[0]
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r'"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\'', lambda found: "\n" * found[0].count("\n"), text)


def _heads(names: str) -> list[str]:
    return re.findall(r"(?:^|[{,])\s*(\w+)", names)


def _functions(path: Path, text: str) -> Iterator[tuple[int, str, Path]]:
    for found in re.finditer(r"\bfn (\w+)[^;{]*\{", text):
        end, depth = found.end(), 1
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield text.count("\n", found.start(), end) + 1, found[1], path


def _part(root: Path, folder: Path, files: list[Path], arrows: Arrows, layers: list[str]) -> Part:
    lengths = {str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    tops = [path.relative_to(folder).parts for path in files if path.stem not in ("__init__", "__main__", "lib")]
    folders = {parts[0] for parts in tops if len(parts) > 1}
    loose = {Path(parts[0]).stem for parts in tops if len(parts) == 1} - folders
    rooms = folders | loose
    between = Counter({pair: count for pair, count in arrows.items() if pair[0] != pair[1] and rooms.issuperset(pair)})
    circles = _circles(between)
    if layers:
        upward = [(a, b) for a, b in between if {a, b} <= {*layers} and layers.index(a) > layers.index(b)]
    else:
        upward = [(a, b) for a, b in between if any(a in circle and b in circle for circle in circles)]
    return Part(
        files=len(files),
        lines=sum(lengths.values()),
        rooms=sorted(rooms),
        loose=sorted(loose),
        arrows={f"{a} -> {b}": count for (a, b), count in sorted(between.items())},
        upward=sorted(f"{a} -> {b}" for a, b in upward),
        circles=circles,
        long_files=[f"{path} ({lines})" for path, lines in sorted(lengths.items()) if lines > LONG],
    )


def _circles(arrows: Arrows) -> list[list[str]]:
    """Rooms that import each other, directly or by way of others."""
    reach: dict[str, set[str]] = {}
    for a, b in arrows:
        reach.setdefault(a, set()).add(b)
    for _ in reach:
        for targets in reach.values():
            targets |= {further for target in targets for further in reach.get(target, ())}
    found = {frozenset(b for b in reach[a] if a in reach.get(b, ())) for a in reach}
    return sorted(sorted(circle) for circle in found if circle)


def _layers(root: Path) -> dict[str, list[str]]:
    """The declared order of rooms by package, from the top down."""
    tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
    contracts = tool.get("importlinter", {}).get("contracts", [])
    return {name: item["layers"] for item in contracts for name in item.get("containers", [])}


def _table(parts: dict[str, Part], arrows: bool) -> Iterator[str]:
    for name, part in parts.items():
        yield f"{name}: {part.files} files, {part.lines:,} lines"
        yield _row("rooms", [room if room in part.loose else f"{room}/" for room in part.rooms])
        yield _row("loose modules", part.loose, "")
        yield _row(
            "arrows between rooms", part.arrows, f"of {sum(part.arrows.values())} imports" if not arrows else None
        )
        yield _row("arrows upward", part.upward)
        yield _row("circles", [" + ".join(circle) for circle in part.circles])
        yield f"  {'longest function':22}{part.longest_function}"
        yield f"  {'longest class':22}{part.longest_class or '-'}"
        yield _row(f"files over {LONG} lines", part.long_files) + "\n"


def _row(title: str, items: Iterable[str] | dict[str, int], instead: str | None = None) -> str:
    """How many, and which: or, of them, something else."""
    texts = [f"{key} {count}" for key, count in items.items()] if isinstance(items, dict) else [*items]
    return f"  {title:22}{len(texts):<4}{', '.join(texts) if instead is None else instead}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1], help="another checkout")
    parser.add_argument("--arrows", action="store_true", help="list every arrow with its number of imports")
    parser.add_argument("--json", action="store_true", help="all of it, as JSON")
    options = parser.parse_args()
    root = options.checkout.resolve()
    layers = _layers(root)
    there = {name: root / path for name, path in PYTHON.items() if (root / path).is_dir()}
    parts = {name: python_part(root, path, layers.get(path.name, [])) for name, path in there.items()}
    parts |= {name: rust_part(root, root / path) for name, path in RUST.items()}
    if options.json:
        print(json.dumps({name: asdict(part) for name, part in parts.items()}, indent=1))
    else:
        print("\n".join(_table(parts, options.arrows)))


if __name__ == "__main__":
    main()
