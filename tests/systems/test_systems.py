"""Systems that the project does not know of, each a plug-in file of public names: from the file to predictions."""

from __future__ import annotations

import ast
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from plugin_files import fresh_registries
from safetensors.torch import load_file
from small_data import write_small_data
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import StepLR

import bench
from bench import plugins
from bench.core.errors import InterruptedRunError
from bench.core.options import build_options
from bench.data.frontends import FRONTENDS
from bench.data.units import UnitWaves
from bench.engine import trainer
from bench.engine.data import open_run_data
from bench.engine.graph import build_graph
from bench.experiment.spec import read_spec
from bench.mock.checks import CHECKS
from bench.mock.run import mock_run
from leaderboard.results.predictions import read_cycles, read_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import runs_table

HERE = Path(__file__).parent
FILES = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("test_"))
DOCUMENTED = {"bench.plugins", "methods.base", "dataclasses", "math", "typing", "numpy", "torch", "torchaudio"}
"""What a plug-in may import: what docs/extending.md says, and public libraries."""

SYSTEMS = {
    "majority_pieces": ("piece-cnn", "ce", 12),
    "joined_cycles": ("joining-cnn", "ce", 4),
    "two_branches": ("two-branches", "binary-heads", 3),
}
"""Model and method of each system that is one run, and a step in which it is interrupted."""
RULES = ("last", "best-test")


@pytest.fixture(scope="module", autouse=True)
def _forget():
    with fresh_registries():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("systems") / "data", devices=("Meditron", "AKGC417L"))


@pytest.fixture(scope="module")
def run_system(data, small_cache):
    def run(name, home, **options):
        model, method, _ = SYSTEMS[name]
        words = {"data": data, "cache": small_cache, "home": home, "device": "cpu", "plugins": HERE / f"{name}.py"}
        return bench.run(model, method, **{**words, **options})

    return run


@pytest.fixture(scope="module")
def finished(run_system, tmp_path_factory):
    """Each system's run, made when it is first asked for."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = run_system(name, tmp_path_factory.mktemp(name))
        return made[name]

    return of


# --- the files ------------------------------------------------------------------------------------------------------


def test_there_are_four_systems():
    assert [path.stem for path in FILES] == ["device_experts", "joined_cycles", "majority_pieces", "two_branches"]


def imported_modules(tree):
    """Modules that are imported, with the names that are taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module, tuple(alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_system_is_a_short_file_of_public_names(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    tree = ast.parse(text)
    for module, names in imported_modules(tree):
        assert module in DOCUMENTED or module.partition(".")[0] in ("torch", "torchaudio", "numpy"), module
        assert not [name for name in (*module.split("."), *names) if name.startswith("_")]
        if module == "bench.plugins":
            assert set(names) <= set(plugins.__all__)
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name for name in attributes if name.startswith("_")} <= {"__init__"}


# --- each system that is one run ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_keeps_the_contract(name):
    model, method, _ = SYSTEMS[name]
    found = mock_run(model, method, [HERE / f"{name}.py"])
    assert [(outcome.check, outcome.status, outcome.reason) for outcome in found if outcome.status != "passed"] == []
    assert len(found) == len(CHECKS)


def cycles_by_hand(data, recording):
    """Samples and rate of a recording, and the times of its cycles, from its files."""
    wave, rate = soundfile.read(data / "ICBHI_final_database" / f"{recording}.wav", dtype="float32")
    lines = (data / "ICBHI_final_database" / f"{recording}.txt").read_text().splitlines()
    return torch.from_numpy(wave), rate, [tuple(map(float, line.split()[:2])) for line in lines]


def logits_by_hand(run, data, recording, pieces):
    """(cycles, pieces, classes) logits of the stored weights for each piece of a recording's cycles."""
    card = FRONTENDS.card(run.spec.frontend)
    options = build_options(card.options, run.spec.frontend_options, card.id)
    front_end = FRONTENDS.get(card.id).load()(options)
    model, waves = run.model().eval(), front_end.fit(*cycles_by_hand(data, recording))
    found = []
    for wave in waves:
        picture = front_end.picture(UnitWaves.of([wave]))
        x = {key: each[:, None] for key, each in picture.items()} if isinstance(picture, dict) else picture[:, None]
        with torch.no_grad():
            found.append(model(x)[0].double())
    return torch.stack(found).view(-1, pieces, 4)


def majority(logits):
    """What most pieces choose, then what is likeliest on average, as shares."""
    shares = logits.softmax(-1)
    votes = torch.stack([(shares.argmax(-1) == label).sum(-1) for label in range(4)], -1)
    return (votes + shares.mean(1)) / (logits.shape[1] + 1)


def softmax(logits):
    return logits[:, 0].softmax(-1)


def shares_of_sigmoids(logits):
    scores = 1 / (1 + (-logits[:, 0]).exp())
    return scores / scores.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("name", "pieces", "score"),
    [("majority_pieces", 3, majority), ("joined_cycles", 1, softmax), ("two_branches", 1, shares_of_sigmoids)],
)
def test_scores_follow_from_the_stored_weights_and_the_sounds(finished, data, name, pieces, score):
    run = finished(name)
    assert run.status == "finished"
    assert all(np.isfinite(entry["loss"]) for entry in run.epochs)
    stored = read_predictions(run.folder / "predictions-last.csv")
    by_key = dict(zip(stored.keys, stored.scores, strict=True))
    recordings = sorted({recording for recording, _ in stored.keys})
    assert len(stored.keys) == 12
    for recording in recordings:
        expected = score(logits_by_hand(run, data, recording, pieces))
        found = np.stack([by_key[recording, cycle] for cycle in range(len(expected))])
        np.testing.assert_allclose(found, expected.numpy(), atol=2e-6)


