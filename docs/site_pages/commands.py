"""The reference of the command line: a page for each command, made from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from site_pages.markdown import block, code, page, table, text

FOLDER = "reference/cli"
OF_EVERY_COMMAND = frozenset({"help", "install_completion", "show_completion"})


def command_pages() -> dict[str, str]:
    """Pages by their path: an overview, and one for each command or group of commands."""
    from bench.cli import app

    program: Any = typer.main.get_command(app)
    shown = {name: command for name, command in program.commands.items() if not command.hidden}
    pages = {f"{FOLDER}/{name}.md": _command_page(name, command) for name, command in shown.items()}
    return {f"{FOLDER}/index.md": _overview(program, shown), **pages}


def _overview(program: Any, shown: dict[str, Any]) -> str:
    rows = [
        (f"[`bench {' '.join(words)}`]({words[0]}.md{_anchor(words)})", text(_first_sentence(command)))
        for name, top in shown.items()
        for words, command in _with_those_below((name,), top)
    ]
    return page(
        "# Commands",
        "Made from the program itself: every command with its arguments, options and examples. "
        "`bench COMMAND --help` prints the same.",
        table(("command", "what it does"), rows),
        "## Options of the program",
        "They may stand before the command or after it.",
        _options(program),
    )


def _anchor(words: tuple[str, ...]) -> str:
    return f"#bench-{'-'.join(words)}" if len(words) > 1 else ""


def _with_those_below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _with_those_below((*words, name), below)


def _command_page(name: str, command: Any) -> str:
    first, *below = _with_those_below((name,), command)
    parts = [f"# bench {name}", *_described(*first)]
    for words, each in below:
        parts += [f"## bench {' '.join(words)}", *_described(words, each)]
    return page(*parts)


def _described(words: tuple[str, ...], command: Any) -> Iterator[str]:
    """Use, help, arguments, options and examples of a command."""
    if not getattr(command, "commands", None) or getattr(command, "invoke_without_command", False):
        yield block("text", _usage(words, command))
    help_text, examples = _help_and_examples(command.help or "")
    yield from (text(paragraph) for paragraph in help_text)
    yield _arguments(command)
    yield _options(command)
    if examples:
        yield block("sh", "\n".join(examples))


def _usage(words: tuple[str, ...], command: Any) -> str:
    arguments = " ".join(_argument_name(each) for each in command.params if each.param_type_name == "argument")
    return f"bench {' '.join(words)} [OPTIONS] {arguments}".rstrip()


def _argument_name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _help_and_examples(help_text: str) -> tuple[list[str], list[str]]:
    """The paragraphs of a help, and the commands of its examples."""
    paragraphs, examples = [], []
    for paragraph in help_text.split("\n\n"):
        if paragraph.startswith("Example"):
            lines = (re.sub(r"^Examples?:", "", line).strip() for line in paragraph.splitlines())
            examples += [line for line in lines if line]
        else:
            paragraphs.append(paragraph)
    return paragraphs, examples


def _arguments(command: Any) -> str:
    rows = [
        (code(_argument_name(each)), text(each.help), "yes" if each.required else _default(each))
        for each in command.params
        if each.param_type_name == "argument"
    ]
    return table(("argument", "what it is", "needed, or default"), rows)


def _options(command: Any) -> str:
    rows = [
        (" ".join(_names(each)), text(each.help) + _variable(each), "needed" if each.required else _default(each))
        for each in command.params
        if each.param_type_name == "option" and each.name not in OF_EVERY_COMMAND and not each.hidden
    ]
    return table(("option", "what it does", "default"), rows)


def _names(option: Any) -> Iterator[str]:
    yield from (code(name) for name in (*option.opts, *option.secondary_opts))
    if not (getattr(option, "is_flag", False) or getattr(option, "count", False)):
        yield code(option.metavar or "VALUE")


def _variable(option: Any) -> str:
    return f" Variable {code(option.envvar)}." if option.envvar else ""


def _default(parameter: Any) -> str:
    value = parameter.default
    if value is None or getattr(parameter, "count", False) or value in ([], ()):
        return "–"
    return ("yes" if value else "no") if isinstance(value, bool) else code(value)


def _first_sentence(command: Any) -> str:
    return str(command.help or "").split("\n\n", 1)[0]
