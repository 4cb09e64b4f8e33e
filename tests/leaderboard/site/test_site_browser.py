"""The page in a real browser; see tests/support/browser.py for which one."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
import soundfile as sf
from browser import chromium
from official_sets import OFFICIAL
from row_systems import systems_with
from site_boards import NASTY, enlarged, make_board

from leaderboard.published import TABLES, printed_table
from leaderboard.render.board_columns import ranks
from leaderboard.render.formats import render
from leaderboard.render.pages import resource
from leaderboard.results.schema import RULES
from leaderboard.site import write_site
from leaderboard.site.data import TEST_PARTS, read_site_data
from leaderboard.site.details import printed_systems
from leaderboard.site.pages import site_page
from leaderboard.site.system_predictions import MOST_MISSED
from leaderboard.site.systems import Lens
from leaderboard.site.values import page_values
from leaderboard.statistics.comparison import compare, runs_of
from leaderboard.statistics.intervals import paired_difference, t_quantile
from leaderboard.statistics.patient_hits import PatientHits
from leaderboard.statistics.seed_spread import PAPER_SPREAD
from leaderboard.tables.board_tables import leaderboard_table
from leaderboard.tables.paper_tables import paper_table

A4_ACROSS = 1039
"""Pixels across an A4 page on its side, within its margins of 11 mm."""

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
    return read_site_data(store)


@pytest.fixture(scope="module")
def site(browser, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site with space & co") / "page"
    write_site(store, folder, "1.2.3")
    return folder


@pytest.fixture
def open_page(browser, site):
    """Opens the page; in the end, it must have had no error, no dialog and no request to anything but files."""
    faults, contexts = [], []

    def start(fragment="", width=1440, scheme="light", path=None, forced="none"):
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=scheme, forced_colors=forced)
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


def compared(systems):
    a, b = systems
    return f"#view=compare&a={a.id}&b={b.id}"


def cells_of(page, table):
    """Texts of the cells of a table's body, row by row."""
    return page.locator(f"{table} tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(c => c.innerText))"
    )


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
    for lens in itertools.starmap(Lens, itertools.product(RULES, TEST_PARTS, ("4class", "2class"))):
        choose(page, *lens)
        for title, ranked in board.sections.items():
            systems = expected(board, lens, title)
            found = [system.lenses.get(lens) for system in systems]
            assert ids(page, title) == [system.id for system in systems], lens
            assert column(page, "score", title) == [f"{v['score']:.2f}" if v else "–" for v in found], lens
            assert column(page, "se", title) == [f"{v['se']:.2f}" if v else "–" for v in found]
            assert column(page, "lo", title) == ["{:.1f}–{:.1f}".format(*v["ci95"]) if v else "–" for v in found]
            if ranked:
                assert column(page, "rank", title) == [ranks(v) if v else "" for v in found]


