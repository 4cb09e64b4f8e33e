"""Places that a machine may lack: a current folder, and one for temporary files."""

import tempfile

import pytest

from bench.core.errors import StoreError
from bench.core.files import temporary_folder, temporary_place


def test_in_a_folder_that_was_removed_commands_say_so_before_torch_ends_the_process(bench, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["models", "list"], ["predict", "run", "/a.wav", "--home", tmp_path, "--cache", tmp_path]):
        assert "The current folder is gone" in bench(*words, code=2).err


@pytest.fixture
def no_temporary_files(monkeypatch):
    """As where no folder for them can be written."""

    def nowhere():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)


def test_without_a_place_for_temporary_files_there_is_a_sentence(bench, no_temporary_files, monkeypatch):
    with pytest.raises(StoreError, match="no folder for temporary files"), temporary_folder("x"):
        pytest.fail("there is no such place")

    # As torch asks for it, deep within.
    monkeypatch.setattr("bench.cli.registries.print_json", lambda _document: tempfile.gettempdir())
    found = bench("models", "list", "--format", "json", code=4).err
    assert "There is no folder for temporary files that can be written." in found
    assert "TMPDIR" in found


def test_a_missing_file_that_nobody_expected_stays_an_internal_error(bench, monkeypatch):
    assert temporary_place().is_dir()

    def missing(_document):
        raise FileNotFoundError(2, "No such file", "/x")

    monkeypatch.setattr("bench.cli.registries.print_json", missing)
    assert "internal error: FileNotFoundError" in bench("models", "list", "--format", "json", code=1).err
