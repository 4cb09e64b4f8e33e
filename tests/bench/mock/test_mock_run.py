"""mock-run: what is sound passes, and each kind of mistake fails the check that is made for it."""

import json
import tempfile
from pathlib import Path

import pytest
from plugin_files import FRONTEND, fresh_registries, method_text, write_plugin

from bench.core.datasets import DATASETS
from bench.core.errors import SpecError
from bench.experiment.plugins import load_plugins
from bench.mock.checks import CHECKS
from bench.mock.run import mock_run

NAMES = [check.name for check in CHECKS]
IN_ONE_PROCESS = [check for check in CHECKS if check.name != "processes"]


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """Registries of a new process, and folders in which nothing may be left."""
    for name in ("home", "cache", "tmp", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "here")
    with fresh_registries():
        yield
    assert [path for name in ("home", "cache", "here") for path in (tmp_path / name).iterdir()] == []
    assert list((tmp_path / "tmp").glob("bench-*")) == []


def outcomes(path, *, model="ast", method="mine", checks=IN_ONE_PROCESS):
    return {outcome.check: outcome for outcome in mock_run(model, method, [path], checks=checks)}


def named(found, status):
    return [outcome.check for outcome in found.values() if outcome.status == status]


WRONG = {
    "nan": (
        method_text(forward='return {"loss": cross_entropy(model(batch.features), batch.labels) * float("nan")}'),
        "forward",
        "'loss' is nan",
    ),
    "vector": (
        method_text(forward='return {"loss": cross_entropy(model(batch.features), batch.labels, reduction="none")}'),
        "forward",
        "'loss' is no scalar tensor",
    ),
    "nameless": (method_text(forward="return {}"), "forward", "returns no mapping with 'loss'"),
    "crash": (method_text(forward="return model.nothing"), "forward", "has no attribute 'nothing'"),
    "no-gradient": (
        method_text(build="self.unused = nn.Linear(2, 2)"),
        "backward",
        "no gradient reaches method.unused.weight, method.unused.bias",
    ),
    "infinite-gradient": (
        method_text(
            build="self.w = nn.Parameter(torch.zeros(()))",
            forward='return {"loss": cross_entropy(model(batch.features), batch.labels) + self.w.sqrt()}',
        ),
        "backward",
        "the gradient is not finite for method.w",
    ),
    "forgetful": (
        method_text(
            build="self.seen = 0",
            forward='self.seen += 1; return {"loss": self.seen * cross_entropy(model(batch.features), batch.labels)}',
        ),
        "state",
        "part of what it remembers is not in its state",
    ),
    "card": (
        method_text(card=', recipes={"paper": {"rate": 3}}'),
        "card",
        "mine: recipe 'paper': 'rate' is no setting",
    ),
    "recipe": (method_text(card=', recipes={"demo": {"frontend.sec": 3}}'), "card", "Unknown option 'sec'"),
    "builder": (method_text(build="raise ValueError('no task')"), "build", "failed: ValueError: no task"),
    "drawless": (method_text().replace("def draw", "def drew"), "build", "must be a torch.nn.Module with draw"),
}


