"""The page in a real browser; see tests/support/browser.py for which one."""

from __future__ import annotations

import csv
import itertools
import re
from urllib.parse import unquote, urlparse

import pytest
from browser import chromium
from site_boards import NASTY, enlarged, make_board

from leaderboard.paper_tables import paper_table
from leaderboard.published import TABLES, printed_table
from leaderboard.render_paper import render_paper
from leaderboard.results import RULES
from leaderboard.site import write_site
from leaderboard.site.data import PARTS, Lens, read_board
from leaderboard.site.pages import site_page
from leaderboard.site.values import page_values
from leaderboard.tables import OFFICIAL

CONTRAST = 4.5
"""Least ratio of text to its ground (WCAG 2.2, AA)."""

TEXTS = ("h1", "p", "td", "th button", "a", ".mark", ".std", ".detail", "legend", "label span", "dd", "dt", "summary")

LUMINANCE = """
(() => {
  const channels = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  window.contrast = (element) => {
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
})()
"""


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as found:
            yield found
    except RuntimeError as error:
        pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_board(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def board(store):
    return read_board(store)


@pytest.fixture(scope="module")
def site(browser, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site with space & co") / "page"
    write_site(store, folder, "1.2.3")
    return folder


@pytest.fixture
def open_page(browser, site):
    """Opens the page; in the end, it must have had no error, no dialog and no request to anything but files."""
    faults, contexts = [], []

    def start(fragment="", width=1440, scheme="light", path=None):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: faults.append(f"request: {request.url}") if outside(request.url) else None)
        page.goto((path or site / "index.html").as_uri() + fragment)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def outside(url):
    return urlparse(url).scheme not in ("file", "data")


def choose(page, rule="last", part="official", judged="4class"):
    for name, value in (("rule", rule), ("part", part), ("judged", judged)):
        page.locator(f'input[name="{name}"][value="{value}"]').check(force=True)


def section(page, title):
    return page.locator("#tables > section", has=page.get_by_role("heading", name=title)).first


def column(page, key, title=OFFICIAL):
    """Texts of a column's cells in a section, without what stands beside the mean."""
    cells = section(page, title).locator(f"tbody td.c-{key}").all_inner_texts()
    return [re.split(r" ± |\n", text.strip())[0] for text in cells]


def ids(page, title=OFFICIAL):
    return section(page, title).locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.id)")


def expected(board, lens, title=OFFICIAL):
    """Systems of a section that have runs under the rule, the best first, those without a Score last."""
    found = [s for s in board.systems if s.section == title and lens.rule in s.rules]
    return sorted(found, key=lambda s: -s.lenses[lens]["score"] if lens in s.lenses else float("inf"))


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


# --- the board --------------------------------------------------------------------------------------------------


def test_every_section_is_there_and_the_page_asks_nobody(open_page, board):
    page = open_page()
    assert page.title() == "LungBench leaderboard"
    heads = page.locator("#tables h2").evaluate_all("heads => heads.map(head => head.firstChild.textContent)")
    assert heads == list(board.sections)
    assert page.locator("#tables .mark", has_text="not ranked").count() == 2
    assert "9" in page.locator("#failed").inner_text()
    assert "The loss is <b>nan</b> at step 12." in page.locator("#failed").inner_text()
    assert page.locator("footer").inner_text().startswith("Generated 20")
    assert "lungbench 1.2.3" in page.locator("footer").inner_text()


def test_the_switches_show_what_python_computed(open_page, board):
    page = open_page()
    for lens in itertools.starmap(Lens, itertools.product(RULES, PARTS, ("4class", "2class"))):
        choose(page, *lens)
        for title, ranked in board.sections.items():
            systems = expected(board, lens, title)
            found = [system.lenses.get(lens) for system in systems]
            assert ids(page, title) == [system.id for system in systems], lens
            assert column(page, "score", title) == [f"{v['score']:.2f}" if v else "–" for v in found], lens
            assert column(page, "se", title) == [f"{v['se']:.2f}" if v else "–" for v in found]
            assert column(page, "lo", title) == ["{:.1f}–{:.1f}".format(*v["ci95"]) if v else "–" for v in found]
            if ranked:
                assert column(page, "rank", title) == [str(v["rank"]) if v else "" for v in found]


