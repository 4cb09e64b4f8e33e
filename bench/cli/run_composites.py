"""``bench run`` for composite systems: ``--system ID`` and ``--spec FILE.toml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cli.output import print_json, stdout
from bench.cli.run_options import request_fields
from bench.core.errors import SpecError

SUFFIX = ".toml"
"""As ``bench.experiment.composite_files`` has it, which would bring more with it."""


def asks_for_composite(given: Mapping[str, Any]) -> bool:
    """Whether the options of ``bench run`` name a composite system, rather than a single run.

    Raises:
        SpecError: If both a system and a spec are named.
        BenchError: If there is no such system, or a plug-in cannot be loaded.
    """
    from bench.api.composites import names_composite

    if given["system"] is None:
        return given["spec"] is not None and given["spec"].suffix == SUFFIX
    if given["spec"] is not None:
        raise SpecError("--system and --spec both name what is to be run.", "Give one of them.")
    return names_composite(given["system"], given["plugin"] or ())


def run_asked(given: Mapping[str, Any], again: str) -> list[Any]:
    """Run the composite systems that the options of ``bench run`` ask for, or print them where nothing is to be run.

    Args:
        given: The options by name.
        again: The command to give again after an interruption.

    Returns:
        The documents of their results, for printing; nothing after ``--dry-run``.

    Raises:
        SpecError: If an option is given that each part has by itself.
        BenchError: As :func:`bench.api.composites.resolve_composites` and ``run_composites``.
    """
    from bench.api.calls import going_on_with
    from bench.api.composites import (
        check_composites,
        composite_card,
        composite_card_of_file,
        described_composites,
        refuse_for_parts,
        resolve_composites,
        run_composites,
    )

    refuse_for_parts(given)
    asked = {**request_fields(given)}
    asked["cache"] = _cache(asked["cache"])
    card = (
        composite_card_of_file(given["spec"])
        if given["system"] is None
        else composite_card(given["system"], asked["plugins"])
    )
    composites = resolve_composites(card, asked, given["seed"], given["seeds"])
    if given["dry_run"]:
        check_composites(composites)
        _print_composites(described_composites(composites, given["home"]), given["output"])
        return []
    with going_on_with(again):
        return run_composites(composites, given["home"], rerun=given["rerun"])


def _cache(folder: Path | None) -> Path:
    from bench.core.paths import cache_folder

    return cache_folder(folder)


def _print_composites(documents: Sequence[Mapping[str, Any]], output: str) -> None:
    if output == "json":
        print_json(documents if len(documents) > 1 else documents[0])
        return
    console = stdout()
    for document in documents:
        console.print(f"run_id: {document['run_id']}")
        for name in ("kind", "name", "combine", "seed"):
            console.print(f"  {name}: {document[name]}")
        for part in document["parts"]:
            served = "".join(f", {key}: {part[key]}" for key in ("device", "default") if key in part)
            console.print(f"  part {part['name']}: {part['run_id']} ({part['state']}{served})")
            for name, value in part["identity"].items():
                console.print(f"    {name}: {value}")
