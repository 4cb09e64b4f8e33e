"""Words that name sound files."""

import os

import pytest

from bench.data.sound_files import NotFound, find_sound_files


@pytest.fixture
def ward(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.WAV", "b/1.wav", "b/1.txt", "b/deep/3.flac", "b/.hidden/4.wav", "a.mp3", "notes.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


def shown(*words):
    return [file.shown for file in find_sound_files(words)]


def test_a_folder_gives_its_sound_files_by_name_whatever_the_case(ward):
    assert shown("b") == ["b/1.wav", "b/2.WAV", "b/deep/3.flac"]


def test_words_keep_their_order_and_no_file_comes_twice(ward):
    assert shown("b/2.WAV", "a.mp3", "b", str(ward / "a.mp3")) == ["b/2.WAV", "a.mp3", "b/1.wav", "b/deep/3.flac"]


def test_patterns_are_expanded_where_a_shell_has_not(ward):
    assert shown("b/*") == ["b/1.wav", "b/2.WAV"]
    assert shown("**/*.flac") == ["b/deep/3.flac"]
    assert shown(f"{ward}/?.mp3") == [f"{ward}/a.mp3"]


def test_a_file_that_is_named_by_itself_is_taken_whatever_it_is_called(ward):
    assert shown("notes.md") == ["notes.md"]


def test_an_annotation_that_a_shell_has_named_belongs_to_its_sound(ward):
    words = sorted(str(path) for path in (ward / "b").iterdir() if not path.name.startswith("."))
    assert [file.shown.rpartition("/")[2] for file in find_sound_files(words, (".txt",))] == [
        "1.wav",
        "2.WAV",
        "3.flac",
    ]
    (ward / "b" / "alone.txt").touch()
    assert shown(str(ward / "b" / "alone.txt")) == [str(ward / "b" / "alone.txt")]
    (alone,) = find_sound_files([ward / "b" / "alone.txt"], (".txt",))
    assert alone.path == ward / "b" / "alone.txt"


def test_the_standard_input_is_a_file_too(ward):
    (file,) = find_sound_files(["-"])
    assert (file.shown, file.path) == ("stdin", None)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nowhere.wav", "There is no file nowhere.wav."),
        ("empty", "The folder empty holds no sound file."),
        ("*.wav", "No sound file matches *.wav."),
        ("x" * 5000, "There is no file x"),
        ("[", "No sound file matches [."),
        ("", "One of the words is empty"),
        ("~nobody-of-that-name/a.wav", "The home folder in ~nobody"),
        ("loop.wav", "The links at loop.wav lead in a circle"),
        (os.fsdecode(b"\xff.wav"), "is not UTF-8"),
    ],
)
def test_words_that_name_none_say_so(ward, word, message):
    (ward / "loop.wav").symlink_to("loop.wav")
    (found,) = find_sound_files([word])
    assert isinstance(found, NotFound)
    assert message in found.error.message


def test_a_name_that_no_document_can_hold_is_told_among_the_others(ward):
    (ward / "b" / os.fsdecode(b"1\xff.wav")).touch()
    first, odd, *_ = find_sound_files(["b"])
    assert (first.shown, odd.shown) == ("b/1.wav", "b/1?.wav")
    assert odd.error.message == "The name of b/1?.wav is not UTF-8."
    assert isinstance(next(find_sound_files(["b/*"])), type(first))
