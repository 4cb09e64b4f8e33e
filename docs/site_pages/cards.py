"""Reference pages of what can be named: models, methods, front-ends, data sets and systems, made from their cards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from site_pages.markdown import block, code, facts, folded, page, settings, table, text

Document = Mapping[str, Any]


def card_pages() -> dict[str, str]:
    """The pages by their path."""
    return {
        "reference/models.md": _entries_page("model", "Models", "bench models show ID", _model),
        "reference/methods.md": _entries_page("method", "Methods", "bench methods show ID", _method),
        "reference/front-ends.md": _entries_page("frontend", "Front-ends", "bench frontends show ID", _frontend),
        "reference/data-sets.md": _dataset_page(),
        "reference/systems.md": _system_page(),
    }


def _entries_page(kind: Any, title: str, command: str, described: Any) -> str:
    from bench.api.registries import list_entries, show_entry

    listing = list_entries(kind, ("id", "title", "fidelity"))
    documents = [show_entry(kind, row["id"]) for row in listing.rows if row["version"] is None]
    families = [f"**`{prefix}:NAME`**: {text(doc)}." for prefix, doc in listing.families]
    parts = [f"# {title}", _said_of_cards(len(documents), command), *families, _index(documents)]
    for document in documents:
        parts += [f"## {document['id']}", *_common(document), *described(document), *_last(document)]
    return page(*parts)


def _said_of_cards(number: int, command: str) -> str:
    return f"All {number}, made from their cards; `{command}` prints one, with `--format json` as data."


def _index(documents: Sequence[Document]) -> str:
    rows = [(f"[{code(one['id'])}](#{one['id'].replace('.', '')})", text(one["title"])) for one in documents]
    return table(("id", "what it is"), rows)


def _common(document: Document) -> Iterator[str]:
    yield f"**{text(document['title'])}.** {text(document['summary'])}"
    yield facts([("rests on", text(document["fidelity"])), ("source", text(document["source"]))])


def _last(document: Document) -> Iterator[str]:
    yield from _options(document.get("options") or {})
    yield from _recipes(document.get("recipes") or {})
    if document["citation"]:
        yield folded("Citation", block("text", document["citation"]))


def _options(options: Document) -> Iterator[str]:
    from bench.api.registries import allowed_values

    rows = [
        (code(name), text(option["help"]), code(option["default"]), text(allowed_values(option)))
        for name, option in options.items()
    ]
    yield table(("option", "what it is", "default", "values"), rows)


def _recipes(recipes: Document) -> Iterator[str]:
    rows = [(code(profile), settings(recipe)) for profile, recipe in recipes.items() if recipe]
    yield table(("recipe", "what it sets"), rows)


def _model(document: Document) -> Iterator[str]:
    number = document["parameters"]
    yield facts(
        [
            ("parameters", f"{number:,}" if number else "–"),
            ("front-end", code(document["frontend"])),
            ("patches", "yes" if document["patches"] else "no"),
            ("weights by default", code(document["default_pretrain"])),
            ("left open, and done instead", text(document["gaps"])),
        ]
    )
    rows = [
        (code(name), text(one["title"]), text(one["source"]), text(one["licence"]), text(one["hash"]))
        for name, one in document["weights"].items()
    ]
    yield table(("pretrained weights", "learnt on", "source", "licence", "hash"), rows)


def _method(document: Document) -> Iterator[str]:
    yield block("text", document["formula"])
    yield facts([("needs patches", "yes" if document["needs_patches"] else "no"), ("views", str(document["views"]))])


def _frontend(document: Document) -> Iterator[str]:
    yield facts([("version", str(document["feature_version"]))])


def _dataset_page() -> str:
    from bench.api.dataset_cards import list_datasets, show_dataset

    documents = [show_dataset(row["id"]) for row in list_datasets() if row["version"] is None]
    parts = ["# Data sets", _said_of_cards(len(documents), "bench data show ID"), _index(documents)]
    for document in documents:
        parts += [f"## {document['id']}", *_dataset(document)]
    return page(*parts)


def _dataset(document: Document) -> Iterator[str]:
    yield f"**{text(document['title'])}.** {text(document['summary'])}"
    yield facts(
        [
            ("recordings", text(document["recordings"])),
            ("patients", text(document["patients"])),
            ("patients in training and test", text(", ".join(document["shared_patients"]))),
            ("devices", text(", ".join(document["devices"]))),
            ("rates in Hz", text(", ".join(str(rate) for rate in document["rates"]))),
            ("owner", text(document["owner"])),
            ("licence", text(document["licence"])),
            ("how to obtain it", text(document["obtain"])),
            ("source", text(document["source"])),
        ]
    )
    for task in document["tasks"]:
        yield from _task(task)
    if document["citation"]:
        yield folded("Citation", block("text", document["citation"]))


def _task(task: Document) -> Iterator[str]:
    yield f"Task {code(task['id'])}: {text(task['title'])}. Classes of each {text(task['unit'])}:"
    parts = list(task["counts"])
    rows = [
        (text(name), text(shared), *(f"{task['counts'][part][number]:,}" for part in parts))
        for number, (name, shared) in enumerate(zip(task["classes"], task["shared"], strict=True))
    ]
    yield table(("class", "counts as", *(text(part) for part in parts)), rows)


def _system_page() -> str:
    from bench.api.systems import list_systems, show_system

    documents = [show_system(row["id"]) for row in list_systems() if row["version"] is None]
    parts = [
        "# Systems",
        _said_of_cards(len(documents), "bench systems show ID"),
        "Each is one published row: model, method, front-end and recipe together. [Systems](../systems.md) says how to "
        "run them and how to add one; [the table of all](../systems.md#all-systems) is there too.",
        _index(documents),
    ]
    for document in documents:
        parts += [f"## {document['id']}", *_common(document), *_system(document), *_last(document)]
    return page(*parts)


def _system(document: Document) -> Iterator[str]:
    choice = document["selection"] or {"words": None, "note": "", "here": None}
    yield facts(
        [
            ("model", code(document["model"] or "")),
            ("method", code(document["method"] or "")),
            ("weights", code(document["pretrain"] or "")),
            ("front-end", code(document["frontend"] or "")),
            ("settings", settings(document["settings"] or {})),
            ("licence of the weights", text(document["weights_licence"])),
            ("epoch of the print", text(f"{choice['words'] or ''} {choice['note']}")),
            ("epoch here", text(choice["here"])),
            ("left open, and done instead", text(document["gaps"])),
        ]
    )
    yield from _parts(document["composite"])
    rows = [
        (
            code(f"{row['table']}/{row['row']}"),
            text(row["judged"]),
            *(_number(row[rate]) for rate in ("sp", "se", "score")),
            "yes" if row["consistent"] else "no",
        )
        for row in document["rows"] or []
    ]
    yield table(("printed row", "judged", "Sp", "Se", "Score", "adds up"), rows)
    yield quirk_table(document["quirks"] or [])


def _parts(composite: Document | None) -> Iterator[str]:
    if composite:
        rows = [
            (code(name), code(part["model"]), code(part["method"]), settings(part["settings"]))
            for name, part in composite["parts"].items()
        ]
        yield f"Parts, combined by {code(composite['combine'])}:"
        yield table(("part", "model", "method", "settings"), rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def quirk_table(quirks: Sequence[Document]) -> str:
    """Quirks of authors' code, and what is done here.

    Args:
        quirks: As the card of a system has them.
    """
    rows = [(text(quirk["code"]), text(quirk["here"]), _switch(quirk)) for quirk in quirks]
    return table(("what the authors' code does", "here", "switch"), rows)


def _switch(quirk: Document) -> str:
    if not quirk["switch"]:
        return "none"
    return f"{code(quirk['switch'])}{' (default)' if quirk['on_by_default'] else ''}"