@pytest.mark.parametrize(("text", "check", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_method_fails_the_check_made_for_it(tmp_path, text, check, reason):
    path = write_plugin(tmp_path / "mine.py", text)
    checks = CHECKS[: NAMES.index(check) + 1]
    found = outcomes(path, checks=checks)
    assert named(found, "failed") == [check]
    assert reason in found[check].reason
    assert named(found, "passed") == [name for name in NAMES if name != check and name in found]


def test_what_needs_a_failed_check_is_skipped_and_says_so(tmp_path):
    found = outcomes(write_plugin(tmp_path / "mine.py", WRONG["nan"][0]), checks=CHECKS)
    assert list(found) == NAMES
    assert named(found, "passed") == ["card", "build", "parameters"]
    assert named(found, "skipped") == ["backward", "state", "run", "resume", "processes", "evaluation"]
    assert found["processes"].reason == "needs run and backward"


def test_a_parameter_without_gradient_does_not_keep_the_other_checks_from_running(tmp_path):
    found = outcomes(write_plugin(tmp_path / "mine.py", WRONG["no-gradient"][0]), checks=CHECKS)
    assert named(found, "failed") == ["backward"]
    assert named(found, "skipped") == ["processes"]


def test_what_a_run_remembers_outside_of_its_state_fails_the_resumed_run(tmp_path):
    found = outcomes(write_plugin(tmp_path / "mine.py", WRONG["forgetful"][0]))
    assert named(found, "failed") == ["state", "resume"]
    assert "of the resumed run differ by" in found["resume"].reason


TWO_VIEWS_AND_STAGES = method_text(
    build="self.projector = nn.Linear(task.feature_dim, 8)",
    forward="""if batch.stage == 0:
            one, two = (batch.gather(self.projector(model.features(x))) for x in (batch.features, batch.second))
            return {"loss": (one - two).square().mean()}
        assert batch.second is None
        with torch.no_grad():
            features = model.features(batch.features)
        return {"loss": cross_entropy(batch.gather(model.classifier(features)), batch.labels)}

    def stages(self, first):
        from dataclasses import replace
        return (
            replace(first, name="pretraining", trains=("encoder", "method"), evaluated=False),
            replace(first, name="probe", trains=("classifier",), augment=False),
        )""",
    card=", views=2",
)


def test_a_method_of_two_views_and_two_stages_passes(tmp_path):
    found = outcomes(write_plugin(tmp_path / "mine.py", TWO_VIEWS_AND_STAGES))
    assert named(found, "passed") == list(found), found
    assert "pretraining: loss" in found["forward"].reason
    assert "probe: loss" in found["forward"].reason
    assert found["run"].reason.startswith("4 epochs")


def test_a_stage_that_trains_what_it_does_not_use_is_named(tmp_path):
    text = TWO_VIEWS_AND_STAGES.replace('trains=("encoder", "method")', 'trains=("encoder", "classifier", "method")')
    found = outcomes(write_plugin(tmp_path / "mine.py", text), checks=CHECKS[: NAMES.index("backward") + 1])
    assert named(found, "failed") == ["backward"]
    assert found["backward"].reason.startswith("stage pretraining: no gradient reaches model.classifier.")


MODEL = """
import torch
from torch import nn

from bench.core.cards import ModelCard
from bench.core.registry import Registration


class Small(nn.Module):
    def __init__(self, options, num_classes):
        super().__init__()
        self.feature_dim = 6
        self.trunk = nn.Sequential(nn.Conv2d(1, 6, 5, stride=4), DROPOUT nn.ReLU())
        self.classifier = nn.Linear(6, num_classes)

    def features(self, x):
        return self.trunk(x).mean((2, 3))

    def forward(self, x):
        return self.classifier(self.features(x))


small = Registration(ModelCard(id="small", title="Small", summary="A net for tests.", parameters=184), Small)
"""
SOUND_MODEL = MODEL.replace("DROPOUT ", "")

WRONG_MODELS = {
    "width": (SOUND_MODEL.replace(".mean((2, 3))", ".mean(3)"), "build", "features of 8 clips are (8, 6, "),
    "classes": (SOUND_MODEL.replace("6, num_classes", "6, 7"), "build", "logits of 8 clips are (8, 7), not (8, 4)"),
    "count": (SOUND_MODEL.replace("=184", "=200"), "parameters", "has 184 parameters, but its card says 200"),
    "no-width": (SOUND_MODEL.replace("self.feature_dim = 6", "pass"), "build", "has no attribute 'feature_dim'"),
    "hidden-state": (
        SOUND_MODEL.replace("self.feature_dim = 6", "self.feature_dim = 6; self.shift = torch.randn(4)").replace(
            "return self.classifier(self.features(x))", "return self.classifier(self.features(x)) + self.shift"
        ),
        "state",
        "part of it is not in its state",
    ),
}


@pytest.mark.parametrize(("text", "check", "reason"), WRONG_MODELS.values(), ids=WRONG_MODELS)
def test_a_wrong_model_fails_the_check_made_for_it(tmp_path, text, check, reason):
    path = write_plugin(tmp_path / "small.py", text)
    found = outcomes(path, model="small", method="ce", checks=CHECKS[: NAMES.index(check) + 1])
    assert named(found, "failed") == [check]
    assert reason in found[check].reason


@pytest.mark.slow
def test_a_loss_of_the_own_rows_alone_is_caught_by_two_processes(tmp_path):
    forward = 'return {"loss": cross_entropy(model(batch.features), batch.labels[batch.local])}'
    found = outcomes(write_plugin(tmp_path / "mine.py", method_text(forward=forward)), checks=CHECKS)
    assert named(found, "failed") == ["processes"]
    assert "of the run of two processes differ by" in found["processes"].reason


@pytest.mark.slow
def test_dropout_is_the_same_in_two_processes(tmp_path, bench):
    path = write_plugin(tmp_path / "small.py", MODEL.replace("DROPOUT", "nn.Dropout(0.5),"))
    document = json.loads(bench("mock-run", "--plugin", path, "--model", "small", "--format", "json").out)
    assert document["passed"] is True
    assert [check["check"] for check in document["checks"]] == NAMES
    assert {check["status"] for check in document["checks"]} == {"passed"}


@pytest.mark.slow
def test_draws_that_cannot_be_divided_among_processes_are_told(tmp_path, bench):
    path = write_plugin(tmp_path / "small.py", MODEL.replace("DROPOUT", "nn.RReLU(),"))
    document = json.loads(bench("mock-run", "--plugin", path, "--model", "small", "--format", "json").out)
    assert document["passed"] is True
    skipped = [check for check in document["checks"] if check["status"] == "skipped"]
    assert [check["check"] for check in skipped] == ["processes"]
    assert "several processes are refused: Random numbers are drawn in a way that" in skipped[0]["reason"]


def test_a_failed_check_ends_with_exit_code_1(tmp_path, bench):
    path = write_plugin(tmp_path / "mine.py", WRONG["builder"][0])
    text = bench("mock-run", "--plugin", path, "--method", "mine", code=1).out
    assert "failed   build" in text
    assert f"The plug-in {path}, line" in text
    assert "1 passed, 1 failed, 8 skipped" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "cee"], "Unknown method 'cee': did you mean 'ce'?"),
        (["--model", "asst"], "Unknown model 'asst': did you mean 'ast'?"),
        (["--model", "cnn6", "--method", "patchmix-cl"], "the model 'cnn6' has none"),
        (["--format", "yaml"], "Unknown format 'yaml'"),
        (
            ["--plugin", "mine.py"],
            "Name what is to be checked: --method ID, --model ID, --frontend ID or --dataset ID of",
        ),
        (["--plugin", "mine.py", "--method", "mine"], "mine.py: No such file or directory"),
    ],
)
def test_wrong_usage(bench, words, message):
    assert message in " ".join(bench("mock-run", *words, code=2).err.split())


