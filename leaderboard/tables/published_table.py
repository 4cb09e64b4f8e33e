"""Published results as a table: what may be compared stands together, and only what was checked is ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from leaderboard.published.systems import PRINTED_RULES, PublishedSystem, published_systems
from leaderboard.tables.board_tables import Row, Section, Table
from leaderboard.tables.verification_states import CLAIMED

TABLE_WORDS = {"4class": "4-class", "2class": "2-class"}

SPLIT_WORDS = {
    "official": "",
    "official-stated": "official split as stated, not seen in code",
    "other": "not the official split",
    "unknown": "split not known",
}
SENSITIVITY_WORDS = {
    "4class": "Se is the 4-class one",
    "2class": "Se is the 2-class one",
    "macro": "Se is a mean over classes",
    "unknown": "meaning of Se not known",
}
EVIDENCE_WORDS = {
    "read": "",
    "partly": "some numbers from others' tables",
    "second-hand": "numbers from others' tables",
}


def published_table() -> Table:
    """Make the table of the printed results of all published systems, sorted by Score in sections.

    Sections with ranks hold what was judged on the official split with the table's sensitivity and chosen by one
    rule, all of that seen in code or at the source. What is only said to be so follows without ranks; what is known
    to use another split or sensitivity, or says too little, comes last.
    """
    systems = [system for system in published_systems() if system.kind != "reference"]
    sections = []
    for judged, words in TABLE_WORDS.items():
        of_table = [system for system in systems if system.table == judged]
        for rule in PRINTED_RULES:
            checked = [system for system in of_table if system.verified and system.protocol == rule]
            sections.append(_section(f"{words}, official split, {rule}", checked, ranked=True))
        stated = [system for system in of_table if system.comparable and not system.verified]
        sections.append(_section(f"{words}, unverified", stated))
    others = [system for system in systems if not system.comparable]
    sections.append(_section("another split or sensitivity, or not known: not comparable", others))
    people = [system for system in published_systems() if system.kind == "reference"]
    sections.append(_section("for reference", people))
    return Table("published", "as printed", [section for section in sections if section.rows])


def _section(title: str, systems: Sequence[PublishedSystem], *, ranked: bool = False) -> Section:
    ordered = sorted(systems, key=lambda system: (-system.score, system.id))
    rows = [_row(system, place if ranked else None) for place, system in enumerate(ordered, start=1)]
    return Section(title, "published", rows, ranked)


def _row(system: PublishedSystem, rank: int | None) -> Row:
    return {
        "rank": rank,
        "state": CLAIMED,
        **{name: value for name, value in asdict(system).items() if name != "dataset"},
        "consistent": system.consistent,
        "comparable": system.comparable,
        "verified": system.verified,
        "doubts": doubts(system),
    }


def doubts(system: PublishedSystem) -> list[str]:
    """Say what keeps a printed number from being taken at its word, in plain words; empty where nothing does."""
    found = [SPLIT_WORDS[system.split]]
    if system.sensitivity != system.table:
        found.append(SENSITIVITY_WORDS[system.sensitivity])
    if system.protocol == "unknown":
        found.append("epoch chosen by a rule not known")
    found.append(EVIDENCE_WORDS[system.evidence])
    if system.consistent is False:
        found.append("Score is not (Sp + Se)/2")
    return [doubt for doubt in found if doubt]
