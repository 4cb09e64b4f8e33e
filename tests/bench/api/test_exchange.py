"""Bundles and submissions by the API: what is carried, what is refused, and that doing it twice changes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile

import pytest
from board_runs import write_run
from icbhi_sets import part_of_folder, write_set

from bench.api import changes, exchange, keys, upkeep
from bench.api.boards import open_board
from bench.core.errors import DataError, ResultError, StoreError
from leaderboard.store.store import Store


@pytest.fixture
def board(tmp_path):
    """A board with three runs, one of which failed."""
    store = Store.open(tmp_path / "home")
    for run in ({"seed": 1}, {"seed": 2}, {"method": "ce", "failed": "The loss is nan."}):
        store.import_run(write_run(tmp_path / "home", **run))
    return open_board(tmp_path / "home")


@pytest.fixture
def second(tmp_path):
    return open_board(tmp_path / "second")


def ids(board):
    return sorted(run.run_id for run in board.runs())


# --- bundles ------------------------------------------------------------------------------------------------------


def test_a_bundle_says_what_its_file_is(board, tmp_path):
    written = exchange.export_runs(board, tmp_path / "b.zip")
    content = (tmp_path / "b.zip").read_bytes()
    assert (written.bytes, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (sorted(written.runs), written.cycle_sets) == (ids(board), 1)
    assert json.loads(json.dumps(written.to_json()))["file"] == str(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert {name.split("/")[1] for name in archive.namelist() if name.startswith("runs/")} == set(written.runs)


def test_chosen_runs_alone_are_carried(board, second, tmp_path):
    first, other, _ = ids(board)
    written = exchange.export_runs(board, tmp_path / "b.zip", [first[:9], first, other.upper()])
    assert list(written.runs) == [first, other]
    exchange.import_bundles(second, [tmp_path / "b.zip"])
    assert ids(second) == [first, other]


def test_everything_of_a_run_arrives(board, second, tmp_path):
    exchange.export_runs(board, tmp_path / "b.zip")
    exchange.import_bundles(second, [tmp_path / "b.zip"])
    assert [vars(run) for run in second.runs()] == [vars(run) for run in board.runs()]
    assert second.table("leaderboard").to_json() == board.table("leaderboard").to_json()
    for run_id in ids(board):
        assert second.run(run_id).to_json() == board.run(run_id).to_json()
        assert (second.home / "runs" / run_id / "result.json").is_file()
    upkeep.rebuild(second)
    assert [vars(run) for run in second.runs()] == [vars(run) for run in board.runs()]


def test_a_bundle_of_a_bundle_holds_the_same_runs(board, second, tmp_path):
    exchange.export_runs(board, tmp_path / "b.zip")
    exchange.import_bundles(second, [tmp_path / "b.zip"])
    exchange.export_runs(second, tmp_path / "c.zip")
    (back,) = exchange.import_bundles(board, [tmp_path / "c.zip"])
    assert (list(back.new), sorted(back.same), list(back.conflict)) == ([], ids(board), [])


def test_bundles_that_overlap_give_their_union_in_any_order(board, tmp_path):
    first, second, third = ids(board)
    exchange.export_runs(board, tmp_path / "b.zip", [first, second])
    exchange.export_runs(board, tmp_path / "c.zip", [second, third])
    tables = []
    for number, order in enumerate([("b.zip", "c.zip"), ("c.zip", "b.zip")]):
        other = open_board(tmp_path / f"other-{number}")
        one, two = exchange.import_bundles(other, [tmp_path / name for name in order])
        assert (len(one.new), len(two.new), list(two.same)) == (2, 1, [second])
        tables.append([vars(run) for run in other.runs()])
    assert tables[0] == tables[1] == [vars(run) for run in board.runs()]


def conflicting(tmp_path, board):
    """A board that holds another result under the id of the first board's run."""
    other = open_board(tmp_path / "other")
    Store.open(other.home).import_run(write_run(other.home, seed=1, salt=7))
    assert set(ids(other)) < set(ids(board))
    return other


def test_another_result_of_the_same_run_is_a_conflict_and_is_kept(board, tmp_path):
    other = conflicting(tmp_path, board)
    before = other.runs()
    exchange.export_runs(board, tmp_path / "b.zip", ids(other))
    (merged,) = exchange.import_bundles(other, [tmp_path / "b.zip"])
    (conflict,) = merged.conflict
    assert (conflict["run_id"], list(merged.new)) == (before[0].run_id, [])
    scores = [next(run.score for run in one.runs() if run.run_id == before[0].run_id) for one in (board, other)]
    assert all(f"{score:.2f}" in conflict["reason"] for score in scores)
    assert other.runs() == before
    assert merged.to_json()["conflict"] == [dict(conflict)]


