"""Reference pages of settings and of printed results, and the quirks of all systems in one table."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from site_pages.cards import quirk_table
from site_pages.markdown import code, page, table, text


def table_pages() -> dict[str, str]:
    """The pages by their path."""
    return {"reference/settings.md": _settings_page(), "reference/published.md": _published_page()}


def _settings_page() -> str:
    from bench.api.settings import list_settings

    found = list_settings()
    parts = [
        "# Settings",
        "Every field of a run's spec, as `--set NAME=VALUE` takes it and as a keyword of `bench.run`. `bench settings` "
        "prints them; with `--model`, `--method` or `--system` it adds their options and what their recipes set. "
        "[How a run trains](../training.md) explains them.",
    ]
    for part, rows in groupby(found.rows, lambda row: row["part"]):
        parts += [f"## {part}", text(found.titles[part]), _setting_table(list(rows))]
    return page(*parts)


def _setting_table(rows: list[dict[str, Any]]) -> str:
    from bench.api.registries import allowed_values

    cells = [
        (code(row["name"]), text(row["help"]), code(row["default"]), text(allowed_values(row)), _space(row["space"]))
        for row in rows
    ]
    return table(("name", "what it is", "default", "values", "searched in"), cells)


def _space(space: dict[str, Any] | None) -> str:
    from bench.api.registries import range_of_search, values_of_grid

    return code(range_of_search(space) or values_of_grid(space)) if space else "–"


def _published_page() -> str:
    from leaderboard.published import TABLES, printed_table
    from leaderboard.tables.published_table import published_table

    found = published_table()
    number = sum(len(section.rows) for section in found.sections)
    parts = [
        "# Printed results",
        f"{number} results as they were printed, up to 2026. `bench report published` prints them. Only rows on the "
        "official split, with one meaning of Se and one rule for the epoch, may be compared; all others stand below "
        "with what is in doubt. None of these numbers was measured here.",
    ]
    for section in found.sections:
        parts += [f"## {section.title}", _published_rows(list(section.rows))]
    for name in TABLES:
        parts += [f"## The paper's {name.capitalize()}", _printed_rows(printed_table(name))]
    return page(*parts)


def _published_rows(rows: list[Any]) -> str:
    cells = [
        (
            str(row["rank"] or "–"),
            text(row["system"]),
            text(row["venue"]),
            *(_rate(row[name], row.get(f"{name}_std")) for name in ("sp", "se", "score")),
            text("; ".join(row["doubts"])),
        )
        for row in rows
    ]
    return table(("rank", "system", "where", "Sp", "Se", "Score", "in doubt"), cells)


def _printed_rows(printed: Any) -> str:
    cells = [
        (
            code(row.id),
            text(row.system),
            text(row.architecture),
            text(row.pretrain),
            text(row.venue),
            *(_rate(getattr(row, name), getattr(row, f"{name}_std")) for name in ("sp", "se", "score")),
            "yes" if row.consistent else "no",
        )
        for row in printed.rows
    ]
    return table(("row", "system", "net", "weights", "where", "Sp", "Se", "Score", "adds up"), cells)


def _rate(value: float | None, deviation: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" + (f" ± {deviation:.2f}" if deviation is not None else "")


def all_quirks() -> str:
    """The quirks of all systems, each once with the systems that it concerns."""
    from bench.api.systems import list_systems, show_system

    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for row in list_systems():
        for quirk in show_system(row["id"])["quirks"] or []:
            found.setdefault(quirk["code"] + quirk["here"], (quirk, []))[1].append(row["id"])
    by_systems: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for quirk, systems in found.values():
        by_systems.setdefault(tuple(systems), []).append(quirk)
    parts = []
    for names, quirks in by_systems.items():
        links = ", ".join(f"[{code(name)}](reference/systems.md#{name.replace('.', '')})" for name in names)
        parts += [f"{links}:", quirk_table(quirks)]
    return page(*parts)
