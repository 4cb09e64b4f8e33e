"""``docs/several-machines.md`` and the part of ``docs/search.md`` on clusters: their commands and options exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = (ROOT / "tests" / "bench" / "cli" / "contract.txt").read_text(encoding="utf-8")
OPTIONS = {block.splitlines()[0]: block for block in re.split(r"\n(?=bench)", CONTRACT)}
PAGES = ("several-machines.md", "search.md")


def commands(page):
    """The lines of a page's shell blocks that begin with ``bench``, as words."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("bench ")]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_page_and_their_options_exist(page):
    found = commands(page)
    assert len(found) >= 7
    for words in found:
        command = max((name for name in OPTIONS if " ".join(words).startswith(name)), key=len)
        assert len(command.split()) >= 2, words
        for option in [word for word in words if word.startswith("--")]:
            assert re.search(rf"^  (.* )?{option}( |$)", OPTIONS[command], re.MULTILINE), (words, option)
