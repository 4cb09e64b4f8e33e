"""What `bench search` was asked for is what `bench search resume` goes on with, whichever option said it."""

import inspect
import json

import pytest
from plugin_files import fresh_registries, write_plugin
from small_studies import SETTINGS, base_spec, request_of, study_of

from bench.cli import search as commands
from bench.search import claims, session, workers
from bench.search.storage import Place
from bench.search.study import Search, Settings, open_study

GIVEN = {
    "model": "resnet18",
    "method": "mine",
    "dataset": "demo",
    "task": "cycle-4",
    "param": "lr,smoothing",
    "trials": "7",
    "study": "mine",
    "space": "smoothing=0.1,0.2",
    "sampler": "random",
    "pruner": "hyperband",
    "seeds_per_trial": "2",
    "folds": "3",
    "objective": "held-out",
    "final_seeds": "3,5",
    "give_up_after": "9",
    "sampler_seed": "11",
    "pretrain": "none",
    "frontend": "scl",
    "settings": "batch=4",
    "epochs": "3",
    "profile": "demo",
    "processes": "2",
    "device": "cpu",
    "precision": "bf16",
    "allow_partial": None,
    "tracker": "tensorboard",
}
"""Every option that says what the study is or how it ends, mostly not at its default; the folders come besides."""

FOLDERS = {"data", "cache", "plugin", "home"}
OF_THE_COMMAND = {
    *("workers", "storage", "dry_run", "output", "context"),
    *("launcher", "scheduler", "gpus", "time", "partition", "account", "qos", "slurm"),
}
"""What belongs to a command and a machine: given anew to resume."""

FLAGS = {"settings": "--set"}


def words_of(options):
    words = []
    for name, value in options.items():
        words += [FLAGS.get(name, f"--{name.replace('_', '-')}"), *([] if value is None else [value])]
    return words


@pytest.fixture
def heard(monkeypatch):
    """What a search would do, instead of doing it."""
    found = []

    def run(self):
        found.append(
            {
                "request": self.search.request.to_json(),
                "execution": dict(self.execution),
                "target": self.search.target,
                "limit": self._breaker.limit,
            }
        )

    def train(search, home, execution, cards, seeds):
        found[-1]["finals"] = list(seeds)
        return []

    monkeypatch.setattr(workers.Crew, "run", run)
    monkeypatch.setattr(session, "train_best", train)
    monkeypatch.setattr(session, "is_over", lambda study: bool(found) and "finals" not in found[-1])
    monkeypatch.setattr(Search, "best", property(lambda self: claims))
    monkeypatch.setattr(commands, "finish", lambda done, output: None)
    return found


@pytest.fixture
def place(small_data, small_cache, tmp_path):
    plugin = write_plugin(tmp_path / "plugin" / "mine.py")
    with fresh_registries():
        yield {
            "data": str(small_data),
            "cache": str(small_cache),
            "plugin": str(plugin),
            "home": str(tmp_path / "results"),
        }


def test_every_option_of_the_command_is_known_to_these_tests():
    said_otherwise = {"system"}  # it stands for a model, a method and settings
    assert set(inspect.signature(commands.search).parameters) == set(GIVEN) | FOLDERS | OF_THE_COMMAND | said_otherwise


def test_resume_goes_on_with_whatever_any_option_said(bench, place, heard, tmp_path):
    given = {**GIVEN, "settings": "batch=4"}
    bench("search", *words_of({**given, **place}))
    # Code that a study names runs only where it is asked for again.
    bench("search", "resume", "mine", "--home", place["home"], "--plugin", place["plugin"])
    began, resumed = heard
    assert resumed == began
    request, execution = began["request"], began["execution"]
    assert (request["model"], request["method"], request["params"]) == ("resnet18", "mine", ["lr", "smoothing"])
    assert (request["sampler"], request["pruner"], request["folds"]) == ("random", "hyperband", 3)
    assert (request["seeds"], request["sampler_seed"]) == ([1, 2], 11)
    assert request["space"]["smoothing"]["values"] == [0.1, 0.2]
    spec = request["spec"]
    assert [spec[name] for name in ("frontend", "batch", "epochs", "precision")] == ["scl", 4, 3, "bf16"]
    assert (execution["processes"], execution["device"], execution["profile"]) == (2, "cpu", "demo")
    assert execution["plugins"] == [place["plugin"]]
    assert execution["tracker"] == "tensorboard"
    assert (began["target"], began["limit"], began["finals"]) == (7, 9, [3, 5])


def test_resume_goes_on_with_the_system_that_was_named(bench, place, heard):
    given = {"study": "named", "param": "lr", "trials": "2", "objective": "test"}
    bench("search", "--system", "scl", *words_of({**given, **place}))
    bench("search", "resume", "named", "--home", place["home"], "--plugin", place["plugin"])
    began, resumed = heard
    assert resumed == began
    assert (began["request"]["model"], began["request"]["method"]) == ("cnn6", "scl")


