"""Paths that users write: home folders, spellings of accents, names that are no text, and machines without homes."""

from __future__ import annotations

import errno
import json
import os
import pwd
import subprocess
import sys
import unicodedata
from functools import partial
from pathlib import Path

import pytest
from icbhi_sets import NAMES, load_dataset, verify, write_annotation, write_set

from bench.core.datasets import DATASETS
from bench.core.errors import SpecError, StoreError
from bench.core.paths import board_location, cache_folder, expanded, home_folder, listed, named_home
from bench.data.bank import prepare_bank
from bench.data.sources import dataset_folder

ROOT = Path(__file__).resolve().parents[3]
COMPOSED = unicodedata.normalize("NFC", "Données")
DECOMPOSED = unicodedata.normalize("NFD", "Données")
data_folder = partial(dataset_folder, DATASETS.primary().card)
FOLDERS = {"BENCH_HOME": home_folder, "BENCH_DATA": data_folder, "BENCH_CACHE": cache_folder}


@pytest.fixture
def without_home(monkeypatch):
    """As in a container that was started with a user id alone."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "BENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", FOLDERS)
def test_a_flag_comes_before_the_variable_and_both_expand(variable, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~/of the variable")
    assert FOLDERS[variable]() == tmp_path / "of the variable"
    assert FOLDERS[variable](Path("~/of the flag")) == tmp_path / "of the flag"


@pytest.mark.parametrize("variable", FOLDERS)
def test_the_home_of_nobody_is_a_sentence(variable, monkeypatch):
    monkeypatch.setenv(variable, "~nosuchuser/x")
    with pytest.raises(SpecError, match="home folder in ~nosuchuser/x is not known"):
        FOLDERS[variable]()
    with pytest.raises(SpecError, match="home folder in ~nosuchuser/y is not known"):
        FOLDERS[variable](Path("~nosuchuser/y"))


def test_a_results_folder_that_cannot_be_read_is_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    assert home_folder(tmp_path / "none") == tmp_path / "none"
    assert listed(tmp_path / "none" / "studies", "*") == []
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=f"The results folder {home} cannot be read: Not a directory"):
            home_folder(home)
        with pytest.raises(StoreError, match=f"The folder {home} cannot be read: Not a directory"):
            listed(home, "*")

    def forbidden(path):  # simulated: nothing is forbidden to the user of a container
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(StoreError, match="cannot be read: Permission denied"):
        home_folder(tmp_path)


@pytest.mark.usefixtures("without_home")
def test_without_a_home_named_folders_are_enough(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder(tmp_path / "other") == tmp_path / "other"
    assert (home_folder(), data_folder()) == (Path("results"), Path("data/icbhi"))
    monkeypatch.delenv("BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lungbench"


@pytest.mark.usefixtures("without_home")
def test_without_a_home_and_a_cache_the_sentence_names_the_variable():
    with pytest.raises(SpecError, match="no place for the cache: HOME is not set") as caught:
        cache_folder()
    assert "BENCH_CACHE" in caught.value.hint


@pytest.mark.parametrize("written", [b"caf\xe9", b"~/caf\xe9", b"/caf\xe9/data"])
def test_a_name_that_is_no_utf8_is_a_sentence(written):
    with pytest.raises(SpecError, match=r"caf\?.* is not UTF-8"):
        expanded(os.fsdecode(written))


def test_a_current_folder_that_is_no_utf8_is_a_sentence(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(SpecError, match=r"caf\?/results is not UTF-8"):
        home_folder()


def test_a_file_in_the_place_of_the_results_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"The results folder .* cannot be read: Not a directory"):
        home_folder(tmp_path / "file")
    assert named_home(tmp_path / "file") == tmp_path / "file"
    with pytest.raises(StoreError, match="cannot be read: Not a directory"):
        home_folder(tmp_path / "file" / "below")


def test_a_current_folder_that_is_gone_is_a_sentence(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(SpecError, match="current folder is gone"):
        home_folder()
    assert home_folder(tmp_path) == tmp_path


def test_links_in_a_circle_are_a_sentence(tmp_path):
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    for written in ("one", "one/folder"):
        with pytest.raises(SpecError, match=r"links at .*one.* lead in a circle"):
            expanded(tmp_path / written)


@pytest.mark.parametrize(("written", "there"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_folder_is_found_however_its_accents_are_encoded(tmp_path, written, there):
    assert written != there
    assert expanded(tmp_path / written) == tmp_path / written  # a new folder is named as it was written
    write_set(tmp_path / there / there)
    found = data_folder(tmp_path / written / written)
    assert found == tmp_path / there / there
    assert len(load_dataset(found).recordings) == len(NAMES)
    (tmp_path / written).mkdir()
    assert expanded(tmp_path / written) == tmp_path / written  # the very name comes first


def test_of_two_names_that_read_alike_neither_is_guessed(tmp_path):
    # Three spellings of one word: the one that is asked for is not there.
    spellings = ["Å" + "é", "A\u030a" + "é", "Å" + "e\u0301"]
    for name in spellings[:2]:
        (tmp_path / name).mkdir()
    with pytest.raises(SpecError, match="holds 2 names that all read"):
        expanded(tmp_path / spellings[2])


def test_names_that_are_no_utf8_below_a_data_folder_do_no_harm(tmp_path):
    plain, odd = tmp_path / "data" / "plain", tmp_path / "data" / os.fsdecode(b"caf\xe9")
    database = write_set(plain)
    (database / "stray.wav").write_bytes(b"")
    (database / f"{min(NAMES)}.txt").write_text("broken\n", encoding="utf-8")
    plain.rename(odd)
    cache = tmp_path / "cache"
    report = verify(tmp_path / "data", cache)
    assert [fault.file for fault in report.faults] == [f"caf?/ICBHI_final_database/{min(NAMES)}.txt"]
    assert "caf?/ICBHI_final_database/stray.wav" in report.notes[0]
    json.dumps(report.to_json(), ensure_ascii=False).encode()
    write_annotation(odd / "ICBHI_final_database" / f"{min(NAMES)}.txt")
    dataset = load_dataset(tmp_path / "data", cache=cache)
    assert prepare_bank(dataset, "ast", {"seconds": 1.0}, cache).features[0].shape == (98, 128)
    assert len(json.loads((cache / "audio-hashes.json").read_text(encoding="utf-8"))["files"]) == len(NAMES)
    odd.rename(plain)
    assert load_dataset(tmp_path / "data", cache=cache).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("variable", FOLDERS)
@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_empty_is_none(variable, value, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    monkeypatch.delenv(variable, raising=False)
    default = FOLDERS[variable]()
    if value is not None:
        monkeypatch.setenv(variable, value)
    assert FOLDERS[variable]() == default
    assert default in (Path("results"), Path("data/icbhi"), Path("/somewhere/cache/lungbench"))


def test_the_board_is_in_the_results_folder_unless_a_url_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("BENCH_STORE", raising=False)
    assert board_location(tmp_path) == tmp_path
    monkeypatch.setenv("BENCH_STORE", "")
    assert board_location(tmp_path) == tmp_path
    for url in ("postgresql://me:pw@host/name", "sqlite:///folder/leaderboard.sqlite"):
        monkeypatch.setenv("BENCH_STORE", url)
        assert board_location(tmp_path) == url


@pytest.mark.parametrize("value", ["results", "/folder/s3cret", "postgresql:me:s3cret@host", "me:s3cret@host/db"])
def test_a_variable_without_a_url_is_refused_and_not_repeated(monkeypatch, tmp_path, value):
    monkeypatch.setenv("BENCH_STORE", value)
    with pytest.raises(StoreError, match=r"^BENCH_STORE holds no URL\.$") as caught:
        board_location(tmp_path)
    assert "s3cret" not in caught.value.hint
    assert "--home" in caught.value.hint


@pytest.mark.parametrize("written", ["", ".", "..", "a/../b", "a//b/", "/", "new/folder", "a\0b", "x" * 300])
def test_any_other_path_stays_as_it_was_written(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expanded(written) == expanded(Path(written)) == Path(written)


def test_a_link_that_leads_nowhere_is_a_path_like_any_other(tmp_path):
    (tmp_path / "link").symlink_to("absent")
    assert expanded(tmp_path / "link") == tmp_path / "link"
    assert expanded(tmp_path / "link" / "below") == tmp_path / "link" / "below"


def test_a_spelling_is_looked_for_below_folders_that_are_there(tmp_path):
    (tmp_path / DECOMPOSED).mkdir()
    (tmp_path / "plain").write_text("a file in the place of a folder")
    assert expanded(tmp_path / COMPOSED / "new" / COMPOSED) == tmp_path / DECOMPOSED / "new" / COMPOSED
    assert expanded(tmp_path / "plain" / COMPOSED) == tmp_path / "plain" / COMPOSED
    once = expanded(tmp_path / COMPOSED)
    assert expanded(once) == once


NO_HOME = """
import os, pwd, sys

def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")

pwd.getpwuid = unknown
from bench.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_commands_work_without_a_home(tmp_path, named):
    """Also what the libraries look for at home must not stop a command."""
    write_set(tmp_path / "data")
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME")}
    environment |= {"PYTHONPATH": str(ROOT), "BENCH_CACHE": str(tmp_path / "cache") if named else ""}
    words = ["data", "prepare", "--data", str(tmp_path / "data"), "--set", "frontend.seconds=1"]
    program = [sys.executable, "-c", NO_HOME, *words]
    done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == (0 if named else 2), done.stderr
    assert named or "BENCH_CACHE" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == (["cache", "data"] if named else ["data"])