def test_sorting_by_a_column_and_back(open_page, board):
    page, lens = open_page(), Lens("last", "official", "4class")
    systems = expected(board, lens)
    head = section(page, OFFICIAL).locator('th[data-key="se"]')
    by_se = [s.id for s in sorted(systems, key=lambda s: -s.lenses[lens]["se"])]
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").click()
    assert (ids(page), head.get_attribute("aria-sort")) == (by_se, "descending")
    head.get_by_role("button").click()
    assert (ids(page), head.get_attribute("aria-sort")) == (by_se[::-1], "ascending")
    for _ in range(2):  # a row without a value stays last either way
        section(page, OFFICIAL).locator('th[data-key="optimism"] button').click()
        assert column(page, "optimism")[-1] == "–"
    assert head.get_attribute("aria-sort") == "none"
    section(page, OFFICIAL).locator('th[data-key="title"] button').click()
    titles = column(page, "title")
    assert titles == sorted(titles, key=str.lower)


def test_filters_change_what_is_shown_and_say_how_much(open_page):
    page = open_page()
    page.locator('select[name="method"]').select_option("ce")
    assert column(page, "title") == ["ast + ce", "cnn6 + ce", "resnet18 + ce"]
    assert page.locator("#count").inner_text() == "3 of 8 systems"
    page.get_by_role("searchbox").fill("RESNET")
    assert column(page, "title") == ["resnet18 + ce"]
    assert column(page, "rank") == ["6"]  # filtering gives no other rank
    assert page.locator("#forest svg").get_by_text("resnet18 + ce").count() == 1
    page.get_by_role("searchbox").fill("nothing like this")
    assert page.locator("#nothing").inner_text() == "No system matches these filters."
    assert not page.locator("#figures").is_visible()
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#count").inner_text() == "8 of 8 systems"


def test_a_choice_stands_in_the_address(open_page, board):
    page = open_page("#rule=best-test&judged=2class&method=ce&sort=sp")
    assert page.locator('input[value="best-test"]').is_checked()
    lens = Lens("best-test", "official", "2class")
    mine = [s for s in expected(board, lens) if s.row["method"] == "ce"]
    assert ids(page) == [s.id for s in sorted(mine, key=lambda s: s.lenses[lens]["sp"])]
    choose(page, "best-val", judged="2class")
    page.go_back()
    assert page.locator('input[value="best-test"]').is_checked()


