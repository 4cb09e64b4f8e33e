"""A tour of bad inputs: each gives one sentence with what to do, the right exit code, and leaves nothing behind."""

import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from cli_runs import SMALL_AST, environment

from bench.cli import main


@dataclass
class Place:
    """Folders of one test, and what a command printed there."""

    home: Path
    data: Path
    cache: Path


@pytest.fixture
def place(tmp_path, small_data, small_cache, monkeypatch):
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return Place(home=tmp_path / "home", data=data, cache=small_cache)


def refused(capsys, code, *words):
    """Run a command in this process; gives what it printed on stderr, with the hint."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert end.value.code == code, printed.err
    assert "Traceback" not in printed.err
    return " ".join(printed.err.split())


def run_words(place, *more):
    return ["run", *SMALL_AST, "--epochs", "2", "--data", place.data, *more]


def nothing_left(place):
    assert not list(place.home.glob("runs/*"))


USAGE = [
    (["--model", "asst"], "Unknown model 'asst': did you mean 'ast'?"),
    (["--method", "patchmixcl"], "Unknown method 'patchmixcl': did you mean 'patchmix-cl'?"),
    (["--profile", "papr"], "Unknown profile 'papr': did you mean 'paper'?"),
    (["--precision", "bf61"], "Unknown precision 'bf61': did you mean 'bf16'?"),
    (["--precision", "fp16", "--device", "cpu"], "fp16 has no arithmetic on a CPU. hint: Use fp32 or bf16."),
    (["--device", "cdua"], "Unknown device 'cdua': did you mean 'cuda'?"),
    (["--set", "epoch=3"], "Unknown setting 'epoch' for method patchmix-cl, model ast: did you mean 'epochs'?"),
    (["--set", "method.alfa=3"], "did you mean 'method.alpha'?"),
    (["--set", "lr"], "--set takes key=value, not 'lr'."),
    (["--set", "lr=fast"], "lr is 'fast', but must be a number."),
    (["--set", "lr=nan"], "lr is nan, but must be a finite number."),
    (["--set", "epochs=0"], "epochs is 0, but must be at least 1."),
    (["--set", "step_average=1"], "step_average is 1.0, but must be at most 0.999."),
    (["--set", "negatives=some"], "negatives is 'some', but must be one of"),
    (["--set", "data_fingerprint=0"], "Unknown setting 'data_fingerprint'"),
    (["--set", "time_shift=perhaps"], "time_shift is 'perhaps', but must be true or false."),
    (["--set", "heads=3"], "heads"),
    (["--set", "specaug_time_width=5000"], "masks up to 4999 frames, but the spectrogram has 98"),
    (["--set", "batch=500"], "batch is 500, but the training part holds 24 cycles."),
    (["--set", "seconds=0.001"], "seconds"),
    (["--set", "seconds=1e9"], "seconds is 1000000000.0, but must be at most 60.0."),
    (["--set", "epochs=100000000000000000000"], "must be a whole number of at most 64 bits."),
    (["--set", "epochs=1000000000"], "epochs is 1000000000, but must be at most"),
    (["--set", "batch=100000000000"], "batch is 100000000000, but must be at most"),
    (["--set", "epochs=1_0"], "epochs is '1_0', but must be a number."),
    (["--set", "lr=\u0661"], "lr is '\u0661', but must be a number."),
    (["--set", "lr=1e1000"], "lr is '1e1000', but must be a number that 64 bits hold."),
    (["--set", "heads=1000000000"], "heads is 1000000000, but must be at most"),
    (["--set", "heads=0"], "heads is 0, but must be at least 1."),
    (["--set", "embed_dim=-3"], "embed_dim is -3, but must be at least 2."),
    (["--set", "depth=1000000000000"], "depth is 1000000000000, but must be at most"),
    (["--set", "stride=0"], "stride is 0, but must be at least 1."),
    (["--set", "patch_size=500"], "patch_size is 500, but the spectrogram is 98 frames by 128 mels."),
    (["--set", "specaug_freq_width=500"], "masks up to 499 mel bins, but the spectrogram has 128"),
    (["--set", "milestones=a"], "milestones is 'a', but schedule=steps needs epochs"),
    (["--set", "milestones=1_0", "--set", "schedule=steps"], "milestones is '1_0'"),
    (["--set", "milestones=0", "--set", "schedule=steps"], "milestones is '0'"),
    (["--set", "schedule=wave", "--set", "lr_floor=1"], "lr_floor is 1, but must be at most lr"),
    (["--set", "schedule=wave", "--set", "lr_period=0"], "lr_period is 0, but must be at least 1."),
    (["--set", "warmup_epochs=2"], "warmup_epochs is 2, but must be below epochs (2)."),
    (["--set", "warmup_epochs=-1"], "warmup_epochs is -1, but must be at least 0."),
    (["--beta", "0"], "beta is 0.0, but must be at least 0.001."),
    (["--set", "projector_dim=-1"], "projector_dim is -1, but must be at least 0."),
    (["--set", "workers=1000000"], "workers is 1000000, but must be at most 1024."),
    (["--set", "eval_batch=0"], "eval_batch is 0, but must be at least 1."),
    (["--set", "colour=" + "x" * 500], "Unknown setting 'colour'"),
    (["--set", "y" * 500 + "=1"], "there are "),
    (["--processes", "100000000"], "processes is 100000000, but must be at most 1024."),
    (["--seeds", "1_0"], "--seeds is '1_0', but must look like 1-5 or 1,3,7."),
    (["--seeds", "\u0663"], "but must look like 1-5 or 1,3,7."),
    (["--seeds", "1-" + "9" * 30], "but must look like 1-5 or 1,3,7."),
    (["--seeds", "4294967296"], "seed is 4294967296, but must be at most"),
    (["--set", "schedule=steps"], "schedule=steps needs epochs, as in 120,160."),
    (["--alpha", "-1"], "alpha is -1.0, but must be at least 0"),
    (["--tau", "0"], "tau is 0"),
    (["--val-fraction", "0.9"], "val_fraction is 0.9, but must be at most 0.5."),
    (["--seeds", "5-1"], "'5-1' is no range"),
    (["--seeds", "one"], "--seeds is 'one', but must look like 1-5 or 1,3,7."),
    (["--seed", "1", "--seeds", "1-2"], "Give --seed or --seeds, not both."),
    (["--seed", "-4"], "seed is -4, but must be at least 0."),
    (["--processes", "0"], "processes is 0, but must be at least 1."),
    (["--processes", "3"], "The global batch of 8 does not divide among 3 processes."),
    (["--format", "yaml"], "Unknown format 'yaml': use table or json."),
    (["--pretrain", "imagnet"], "imagnet"),
    (["--pretrain", "no/such/file.pth"], "no/such/file.pth"),
    (["--model", "cnn6", "--method", "patchmix-cl"], "Models that have: ast, ast-small, ast-tiny."),
    (["--warmup", "1"], "No such option"),
]


@pytest.mark.parametrize(("words", "message"), USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_wrong_usage(place, capsys, words, message):
    base = run_words(place)
    if "--model" in words:
        base = ["run", "--model", "ast", "--method", "ce", "--data", place.data]
    said = refused(capsys, 2, *base, *words)
    assert message in said
    assert "internal error" not in said
    assert len(said) < 700
    # Words are looked up before anything is told.
    assert said.startswith("error: ") or not message.startswith("Unknown")
    nothing_left(place)


CANNOT_START = [
    *(words for words, message in USAGE if words[0] == "--set" and "=" in words[1]),
    ["--beta", "0"],
    ["--model", "cnn14", "--set", "frontend.seconds=0.5"],
    ["--val-fraction", "0.5", "--set", "batch=24"],
]


@pytest.mark.parametrize("words", CANNOT_START, ids=" ".join)
def test_a_dry_run_refuses_what_a_start_refuses(place, capsys, words):
    base = run_words(place)
    if "--model" in words:
        base = ["run", "--method", "ce", "--data", place.data]
    dry = refused(capsys, 2, *base, *words, "--dry-run")
    # A start says first how much memory it will take.
    assert re.sub(r"memory: about [^()]*\(computed\) ", "", refused(capsys, 2, *base, *words)) == dry
    assert "internal error" not in dry
    nothing_left(place)


def test_a_dry_run_misses_what_is_gone(place, capsys, tmp_path):
    main_ok(capsys, *run_words(place))
    spec = next(place.home.glob("runs/*/spec.json"))
    main_ok(capsys, "run", "--spec", spec, "--dry-run")
    next(place.data.rglob("*.wav")).unlink()
    assert "missing" in refused(capsys, 3, "run", "--spec", spec, "--dry-run")
    shutil.rmtree(place.data)
    assert "data folder" in refused(capsys, 3, "run", "--spec", spec, "--data", place.data, "--dry-run")


def test_cuda_without_a_gpu(place, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU" in refused(capsys, 2, *run_words(place, "--device", "cuda"))


def test_no_model_named(place, capsys):
    said = refused(capsys, 2, "run", "--method", "ce")
    assert "Name a model and a method." in said
    assert "`bench systems list`" in said


@pytest.mark.parametrize(
    "words",
    [
        "predict 0123 file.wav",
        "board show 0123",
        "board compare a b",
        "report tabel1",
        "report --format html",
        "models show ats",
    ],
)
def test_unknown_names_elsewhere(place, capsys, words):
    assert refused(capsys, 2, *words.split()).startswith("error: ")


# --- data -------------------------------------------------------------------------------------------------------------


def test_a_folder_without_data(place, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    message = refused(capsys, 3, *SMALL_RUN, "--data", tmp_path / "empty")
    assert f"No ICBHI data below {tmp_path / 'empty'}" in message
    assert "bench data fetch" in message
    nothing_left(place)


SMALL_RUN = ["run", *SMALL_AST, "--epochs", "2"]


def test_the_paper_profile_without_data(place, capsys):
    assert "--profile demo" in refused(capsys, 3, *SMALL_RUN, "--profile", "paper")


def test_a_recording_is_missing(place, capsys):
    next(place.data.rglob("*.wav")).unlink()
    message = refused(capsys, 3, *run_words(place))
    assert "--allow-partial" in message
    nothing_left(place)


def test_a_recording_is_cut_short(place, capsys):
    wav = sorted(place.data.rglob("*.wav"))[0]
    wav.write_bytes(wav.read_bytes()[:2000])
    message = refused(capsys, 3, *run_words(place))
    assert wav.name in message
    assert "bench data verify" in message
    nothing_left(place)


def test_a_recording_is_no_audio(place, capsys):
    wav = sorted(place.data.rglob("*.wav"))[0]
    wav.write_text("<html>not found</html>")
    assert wav.name in refused(capsys, 3, *run_words(place))


@pytest.mark.parametrize("line", ["a\tb\t0\t0", "2.0\t1.0\t0\t0", "0.0\t1.0\t2\t0", "0.0 1.0", "0.0\tnan\t0\t0"])
def test_an_annotation_line_is_wrong(place, capsys, line):
    path = sorted(place.data.glob("ICBHI_final_database/*.txt"))[0]
    path.write_text(f"0.0\t0.9\t0\t0\n{line}\n")
    message = refused(capsys, 3, *run_words(place))
    assert f"{path.name}:2" in message
    nothing_left(place)


def test_the_split_file_is_missing(place, capsys):
    (place.data / "ICBHI_challenge_train_test.txt").unlink()
    assert "ICBHI_challenge_train_test.txt" in refused(capsys, 3, *run_words(place))


def test_verify_names_everything_at_once(place, capsys):
    wavs = sorted(place.data.rglob("*.wav"))
    wavs[0].unlink()
    wavs[1].write_bytes(b"RIFF")
    text = sorted(place.data.glob("ICBHI_final_database/*.txt"))[2]
    text.write_text("0.0\tx\t0\t0\n")
    with pytest.raises(SystemExit) as end:
        main(["data", "verify", "--data", str(place.data)])
    printed = capsys.readouterr()
    assert end.value.code == 3
    for name in (wavs[0].stem, wavs[1].name, f"{text.name}:1"):
        assert name in printed.out + printed.err


def test_features_of_an_unknown_recording(place, capsys):
    message = refused(capsys, 3, "data", "features", "999_1b1_Tc_sc_Meditron", "--data", place.data, "--out", "x.npz")
    assert "999_1b1_Tc_sc_Meditron" in message
    assert not Path("x.npz").exists()


def test_a_simulated_set_is_not_written_over_files(place, capsys):
    assert "is not empty" in refused(capsys, 2, "data", "demo", place.data)
    assert (place.data / "SIMULATED.json").is_file()


# --- weights ----------------------------------------------------------------------------------------------------------


def pickle_with_code(path):
    class Harm:
        def __reduce__(self):
            return (print, ("harm was done",))

    torch.save({"model": Harm()}, path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"not a checkpoint"),
        lambda path: path.write_bytes(b""),
        pickle_with_code,
        lambda path: torch.save({"model": {"v.cls_token": torch.zeros(1, 1, 768)}}, path),
        lambda path: torch.save([1, 2, 3], path),
    ],
    ids=["text", "empty", "code", "tensors-missing", "a-list"],
)
def test_a_broken_checkpoint(place, capsys, tmp_path, write):
    write(tmp_path / "weights.pth")
    message = refused(capsys, 2, *run_words(place, "--pretrain", tmp_path / "weights.pth"))
    assert "weights.pth" in message
    assert "harm was done" not in message
    nothing_left(place)


# --- results ----------------------------------------------------------------------------------------------------------


def test_the_results_folder_cannot_be_written(place, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    message = refused(capsys, 4, *run_words(place, "--home", tmp_path / "file" / "results"))
    assert str(tmp_path / "file") in message


@pytest.mark.parametrize("content", [b"this is no database at all, only text " * 50, b""], ids=["text", "empty"])
def test_the_board_is_no_database(place, capsys, content):
    place.home.mkdir()
    (place.home / "leaderboard.sqlite").write_bytes(content)
    if content:
        assert "leaderboard.sqlite" in refused(capsys, 4, *run_words(place))
        assert "leaderboard.sqlite" in refused(capsys, 4, "report")
        nothing_left(place)
    else:
        # An empty file is what a first start leaves when it is killed: a board is made in it.
        main_ok(capsys, "report")


def main_ok(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert end.value.code in (0, None), printed.err
    return printed


def test_the_board_is_of_a_newer_version(place, capsys):
    main_ok(capsys, *run_words(place))
    with sqlite3.connect(place.home / "leaderboard.sqlite") as database:
        database.execute("UPDATE leaderboard_version SET version_num = '9999'")
    before = (place.home / "leaderboard.sqlite").read_bytes()
    for words in (run_words(place, "--seed", "2"), ["report"], ["board", "list"]):
        message = refused(capsys, 4, *words)
        assert "9999" in message
        assert "pip install --upgrade lungbench" in message
    assert (place.home / "leaderboard.sqlite").read_bytes() == before


@pytest.mark.slow
def test_a_full_disk(place):
    """Simulated: no file of the command may grow beyond 20 kB."""
    words = [str(word) for word in run_words(place)]

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "bench", *words]
    env = environment(place.home, place.cache, PYTHONPATH=str(Path(__file__).resolve().parents[2]))
    done = subprocess.run(command, env=env, capture_output=True, text=True, preexec_fn=small_files, check=False)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    assert not list(place.home.rglob("*.tmp"))
    assert not list(place.home.glob("runs/*/result.json"))


def test_a_result_that_was_edited(place, capsys):
    main_ok(capsys, *run_words(place))
    path = next(place.home.glob("runs/*/result.json"))
    document = json.loads(path.read_text())
    document["metrics"]["last"]["4class"]["sp"] = 99.0
    path.write_text(json.dumps(document))
    message = refused(capsys, 2, *run_words(place))
    assert "--rerun" in message or "confusion" in message


# --- specs ------------------------------------------------------------------------------------------------------------


def test_the_words_of_all_parts_of_a_composite_are_looked_up_before_anything_is_told(place, capsys, tmp_path):
    part = '[parts.{}]\nmodel = "{}"\nmethod = "ce"\n'
    (tmp_path / "two.toml").write_text(
        'name = "two"\ncombine = "product"\n' + part.format("a", "ast") + part.format("b", "cnn66")
    )
    said = refused(capsys, 2, "run", "--spec", tmp_path / "two.toml", "--data", place.data)
    assert said == "error: Part 'b': Unknown model 'cnn66': did you mean 'cnn6'?"


def test_a_spec_that_is_none(place, capsys, tmp_path):
    (tmp_path / "spec.json").write_text("{}")
    assert "holds no run spec" in refused(capsys, 2, "run", "--spec", tmp_path / "spec.json")
    assert "Cannot read the spec" in refused(capsys, 2, "run", "--spec", tmp_path / "absent.json")


EDITED = [
    (2, {"batch": -8}, "batch is -8, but must be at least 1."),
    (2, {"batch": "8"}, "batch is '8', but must be a whole number."),
    (2, {"numerics": 99}, "The spec is of numerics 99"),
    (2, {"precision": "int8"}, "precision is 'int8'"),
    (2, {"precision": "fp16"}, "The precision fp16 has no arithmetic on a CPU."),
    (2, {"dataset": "esc50"}, "Unknown data set 'esc50'"),
    (2, {"frontend_version": 9}, "version 9 of the front-end ast"),
    (2, {"method": "patchmix-cl", "model": "cnn6", "model_options": {}}, "mixes patches"),
    (2, {"method_options": {"beta": 0.0}}, "beta is 0.0, but must be at least 0.001."),
    (2, {"pretrain": "imagenet"}, "has no weights_sha256"),
    (2, {"pretrain": "file", "weights_sha256": "f" * 64}, "pretrain is 'file', but the spec names no file of weights."),
    (2, {"batch": 9, "epochs": 10**9}, "epochs is 1000000000, but must be at most"),
    (2, {"batch": 200}, "batch is 200, but the training part holds 24 cycles."),
    (2, {"split": "training-fold-1-of-900"}, "900 folds need as many training patients"),
    (3, {"dataset": "icbhi"}, "The data folder data/icbhi does not exist."),
    (3, {"partial": "partial (9 of 920)"}, "'partial (9 of 920)' (partial), but those in"),
    (3, {"data_fingerprint": "f" * 64}, "fingerprint"),
]


@pytest.fixture
def made(place, capsys, tmp_path):
    """The spec of a run, as a dry run prints it."""
    document = json.loads(main_ok(capsys, *run_words(place, "--dry-run", "--format", "json")).out)
    del document["run_id"]
    return document


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "start"])
@pytest.mark.parametrize(("code", "changes", "message"), EDITED, ids=[str(changes) for _, changes, _ in EDITED])
def test_a_spec_that_was_edited(place, made, capsys, tmp_path, code, changes, message, dry):
    made["identity"].update(changes)
    (tmp_path / "spec.json").write_text(json.dumps(made))
    said = refused(capsys, code, "run", "--spec", tmp_path / "spec.json", *dry)
    assert message in said
    assert "internal error" not in said
    nothing_left(place)


def test_weights_cannot_be_slipped_in(place, made, capsys, tmp_path):
    made["execution"]["weights"] = str(tmp_path / "weights.pth")
    (tmp_path / "spec.json").write_text(json.dumps(made))
    said = refused(capsys, 2, "run", "--spec", tmp_path / "spec.json", "--dry-run")
    assert "pretrain is 'none', but the spec names a file of weights." in said


def test_weights_that_are_gone_are_missed_by_a_dry_run(place, made, capsys, tmp_path):
    made["identity"].update(pretrain="file", weights_sha256="f" * 64)
    made["execution"]["weights"] = str(tmp_path / "weights.pth")
    (tmp_path / "spec.json").write_text(json.dumps(made))
    assert "Cannot read the weights" in refused(capsys, 2, "run", "--spec", tmp_path / "spec.json", "--dry-run")


@pytest.mark.parametrize(
    "words", [["--epochs", "3"], ["--alpha", "2"], ["--precision", "bf16"], ["--pretrain", "none"]]
)
def test_a_replay_is_not_changed_by_flags(place, made, capsys, tmp_path, words):
    (tmp_path / "spec.json").write_text(json.dumps(made))
    assert "--spec replays a run as it was" in refused(capsys, 2, "run", "--spec", tmp_path / "spec.json", *words)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "pipe", "."])
def test_what_is_no_regular_file_is_no_input(place, capsys, tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    assert "Cannot read the spec" in refused(capsys, 2, "run", "--spec", tmp_path / name)
    assert "Cannot read" in refused(capsys, 2, "models", "list", "--plugin", tmp_path / name)


def test_a_spec_for_other_data(place, capsys, tmp_path):
    main_ok(capsys, *run_words(place))
    spec = next(place.home.glob("runs/*/spec.json"))
    text = sorted(place.data.glob("ICBHI_final_database/*.txt"))[0]
    text.write_text(text.read_text().replace("\t0\t0", "\t1\t0", 1))
    message = refused(capsys, 3, "run", "--spec", spec, "--data", place.data, "--rerun")
    assert "fingerprint" in message


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_fails_the_run(place, capsys):
    words = run_words(place, "--set", "lr=1e30", "--set", "warmup_epochs=0")
    message = refused(capsys, 1, *words)
    assert "learning rate" in message
    assert "step" in message
    document = json.loads(next(place.home.glob("runs/*/result.json")).read_text())
    assert document["status"] == "failed"
    assert "learning rate" in document["error"]
    assert "failed" in main_ok(capsys, "report").out.lower()
    assert "finished already" not in refused(capsys, 1, *words)


def test_memory_that_runs_out_fails_the_run(place, capsys, monkeypatch):
    from bench.engine import trainer

    def exhausted(self, rows, epoch, step):
        raise torch.OutOfMemoryError("simulated: tried to allocate 20 GiB")

    monkeypatch.setattr(trainer.Trainer, "_train_step", exhausted)
    message = refused(capsys, 1, *run_words(place))
    assert "ran out of memory" in message
    assert "batch" in message


def test_a_defect_is_one_sentence_too(place, capsys, monkeypatch):
    from bench.experiment import recipes

    def broken(request):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(recipes, "choose_source", broken)
    message = refused(capsys, 1, *run_words(place))
    assert "internal error: ZeroDivisionError: a defect" in message
    assert "--debug" in message


def test_output_that_nobody_reads(place):
    """``bench models list | head -1`` ends without a complaint."""
    command = f"{sys.executable} -m bench models list | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment(place.home, place.cache, PYTHONPATH=str(Path(__file__).resolve().parents[2])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_the_tour_is_long_enough():
    assert len(USAGE) >= 25
