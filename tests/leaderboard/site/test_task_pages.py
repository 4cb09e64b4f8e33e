"""The page of a board with sections of other tasks: classes, means, parts; as documents, files and in a browser."""

from __future__ import annotations

import csv
import io

import pytest
from board_runs import write_run
from browser import chromium
from official_sets import OFFICIAL
from task_boards import PAIR, make_task_board, registered_noises
from task_runs import FIVE

from leaderboard.site import write_site
from leaderboard.site.data import read_site_data
from leaderboard.site.downloads import data_files
from leaderboard.site.values import page_values
from leaderboard.statistics.comparison import compare
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table

NEW = "Noises, 5 classes of noises, new patients"
KNOWN = "Noises, 5 classes of noises, known patients (patients seen in training)"
PAIR_NEW = "Noises, normal or not, new patients"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with registered_noises(tmp_path_factory.mktemp("printed")):
        yield make_task_board(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def board(store):
    return read_site_data(store)


@pytest.fixture(scope="module")
def values(board):
    return page_values(board)


def places(values, title):
    (section,) = [n for n, one in enumerate(values["sections"]) if one["title"] == title]
    return [n for n, system in enumerate(values["systems"]) if system["section"] == section]


def test_sections_are_those_of_the_table_with_their_tasks(store, values):
    titles = [section.title for section in leaderboard_table(store, failed=False).sections]
    assert [one["title"] for one in values["sections"]] == titles
    first, new, known = values["sections"][:3]
    assert first == {"title": OFFICIAL, "ranked": True, "simulated": False}
    assert (new["task"], new["part"], new["law"], new["main"]) == ("noise-5", "inter", "challenge", None)
    assert (known["patients_seen"], known["main"]) == (True, "new patients")
    assert new["classes"] == list(FIVE.classes)
    assert new["judged"] == ["5class", "2class"]
    assert new["reference"] == {"name": "every cycle called normal", "sp": 100, "se": 0, "as": 50, "hs": 0, "score": 25}


def test_a_page_of_the_four_classes_alone_says_nothing_of_tasks(tmp_path):
    store = Store.open(tmp_path)
    for fields in ({}, {"dataset": "demo"}, {"partial": "partial (198 of 920)"}):
        store.import_run(write_run(tmp_path, **fields))
    values = page_values(read_site_data(store))
    assert {name for section in values["sections"] for name in section} == {"title", "ranked", "simulated"}
    assert not {name for lens in values["lenses"].values() for name in lens} & {"as", "hs"}
    assert not any("dataset" in system for system in values["printed"])


def test_numbers_of_the_page_are_those_of_the_table(store, values):
    lens = values["lenses"]["last/official/4class"]
    sections = {section.title: section for section in leaderboard_table(store).sections}
    for title in (NEW, KNOWN, PAIR_NEW):
        rows = {row["model"]: row for row in sections[title].rows}
        for place in places(values, title):
            row = rows[values["systems"][place]["model"]]
            for name in ("sp", "se", "as", "hs", "score"):
                assert lens[name][place] == float(f"{row[name]:.2f}")
            assert lens["ranks"][place] == row["ranks"]


def test_each_system_has_an_id_of_its_own_on_each_part(values):
    ids = [system["id"] for system in values["systems"]]
    assert len(set(ids)) == len(ids)
    marks = {system["id"]: [word for word, _ in system["marks"]] for system in values["systems"]}
    assert {tuple(marks[values["systems"][n]["id"]]) for n in places(values, KNOWN)} == {("patients seen in training",)}


def test_a_task_of_two_classes_has_one_kind_of_hit(values, board):
    exact, either = (values["lenses"][f"last/official/{hit}"] for hit in ("4class", "2class"))
    for place in places(values, PAIR_NEW):
        assert exact["score"][place] == either["score"][place] is not None
    for place in places(values, NEW):
        assert exact["se"][place] < either["se"][place]
    files = {path: list(csv.DictReader(io.StringIO(text))) for path, text in data_files(board) if path.endswith(".csv")}
    for name in ("board", "seeds", "devices"):
        judged = {(row["section"], row["judged"]) for row in files[f"data/{name}.csv"]}
        assert {of for section, of in judged if section == PAIR_NEW} == {"2class"}
        assert {of for section, of in judged if section == NEW} == {"5class", "2class"}
        assert {of for section, of in judged if section == OFFICIAL} == {"4class", "2class"}
    classes = {row["true"] for row in files["data/confusion.csv"] if row["section"] == NEW}
    assert classes == set(FIVE.classes)
    missed = [row for row in files["data/missed.csv"] if row["section"] == PAIR_NEW]
    assert {row["judged"] for row in missed} == {"2class"}
    assert {row["class"] for row in missed} <= set(PAIR.classes)
    patients = [row for row in files["data/patients.csv"] if row["section"] == NEW]
    assert all(row["correct_abnormal_5class"] and not row["correct_abnormal_4class"] for row in patients)


def test_printed_results_name_what_they_stand_beside(values):
    found = [one for one in values["printed"] if "dataset" in one]
    assert {(one["name"], one["task"], one["part"]) for one in found} == {
        ("Winner", "noise-5", "inter"),
        ("Poster", "noise-5", "inter"),
    }


# --- in a browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as found:
            yield found
    except RuntimeError as error:
        pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="module")