def test_a_conflict_is_settled_for_the_bundle_where_that_is_asked_for(board, tmp_path):
    other = conflicting(tmp_path, board)
    run_id = ids(other)[0]
    exchange.export_runs(board, tmp_path / "b.zip", [run_id])
    (merged,) = exchange.import_bundles(other, [tmp_path / "b.zip"], replace=True)
    assert (list(merged.replaced), list(merged.conflict)) == ([run_id], [])
    assert other.run(run_id).metrics == board.run(run_id).metrics
    (aside,) = (other.home / "replaced").iterdir()
    assert (aside / "result.json").is_file()
    (again,) = exchange.import_bundles(other, [tmp_path / "b.zip"], replace=True)
    assert (list(again.replaced), list(again.same)) == ([], [run_id])


def test_what_was_taken_back_here_is_not_brought_back(board, tmp_path):
    run_id = ids(board)[0]
    exchange.export_runs(board, tmp_path / "b.zip")
    changes.retract(board, run_id, "wrong data")
    (merged,) = exchange.import_bundles(board, [tmp_path / "b.zip"])
    assert list(merged.retracted) == [run_id]
    assert run_id not in ids(board)


def test_an_empty_board_has_nothing_to_carry(second, tmp_path):
    with pytest.raises(StoreError, match="holds no run to export"):
        exchange.export_runs(second, tmp_path / "b.zip")
    assert list(tmp_path.iterdir()) == []


def test_no_bundle_is_written_for_a_run_that_is_not_there(board, tmp_path):
    with pytest.raises(ResultError, match="There is no run 'zz'"):
        exchange.export_runs(board, tmp_path / "b.zip", [ids(board)[0], "zz"])
    assert not (tmp_path / "b.zip").exists()


def test_a_bundle_replaces_a_bundle_and_nothing_else(board, tmp_path):
    exchange.export_runs(board, tmp_path / "b.zip")
    one = exchange.export_runs(board, tmp_path / "b.zip", ids(board)[:1])
    assert len(one.runs) == 1
    (tmp_path / "thesis.zip").write_text("mine")
    with pytest.raises(StoreError, match="is there already and is no bundle"):
        exchange.export_runs(board, tmp_path / "thesis.zip")
    assert (tmp_path / "thesis.zip").read_text() == "mine"


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_bundle_that_was_cut_off_is_refused_whole(board, second, tmp_path, keep):
    exchange.export_runs(board, tmp_path / "b.zip")
    content = (tmp_path / "b.zip").read_bytes()
    size = int(len(content) * keep) if isinstance(keep, float) else keep
    (tmp_path / "b.zip").write_bytes(content[:size])
    with pytest.raises(StoreError, match=r"b\.zip"):
        exchange.import_bundles(second, [tmp_path / "b.zip"])
    assert second.runs() == []
    assert not (second.home / "runs").exists()


def test_a_changed_byte_of_a_result_is_found(board, second, tmp_path):
    exchange.export_runs(board, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith("result.json"))
    members[name] = members[name].replace(b'"epochs": 2', b'"epochs": 3')
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    with pytest.raises(StoreError, match=r"c\.zip"):
        exchange.import_bundles(second, [tmp_path / "c.zip"])
    assert second.runs() == []


def test_a_file_that_is_not_there_is_told(second, tmp_path):
    with pytest.raises(StoreError, match=r"none\.zip"):
        exchange.import_bundles(second, [tmp_path / "none.zip"])
    assert exchange.import_bundles(second, []) == []
    assert not second.home.exists()


# --- submissions --------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    write_set(tmp_path / "data")
    return str(tmp_path / "data")


@pytest.fixture
def answers(tmp_path, data):
    """The answers by key: the class is the cycle's place in the test part."""
    return {key: place % 4 for place, key in enumerate(part_of_folder(tmp_path / "data").cycles.keys)}


def written(path, answers, ending=""):
    lines = [f"{recording}{ending},{cycle},{value}\n" for (recording, cycle), value in answers.items()]
    path.write_text("recording,cycle,predicted\n" + "".join(lines))
    return path


def statement(**changes):
    return exchange.Statement(**{"system": "ours", "selection": "last", **changes})


def test_the_order_of_lines_and_the_ending_wav_change_nothing(second, tmp_path, data, answers):
    one = exchange.submit(second, written(tmp_path / "p.csv", answers), statement(), data=data)
    turned = dict(reversed(answers.items()))
    again = exchange.submit(second, written(tmp_path / "q.csv", turned, ".wav"), statement(), data=data)
    assert (again.run_id, again.metrics, again.state) == (one.run_id, one.metrics, "same")
    assert any(f"{len(answers)} lines name the recording with .wav" in remark for remark in again.remarks)
    assert len(second.runs()) == 1


def test_remarks_say_what_a_submitter_should_know(second, tmp_path, data, answers):
    path = written(tmp_path / "p.csv", answers)
    done = exchange.submit(second, path, statement(), data=data)
    assert any(f"{len(answers)} test cycles" in remark for remark in done.remarks)
    assert any(remark.startswith("not signed") for remark in done.remarks)
    assert any(remark.startswith("undeclared, and shown as that: metadata, ensemble") for remark in done.remarks)
    declared = exchange.Inputs(metadata=False, ensemble=1, tta=False, thresholds="none", pretrained_on_icbhi=False)
    keys.own_key()
    whole = exchange.submit(second, path, statement(system="other", inputs=declared), data=data)
    assert not any(remark.startswith(("not signed", "undeclared")) for remark in whole.remarks)
    assert whole.inputs == declared.declared()