@pytest.mark.parametrize(("asked", "resumed"), [("none", []), ("2", [2]), (None, [1, 2, 3, 4, 5])])
def test_resume_does_not_forget_the_final_seeds_and_may_change_them(bench, place, heard, asked, resumed):
    more = {} if asked is None else {"final_seeds": asked}
    words = {"model": "ast", "method": "patchmix-cl", "param": "alpha", "trials": "1", **more, "study": "s"}
    del place["plugin"]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    bench("search", *words_of({**words, **place}), *settings)
    bench("search", "resume", "s", "--home", place["home"])
    assert heard[-1].get("finals", []) == resumed
    bench("search", "resume", "s", "--home", place["home"], "--final-seeds", "7", "--give-up-after", "2")
    bench("search", "resume", "s", "--home", place["home"])
    assert (heard[-1]["finals"], heard[-1]["limit"]) == ([7], 2)


def test_a_study_of_an_earlier_version_ends_as_it_did(small_data, small_cache, tmp_path):
    base = base_spec(small_data, small_cache)
    search = study_of(base, request_of(base), tmp_path, 1)
    assert search.settings == Settings((1, 2, 3, 4, 5), 5)


def test_retry_failed_is_said_and_done(bench, small_data, small_cache, tmp_path, heard):
    base = base_spec(small_data, small_cache)
    search = study_of(base, request_of(base), tmp_path, 1)
    claims.claim(search).end(claims.TrialState.FAIL, None, {"error": "a"})
    said = bench("search", "resume", "s", "--home", tmp_path, "--retry-failed").err
    assert "1 failed trial will be done again" in said
    (_, again) = open_study(Place.of(None, tmp_path, "s"), "s").trials
    assert (again.state.name, again.user_attrs) == ("WAITING", {"retry_of": 0})


# --- what cannot be is refused before anything is made ----------------------------------------------------------

MODEL = ["--model", "ast", "--method", "patchmix-cl", "--param", "alpha"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "1000000000000"], "must be 1 to 1,000,000"),
        (["--trials", "-1"], "must be 1 to 1,000,000"),
        (["--trials", "1_0"], "is no whole number"),
        (["--trials", "٣"], "is no whole number"),
        (["--trials", "1e3"], "is no whole number"),
        (["--trials", "0x10"], "is no whole number"),
        (["--trials", "9" * 30], "is no whole number"),
        (["--trials", "5", "--workers", "1000000"], "must be 1 to 1024"),
        (["--trials", "5", "--workers", "0"], "must be 1 to 1024"),
        (["--trials", "5", "--workers", "٢"], "is no whole number"),
        (["--trials", "5", "--folds", "1_0"], "is no whole number"),
        (["--trials", "5", "--folds", "7"], "7 folds need as many training patients"),
        (["--trials", "5", "--seeds-per-trial", "x"], "is no whole number"),
        (["--trials", "5", "--sampler-seed", "1_0"], "is no whole number"),
        (["--trials", "5", "--give-up-after", "-1"], "must be 0 (never) to"),
        (["--trials", "5", "--space", "alpha=1e-5...1e-3"], "is no range"),
        (["--trials", "5", "--study", "a\x1b[2Jb"], "cannot name a study"),
        (["--trials", "5", "--sampler", "x" * 500], "Unknown sampler"),
        (["--trials", "5", "--set", "batch=4096"], "batch is 4096"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_values_that_cannot_be_are_refused_alike_by_a_dry_run_and_a_start(
    bench, small_data, small_cache, tmp_path, words, said, dry
):
    place = ["--data", small_data, "--cache", small_cache, "--home", tmp_path / "results"]
    captured = bench("search", *MODEL, *words, *place, *(["--dry-run"] if dry else []), code=2)
    shown = " ".join(captured.err.replace("│", " ").split())
    assert said in shown
    assert len(shown) < 700
    assert "\x1b[2J" not in captured.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dry", [True, False])
def test_another_study_of_that_name_is_found_by_a_dry_run_too(bench, small_data, small_cache, tmp_path, heard, dry):
    home = tmp_path / "results"
    base = base_spec(small_data, small_cache)
    study_of(base, request_of(base, "alpha"), home, 3)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    place = ["--data", small_data, "--cache", small_cache, "--home", home, "--study", "s", "--trials", "3"]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    more = ["--dry-run"] if dry else []
    said = " ".join(
        bench("search", *MODEL, *settings, *place, *more, "--folds", "2", "--epochs", "9", code=2).err.split()
    )
    assert "it is another one" in said
    assert "and 1 more" in said
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    same = [*MODEL, *settings, *place, "--pruner", "none", "--epochs", "1"]
    plan = json.loads(bench("search", *same, "--dry-run", "--format", "json").out)
    assert plan["request"]["folds"] == 1