def test_a_broken_plugin_is_refused_before_anything_is_checked(tmp_path):
    path = write_plugin(tmp_path / "mine.py", "import nothing_of_that_name")
    with pytest.raises(SpecError, match="line 1: ModuleNotFoundError"):
        outcomes(path)


def test_a_model_whose_card_names_an_unknown_frontend_is_refused(tmp_path):
    path = write_plugin(tmp_path / "small.py", SOUND_MODEL.replace("parameters=", 'frontend="asd", parameters='))
    with pytest.raises(SpecError, match=r"Unknown front-end 'asd': did you mean 'ast'\?"):
        outcomes(path, model="small", method="ce")


def test_a_frontend_of_other_shape_and_options_passes(tmp_path):
    path = write_plugin(tmp_path / "flat.py", FRONTEND.replace("LEVEL", "1.0"))
    found = mock_run("ast", "ce", [path], checks=IN_ONE_PROCESS, frontend="flat")
    assert [outcome.status for outcome in found] == ["passed"] * len(IN_ONE_PROCESS), found


def test_checks_come_after_those_that_they_need():
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= set(NAMES[:number])


def test_relative_paths_are_remembered_as_absolute(tmp_path):
    write_plugin(tmp_path / "mine.py")
    assert load_plugins([Path("../mine.py")]) == (str(tmp_path / "mine.py"),)


def test_a_pair_is_checked_with_the_classes_and_parts_of_a_task():
    found = mock_run("ast", "ce", checks=IN_ONE_PROCESS, dataset="sprsound", task="event-7")
    assert [(one.check, one.status, one.reason) for one in found if one.status != "passed"] == []
    reasons = {one.check: one.reason for one in found}
    assert reasons["build"].endswith("7 logits")
    assert reasons["evaluation"] == "8 test cycles, each once"
    assert "tiny-set" not in DATASETS


def test_a_task_that_there_is_not_is_refused():
    with pytest.raises(SpecError, match="event-7"):
        mock_run("ast", "ce", checks=(), dataset="sprsound", task="event-8")
