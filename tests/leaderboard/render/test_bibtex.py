from __future__ import annotations

import re

import pytest

from leaderboard.published.systems import published_systems
from leaderboard.render.bibtex import published_entry, run_entry, submission_entry

ENTRY = re.compile(r"@(?:misc|software)\{[a-z0-9-]+,\n(?:  [a-z]+ = \{.*\},\n)+\}")


def balanced(text):
    depth = 0
    for letter in text:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    return depth == 0


@pytest.mark.parametrize("system", published_systems(), ids=lambda system: system.id)
def test_every_printed_row_has_an_entry(system):
    entry = published_entry(system)
    assert ENTRY.fullmatch(entry)
    assert balanced(entry)
    assert f"year = {{{system.year}}}" in entry


def test_printed_rows_have_keys_of_their_own():
    keys = [published_entry(system).partition(",")[0] for system in published_systems()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["}{", "a_b & 100 % {x", "\\input{secret}", "é\nü", "]]> $x$ #1 ~^", ""])
def test_whatever_a_system_is_called_the_entry_stays_one(name):
    for entry in (
        submission_entry(name, "ab12", {"paper": name, "url": f"https://example.org/{name}"}, "2026-01-02T00:00"),
        run_entry(name, ["ab12", "cd34"], "2026-01-02T00:00", "1.0"),
    ):
        assert ENTRY.fullmatch(entry), entry
        assert balanced(entry)


def test_a_submission_is_cited_by_its_paper_and_address():
    statement = {"paper": "Doe et al., EMBC 2025", "url": "https://example.org/a_b"}
    entry = submission_entry("our CRNN", "ab12", statement, "2026-01-02T00:00")
    assert entry.startswith("@misc{our-crnn-ab12,")
    for line in ("howpublished = {Doe et al., EMBC 2025}", "url = {https://example.org/a_b}", "year = {2025}"):
        assert line in entry


def test_a_run_is_cited_by_the_program_and_its_ids():
    entry = run_entry("ast + patchmix_cl", ["ab12", "cd34"], "2026-01-02T00:00", "1.2.3")
    for part in ("title = {LungBench}", "version = {1.2.3}", "year = {2026}", "ast + patchmix\\_cl", "ab12, cd34"):
        assert part in entry
