"""All error messages, read from the source: each place where an error of the project's tree is made."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from site_pages.markdown import folded, page, text

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "baselines", "methods", "leaderboard")
TREE = "BenchError"
GAP = "…"


@dataclass(frozen=True)
class Message:
    """A sentence that an error may have.

    Attributes:
        error: Name of its class.
        exit_code: What the command ends with.
        module: Where it is made.
        sentence: The words; what is filled in is an ellipsis. Empty where the words are put together elsewhere.
        hint: What to do, in the same way; empty where there is none.
    """

    error: str
    exit_code: int
    module: str
    sentence: str
    hint: str


@cache
def error_messages() -> tuple[Message, ...]:
    """Every place that makes an error of the tree, in the order of modules and lines."""
    classes: list[ast.ClassDef] = []
    calls: list[tuple[str, ast.Call]] = []
    for module, source in _sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                classes.append(node)
            elif isinstance(node, ast.Call):
                calls.append((module, node))
    codes = _exit_codes(classes)
    return tuple(
        Message(name, codes[name], module, _argument(call, 0, "message"), _argument(call, 1, "hint"))
        for module, call in calls
        if (name := _last_name(call.func)) in codes
    )


def _sources() -> Iterator[tuple[str, str]]:
    """Names and texts of the modules that speak of errors."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "Error(" in source:
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts), source


def _exit_codes(classes: list[ast.ClassDef]) -> Mapping[str, int]:
    """The exit codes of the tree's classes, by name."""
    bases = {node.name: [_last_name(base) for base in node.bases] for node in classes}
    own = {node.name: code for node in classes if (code := _own_code(node)) is not None}

    def code_of(name: str) -> int | None:
        if name in own:
            return own[name]
        return next((code for base in bases.get(name, []) if (code := code_of(base)) is not None), None)

    def in_tree(name: str) -> bool:
        return name == TREE or any(in_tree(base) for base in bases.get(name, []))

    return {name: code_of(name) or 1 for name in bases if in_tree(name)}


def _own_code(node: ast.ClassDef) -> int | None:
    for line in node.body:
        if isinstance(line, ast.Assign) and _last_name(line.targets[0]) == "exit_code":
            assert isinstance(line.value, ast.Constant)
            return int(str(line.value.value))
    return None


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _argument(call: ast.Call, place: int, name: str) -> str:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in given:
        return _sentence(given[name])
    return _sentence(call.args[place]) if len(call.args) > place else ""


def _sentence(node: ast.expr) -> str:
    """The words of an expression that is a text, with an ellipsis for what is filled in; empty for another one."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_sentence(part) if isinstance(part, ast.Constant) else GAP for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _sentence(node.left) + _sentence(node.right)
    return ""


def has_words(sentence: str) -> bool:
    """Whether a sentence has words of its own, and is not put together of others alone."""
    return any(letter.isalpha() for letter in sentence)


def error_list() -> str:
    """All sentences by exit code and by the part of the program that says them."""
    messages = error_messages()
    worded = [message for message in messages if has_words(message.sentence)]
    parts = [
        f"{len(worded)} sentences, read from the source when this page was made; an ellipsis stands for what is filled "
        f"in. {len(messages) - len(worded)} further places pass on a sentence that is put together elsewhere."
    ]
    for code in sorted({message.exit_code for message in worded}):
        parts += [f"### Exit code {code}", *_of_rooms([message for message in worded if message.exit_code == code])]
    return page(*parts)


def _of_rooms(messages: list[Message]) -> Iterator[str]:
    rooms: dict[str, dict[str, None]] = {}
    for message in messages:
        room = ".".join(message.module.split(".")[:2])
        hint = f" *{text(message.hint)}*" if has_words(message.hint) else ""
        rooms.setdefault(room, {})[f"- {text(message.sentence)}{hint}"] = None
    for room, lines in sorted(rooms.items()):
        yield folded(f"{room}: {len(lines)}", "\n".join(lines))