def test_the_keyboard_alone_is_enough(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the board"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator('input[value="best-test"]').is_checked()
    assert "best Score on the test part" in page.locator("#meaning").inner_text()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate('document.activeElement.closest("th")?.dataset.key') == "sp":
            break
    head = section(page, OFFICIAL).locator('th[data-key="sp"]')
    for direction in ("descending", "ascending"):
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == direction
        assert page.evaluate('document.activeElement.closest("th")?.dataset.key') == "sp"  # the focus stays
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_markup_in_a_name_is_text(open_page, board):
    page = open_page()
    assert f"{NASTY} (submitted)" in column(page, "title")
    assert page.locator("img").count() == 0
    page.get_by_role("link", name=NASTY).click()
    assert page.locator("#system-title").inner_text() == f"{NASTY} (submitted)"
    assert "there is no command" in page.locator("#runs").inner_text()
    assert page.locator("img").count() == 0


def test_figures_draw_every_seed_and_every_interval(open_page, board):
    page, lens = open_page(), Lens("last", "official", "4class")
    systems = expected(board, lens)
    runs = sum(len(system.rules["last"]["seeds"]) for system in systems)
    marks = page.locator('#plane svg g[aria-label="dot"] path, #plane svg g[aria-label="dot"] circle').count()
    assert marks == runs + len(systems) + 1
    assert page.locator('#forest svg g[aria-label="dot"] circle').count() == len(systems)
    assert page.locator("#plane svg").get_attribute("aria-label")
    page.locator('select[name="section"]').select_option(label="simulated")
    assert page.locator('#forest svg g[aria-label="dot"] circle').count() == 1


# --- one system -------------------------------------------------------------------------------------------------


def test_one_system_is_shown_whole(open_page, board, site):
    lens = Lens("last", "official", "4class")
    system = expected(board, lens)[0]
    page = open_page()
    page.locator(f'tr[data-id="{system.id}"] a').click()
    assert f"{system.lenses[lens]['score']:.2f}" in page.locator("#system-facts").inner_text()
    assert page.locator("#lenses tbody tr").count() == len(system.lenses)
    assert page.locator("#seeds tbody tr").count() == len(system.rules["last"]["seeds"])
    counts = page.locator("#confusion td span").all_inner_texts()
    assert counts == [str(count) for row in system.lenses[lens]["confusion"] for count in row]
    assert page.locator('#devices svg g[aria-label="bar"] rect').count() == 9
    assert page.locator('#classes svg g[aria-label="bar"] rect').count() == 4
    assert page.locator('#curve-scores svg g[aria-label="line"] path').count() == len(system.rules["last"]["seeds"])
    commands = page.locator(".command code").all_text_contents()
    assert commands == [f"bench run --spec data/runs/{run_id}.json" for run_id in system.rules["last"]["run_ids"]]
    assert "code.commit" in page.locator("#runs details").first.inner_text()
    choose(page, part="patient-disjoint", judged="2class")
    other = system.lenses[Lens("last", "patient-disjoint", "2class")]
    assert f"{other['score']:.2f}" in page.locator("#system-facts").inner_text()
    page.reload()
    assert f"{other['score']:.2f}" in page.locator("#system-facts").inner_text()
    page.get_by_role("link", name="all systems").click()
    assert page.locator("#tables").is_visible()
    assert page.locator('input[value="patient-disjoint"]').is_checked()
    assert page.evaluate('document.activeElement.closest("tr").dataset.id') == system.id


def test_every_download_is_there_and_holds_what_is_shown(open_page, board, site):
    page = open_page(f"#system={board.systems[0].id}")
    links = set(page.locator('a[href^="data/"], a[href^="licences/"]').evaluate_all("all => all.map(one => one.href)"))
    assert len(links) >= 9
    for link in links:
        assert (site / unquote(urlparse(link).path)).is_file()
    with (site / "data" / "board.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["rank"] == "1"]
    assert {(row["rule"], row["part"], row["judged"]) for row in rows} == {tuple(lens) for lens in board.lenses}


# --- looks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen(open_page, board, width):
    page = open_page(width=width)
    assert overflow(page) == 0
    for system in (board.systems[0], board.systems[-1]):
        page.goto(page.url.partition("#")[0] + f"#system={system.id}")
        assert page.locator("#system").is_visible()
        assert overflow(page) == 0
    tables = page.locator(".scroll").evaluate_all("all => all.map(one => getComputedStyle(one).overflowX)")
    assert set(tables) == {"auto"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(open_page, board, scheme):
    page = open_page(scheme=scheme)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    seen = 0
    for fragment in ("", f"#system={board.systems[0].id}"):
        page.goto(page.url.partition("#")[0] + fragment)
        page.evaluate(LUMINANCE)
        for words in TEXTS:
            ratios = page.locator(f"{words}:visible").evaluate_all("all => all.map(one => window.contrast(one))")
            seen += len(ratios)
            assert min(ratios, default=CONTRAST) >= CONTRAST, words
    assert seen > 100


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("width", [390, 1440])
def test_a_table_of_the_paper_is_one_file_without_script(open_page, store, tmp_path, name, width):
    table = paper_table(printed_table(name), store, "best-test", {})
    path = tmp_path / "table.html"
    path.write_text(render_paper(table, "html"), encoding="utf-8")
    page = open_page(path=path, width=width, scheme="dark")
    assert page.locator("tbody tr:has(td)").count() == len(table.rows)
    assert overflow(page) == 0
    assert page.locator("script").count() == 0
    best = page.locator("td strong").all_inner_texts()
    sections = {row["section"] for row in table.rows}
    assert len(best) >= 3 * len(sections)


def test_an_empty_board_says_so(open_page, tmp_path):
    from leaderboard.store import Store

    page = open_page(path=write_site(Store.open(tmp_path / "none"), tmp_path / "page", "1"))
    assert page.locator("#nothing").inner_text() == "The board is empty."


def test_the_page_may_begin_with_another_rule(open_page, store, tmp_path):
    page = open_page(path=write_site(store, tmp_path / "page", "1", start="best-test"))
    assert page.locator('input[value="best-test"]').is_checked()
    choose(page, "last")
    assert "rule=last" in page.url


def test_values_are_what_the_page_reads(open_page, board):
    page = open_page()
    read = page.evaluate('JSON.parse(document.getElementById("values").textContent)')
    assert read["lenses"] == page_values(board)["lenses"]


def test_a_page_of_500_runs_is_small_and_opens_at_once(open_page, board, tmp_path):
    large = enlarged(board, systems=250, epochs=50)
    assert len(large.runs) == 250 * len(board.systems[0].rules["last"]["seeds"]) >= 500
    path = tmp_path / "index.html"
    path.write_text(site_page(large, "1", "now", "last"), encoding="utf-8")
    assert path.stat().st_size < 5_000_000
    page = open_page(path=path)
    opened = []
    for _ in range(3):
        page.reload()
        opened.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
    assert page.locator("#tables tbody tr").count() == 250
    assert min(opened) < 1000, opened