def test_the_smallest_difference_that_shows_stands_above_the_table(open_page, store):
    (floor,) = [s.floor for s in leaderboard_table(store).sections if s.title == OFFICIAL]
    page = open_page()
    told = section(page, OFFICIAL).locator(".floor").inner_text()
    assert f"differences of {floor:.1f} points" in told
    assert page.locator("#tables .floor:visible").count() == 1


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
    commands = page.locator("#runs .command code").all_text_contents()
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
    assert len(links) >= 13
    for link in links:
        assert (site / unquote(urlparse(link).path)).is_file()
    with (site / "data" / "board.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["place"] == "1"]
    assert {(row["rule"], row["part"], row["judged"]) for row in rows} == {tuple(lens) for lens in board.lenses}


# --- two systems, patients, scores, cycles ----------------------------------------------------------------------


def minus(value, digits=2):
    return f"{value:+.{digits}f}".replace("-", "−")


def test_the_page_computes_intervals_as_python_does(browser):
    page = browser.new_page()
    code = resource("leaderboard.site", "static", "statistics.js")
    for degrees, probability in itertools.product((0.7, 1, 2.5, 4, 17.3, 48, 350.2, 4e4), (0.6, 0.975, 0.9995)):
        found = page.evaluate(f"([p, d]) => {{ {code}; return tQuantile(p, d); }}", [probability, degrees])
        assert found == pytest.approx(t_quantile(probability, degrees), rel=1e-9)
    rng = np.random.default_rng(5)
    for seeds, pooled in itertools.product(((1, 1), (3, 1), (3, 5)), (None, PAPER_SPREAD)):
        cycles = rng.integers(0, 30, (12, 4))
        systems = [random_counts(rng, cycles, number) for number in seeds]
        sides = [side_of(counts) for counts in systems]
        spread = pooled and {name: getattr(pooled, name) for name in ("sp", "se", "score", "degrees")}
        found = page.evaluate(f"([a, b, p]) => {{ {code}; return pairedDifference(a, b, p); }}", [*sides, spread])
        expected = paired_difference(*systems, pooled=pooled)
        for rate in ("sp", "se", "score"):
            one = getattr(expected, rate)
            for name in ("value", "lo", "hi", "error", "degrees"):
                assert found[rate][name] == pytest.approx(getattr(one, name), rel=1e-9, abs=1e-9)
        assert found["favoursA"] == pytest.approx(expected.favours_a, abs=1e-9)
        assert found["coversSeeds"] == expected.covers_seeds
    page.close()


def random_counts(rng, cycles, seeds):
    """Confusion counts (seeds, patients, 4, 4) of the same cycles."""
    shares = np.full((4, 4), 0.15) + 0.4 * np.eye(4)
    return np.stack(
        [[[rng.multinomial(n, shares[c]) for c, n in enumerate(patient)] for patient in cycles] for _ in range(seeds)]
    )


def side_of(counts):
    """A system as the page's script takes it."""
    judgement = PatientHits.of(counts)
    return {
        "normal": judgement.correct[0].tolist(),
        "abnormal": judgement.correct[1].tolist(),
        "ofNormal": judgement.normal.tolist(),
        "ofAbnormal": judgement.abnormal.tolist(),
        "bySeed": judgement.by_seed.tolist(),
    }


@pytest.mark.parametrize("part", TEST_PARTS)
@pytest.mark.parametrize("judged", ["4class", "2class"])
def test_a_comparison_says_what_board_compare_says(open_page, store, board, part, judged):
    systems = expected(board, Lens("last", "official", "4class"))
    page = open_page()
    for a, b in ((systems[0], systems[3]), (systems[5], systems[1]), (systems[2], systems[0])):
        runs = store.runs()
        of = [runs_of(store, runs, system.rules["last"]["run_ids"][0], "last") for system in (a, b)]
        found = compare(store, *of, "last").differences[part][judged]
        page.goto(page.url.partition("#")[0] + f"{compared((a, b))}&part={part}&judged={judged}")
        rows = cells_of(page, "#differences")
        for row, rate in zip(rows, ("sp", "se", "score"), strict=True):
            lo, hi = found[rate]["ci95"]
            assert row[3] == minus(found[rate]["value"])
            assert row[4] == f"{minus(lo)} to {minus(hi)}"
        lo, hi = found["score"]["ci95"]
        told = page.locator("#verdict").inner_text()
        assert ("do not tell" in told) == (lo <= 0 <= hi)
        better = b if found["score"]["value"] < 0 else a
        assert lo <= 0 <= hi or told.startswith(f"{'A' if better is a else 'B'} (")


def test_a_comparison_shows_classes_confusion_and_patients(open_page, board):
    lens = Lens("last", "official", "4class")
    a, b = expected(board, lens)[:2]
    page = open_page(compared((a, b)))
    shares = [[[100 * n / sum(row) for n in row] for row in system.lenses[lens]["confusion"]] for system in (a, b)]
    cells = page.locator("#confusion-difference td b").all_inner_texts()
    assert cells == [minus(shares[0][i][j] - shares[1][i][j]) for i in range(4) for j in range(4)]
    assert [row[3] for row in cells_of(page, "#class-differences")] == [
        minus(shares[0][i][i] - shares[1][i][i]) for i in range(4)
    ]
    assert page.locator("#patient-differences svg .bars rect, #patient-differences svg rect").count() >= 25
    page.locator("#comparison summary").click()
    rows = {row[0]: row for row in cells_of(page, "#patient-differences-table")}
    assert set(rows) == set(a.counts["last"].patients)
    values = [hit_rates(system, "last") for system in (a, b)]
    for patient, row in rows.items():
        assert row[4] == minus(values[0][patient] - values[1][patient])
    page.get_by_role("button", name="Swap").click()
    assert page.url.endswith(compared((b, a))[1:].partition("&")[2])


def hit_rates(system, rule):
    """Percent of each patient's cycles that is right, the mean over seeds."""
    by_patient = system.counts[rule].by_patient
    right = np.trace(by_patient, axis1=-2, axis2=-1).mean(axis=0)
    return dict(zip(system.counts[rule].patients, 100 * right / by_patient[0].sum(axis=(-2, -1)), strict=True))


def test_what_cannot_be_compared_is_told(open_page, board):
    official = expected(board, Lens("last", "official", "4class"))[0]
    simulated = next(system for system in board.systems if system.section == "simulated")
    for pair, told in (((official, simulated), "cannot be compared"), ((official, official), "one system")):
        page = open_page(compared(pair))
        assert told in page.locator("#verdict").inner_text()
        assert not page.locator("#compared").is_visible()
    page = open_page(f"#system={official.id}")
    page.get_by_role("link", name="compare with another").click()
    assert page.locator("#verdict").inner_text() == "Choose two systems."
    other = expected(board, Lens("last", "official", "4class"))[1]
    page.locator('select[name="b"]').select_option(value=other.id)
    assert page.locator("#compared").is_visible()


def test_every_patient_has_its_leverage_on_the_score(open_page, board):
    system = expected(board, Lens("last", "official", "4class"))[0]
    page = open_page(f"#system={system.id}")
    page.locator("#patients-more summary").click()
    rows = {row[0]: row for row in cells_of(page, "#patients-table")}
    counts = system.counts["last"]
    score = system.lenses[Lens("last", "official", "4class")]["score"]
    assert set(rows) == set(counts.patients)
    for patient, row in rows.items():
        without = PatientHits.of(counts.without({patient}).by_patient).values[2]
        assert row[7] == minus(score - without)
        assert row[6] == f"{hit_rates(system, 'last')[patient]:.2f}"


def test_scores_have_their_curve_and_their_reliability(open_page, board):
    system = board.systems[0]
    answers = system.predictions["last"]
    page = open_page(f"#system={system.id}")
    assert f"{answers.reliability.error:.2f} points" in page.locator("#reliability-words").inner_text()
    assert page.locator('#reliability svg g[aria-label="dot"] circle').count() == len(answers.reliability.bins)
    assert "the fold that it has not seen" in page.locator("#thresholds-words").inner_text()
    page.locator("#thresholds svg").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    sp, se = np.mean([points.tuned["4class"] for points in answers.points], axis=0)
    assert f"Sp {sp:.2f} Se {se:.2f}" in " ".join(page.locator("#thresholds .said").inner_text().split())


def test_missed_cycles_are_listed_for_the_choice(open_page, board):
    page = open_page("#view=missed&judged=2class&part=patient-disjoint")
    cycles = [c for c in board.missed["last"][OFFICIAL] if c.judged == "2class" and not c.shared][:MOST_MISSED]
    rows = cells_of(page, "#missed-tables section:first-child table")
    assert [(row[0], row[2], row[4]) for row in rows] == [
        (cycle.key[0], str(cycle.key[1]), f"{cycle.share:.1f} %") for cycle in cycles
    ]


def test_a_cycle_is_seen_and_heard_from_the_readers_own_files(open_page, board, tmp_path):
    cycle = next(c for c in board.missed["last"][OFFICIAL] if c.judged == "4class")
    recording, number = cycle.key
    folder = tmp_path / "own"
    folder.mkdir()
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    sf.write(folder / f"{recording}.wav", tone, 8000, subtype="PCM_16")
    lines = [f"{place / 2000:.4f}\t{place / 2000 + 0.4:.4f}\t0\t0" for place in range(number + 1)]
    (folder / f"{recording}.txt").write_text("\n".join(lines) + "\n")
    page = open_page("#view=missed")
    button = page.locator("#missed-tables button").first
    button.click()
    assert "your own copy" in page.locator("#heard-words").inner_text()
    page.locator("#own-data").set_input_files(folder)
    assert page.locator("#own-words").inner_text().startswith("1 recordings")
    button.click()
    page.locator("#again").wait_for()
    lo, hi = number / 2000, number / 2000 + 0.4
    assert f"From {lo:.2f} to {hi:.2f} s" in page.locator("#heard-words").inner_text()
    # The tone of 1 kHz is the brightest row, a quarter of the way up.
    row = page.evaluate(
        """() => {
          const canvas = document.getElementById("spectrogram");
          const { width, height } = canvas;
          const pixels = canvas.getContext("2d").getImageData(width >> 1, 0, 1, height).data;
          const light = Array.from({ length: height }, (_, y) => pixels[4 * y] + pixels[4 * y + 1] + pixels[4 * y + 2]);
          return 1 - light.indexOf(Math.max(...light)) / height;
        }"""
    )
    assert row == pytest.approx(0.25, abs=0.02)
    page.locator("#missed-tables button").nth(3).click()
    page.wait_for_function("document.getElementById('heard-words').textContent.includes('not among the files')")


def test_printed_systems_stand_on_the_plane_when_asked(open_page):
    page = open_page()
    assert not page.locator("#printed").is_visible()
    page.locator("#show-printed").check()
    printed = [s for s in printed_systems() if s.table == "4class"]
    assert page.locator('#plane svg g[aria-label="dot"][stroke] path').count() >= len(printed)
    page.locator("#printed summary").first.click()
    rows = cells_of(page, "#printed-table")
    assert len(rows) == len(printed)
    links = page.locator("#printed-table a").evaluate_all("all => all.map(one => one.href)")
    assert all(link.startswith("https://") for link in links)
    assert len(links) > len(printed) / 2
    choose(page, judged="2class")
    assert len(cells_of(page, "#printed-table")) == sum(s.table == "2class" for s in printed_systems())
    choose(page, part="patient-disjoint")
    assert not page.locator("#printed").is_visible()


def test_a_row_is_dated_and_cited(open_page, board):
    lens = Lens("last", "official", "4class")
    page = open_page()
    assert column(page, "date") == [system.rules["last"]["date"] for system in expected(board, lens)]
    page.goto(page.url.partition("#")[0] + f"#system={board.systems[0].id}")
    page.locator("#cite summary").click()
    entry = page.locator("#cite code").inner_text()
    assert entry.startswith("@software{lungbench-")
    page.locator("#cite button").click()
    page.locator("#cite button", has_text=re.compile("copied|selected: copy it")).wait_for()


# --- keyboard, outliers, colours, paper -------------------------------------------------------------------------


def test_every_figure_is_walked_by_keyboard(open_page, board):
    systems = expected(board, Lens("last", "official", "4class"))
    page = open_page()
    for figure, first in (("#plane", systems[0].row["model"]), ("#forest", "Score")):
        page.locator(f"{figure} svg").focus()
        page.keyboard.press("ArrowRight")
        said = page.locator(f"{figure} .said").inner_text()
        assert said.startswith(f"1 of {len(systems)}: ")
        assert first in said
        assert page.locator(f"{figure} .ring").count() == 1
        page.keyboard.press("End")
        assert page.locator(f"{figure} .said").inner_text().startswith(f"{len(systems)} of ")
        page.keyboard.press("Escape")
        assert page.locator(f"{figure} .ring").count() == 0
    page.goto(page.url.partition("#")[0] + f"#system={systems[0].id}")
    figures = page.locator("#system .plot:has(svg)").evaluate_all("all => all.map(one => one.id)")
    assert {"classes", "devices", "patients", "thresholds", "reliability"} <= set(figures)
    for svg in page.locator("#system .plot > svg, #curves svg").all():
        svg.focus()
        page.keyboard.press("ArrowDown")
    told = page.locator("#system .said").all_inner_texts()
    assert len(told) >= 7
    page.goto(page.url.partition("#")[0] + compared(systems[:2]))
    page.locator("#patient-differences svg").focus()
    page.keyboard.press("Home")
    assert "points" in page.locator("#patient-differences .said").inner_text()


def with_outlier(board, lens):
    """The board with a system whose Score and interval lie far from all others."""
    systems = list(board.systems)
    place = systems.index(expected(board, lens)[-1])
    values = {**systems[place].lenses[lens], "score": 2.0, "sp": 1.0, "se": 3.0, "ci95": [0.0, 99.0]}
    values["by_seed"] = [{"sp": 1.0, "se": 3.0, "score": 2.0}]
    lenses = {**systems[place].lenses, lens: values}
    systems[place] = dataclasses.replace(systems[place], lenses=lenses)
    return dataclasses.replace(board, systems=systems)


def test_one_outlier_does_not_squeeze_the_others(open_page, board, tmp_path):
    lens = Lens("last", "official", "4class")
    path = tmp_path / "index.html"
    path.write_text(site_page(with_outlier(board, lens), "1", "now", "last"), encoding="utf-8")
    page = open_page(path=path)
    frame = page.locator("#forest svg").bounding_box()["width"] - 278
    lengths = page.locator('#forest svg g[aria-label="link"] path').evaluate_all(
        "all => all.map(one => one.getBBox().width)"
    )
    assert len(lengths) == 6
    assert min(lengths) > frame / 12
    arrows = page.locator("#forest svg text", has_text=re.compile("^[◀▶]$")).all_text_contents()
    assert "◀" in arrows
    assert "▶" in arrows
    assert (
        "go on beyond" in page.locator("#forest-words").inner_text()
        or "goes on beyond" in page.locator("#forest-words").inner_text()
    )
    assert "beyond" in page.locator("#plane-words").inner_text()
    bars = section(page, OFFICIAL).locator(".bar")
    assert bars.locator(".before").count() >= 1
    assert bars.locator(".beyond").count() >= 1
    inside = bars.locator("i").evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
    assert min(inside) > 10


def test_forced_colours_leave_every_mark_visible(open_page, board):
    page = open_page(forced="active")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    fills = (
        section(page, OFFICIAL)
        .locator(".bar i")
        .evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    )
    assert fills
    assert ground not in fills
    switch = page.locator('input[name="rule"]')
    colours = [
        page.locator(f'input[value="{rule}"] + span').evaluate("one => getComputedStyle(one).backgroundColor")
        for rule in RULES
    ]
    assert switch.count() == 3
    assert colours[0] not in colours[1:]
    page.goto(page.url.partition("#")[0] + f"#system={board.systems[0].id}")
    for figure in ("#devices", "#classes"):
        rects = page.locator(f"{figure} svg .bars rect")
        assert rects.count() >= 4
        strokes = rects.evaluate_all("all => all.map(one => getComputedStyle(one).stroke)")
        assert "none" not in strokes
        assert ground not in strokes


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_has_every_column_and_figure(open_page, board, scheme):
    page = open_page(width=A4_ACROSS, scheme=scheme)
    page.emulate_media(media="print")
    for fragment in ("", f"#system={board.systems[0].id}", compared(board.systems[:2]), "#view=missed"):
        page.goto(page.url.partition("#")[0] + fragment)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert overflow(page) == 0
        cut = page.locator(".scroll:visible").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent.slice(0, 40))"
        )
        assert cut == []
        wide = page.locator(".plot svg:visible").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().right > innerWidth).length"
        )
        assert wide == 0
    page.goto(page.url.partition("#")[0])
    heads = section(page, OFFICIAL).locator("th:visible")
    on_paper = heads.count()
    page.emulate_media(media="screen")
    assert on_paper == heads.count() >= 9


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_the_paper_fits_the_page(open_page, store, tmp_path, name):
    path = tmp_path / "table.html"
    path.write_text(
        render(paper_table(printed_table(name), store, "best-test", systems_with(name)), "html"), encoding="utf-8"
    )
    page = open_page(path=path, width=A4_ACROSS)
    page.emulate_media(media="print")
    assert overflow(page) == 0
    assert (
        page.locator(".scroll").evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth + 1).length")
        == 0
    )


