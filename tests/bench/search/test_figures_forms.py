"""The forms of a search's figures: each is what it claims to be, holds what it should, and is the same every time."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from made_studies import SPACE, add_trial, empty_study, grid_study, searched_study
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from PIL import Image

from bench.core.errors import ResultError
from bench.search.figures import draw, words
from bench.search.figures.html import html
from bench.search.figures.reading import figure_of
from bench.search.figures.render import FORMATS, render
from bench.search.figures.text import bar, terminal

NASTY = 'a$b$ <script>alert("x")</script> & [bold]'


@pytest.fixture(scope="module")
def searched():
    return figure_of([searched_study(30)])


@pytest.fixture(scope="module")
def grid():
    return figure_of([grid_study(dataset="demo")])


@pytest.fixture(scope="module")
def searched_page(searched):
    return html(searched)


@pytest.fixture(scope="module")
def searched_svg(searched):
    return render(searched, "svg")


@pytest.fixture(scope="module")
def grid_files(grid):
    return {format_: render(grid, format_, width=100) for format_ in FORMATS}


def titles(figure):
    return [panel.title for panel in draw.panels(figure)]


def drawn(panel):
    """The axes of a panel, drawn."""
    ax = draw.Figure().subplots()
    panel.draw(ax)
    return ax


def svg_text(content):
    return " ".join(
        "".join(element.itertext()) for element in ElementTree.fromstring(content).iter() if "text" in element.tag
    )


# --- panels -----------------------------------------------------------------------------------------------------------


def test_a_search_has_every_panel(searched):
    assert titles(searched) == [
        "Score against α (alpha)",
        "Score against τ (tau)",
        "Score against β (beta)",
        "History",
        "Importance",
        "All parameters",
        *(panel for panel in titles(searched) if panel.startswith("Score over")),
    ]
    assert len(titles(searched)) == 9


def test_a_grid_of_one_parameter_has_no_more_than_it_can_show(grid):
    assert titles(grid) == ["Score against τ (tau)", "History"]
    assert words.notes(grid)[1:3] == [
        "No importance: 3 finished trials are too few; it needs 10.",
        "No parallel coordinates and no contour: fewer than two parameters vary.",
    ]


def test_studies_without_finished_trials_are_drawn_as_words():
    figure = figure_of([empty_study()])
    assert titles(figure) == []
    assert "No finished trial yet" in svg_text(render(figure, "svg"))
    assert "No finished trial yet" in terminal(figure)
    assert "No finished trial yet" in html(figure)


def test_the_score_stands_over_the_log_axis_with_its_deviation_and_the_papers_choice(grid):
    ax = drawn(draw.panels(grid)[0])
    assert ax.get_xscale() == "log"
    points, *_ = ax.containers
    assert points.has_yerr
    assert list(points.lines[0].get_xdata()) == [0.02, 0.06, 0.2]
    assert list(points.lines[0].get_ydata()) == [58.0, 61.0, 58.5]
    assert [0.06, 0.06] in [list(line.get_xdata()) for line in ax.lines]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.02", "0.06", "0.2"]


def test_a_linear_space_has_a_linear_axis(searched):
    by_title = {panel.title: panel for panel in draw.panels(searched)}
    assert drawn(by_title["Score against β (beta)"]).get_xscale() == "linear"
    assert drawn(by_title["Score against α (alpha)"]).get_xscale() == "log"


def test_pruned_and_failed_trials_are_not_drawn(searched):
    finished = len(searched.studies[0].finished)
    assert finished < 30
    history = drawn(draw.panels(searched)[3])
    assert [len(line.get_xdata()) for line in history.lines] == [finished, finished]


def test_words_have_an_axis_of_places_and_no_contour():
    space = {"target": CategoricalDistribution(["stop-z", "z", "hz"]), "tau": SPACE["tau"]}
    study = empty_study("made", space)
    for number, target in enumerate(["z", "hz", "stop-z", "z", "hz"]):
        add_trial(study, {"target": target, "tau": 0.05 + number / 10}, [50.0 + number], space=space)
    by_title = {panel.title: panel for panel in draw.panels(figure_of([study]))}
    ax = drawn(by_title["Score against target"])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["stop-z", "z", "hz"]
    assert "Score over target and τ, trials only" in by_title
    assert drawn(by_title["Score over target and τ, trials only"]).collections


@pytest.mark.parametrize(
    ("places", "contour"),
    [
        ([(0.1, 0.1), (1, 0.1), (0.1, 1)], False),  # three trials
        ([(0.1, 0.01), (1, 0.1), (10, 1.0), (0.31622776601683794, 0.031622776601683794)], False),  # a line
        ([(0.1, 0.1), (0.1, 0.1), (1, 0.1), (0.1, 1)], False),  # three places
        ([(0.1, 0.1), (1, 0.1), (0.1, 1), (1, 1)], True),
    ],
)
def test_a_contour_needs_four_places_off_a_line(places, contour):
    study = empty_study()
    for number, (alpha, tau) in enumerate(places):
        add_trial(study, {"alpha": alpha, "tau": tau}, [50.0 + number])
    found = [title for title in titles(figure_of([study])) if title.startswith("Score over")]
    assert found == ["Score over α and τ" + ("" if contour else ", trials only")]
    drawn(draw.panels(figure_of([study]))[-1])


def test_several_studies_have_a_legend_and_say_which_is_which():
    figure = figure_of([grid_study("one"), grid_study("two", method="ce")])
    ax = drawn(draw.panels(figure)[0])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    assert titles(figure)[1:] == ["History, one", "History, two"]


# --- files ------------------------------------------------------------------------------------------------------------


def test_svg_holds_its_text_as_text(searched_svg):
    text = svg_text(searched_svg)
    for said in (
        "Score against α, τ, β",
        "Score on held-out training patients",
        "trials: 26 finished, 3 pruned, 1 failed",
        "the paper's choice 0.06",
        "grey: the paper's choice 1",
        "sample standard deviation over the 2 runs of a trial (seeds)",
        "PED-ANOVA",
    ):
        assert said in text


def test_marks_stand_in_the_figure():
    text = svg_text(render(figure_of([grid_study(dataset="demo", objective="test")]), "svg"))
    assert "SIMULATED DATA" in text
    assert "TUNED ON THE TEST SET" in text


def test_pdf_and_png_are_what_they_claim(grid_files):
    assert grid_files["pdf"].startswith(b"%PDF-")
    image = Image.open(io.BytesIO(grid_files["png"]))
    image.load()
    assert image.format == "PNG"
    assert image.width > 1400
    assert image.height > 500


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_study_gives_the_same_bytes(grid_files, format_):
    assert render(figure_of([grid_study(dataset="demo")]), format_, width=100) == grid_files[format_]


def test_nothing_of_matplotlib_stays_set(grid):
    before = dict(mpl.rcParams)
    draw.panel_svg(draw.panels(grid)[0])
    assert dict(mpl.rcParams) == before


def test_an_unknown_format_is_refused(grid):
    with pytest.raises(ResultError, match="Unknown format 'gif'"):
        render(grid, "gif")


# --- HTML -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Collects tags, ids and references of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            self.references += [value[1:]] if name.endswith("href") else re.findall(r"url\(#([^)]+)\)", value or "")


def test_the_page_needs_nothing_but_itself(searched_page):
    text = searched_page
    page = Page(text)
    assert page.tags.count("svg") == 9
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert set(re.findall(r"https?://[^\s\"<]+", text)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in text
    assert len(page.ids) == len(set(page.ids))
    assert set(page.references) <= set(page.ids)
    assert page.references


def test_the_page_is_for_light_and_dark(searched_page):
    text = searched_page
    assert "prefers-color-scheme: dark" in text
    figures = text[text.index("<svg") : text.rindex("</svg>")]
    assert "var(--ink)" in figures
    assert draw.INK not in figures


def test_the_page_has_a_line_for_every_trial(searched_page):
    text = searched_page
    assert text.count("<tr") == 31
    assert "The loss is nan." in text


def test_names_are_text_and_nothing_else():
    study = grid_study(name=NASTY, param="p$x$ <b>")
    add_trial(
        study,
        {"p$x$ <b>": 0.06},
        state=TrialState.FAIL,
        space={"p$x$ <b>": CategoricalDistribution([0.02, 0.06, 0.2])},
        error="<img src=x onerror=alert(1)>",
    )
    figure = figure_of([study])
    assert not {"script", "b", "img"} & set(Page(html(figure)).tags)
    text = svg_text(render(figure, "svg"))
    assert "p$x$ <b>" in text
    assert NASTY in text
    assert "[bold]" in terminal(figure, 200)


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_terminal_gets_a_line_for_each_value_of_a_list(grid):
    lines = terminal(grid, 100).splitlines()
    row = next(line.split() for line in lines if line.strip().startswith("0.06"))
    assert row[:7] == ["0.06", "*", "1", "61.00", "±", "1.00", "61.00"]
    assert row[7] == "█" * 24
    assert any("SIMULATED DATA" in line for line in lines)
    assert all(len(line) <= 100 for line in lines)


def test_a_terminal_gets_ranges_of_what_has_many_values(searched):
    text = terminal(searched, 100)
    counts = re.findall(r"^\s*[\d.]+ – [\d.]+( \*)?\s+(\d+)\s", text, re.MULTILINE)
    assert sum(int(count) for _, count in counts) == 3 * 26
    assert sum(bool(mark) for mark, _ in counts) == 3
    assert "± bootstrap of the trials" in text


@pytest.mark.parametrize(("value", "drawn_"), [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.53125, "██▏"), (1 / 32, "▏")])
def test_a_bar_is_as_long_as_its_value(value, drawn_):
    assert bar(value, 0.0, 1.0, 4) == drawn_


def test_csv_gives_every_trial_back_in_full_precision(searched):
    rows = list(csv.DictReader(io.StringIO(render(searched, "csv").decode())))
    trials = searched.studies[0].trials
    assert [int(row["trial"]) for row in rows] == [trial.number for trial in trials]
    for row, trial in zip(rows, trials, strict=True):
        assert row["state"] == trial.state
        assert {name: float(row[f"param.{name}"]) for name in SPACE} == trial.params
        assert (float(row["score"]) if row["score"] else None) == trial.score
        assert tuple(json.loads(row["scores"])) == trial.scores
    assert rows[14]["error"] == "The loss is nan."


def test_json_is_one_document(grid):
    document = json.loads(render(grid, "json"))
    assert document["figure"] == "figure2"
    assert document["studies"][0]["data"] == "simulated"
    assert document["studies"][0]["best"] == 1
    assert document["studies"][0]["importance"]["none_because"].startswith("No importance")
