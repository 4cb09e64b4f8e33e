"""Tables as HTML on paper: every column is on the sheet, in black on white, in a real browser where there is one."""

from __future__ import annotations

import pytest
from browser import chromium
from report_tables import NAMES, long_board, report_tables

from leaderboard.render.formats import render

SHEET = 1032
"""CSS pixels across a sheet of A4 in landscape between its margins."""


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as found:
            yield found
    except RuntimeError as error:
        pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return report_tables(long_board(tmp_path_factory.mktemp("board")))


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_sheet_holds_every_column(browser, tables, name, tmp_path):
    path = tmp_path / "table.html"
    path.write_text(render(tables[name], "html"), encoding="utf-8")
    page = browser.new_page(viewport={"width": SHEET, "height": 700}, color_scheme="dark")
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= SHEET
    right = page.locator("th, td").evaluate_all("all => Math.max(...all.map(one => one.getBoundingClientRect().right))")
    assert right <= SHEET
    cut = page.locator(".scroll").evaluate_all("all => all.map(one => getComputedStyle(one).overflowX)")
    assert set(cut) == {"visible"}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    sheet = page.pdf(prefer_css_page_size=True)
    assert b"/MediaBox [0 0 841" in sheet or b"/MediaBox [0 0 842" in sheet
    page.close()


def test_a_page_for_paper_names_its_sheet(tables):
    assert "@page { size: A4 landscape;" in render(tables["table3"], "html")
