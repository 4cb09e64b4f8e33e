"""Model cards: what a trained run is, how it was made and judged, and what it is not for, as Markdown.

The block at the top is what the Hugging Face Hub reads. A card is made from the folder of a run alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.api.card_facts import CardFacts
from bench.api.card_files import HEAD, HEAD_IMPORT, file_lines
from bench.api.card_markdown import code, facts, inline, section
from bench.api.card_metadata import metadata_block
from bench.api.card_scores import data_state, score_lines, state_lines
from bench.core.cards import Card
from bench.core.datasets import PATIENT_DISJOINT, TRAIN, DatasetCard
from bench.core.text import counted_noun, plain
from bench.experiment.spec import OWNERS
from leaderboard.render.markdown import escaped
from leaderboard.render.run import chosen_words
from leaderboard.statistics.breakdown import patients_on_both_sides
from methods.linear_probe.card import LINEAR_PROBE

INTENDED = (
    "Meant for research on the classification of respiratory sounds: to compare methods under one protocol, to repeat "
    "the numbers above, and to start further work from.",
    "**Not a medical device and not for diagnosis, screening or any decision about a patient.** Nobody has tried it "
    "in clinical use, and no authority has cleared it.",
)

LIMITS = (
    "The classes are annotators' labels of a sound, no diagnosis; annotators disagree on such sounds, and the set's "
    "labels are taken as they are.",
    "Probabilities are those of the network and were not calibrated.",
    "Recordings from other devices, sites, age groups, or with other noise than the data set's can give other answers; "
    "differences between its recording devices stand above.",
)


def model_card(folder: Path, exported: Mapping[str, Any] | None = None) -> str:
    """Describe a finished run for those who would use its model.

    Args:
        folder: The folder of the run, wherever it is; its result and its predictions are read.
        exported: What a file says of itself that holds the card (:class:`bench.api.exports.Exported`); None for a card
            of the run.

    Returns:
        Markdown that begins with the Hub's metadata block.

    Raises:
        ResultError: If the result is missing or broken.
        SpecError: If it is not one finished model: a failed run, a submission, several runs combined.
    """
    run = CardFacts.read(folder)
    lines = [
        f"# {escaped(run.name)}, on {escaped(run.judged.title)}",
        "",
        *_summary(run),
        *section("The model", _parts(run)),
        *section("How it was trained", _training(run), _settings(run)),
        *section("Data and protocol", _data(run)),
        *score_lines(run),
        *section("State", state_lines(run)),
        *section("Intended use and limits", INTENDED, _limits(run)),
        *section("Licences", _licences(run)),
        *(section("How to use it", *_usage(run)) if exported is None else file_lines(exported)),
        *section("Citation", *_citations(run)),
    ]
    return metadata_block(run) + "\n" + "\n".join(lines).rstrip() + "\n"


def _summary(run: CardFacts) -> Iterator[str]:
    task = run.judged.task
    made = f"trained and judged with LungBench as run {inline(run.document['run_id'])}, seed {run.spec['seed']}"
    yield (
        f"A classifier of one {escaped(task.unit)} into {len(task.classes)} classes "
        f"({escaped(', '.join(task.classes))}), {made}. {escaped(data_state(run))} **For research, not for diagnosis.**"
    )
    yield ""


def _parts(run: CardFacts) -> Iterator[str]:
    for part in OWNERS:
        card = run.card(part)
        name = {"frontend": "Front-end"}.get(part, part.capitalize())
        if card is None:
            yield f"- **{name}**: {inline(run.spec[part])}, of a plug-in"
            continue
        ground = f" ({card.fidelity})" if card.fidelity != "original" else ""
        here = f" Here with {others}." if (others := _other_options(card, run.spec.get(f"{part}_options"))) else ""
        yield f"- **{name}**: {inline(card.id)}, {escaped(card.title)}{escaped(ground)}. {escaped(card.summary)}{here}"
    for system in run.systems:
        yield f"- **System**: {inline(system.id)}, {escaped(system.title)} ({escaped(system.fidelity)})"
    if run.numbers:
        yield f"- **Size**: {run.numbers:,} numbers in the file of weights"


def _other_options(card: Card, given: Mapping[str, Any] | None) -> str:
    """The options that are not what the card's sentences are about: others than its defaults."""
    usual = {option.name: option.default for option in dataclasses.fields(card.options)}
    others = {name: value for name, value in (given or {}).items() if name in usual and value != usual[name]}
    return ", ".join(inline(f"{name}={value}") for name, value in others.items())


def _training(run: CardFacts) -> Iterator[str]:
    document, spec = run.document, run.spec
    packages: Mapping[str, Any] = document["provenance"].get("packages", {})
    source: Mapping[str, Any] = document["provenance"].get("code", {})
    seconds = document["seconds"]
    return facts(
        {
            "Began with": "random weights" if run.start == "none" else run.start,
            "Began from the run": spec.get("init_from"),
            "Seed": spec["seed"],
            "Epochs": len(document["epochs"]),
            "Batch": spec.get("batch"),
            "Optimiser": run.setting("optimiser"),
            "Learning rate": run.setting("lr"),
            "Chosen by the run itself": chosen_words(document) or None,
            "Precision": spec["precision"],
            "Duration": None if seconds is None else f"{seconds:.0f} s",
            "Hardware": _hardware(document["provenance"]),
            "Code": f"lungbench {source.get('version', '?')}"
            + (f" at {source['commit'][:12]}" if source.get("commit") else "")
            + (", with local changes" if source.get("dirty") else ""),
            "Packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
            "Made": document["created"],
        }
    )