# --- looks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen(open_page, board, width):
    page = open_page(width=width)
    assert overflow(page) == 0
    for system in (board.systems[0], board.systems[-1]):
        page.goto(page.url.partition("#")[0] + f"#system={system.id}")
        assert page.locator("#system").is_visible()
        assert overflow(page) == 0
    for view, element in ((compared(board.systems[:2]), "#compared"), ("#view=missed", "#missed-tables table")):
        page.goto(page.url.partition("#")[0] + view)
        assert page.locator(element).first.is_visible()
        assert overflow(page) == 0
    tables = page.locator(".scroll").evaluate_all("all => all.map(one => getComputedStyle(one).overflowX)")
    assert set(tables) == {"auto"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(open_page, board, scheme):
    page = open_page(scheme=scheme)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    seen = 0
    for fragment in ("", f"#system={board.systems[0].id}", compared(board.systems[:2]), "#view=missed"):
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
    table = paper_table(printed_table(name), store, "best-test", systems_with(name))
    path = tmp_path / "table.html"
    path.write_text(render(table, "html"), encoding="utf-8")
    page = open_page(path=path, width=width, scheme="dark")
    assert page.locator("tbody tr:has(td)").count() == len(table.rows)
    assert overflow(page) == 0
    assert page.locator("script").count() == 0
    best = page.locator("td strong").all_inner_texts()
    sections = {row["section"] for row in table.rows}
    assert len(best) >= 3 * len(sections)


def test_an_empty_board_says_so(open_page, tmp_path):
    from leaderboard.store.store import Store

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
    assert path.stat().st_size < 3_500_000
    page = open_page(path=path)
    opened = []
    for _ in range(3):
        page.reload()
        opened.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
    assert page.locator("#tables tbody tr").count() == 250
    assert min(opened) < 1000, opened
