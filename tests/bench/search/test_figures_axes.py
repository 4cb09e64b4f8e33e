"""Axes, words and marks of the figures: against values worked out by hand, at ends and in odd spaces."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from made_studies import SPACE, add_trial, empty_study, grid_study, searched_study
from matplotlib.figure import Figure
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from bench.search.figures import draw, words
from bench.search.figures.axes import axis_marks, value_axis
from bench.search.figures.data import FigureData, Parameter
from bench.search.figures.html import inline
from bench.search.figures.importance import LEAST_TRIALS, importance_of
from bench.search.figures.reading import figure_of
from bench.search.figures.text import MOST_VALUES, bar, terminal, trials_table


def linear(low=0.0, high=10.0, **changes):
    return Parameter("x", "x", low, high, **changes)


def logarithmic(low=0.01, high=100.0, **changes):
    return Parameter("x", "x", low, high, log=True, **changes)


def listed(*values, **changes):
    return Parameter("x", "x", float(min(values)), float(max(values)), values=values, **changes)


def words_of(*values):
    return Parameter("x", "x", 0.0, len(values) - 1.0, values=values, words=True)


# --- places -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "place"),
    [
        (linear(), 0.0, 0.0),
        (linear(), 2.5, 0.25),
        (linear(), 10, 1.0),
        (linear(-4.0, 4.0), 0, 0.5),
        (logarithmic(), 0.01, 0.0),
        (logarithmic(), 1, 0.5),
        (logarithmic(), 100.0, 1.0),
        (linear(3.0, 3.0), 3.0, 0.5),
        (logarithmic(3.0, 3.0), 3.0, 0.5),
        (words_of("a", "b", "c"), "b", 0.5),
        (words_of(True, False), False, 1.0),
        (words_of("a"), "a", 0.5),
        (words_of(None, 1, "1"), 1, 0.5),
    ],
)
def test_a_value_lies_where_it_lies_between_the_ends(parameter, value, place):
    assert parameter.place(value) == pytest.approx(place, abs=1e-12)


@pytest.mark.parametrize(
    ("chosen", "place"), [(None, None), (-0.1, None), (0.0, 0.0), (5.0, 0.5), (10.0, 1.0), (10.1, None)]
)
def test_the_papers_choice_has_a_place_between_the_ends_alone(chosen, place):
    assert linear(chosen=chosen).chosen_place == place


# --- axes -------------------------------------------------------------------------------------------------------


def axis_of(parameter, side="x"):
    ax = Figure().subplots()
    value_axis(ax, parameter, side)
    return ax


@pytest.mark.parametrize(
    ("parameter", "ends"),
    [
        (linear(), (-0.5, 10.5)),
        (linear(chosen=20.0), (-1.0, 21.0)),
        (linear(chosen=-10.0), (-11.0, 11.0)),
        (linear(2.0, 2.0), (1.5, 2.5)),
        (logarithmic(1.0, 1.0), (0.5, 2.0)),
        (logarithmic(), (0.01 / 10**0.2, 100 * 10**0.2)),
        (words_of("a", "b", "c"), (-0.5, 2.5)),
    ],
)
@pytest.mark.parametrize("side", ["x", "y"])
def test_an_axis_reaches_a_little_beyond_the_space_and_the_papers_choice(parameter, ends, side):
    ax = axis_of(parameter, side)
    assert getattr(ax, f"get_{side}lim")() == pytest.approx(ends)
    assert getattr(ax, f"get_{side}scale")() == ("log" if parameter.log else "linear")
    assert getattr(ax, f"get_{side}label")() == "x"


@pytest.mark.parametrize(
    ("parameter", "ticks"),
    [
        (listed(1.0, 2.0, 4.0), [1.0, 2.0, 4.0]),
        (listed(0.1, 1.0, 10.0, log=True), [0.1, 1.0, 10.0]),
        (words_of("z", "hz"), [0.0, 1.0]),
        (listed(5.0), [5.0]),
    ],
)
def test_a_list_has_a_tick_at_each_of_its_values(parameter, ticks):
    assert list(axis_of(parameter).get_xticks()) == ticks


def test_values_that_lie_too_close_have_round_ticks_instead():
    crowded = listed(*(float(value) for value in range(1, 31)))
    ticks = axis_of(crowded).get_xticks()
    assert 2 <= len(ticks) <= 8
    assert len(set(np.round(np.diff(ticks), 9))) == 1


def test_long_words_are_cut_on_an_axis():
    labels = [tick.get_text() for tick in axis_of(words_of("x" * 14, "y" * 15)).get_xticklabels()]
    assert labels == ["x" * 14, "y" * 13 + "…"]


@pytest.mark.parametrize(
    ("parameter", "marks"),
    [
        (linear(), [(0.0, "0"), (0.5, "5"), (1.0, "10")]),
        (logarithmic(), [(0.0, "0.01"), (0.5, "1"), (1.0, "100")]),
        (listed(1.0, 2.0, 3.0), [(0.0, "1"), (0.5, "2"), (1.0, "3")]),
        (words_of("a", "b"), [(0.0, "a"), (1.0, "b")]),
        (listed(*map(float, range(31))), [(0.0, "0"), (0.5, "15"), (1.0, "30")]),
    ],
)
def test_an_upright_axis_is_marked_at_its_values_or_its_ends_and_middle(parameter, marks):
    found = axis_marks(parameter)
    assert [text for _, text in found] == [text for _, text in marks]
    assert [place for place, _ in found] == pytest.approx([place for place, _ in marks])


# --- joint axes -------------------------------------------------------------------------------------------------


def test_the_axes_of_several_studies_do_not_depend_on_their_order():
    def study(name, low, high, log):
        space = {"p": FloatDistribution(low, high, log=log)}
        made = empty_study(name, space)
        add_trial(made, {"p": high}, [50.0], space=space)
        return made

    studies = [study("a", 1.0, 2.0, False), study("b", 0.5, 1.5, True), grid_study("c", "p", {4.0: [50.0]})]
    found = []
    for seed in range(4):
        random.Random(seed).shuffle(studies)
        found.append(figure_of(studies).parameters["p"])
    assert set(found) == {Parameter("p", "p", 0.5, 4.0, log=True)}


def test_words_of_several_studies_stand_side_by_side_each_once():
    studies = [
        grid_study(name, "target", {word: [50.0] for word in values}) for name, values in (("a", "zh"), ("b", "hq"))
    ]
    axis = figure_of(studies).parameters["target"]
    assert (axis.values, axis.low, axis.high, axis.words) == (("z", "h", "q"), 0.0, 2.0, True)


def test_a_space_that_begins_at_zero_makes_a_joint_axis_linear():
    spaces = [FloatDistribution(0.1, 1.0, log=True), FloatDistribution(0.0, 1.0)]
    studies = [empty_study(str(place), {"p": space}) for place, space in enumerate(spaces)]
    for study, space in zip(studies, spaces, strict=True):
        add_trial(study, {"p": 0.5}, [50.0], space={"p": space})
    axis = figure_of(studies).parameters["p"]
    assert (axis.low, axis.high, axis.log) == (0.0, 1.0, False)


# --- importance -------------------------------------------------------------------------------------------------


def test_the_shares_are_those_that_optuna_gives_a_study():
    study = searched_study(40)
    trials = [trial for trial in study.get_trials() if trial.state is TrialState.COMPLETE]
    found = importance_of(trials, resamples=2)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=found.best / len(trials))
    expected = get_param_importances(study, evaluator=evaluator, params=sorted(found.shares))
    assert {name: share for name, (share, _) in found.shares.items()} == pytest.approx(expected)


@pytest.mark.parametrize(("trials", "best"), [(LEAST_TRIALS, 5), (50, 5), (51, 6), (100, 10), (101, 11)])
def test_a_tenth_of_the_trials_counts_as_the_best_but_five_at_least(trials, best):
    study = empty_study()
    for number in range(trials):
        add_trial(study, {"alpha": 0.1 + number % 7, "tau": 0.01 + number % 5 / 10, "beta": 1.0}, [50.0 + number])
    found = importance_of(study.get_trials(), resamples=2)
    assert (found.best, found.trials) == (best, trials)
    assert set(found.shares) == {"alpha", "tau"}
    assert sum(share for share, _ in found.shares.values()) == pytest.approx(1.0)


def test_a_parameter_that_some_trials_lack_has_no_importance():
    study = empty_study()
    for number in range(12):
        params = {"alpha": 0.1 + number, "tau": 0.01 + number / 100, "beta": number / 5}
        params["alpha"] = min(params["alpha"], 10.0)
        if number == 5:
            del params["tau"]
        add_trial(study, params, [50.0 + number])
    assert set(importance_of(study.get_trials(), resamples=2).shares) == {"alpha", "beta"}


# --- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1 / 3, "0.3333"),
        (12345.678, "1.235e+04"),
        (1e-05, "1e-05"),
        (8, "8"),
        (True, "True"),
        (None, "None"),
        ("stop-z", "stop-z"),
        ("a\x1b[2J\nb", "a?[2J?b"),
    ],
)
def test_values_are_printed_with_four_digits_and_no_control_characters(value, text):
    assert words.value_words(value) == text


def study_with(*runs, **told):
    """A study whose finished trials had so many runs each."""
    study = empty_study()
    for number, scores in enumerate(runs):
        add_trial(study, {"alpha": 1.0 + number, "tau": 0.1, "beta": 1.0}, scores, **told)
    return figure_of([study]).studies[0]


@pytest.mark.parametrize(
    ("runs", "told", "said"),
    [
        ([[50.0]], {}, None),
        ([], {}, None),
        ([[50.0, 51.0]], {}, "over the 2 runs of a trial (seeds)"),
        ([[50.0, 51.0], [50.0]], {}, "over the 2 runs of a trial (seeds)"),
        ([[50.0, 51.0], [50.0, 51.0, 52.0]], {}, "over the 2 to 3 runs of a trial (seeds)"),
        ([[50.0, 51.0]], {"seeds": [1, 1], "folds": [1, 2]}, "over the 2 runs of a trial (folds)"),
        ([[50.0, 51.0]], {"folds": [1, 2]}, "over the 2 runs of a trial (seeds and folds)"),
        ([[50.0, 51.0]], {"seeds": [], "folds": []}, "over the 2 runs of a trial"),
    ],
)
def test_a_deviation_says_what_it_is_over(runs, told, said):
    found = words.runs_words(study_with(*runs, **told))
    assert found == (None if said is None else f"± is the sample standard deviation {said}")


def test_a_sentence_that_holds_for_all_studies_names_none_of_them():
    one, other = grid_study("one"), grid_study("two", scores={0.02: [50.0], 0.06: [51.0]})
    both = words.notes(figure_of([one, grid_study("two")]))
    assert not any(note.startswith(("one", "two")) for note in both)
    notes = words.notes(figure_of([one, other]))
    assert "one: ± is the sample standard deviation over the 3 runs of a trial (seeds)." in notes
    assert "one: No importance: 3 finished trials are too few; it needs 10." in notes
    assert "two: No importance: 2 finished trials are too few; it needs 10." in notes


def test_contours_beyond_the_first_six_pairs_are_counted():
    space = {f"p{place}": FloatDistribution(0.0, 1.0) for place in range(5)}
    study, rng = empty_study("made", space), random.Random(0)
    for number in range(6):
        add_trial(study, {name: rng.random() for name in space}, [50.0 + number], space=space)
    figure = figure_of([study])
    assert "Contours of 6 of the 10 pairs." in words.limits(figure.studies[0])
    assert sum(panel.title.startswith("Score over") for panel in draw.panels(figure)) == 6


@pytest.mark.parametrize(("data", "said"), [(None, None), ("simulated", "SIMULATED DATA"), ("20 of 920", "20 of 920")])
def test_a_study_says_what_it_was_not_made_on_in_full(data, said):
    request = {} if data is None else {"dataset": "demo"} if data == "simulated" else {"partial": data}
    line = words.study_line(figure_of([grid_study(**request)]).studies[0])
    system, *rest = line.split("; ")[1:]
    assert system == "ast + patchmix-cl"
    assert (rest[0] == said) == (said is not None)


# --- terminal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 4, 24])
def test_bars_grow_with_their_values_and_never_beyond_their_length(most):
    lengths = []
    for step in range(8 * most + 1):
        drawn = bar(step, 0, 8 * most, most)
        assert len(drawn) <= most
        eighths = [8 if letter == "█" else " ▏▎▍▌▋▊▉".index(letter) for letter in drawn]
        lengths.append(sum(eighths))
    assert lengths == list(range(8 * most + 1))


def test_a_bar_between_equal_ends_is_empty():
    assert bar(5.0, 5.0, 5.0) == ""


@pytest.mark.parametrize("count", [MOST_VALUES, MOST_VALUES + 1])
def test_many_values_are_put_together_in_ranges_that_hold_every_trial(count):
    values = [100.0 + number for number in range(count)]
    figure = figure_of([grid_study("made", "p", {value: [value / 2] for value in values})])
    rows = [line.split() for line in terminal(figure, 100).splitlines() if line.strip()[:1].isdigit()]
    ranges = [row for row in rows if "–" in row]
    if count <= MOST_VALUES:
        assert ranges == []
        return
    assert len(ranges) == 8
    assert sum(int(row[3]) for row in ranges) == count
    ends = [(float(row[0]), float(row[2])) for row in ranges]
    assert (ends[0][0], ends[-1][1]) == (100.0, values[-1])
    assert all(one[1] == other[0] for one, other in pairwise(ends))


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_terminal_of_any_width_is_not_overrun(width):
    text = terminal(figure_of([searched_study(30), grid_study()]), width)
    assert max(map(len, text.splitlines())) <= width


def test_a_table_of_trials_has_a_dash_for_what_a_trial_lacks():
    study = empty_study()
    add_trial(study, {"alpha": 1.0, "tau": 0.1, "beta": 1.0}, [50.0, 52.0])
    add_trial(study, {"alpha": 1.0}, state=TrialState.FAIL, error="The loss is nan.")
    table = trials_table(figure_of([study]).studies[0])
    rows = [[line for cell in row.cells for line in cell.lines] for row in table.sections[0].rows]
    assert rows[0] == ["0", "finished", "1", "0.1", "1", "51.00", "1.41", "51.00", "1-2", ""]
    assert rows[1] == ["1", "failed", "1", "–", "–", "–", "–", "–", "–", "The loss is nan."]


# --- drawings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "limits"),
    [
        ([], (0.0, 100.0)),
        ([[50.0]], (49.5, 50.5)),
        ([[50.0], [60.0]], (49.2, 60.8)),
        ([[49.0, 51.0], [60.0]], (50 - math.sqrt(2) - 0.08 * (10 + math.sqrt(2)), 60 + 0.08 * (10 + math.sqrt(2)))),
    ],
)
def test_all_panels_share_an_axis_of_scores_that_holds_every_deviation(scores, limits):
    assert draw._score_limits([study_with(*scores)]) == pytest.approx(limits)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 10])
def test_panels_stand_at_most_three_in_a_row_in_their_order(count):
    panels = [draw.Panel(str(number), lambda ax: None, "small") for number in range(count)]
    rows = draw._rows(panels)
    assert [panel for row in rows for panel in row] == panels
    sizes = [len(row) for row in rows]
    assert max(sizes) <= 3
    assert max(sizes) - min(sizes) <= 1


def test_rows_are_not_mixed():
    panels = [draw.Panel(str(n), lambda ax: None, row) for n, row in enumerate(["a", "b", "a", "c"])]
    assert [[panel.row for panel in row] for row in draw._rows(panels)] == [["a", "a"], ["b"], ["c"]]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_parallel_lines_end_at_their_scores(share):
    study = empty_study()
    scores = [50.0, 55.0, 60.0]
    for number, score in enumerate(scores):
        add_trial(study, {"alpha": 10.0 ** (number - 1), "tau": 0.01 * 10**number, "beta": 1.0}, [score])
    data = figure_of([study]).studies[0]
    ax = Figure().subplots()
    draw.parallel_panel(data, ax)
    (lines,) = ax.collections
    line = lines.get_segments()[round(2 * share)]
    assert line[:, 0].tolist() == [0.0, 1.0, 2.0]
    # Both parameters and the Score grow together, each on its own axis.
    assert line[:, 1] == pytest.approx([share] * 3)


def test_a_surface_is_the_mean_of_trials_at_the_same_place():
    study = empty_study()
    for alpha, tau, score in [(1, 0.1, 50.0), (1, 0.1, 60.0), (1, 1.0, 52.0), (10, 0.1, 53.0), (10, 1.0, 54.0)]:
        add_trial(study, {"alpha": float(alpha), "tau": tau}, [score])
    data = figure_of([study]).studies[0]
    surface = draw._surface(data, data.parameters["alpha"], data.parameters["tau"])
    places = {(x, y): score for x, y, score in zip(surface.mesh.x, surface.mesh.y, surface.scores, strict=True)}
    assert places == {(1.0, 0.1): 55.0, (1.0, 1.0): 52.0, (10.0, 0.1): 53.0, (10.0, 1.0): 54.0}


# --- SVG in a page ----------------------------------------------------------------------------------------------

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="1" height="2" '
    b'viewBox="0 0 1 2"><metadata>a date</metadata><defs><clipPath id="c"/></defs>'
    b'<g clip-path="url(#c)" style="fill: #1f2430; stroke: #123456"><use xlink:href="#c"/>'
    b"<text>#1f2430</text></g></svg>"
)


def test_a_drawing_in_a_page_has_ids_of_its_own_and_the_colours_of_the_page():
    found = ElementTree.fromstring(inline(SVG, 'a <"label">', "p7-"))
    group = found.find("{*}g")
    assert [element.get("id") for element in found.iter() if element.get("id")] == ["p7-c"]
    assert group.get("clip-path") == "url(#p7-c)"
    assert group.find("{*}use").get("{http://www.w3.org/1999/xlink}href") == "#p7-c"
    # A colour that the page does not know stays, and so does a text that looks like one.
    assert group.get("style") == "fill: var(--ink); stroke: #123456"
    assert group.find("{*}text").text == "#1f2430"
    assert found.find("{*}metadata") is None
    assert (found.get("width"), found.get("height"), found.get("viewBox")) == (None, None, "0 0 1 2")
    assert (found.get("role"), found.get("aria-label")) == ("img", 'a <"label">')


def test_a_figure_without_studies_is_a_title_and_nothing_else():
    empty = FigureData([])
    assert words.title(empty) == "Score against the searched parameters"
    assert (draw.panels(empty), words.notes(empty), empty.to_json()["studies"]) == ([], [], [])


def test_a_study_with_words_alone_is_written_in_every_form_of_text():
    space = {"target": CategoricalDistribution(["z", "hz"]), "tau": SPACE["tau"]}
    study = empty_study("made", space)
    for number, target in enumerate(["z", "hz"]):
        add_trial(study, {"target": target, "tau": 0.1}, [50.0 + number], space=space)
    text = terminal(figure_of([study]), 100)
    assert [line.split()[:4] for line in text.splitlines() if line.split()[:1] in (["z"], ["hz"])] == [
        ["z", "1", "50.00", "50.00"],
        ["hz", "1", "51.00", "51.00"],
    ]
