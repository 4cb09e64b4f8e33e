"""What becomes a link, where, and what never does."""

import re

import pytest

from leaderboard.render import html, latex, markdown
from leaderboard.render.cells import Column, Report, text_table
from leaderboard.render.formats import render
from leaderboard.render.links import pieces
from leaderboard.tables.published_table import published_table

CITED = [
    ("arXiv 2602.15909", "https://arxiv.org/abs/2602.15909"),
    ("arXiv:2305.14032v2", "https://arxiv.org/abs/2305.14032v2"),
    ("10.1109/TASLP.2024.3389636", "https://doi.org/10.1109/TASLP.2024.3389636"),
    ("doi:10.21437/Interspeech.2023-1426", "https://doi.org/10.21437/Interspeech.2023-1426"),
    ("OpenReview ab3dEf9hIj", "https://openreview.net/forum?id=ab3dEf9hIj"),
    ("owner-1/Some.Name@70bb557", "https://github.com/owner-1/Some.Name/tree/70bb557"),
    ("https://example.org/a/b?c=d", "https://example.org/a/b?c=d"),
    ("https://example.org", "https://example.org"),
]
NEVER = [
    "http://example.org/plain",
    "javascript:alert(1)",
    "https://user:secret@example.org/",
    "https://example.org@elsewhere.org/",
    "ftp://example.org/x",
    "//example.org",
    "data:text/html,x",
    "Sp/Se and 3/4",
    "owner/name",
    "2602.15909",
    "OpenReview submission",
    "a@b.org/c@1234567",
]


@pytest.mark.parametrize(("cited", "address"), CITED)
def test_what_a_text_cites_is_a_link_and_the_rest_of_it_is_not(cited, address):
    found = pieces(f"See ({cited}), please.")
    assert [piece.address for piece in found] == [None, address, None]
    assert "".join(piece.text for piece in found) == f"See ({cited.removeprefix('https://')}), please."


@pytest.mark.parametrize("text", NEVER)
def test_nothing_else_is_a_link(text):
    assert [(piece.text, piece.address) for piece in pieces(text)] == [(text, None)]


def test_a_text_that_is_not_to_be_linked_stays_whole():
    assert [piece.address for piece in pieces("arXiv 2602.15909", linked=False)] == [None]


NASTY = 'https://example.org/a"onclick=alert(1)<b>|](x)\\end{tabular}%&'


def forms(text, *, linked):
    column = Column("source", number=False, linked=linked)
    report = Report("t", [text_table("t", [column], [[text]])])
    return {"html": html.write(report), "latex": latex.write(report), "markdown": markdown.write(report)}


def test_an_address_cannot_leave_its_place_in_any_form():
    shown = forms(NASTY, linked=True)
    assert '<a href="https://example.org/a" rel="noopener noreferrer">example.org/a</a>&#34;onclick' in shown["html"]
    assert "<b>" not in shown["html"]
    assert "[example.org/a](<https://example.org/a>)" in shown["markdown"]
    assert "\\](x)" in shown["markdown"]
    assert "\\href{https://example.org/a}{example.org/a}" in shown["latex"]
    assert shown["latex"].count("\\end{tabular}") == 1


def test_a_column_without_links_has_none():
    for text in forms("arXiv 2602.15909", linked=False).values():
        assert "https://arxiv.org" not in text


def test_what_latex_reads_in_an_address_is_escaped():
    shown = forms("https://example.org/a_b?c=d&e#f", linked=True)["latex"]
    assert "\\href{https://example.org/a\\_b?c=d\\&e\\#f}" in shown


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_published_results_lead_to_source_paper_and_code(form):
    text = render(published_table(), form)
    rows = [row for section in published_table().sections for row in section.rows]
    addresses = {address for row in rows for address in (row["source"], row["code"]) if address}
    for address in addresses:
        expected = address if address.startswith("https://") else "https://arxiv.org/abs/2305.14032"
        assert re.sub(r"\\(?=[_&#%~])", "", text).count(expected) >= 1, address
    assert "https://arxiv.org/abs/2601.17080" in text  # A paper that a cell cites.
    assert "http://" not in text


def test_a_terminal_shows_no_addresses_and_keeps_its_width():
    for width in (60, 80, 100, 140):
        text = render(published_table(), width=width)
        assert max(map(len, text.splitlines())) <= width
        assert "https://" not in text
