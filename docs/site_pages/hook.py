"""What MkDocs calls: pages that are made from the code, parts that are made within pages, and the list of pages.

A line ``<!-- made: NAME -->`` in a page is replaced by one of :data:`PARTS`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from site_pages import architecture, cards, commands, errors, library, pictures, tables

PARTS: Mapping[str, Callable[[], str]] = {
    "picture of the split": pictures.split_picture,
    "picture of the patients": pictures.patients_picture,
    "picture of the devices": pictures.devices_picture,
    "picture of the Score": pictures.score_picture,
    "picture of the selection": pictures.selection_picture,
    "picture of intervals": pictures.interval_picture,
    "picture of the architecture": architecture.architecture_picture,
    "table of rooms": architecture.room_table,
    "quirks of all systems": tables.all_quirks,
    "error messages": errors.error_list,
}
COMMANDS = f"{commands.FOLDER}/index.md"
MADE = re.compile(r"^<!-- made: (.+?) -->$", re.MULTILINE)

FROM_THE_ROOT = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "SECURITY.md": "project/security.md",
}
"""Pages of the top level that the site shows too."""

NOT_YET = frozenset(
    {
        *("predict.md", "export.md", "hub.md", "contributing-results.md", "watching.md", "doctor.md"),
        *("foundation-encoders.md", "installing.md"),
    }
)
"""Pages that have their place in the navigation before they are written."""


def generated_pages() -> dict[str, str]:
    """The Markdown of every page that stands in no file of this folder, by its path on the site."""
    return {
        **commands.command_pages(),
        **library.library_pages(),
        **cards.card_pages(),
        **tables.table_pages(),
        **{path: _on_the_site((ROOT / name).read_text(encoding="utf-8")) for name, path in FROM_THE_ROOT.items()},
    }


def _on_the_site(page: str) -> str:
    """A page of the top level with links that lead to the pages of the site."""
    for name, path in FROM_THE_ROOT.items():
        page = page.replace(f"]({name})", f"]({path.removeprefix('project/')})")
    return page.replace("](docs/", "](../")


def with_parts(page: str) -> str:
    """A page with the parts that are made for it.

    Args:
        page: Its Markdown.

    Raises:
        PluginError: If it asks for a part that there is not.
    """

    def made(found: re.Match[str]) -> str:
        if found[1] not in PARTS:
            raise PluginError(f"Nothing is made under the name '{found[1]}'.")
        return PARTS[found[1]]().strip()

    return MADE.sub(made, page)


def _existing(entries: list[Any], folder: Path) -> list[Any]:
    """The navigation without pages that are not written yet."""
    kept = []
    for entry in entries:
        ((title, below),) = entry.items() if isinstance(entry, dict) else ((None, entry),)
        if isinstance(below, list):
            kept.append({title: _existing(below, folder)})
        elif below not in NOT_YET or (folder / below).is_file():
            kept.append(entry)
    return kept


def _with_commands(entries: list[Any]) -> list[Any]:
    """The navigation with the pages of all commands behind their overview."""
    if entries == [COMMANDS]:
        return [COMMANDS, *({Path(path).stem: path} for path in commands.command_pages() if path != COMMANDS)]
    return [
        {title: _with_commands(below) if isinstance(below, list) else below for title, below in entry.items()}
        if isinstance(entry, dict)
        else entry
        for entry in entries
    ]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation what is not written yet, and add the commands."""
    config.nav = _with_commands(_existing(config.nav or [], Path(config.docs_dir)))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for path, content in generated_pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put in the parts that are made."""
    return with_parts(markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mend what mkdocstrings leaves of docstrings."""
    return library.without_roles(html) if page.file.src_uri.startswith("reference/") else html