def page_of(browser, store, tmp_path_factory):
    """Opens the page in a width; in the end, it must have had no error."""
    path, faults, contexts = write_site(store, tmp_path_factory.mktemp("site") / "page", "1.2.3"), [], []

    def start(fragment="", width=1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path.as_uri() + fragment)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def ids_of(board, title):
    return {system.row["model"]: system.id for system in board.systems if system.section == title}


@pytest.mark.parametrize("width", [390, 1280])
def test_sections_can_be_chosen_and_nothing_is_wider_than_the_screen(page_of, board, width):
    page = page_of(width=width)
    assert page.locator("#tables > section:visible h2").count() == len(board.sections)
    page.locator('select[name="data"]').select_option("Noises, 5 classes of noises")
    titles = page.locator("#tables > section:visible h2").all_inner_texts()
    assert titles == [NEW, KNOWN]
    heads = page.locator("#tables > section:visible").first.locator("th").all_inner_texts()
    assert [head.strip() for head in heads if head.strip() in ("AS", "HS")] == ["AS", "HS"]
    assert "say little of new patients" in page.locator("#tables > section:visible").nth(1).inner_text()
    page.locator("#show-printed").check()
    page.locator("#printed > summary").click()
    assert sorted(page.locator("#printed-table tbody b").all_inner_texts()) == ["Poster", "Winner"]
    for fragment in ("", f"#system={ids_of(board, KNOWN)['ast']}", "#view=missed"):
        page.goto(page.url.partition("#")[0] + fragment)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("title", "part"), [(NEW, "inter"), (KNOWN, "intra")])
def test_a_comparison_says_what_board_compare_says(page_of, board, store, title, part):
    ids = ids_of(board, title)
    page = page_of(f"#view=compare&a={ids['ast']}&b={ids['cnn6']}")
    five = [run for run in store.runs() if run.judged_task.task == FIVE]
    sides = [[run for run in five if run.spec["model"] == model] for model in ("ast", "cnn6")]
    found = compare(store, *sides, "last", part).differences["official"]["5class"]
    rows = page.locator("#differences tbody tr").all()
    for row, rate in zip(rows, ("sp", "se", "score"), strict=True):
        cells = row.locator("td").all_inner_texts()
        lo, hi = found[rate]["ci95"]
        assert cells[3:] == [minus(found[rate]["value"]), f"{minus(lo)} to {minus(hi)}"]
    heads = page.locator("#confusion-difference thead th").all_inner_texts()
    assert heads == [f"as {name}" for name in FIVE.classes]


def minus(value):
    return f"{value:+.2f}".replace("-", "−")


def test_a_system_shows_the_classes_of_its_task(page_of, board):
    page = page_of(f"#system={ids_of(board, KNOWN)['ast']}")
    assert page.locator("#confusion tbody th").all_inner_texts() == list(FIVE.classes)
    assert page.locator("#confusion td.hit").count() == 5
    assert "patients seen in training" in page.locator("#system-title").inner_text()
    assert "part that epochs are chosen by: new patients" in page.locator("#curves-words").inner_text()
    judged = {row.split("\t")[2] for row in page.locator("#lenses tbody tr").all_inner_texts()}
    assert judged == {"5-class", "2-class"}
    page = page_of(f"#system={ids_of(board, PAIR_NEW)['ast']}")
    assert {row.split("\t")[2] for row in page.locator("#lenses tbody tr").all_inner_texts()} == {"2-class"}