def _hardware(provenance: Mapping[str, Any]) -> str:
    hardware: Mapping[str, Any] = provenance.get("hardware", {})
    gpus = hardware.get("gpus") or []
    named = ", ".join(str(gpu.get("name", gpu) if isinstance(gpu, Mapping) else gpu) for gpu in gpus)
    processes = provenance.get("processes", 1)
    where = named if named and provenance.get("device") != "cpu" else f"CPU: {hardware.get('cpu', 'not known')}"
    return where + (f", {counted_noun(processes, 'process')}" if processes != 1 else "")


def _settings(run: CardFacts) -> Iterator[str]:
    from leaderboard.render.json_text import json_text

    yield "<details><summary>The complete spec</summary>"
    yield ""
    yield from code(json_text(run.public_spec).rstrip(), "json")
    yield ""
    yield "</details>"


def _data(run: CardFacts) -> Iterator[str]:
    judged, card = run.judged, run.judged.card
    task = judged.task
    yield from facts(
        {
            "Data set": f"{judged.title} ({judged.dataset})",
            "What it is": card.summary if card else None,
            "Task": f"{task.title}; a label for each {task.unit}",
            "Split": f"{run.spec['split']}. {data_state(run)}",
            "Patients in training and test": _overlap(run),
            "Recorded with": ", ".join(card.devices) if card else None,
            "Recorded in": "; ".join(card.sites) if card else None,
            "Owner": card.owner if card else None,
            "Where to get it": card.obtain if card else None,
            "Fingerprint of the data": run.spec["data_fingerprint"],
            "Judged cycles": run.run.judged_set,
        }
    )
    for part, counts in (task.counts if card else {}).items():
        words = ", ".join(f"{name} {count:,}" for name, count in zip(task.classes, counts, strict=True))
        names = {TRAIN: "training part", PATIENT_DISJOINT: "test without patients of the training part"}
        yield f"- **Of the complete set, {escaped(names.get(part, part))}**: {sum(counts):,} ({escaped(words)})"


def _overlap(run: CardFacts) -> str:
    shared = patients_on_both_sides(run.spec, run.document["partial"], run.document)
    seen = [part.title for part in run.judged.task.parts if part.patients_seen]
    words = f" All patients of the {', '.join(seen)} are in the training part." if seen else ""
    if shared is None:
        return f"not known.{words}"
    if not shared:
        return f"none.{words}"
    return f"{len(shared)} ({', '.join(sorted(map(plain, shared)))}); scores without them stand below.{words}"


def _limits(run: CardFacts) -> Iterator[str]:
    card: DatasetCard | None = run.judged.card
    yield from (f"- {sentence}" for sentence in LIMITS)
    if run.simulated:
        yield "- It was trained on computed sounds and has never heard a lung."
    if card and (card.devices or card.sites):
        heard = [f"the devices {', '.join(card.devices)}"] if card.devices else []
        heard += [f"the sites {'; '.join(card.sites)}"] if card.sites else []
        yield f"- It has heard {escaped(' and '.join(heard))} alone."
    shared = patients_on_both_sides(run.spec, run.document["partial"], run.document)
    if shared:
        yield f"- {len(shared)} of the tested patients were trained on too, which flatters the Scores of all patients."
    gaps = getattr(run.card("model"), "gaps", "")
    if gaps:
        yield f"- What its publication leaves open: {escaped(gaps)}"


def _licences(run: CardFacts) -> Iterator[str]:
    card, known = run.judged.card, run.pretrained
    pretrained = "none were used"
    if run.start != "none":
        pretrained = (
            f"{known.licence} ({known.title}; {known.source})" if known else f"not stated here; see {run.start}"
        )
    if run.spec.get("init_from"):
        pretrained += "; the run that it began from has terms of its own"
    yield from facts(
        {
            "Data": card.licence if card else "not stated",
            "Pretrained weights": pretrained,
            "Code": "MIT (LungBench)",
        }
    )
    yield (
        "- The weights of this model come from the data and from what it began with: whoever shares or uses them has "
        "to keep the terms of both. LungBench grants nothing beyond its own code."
    )


def _usage(run: CardFacts) -> Iterator[Iterator[str]]:
    run_id = run.document["run_id"]
    rules = ", ".join(map(inline, run.kept))
    yield iter([f"With LungBench, `RUN` being the folder of the run or its id {inline(run_id)}:"])
    yield code("bench predict RUN recording.wav", "sh")
    if not rules:
        return
    yield iter([f"In Python; the folder keeps the weights of {rules}, under the names of the published network:"])
    yield code(_loading(run), "python")


def _loading(run: CardFacts) -> str:
    options = dict(run.spec.get("model_options", {}))
    words = "".join(f", {name}={value!r}" for name, value in options.items())
    classes = len(run.judged.task.classes)
    # A probe has a classifier of its own in the place of the model's.
    is_probe = run.spec["method"] == LINEAR_PROBE.id
    lines = [
        "import baselines",
        *([HEAD_IMPORT] if is_probe else []),
        "from safetensors.torch import load_file",
        "",
        f"model = baselines.create({run.spec['model']!r}, num_classes={classes}{words})",
        *([HEAD.format(classes=classes)] if is_probe else []),
        f'model.load_state_dict(load_file("weights/{run.kept[0]}.safetensors"))',
        f"model.eval()  # pictures of the front-end {run.spec['frontend']!r} to logits (batch, {classes})",
    ]
    return "\n".join(lines)


def _citations(run: CardFacts) -> Iterator[Iterator[str]]:
    cards: list[Card | None] = [run.card("model"), run.card("method"), run.card("frontend"), run.judged.card]
    entries = dict.fromkeys(card.citation.strip() for card in cards if card is not None and card.citation)
    yield iter(["Cite the publications of model, method, front-end and data set:"])
    if entries:
        yield code("\n\n".join(entries), "bibtex")