def predicted(run, data, **words):
    """What a run says of recordings that come by themselves, by recording and cycle."""
    return {
        (recording.recording, cycle.cycle): list(cycle.scores.values())
        for recording in bench.predict(run, data, device="cpu", **words)
        for cycle in recording.cycles
    }


@pytest.mark.parametrize("name", SYSTEMS)
def test_new_recordings_are_scored_as_the_run_scored_them(finished, data, small_cache, name):
    run = finished(name)
    found = predicted(run, data, cache=small_cache, plugins=HERE / f"{name}.py")
    stored = run.predictions["last"]
    for key, scores in zip(stored.keys, stored.scores, strict=True):
        assert found[key] == pytest.approx(scores, abs=1e-5)


def same_run(one, other):
    for rule in RULES:
        files = [run.folder / f"predictions-{rule}.csv" for run in (one, other)]
        assert files[0].read_bytes() == files[1].read_bytes(), rule
    assert [entry["loss"] for entry in one.epochs] == [entry["loss"] for entry in other.epochs]
    kept = [load_file(RunFolder(run.folder).weights_of("last")) for run in (one, other)]
    assert kept[0].keys() == kept[1].keys()
    assert all(torch.equal(value, kept[1][key]) for key, value in kept[0].items())


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_that_was_interrupted_equals_one_that_was_not(finished, run_system, tmp_path, monkeypatch, name):
    steps, step = [], trainer.Trainer._train_step

    def stopped(self, *words):
        steps.append(1)
        if len(steps) == SYSTEMS[name][2]:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *words)

    monkeypatch.setattr(trainer.Trainer, "_train_step", stopped)
    with pytest.raises(InterruptedRunError):
        run_system(name, tmp_path)
    assert len(steps) == SYSTEMS[name][2]
    same_run(finished(name), run_system(name, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_two_processes_give_the_scores_of_one(finished, run_system, tmp_path, name):
    one, two = finished(name), run_system(name, tmp_path, processes=2)
    assert one.id == two.id
    for rule in RULES:
        found = [read_predictions(run.folder / f"predictions-{rule}.csv").scores for run in (one, two)]
        np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    losses = [[entry["loss"] for entry in run.epochs] for run in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)


def test_the_command_gives_the_run_of_the_library(finished, data, small_cache, tmp_path, bench):
    run = finished("majority_pieces")
    words = ("--model", "piece-cnn", "--method", "ce", "--plugin", HERE / "majority_pieces.py", "--device", "cpu")
    places = ("--data", data, "--cache", small_cache, "--home", tmp_path / "home")
    document = json.loads(bench("run", *words, *places, "--format", "json").out)
    assert (document["run_id"], document["metrics"]) == (run.id, run.metrics)


# --- what each of them is for ---------------------------------------------------------------------------------------


def test_pieces_are_trained_as_a_plain_loop_of_torch_would(finished):
    """Weighted rows, a rate that falls every five steps, a head ten times as fast, and twenty steps of 9 a pass."""
    run = finished("majority_pieces")
    spec, rows = run.spec, open_run_data(run.spec)
    assert len(rows.train) == 72
    model = build_graph(spec, rows.class_counts()).model.train()
    head = list(model.classifier.parameters())
    groups = [{"params": list(model.features.parameters())}, {"params": head, "lr": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, weight_decay=spec.optim.weight_decay)
    schedule = StepLR(optimizer, step_size=5, gamma=0.9)
    labels = rows.bank.labels[rows.train]
    chances = 1 / np.bincount(labels)[labels] / 4
    losses = [[], [], []]
    for step in range(20):
        epoch, place = divmod(step, 9)
        rng = np.random.default_rng(np.random.SeedSequence((spec.seed, epoch + 1)))
        own = rng.choice(rows.train, 72, p=chances)[8 * place : 8 * place + 8]
        loss = cross_entropy(model(rows.inputs(own)), torch.from_numpy(rows.bank.labels[own]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses[epoch].append(loss.item())
    assert [entry["loss"] for entry in run.epochs] == pytest.approx([np.mean(each) for each in losses], rel=1e-5)
    for key, value in load_file(RunFolder(run.folder).weights_of("last")).items():
        torch.testing.assert_close(value, model.state_dict()[key], rtol=1e-4, atol=1e-6)


def test_raw_cycles_are_joined_with_the_front_end_of_the_project_too(run_system, tmp_path):
    """What stands before the picture of a front-end of two halves does not depend on which one it is."""
    settings = {"frontend.seconds": 1.0}
    joined = run_system("joined_cycles", tmp_path, frontend="ast", settings=settings)
    alone = run_system("joined_cycles", tmp_path, frontend="ast", settings={**settings, "concat_probability": 0.0})
    assert joined.spec.augment.concat_law == "union"
    assert joined.status == alone.status == "finished"
    assert joined.epochs[0]["loss"] != alone.epochs[0]["loss"]


def test_binary_heads_are_weighted_by_the_classes_of_the_training_part(finished):
    run = finished("two_branches")
    counts = np.bincount(open_run_data(run.spec).bank.labels[open_run_data(run.spec).train])
    kept = load_file(RunFolder(run.folder).method_weights_of("last"))["weights"]
    np.testing.assert_allclose(kept.numpy(), (counts.sum() - counts) / counts, rtol=1e-6)


# --- a composite ----------------------------------------------------------------------------------------------------

SMALL = {"embed_dim": 16, "depth": 1, "heads": 2, "frontend.seconds": 1.0, "specaug_probability": 0.0}


def run_experts(data, small_cache, home):
    words = {"data": data, "cache": small_cache, "home": home, "device": "cpu", "settings": SMALL}
    return bench.run_composite("device-experts", plugins=HERE / "device_experts.py", epochs=2, **words)


@pytest.fixture(scope="module")
def experts(data, small_cache, tmp_path_factory):
    return run_experts(data, small_cache, tmp_path_factory.mktemp("experts"))


def parts_of(made):
    return {name: RunFolder(made.folder.parent / run_id) for name, run_id in made.parts.items()}


def test_experts_are_trained_on_their_device_from_the_common_first_stage(experts):
    common = load_file(parts_of(experts)["common"].weights_of("last"))
    for name, device in (("meditron", "Meditron"), ("akg", "AKGC417L")):
        spec = read_spec(parts_of(experts)[name].spec)
        assert spec.init_from == f"{experts.parts['common']}:last"
        rows = open_run_data(spec)
        assert set(rows.devices(rows.train)) == {device}
        assert len(rows.train) == 12
        begun = build_graph(spec, rows.class_counts()).model.state_dict()
        assert all(torch.equal(value, common[key]) for key, value in begun.items())
        ended = load_file(parts_of(experts)[name].weights_of("last"))
        assert any(not torch.equal(value, common[key]) for key, value in ended.items())


def test_each_cycle_is_judged_by_the_expert_of_its_device(experts):
    part_of = {"Meditron": "meditron", "AKGC417L": "akg"}
    scores = {name: read_predictions(part.predictions("last")).scores for name, part in parts_of(experts).items()}
    devices = read_cycles(experts.folder / "test-cycles.csv").devices
    expected = np.stack([scores[part_of[device]][row] for row, device in enumerate(devices)])
    assert set(devices) == set(part_of)
    assert np.array_equal(read_predictions(experts.folder / "predictions-last.csv").scores, expected)
    assert not np.allclose(expected, scores["common"])


def test_new_recordings_are_judged_by_the_expert_of_their_device(experts, data, small_cache, tmp_path):
    found = predicted(experts, data, cache=small_cache, plugins=HERE / "device_experts.py")
    stored = read_predictions(experts.folder / "predictions-last.csv")
    for key, scores in zip(stored.keys, stored.scores, strict=True):
        assert found[key] == pytest.approx(scores, abs=1e-5)
    # Of a file whose name tells no device the common model answers, unless somebody says what recorded it.
    shutil.copy(next(data.rglob("*_AKGC417L.wav")), tmp_path / "cough.wav")
    words = {"cache": small_cache, "device": "cpu", "window": 1.0}
    alone = {
        name: bench.predict(part.path, tmp_path, **words, plugins=HERE / "device_experts.py")
        for name, part in parts_of(experts).items()
    }
    answers = {name: next(iter(found)).cycles for name, found in alone.items()}
    (nobody,) = bench.predict(experts, tmp_path, **words)
    assert nobody.cycles == answers["common"]
    assert "--recorded-with names the device" in nobody.notes[0]
    (told,) = bench.predict(experts, tmp_path, **words, recorded_with="AKGC417L")
    assert told.cycles == answers["akg"]
    assert not told.notes


def test_experts_lie_on_the_shelf(experts):
    store = Store.open(experts.folder.parent.parent)
    kinds = {row["run_id"]: row["kind"] for row in runs_table(store).sections[0].rows}
    assert kinds == {experts.id: "composite", **dict.fromkeys(experts.parts.values(), "part")}


def test_experts_that_were_interrupted_equal_those_that_were_not(experts, data, small_cache, tmp_path, monkeypatch):
    """The run is stopped in the second expert; what was finished before is not run again."""
    seen, step = [], trainer.Trainer._train_step

    def stopped(self, *words):
        seen.append(self.spec.run_id)
        if seen.count(experts.parts["akg"]) == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *words)

    monkeypatch.setattr(trainer.Trainer, "_train_step", stopped)
    with pytest.raises(InterruptedRunError):
        run_experts(data, small_cache, tmp_path)
    monkeypatch.undo()
    results = {name: RunFolder.of_run(tmp_path, run_id).result for name, run_id in experts.parts.items()}
    before = {name: path.read_bytes() for name, path in results.items() if path.exists()}
    assert before.keys() == {"common", "meditron"}
    again = run_experts(data, small_cache, tmp_path)
    assert {name: results[name].read_bytes() for name in before} == before
    assert again.metrics == experts.metrics
    names = [made.folder / "predictions-last.csv" for made in (again, experts)]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_the_command_lists_the_parts_of_a_system(experts, data, small_cache, bench):
    words = ["--system", "device-experts", "--plugin", HERE / "device_experts.py", "--data", data, "--epochs", "2"]
    words += ["--cache", small_cache, "--home", experts.folder.parent.parent, "--device", "cpu", "--format", "json"]
    words += [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    listed = json.loads(bench("run", *words, "--dry-run").out)
    assert listed["run_id"] == experts.id
    assert [(part["name"], part["state"]) for part in listed["parts"]] == [
        (name, "finished") for name in ("common", "meditron", "akg")
    ]
