"""The CLI contract that scripts rely on: start-up, flags, streams, documents, exit codes."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from cli_runs import SMALL_AST, bench, bench_here, cpu_seconds, environment, json_here
from speeds import limit

from bench import cli
from bench.api.health import EXAMINATIONS
from bench.cli import main
from bench.core.version import __version__

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = "leaderboard.results.schema"
HEAVY = ("torch", "accelerate", "timm", "torchaudio", "sqlalchemy", "optuna", "scipy", "soundfile", SCHEMA)

RUN_FLAGS = (
    "--model --method --pretrain --seed --seeds --data --profile --set --epochs --alpha --tau --beta --processes "
    "--device --precision --dry-run --rerun --format --val-fraction --allow-partial --spec --home --cache --plugin"
).split()
REPRODUCE_FLAGS = (
    "--seeds --only --launcher --dry-run --profile --data --set --epochs --allow-partial --device --precision "
    "--processes --home --cache --rerun --format"
).split()
COMMANDS = {
    "": "run settings evaluate search reproduce report board data models methods mock-run predict doctor",
    "board": "list show compare submit export import rebuild upgrade",
    "data": "fetch verify prepare info features demo",
    "models": "list show",
    "methods": "list show",
}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["models", "list"], ["methods", "show", "patchmix-cl"], ["settings", "optim"]],
)
def test_help_and_lists_import_nothing_heavy(words):
    code = (
        "import sys\nfrom bench.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", ["import bench", "from bench.cli import main", "import leaderboard.metrics"])
def test_the_start_is_free_of_the_schema_of_results(code):
    """Typer itself imports pydantic where a command has options; building our schema would take as long again."""
    said = f"import sys\n{code}\nprint({{'pydantic', {SCHEMA!r}}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.perf
def test_help_answers_in_half_a_second():
    took = [cpu_seconds("--help")[0] for _ in range(2)]
    assert min(took) < limit(0.5), took


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)]
)
def test_threads_do_not_wait_awake_for_long_unless_the_user_says_so(monkeypatch, given, expected):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        # Set first, so that the end of the test takes back what the command sets.
        monkeypatch.setenv(name, given.get(name, ""))
        if name not in given:
            monkeypatch.delenv(name)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ.get("GOMP_SPINCOUNT") == expected


def number_words():
    """A command line for every option of every command that takes a number, without its value."""
    for command in commands_of(cli.app, ()):
        path, function = command
        hints = get_type_hints(function, include_extras=True)
        for name, hint in hints.items():
            kind = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
            if {int, float} & {kind, *get_args(kind)}:
                declared = [word for info in hint.__metadata__ for word in info.param_decls or ()]
                yield [*path, declared[0] if declared else f"--{name.replace('_', '-')}"]


def commands_of(app, path):
    for command in app.registered_commands:
        yield (*path, command.name or command.callback.__name__.replace("_", "-")), command.callback
    for group in app.registered_groups:
        if group.typer_instance.registered_callback:
            yield (*path, group.name), group.typer_instance.registered_callback.callback
        yield from commands_of(group.typer_instance, (*path, group.name))


NUMBER_WORDS = list(number_words())


def test_many_options_are_numbers():
    assert len(NUMBER_WORDS) >= 20
    assert ["run", "--epochs"] in NUMBER_WORDS
    assert ["search", "--trials"] in NUMBER_WORDS
    assert ["board", "submit", "--seed"] in NUMBER_WORDS


@pytest.mark.parametrize("text", ["1_0", "\u0663", "\uff11", "0x1", "1e1000", "\u00a01"])
@pytest.mark.parametrize("words", NUMBER_WORDS, ids=" ".join)
def test_numbers_of_the_command_line_are_ascii_digits(words, text, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*words, text])
    assert caught.value.code == 2
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().err).split())
    assert f"Invalid value for '{words[-1]}'" in said
    assert re.search("is no (whole )?number|too large", said), said


def plain_help(*words):
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "TERM": "dumb", "NO_COLOR": "1"},
    )
    return done.stdout


@pytest.mark.parametrize(("group", "names"), COMMANDS.items())
def test_commands_are_frozen(group, names):
    text = plain_help(*group.split())
    for name in names.split():
        assert re.search(rf"^│? *{name} ", text, re.MULTILINE), name


def test_every_command_answers_programs_too():
    """But for the job that engines start, whose end stands in a file."""
    functions = {" ".join(path): function for path, function in commands_of(cli.app, ())}
    without = [path for path, function in functions.items() if "output" not in get_type_hints(function)]
    assert without == ["export", "job"]


def test_flags_of_run_are_frozen():
    text = plain_help("run")
    for flag in RUN_FLAGS:
        assert flag in text, flag
    assert "bench run --model ast --method patchmix-cl" in text


def test_flags_of_reproduce_are_frozen():
    text = plain_help("reproduce")
    for flag in REPRODUCE_FLAGS:
        assert flag in text, flag
    assert "bench reproduce table1 --only 'ast*'" in text


def test_version():
    done = bench("--version", env=environment(Path(), Path()))
    assert done.stdout.strip() == f"lungbench {__version__}"


@pytest.fixture(scope="module")
def finished(small_data, small_cache, tmp_path_factory):
    """Two seeds with held-out patients, as one document each."""
    home = tmp_path_factory.mktemp("home")
    env = environment(home, small_cache)
    words = ["run", *SMALL_AST, "--epochs", "3", "--val-fraction", "0.3", "--data", str(small_data), "--seeds", "1-2"]
    done = bench(*words, "--format", "json", env=env)
    return env, home, json.loads(done.stdout), done.stderr


def test_the_document_of_a_run(finished):
    _, home, documents, _ = finished
    assert [document["spec"]["seed"] for document in documents] == [1, 2]
    for document in documents:
        assert document["status"] == "finished"
        assert document["partial"] is None
        assert set(document["metrics"]) == {"last", "best-test", "best-val"}
        assert document["seconds"] > 0
        assert document["cycles_per_second"] > 0
        assert (home / "runs" / document["run_id"] / "result.json").is_file()
        for judged in document["metrics"].values():
            for name in ("4class", "2class"):
                metrics = judged[name]
                assert set(metrics) == {"sp", "se", "score", "confusion", "n", "epoch"}
                assert metrics["n"] == 12 == sum(map(sum, metrics["confusion"]))
                assert metrics["score"] == pytest.approx((metrics["sp"] + metrics["se"]) / 2)
        assert [entry["epoch"] for entry in document["epochs"]] == [1, 2, 3]
        for entry in document["epochs"]:
            assert set(entry) == {"epoch", "loss", "lr", "seconds", "cycles_per_second", "test", "val", "losses"}
            assert set(entry["losses"]) == {"ce", "contrastive"}
            assert set(entry["test"]) == set(entry["val"]) == {"4class", "2class"}


def test_predictions_hold_every_test_cycle_once(finished, small_data):
    _, _, documents, _ = finished
    with Path(documents[0]["predictions"]).open() as stream:
        rows = list(csv.DictReader(stream))
    keys = [(row["recording"], int(row["cycle"])) for row in rows]
    assert sorted(keys) == sorted({(f"{p}_1b1_Tc_sc_Meditron", i) for p in ("201", "202", "203") for i in range(4)})
    assert list(rows[0]) == ["recording", "cycle", "normal", "crackle", "wheeze", "both"]
    for row in rows:
        assert sum(float(row[name]) for name in ("normal", "crackle", "wheeze", "both")) == pytest.approx(1)


def test_notices_go_to_stderr(finished):
    _, _, _, notices = finished
    assert "profile demo: data found in" in notices
    assert "epoch 3/3" in notices
    assert "simulated" in notices


def test_provenance_is_stored(finished):
    _, home, documents, _ = finished
    stored = json.loads((home / "runs" / documents[0]["run_id"] / "result.json").read_text())
    provenance = stored["provenance"]
    assert provenance["code"]["version"] == __version__
    assert "dirty" in provenance["code"]
    assert len(provenance["code"]["source_sha256"]) == 64
    assert provenance["packages"]["torch"]
    assert provenance["hardware"]["cpu"]
    assert provenance["processes"] == 1
    assert provenance["precision"] == "fp32"
    assert provenance["peak_memory_mib"]["host"] > 100
    assert stored["spec"]["data_fingerprint"]


def test_the_board_shows_the_runs(finished):
    env, _, documents, _ = finished
    board = json_here("report", "leaderboard", env=env)
    rows = [row for section in board["sections"] for row in section["rows"]]
    assert len(rows) == 1
    assert rows[0]["seeds"] == [1, 2]
    scores = [document["metrics"]["last"]["4class"]["score"] for document in documents]
    assert rows[0]["score"] == pytest.approx(sum(scores) / 2)
    assert not any(section["ranked"] for section in board["sections"] if section["rows"])
    shown = bench_here("board", "show", documents[0]["run_id"], env=env).stdout
    assert documents[0]["run_id"] in shown
    assert "simulated" in shown


def test_a_spec_can_be_replayed(finished, tmp_path):
    env, home, documents, _ = finished
    spec = home / "runs" / documents[0]["run_id"] / "spec.json"
    other = {**env, "BENCH_HOME": str(tmp_path)}
    again = json_here("run", "--spec", str(spec), env=other)
    assert again["run_id"] == documents[0]["run_id"]
    assert again["metrics"] == documents[0]["metrics"]


def test_dry_run_prints_the_spec_and_writes_nothing(finished, small_data, tmp_path):
    env, _, documents, _ = finished
    other = {**env, "BENCH_HOME": str(tmp_path / "home")}
    words = ["run", *SMALL_AST, "--epochs", "3", "--val-fraction", "0.3", "--data", str(small_data), "--seed", "2"]
    document = json_here(*words, "--dry-run", env=other)
    assert document["run_id"] == documents[1]["run_id"]
    assert document["identity"]["model_options"]["embed_dim"] == 16
    assert not (tmp_path / "home").exists()


def test_doctor(tmp_path):
    document = json_here("doctor", env=environment(tmp_path, tmp_path))
    assert document["code"]["version"] == __version__
    assert document["auto"]["device"] in ("cpu", "cuda")
    assert "speed" not in document
    assert [check["name"] for check in document["checks"]] == list(EXAMINATIONS)
    verdicts = {check["name"]: check["verdict"] for check in document["checks"]}
    for name in ("versions", "devices", "processes", "results", "board", "locks", "clock", "encoding", "plug-ins"):
        assert verdicts[name] == "ok", document["checks"]
    assert not list(tmp_path.iterdir())


def test_cards_are_complete():
    models = json_here("models", "list", env=environment(Path(), Path()))
    assert {"ast", "ast-small", "ast-tiny", "resnet18", "efficientnet-b0", "cnn6"} <= {row["id"] for row in models}
    for kind, rows in (("models", models), ("methods", json_here("methods", "list", env=environment(Path(), Path())))):
        for row in rows:
            card = json_here(kind, "show", row["id"], env=environment(Path(), Path()))
            for name in ("title", "summary", "source", "fidelity", "citation", "options", "recipes"):
                assert name in card, (row["id"], name)
            assert card["citation"].startswith("@")
            assert all(item["help"] for item in card["options"].values())