def test_a_signed_statement_can_be_changed_by_its_key_alone(second, tmp_path, data, answers, monkeypatch):
    path = written(tmp_path / "p.csv", answers)
    keys.own_key()
    first = exchange.submit(second, path, statement(), data=data)
    changed = exchange.submit(second, path, statement(notes="an ensemble"), data=data)
    assert (changed.state, changed.run_id) == ("changed", first.run_id)
    assert changed.submission["notes"] == "an ensemble"
    monkeypatch.setenv("BENCH_KEY", str(tmp_path / "another.pem"))
    keys.own_key()
    with pytest.raises(ResultError, match="belongs to"):
        exchange.submit(second, path, statement(seed=2), data=data)
    assert len(second.runs()) == 1


def test_other_predictions_of_the_same_seed_are_refused(second, tmp_path, data, answers):
    exchange.submit(second, written(tmp_path / "p.csv", answers), statement(), data=data)
    other = {key: (value + 1) % 4 for key, value in answers.items()}
    with pytest.raises(ResultError, match="seed"):
        exchange.submit(second, written(tmp_path / "q.csv", other), statement(), data=data)
    exchange.submit(second, written(tmp_path / "q.csv", other), statement(seed=2), data=data)
    (system,) = second.systems()
    assert list(system.seeds) == [1, 2]


def test_a_submission_survives_a_rebuild(second, tmp_path, data, answers):
    exchange.submit(second, written(tmp_path / "p.csv", answers), statement(seed=4, model="CRNN"), data=data)
    before = [vars(run) for run in second.runs()]
    upkeep.rebuild(second)
    assert [vars(run) for run in second.runs()] == before
    (second.home / "leaderboard.sqlite").unlink()
    upkeep.rebuild(second)
    assert [vars(run) for run in second.runs()] == before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"system": ""}, "system"),
        ({"system": "x" * 201}, "system"),
        ({"system": "two\nlines"}, "system"),
        ({"selection": "luck"}, "selection"),
        ({"seed": -1}, "seed"),
        ({"epoch": 0}, "epoch"),
        ({"inputs": exchange.Inputs(ensemble=0)}, "ensemble is 0"),
        ({"inputs": exchange.Inputs(thresholds="guess")}, "thresholds is 'guess'"),
    ],
)
def test_a_statement_that_cannot_be_is_refused(second, tmp_path, data, answers, wrong, said):
    with pytest.raises(ResultError, match=said):
        exchange.submit(second, written(tmp_path / "p.csv", answers), statement(**wrong), data=data)
    assert not second.home.exists()


@pytest.mark.parametrize(
    ("spoil", "field", "count"),
    [
        (lambda answers: dict(list(answers.items())[2:]), "missing", 2),
        (lambda answers: {**answers, ("999_1b1_Al_sc_Meditron", 0): 1}, "extra", 1),
        (lambda answers: {**answers, next(iter(answers)): 4}, "wrong_classes", 1),
        (lambda answers: {(name, cycle + 1): value for (name, cycle), value in answers.items()}, "missing", 2),
    ],
)
def test_a_refusal_names_every_cycle_and_stores_nothing(second, tmp_path, data, answers, spoil, field, count):
    with pytest.raises(exchange.RefusedError) as refused:
        exchange.submit(second, written(tmp_path / "p.csv", spoil(answers)), statement(), data=data)
    document = exchange.refusal_document(refused.value)
    assert (document["accepted"], len(document[field])) == (False, count)
    assert [document["error"], document["hint"]] == [refused.value.message, refused.value.hint]
    assert {tuple(entry[:2]) for entry in json.loads(json.dumps(document))[field]} <= {*answers, *spoil(answers)}
    assert second.runs() == []


def test_a_part_of_the_set_is_judged_where_that_is_allowed(second, tmp_path, data, answers):
    gone = next(iter(answers))[0]
    for path in (tmp_path / "data").rglob(f"{gone}.*"):
        path.unlink()
    kept = {key: value for key, value in answers.items() if key[0] != gone}
    path = written(tmp_path / "p.csv", kept)
    with pytest.raises(DataError, match="1 of 5 annotation files is missing"):
        exchange.submit(second, path, statement(), data=data)
    done = exchange.submit(second, path, statement(), data=data, allow_partial=True)
    assert (done.partial, done.cycles) == ("partial (4 of 5)", len(kept))
    assert second.runs()[0].partial == "partial (4 of 5)"


def test_a_copied_results_folder_is_the_same_board(board, tmp_path):
    shutil.copytree(board.home, tmp_path / "copy")
    assert open_board(tmp_path / "copy").runs() == board.runs()
