"""Messages as they are shown: on lines, without secrets, cut where nobody would read on."""

from __future__ import annotations

import pytest

from bench.core.messages import (
    LONGEST_MESSAGE,
    LONGEST_TEXT,
    message_text,
    sentence_text,
    shortened,
    traceback_text,
)

URL = "postgresql://me:s3cret@host/db"


@pytest.mark.parametrize("most", [10, 99, 1000])
@pytest.mark.parametrize("over", [-1, 0, 1, 5000])
def test_a_text_is_cut_to_its_length_and_not_before(most, over):
    text = "".join(chr(ord("a") + number % 26) for number in range(most + over))
    cut = shortened(text, most)
    if over <= 0:
        assert cut == text
        return
    assert len(cut) == most
    before, dots, after = cut.partition(" … ")
    assert dots
    assert text.startswith(before)
    assert text.endswith(after)
    assert len(before) > len(after) > 0


def test_an_endless_word_is_cut_and_the_words_around_it_stay():
    shown = sentence_text(f"Cannot read {'x' * 5000} here: {'y' * 255} is kept, as is /{'z' * 255}/{'z' * 255} too.")
    assert shown.startswith("Cannot read " + "x" * 79 + "… here: " + "y" * 255)
    assert f"/{'z' * 255}/{'z' * 255} too." in shown


def test_a_text_that_is_no_sentence_keeps_its_long_words():
    word = "x" * 5000
    assert message_text(f"bench run --model {word}") == f"bench run --model {word}"
    assert len(message_text("x" * (LONGEST_TEXT + 1))) == LONGEST_TEXT


@pytest.mark.parametrize("show", [sentence_text, message_text])
def test_text_is_made_plain_and_loses_its_secrets(show):
    shown = show(f"one\x1b[2J\r\ntwo\tthree {URL}")
    assert shown == "one?[2J\ntwo     three postgresql://***@host/db"


def test_a_secret_is_hidden_before_the_text_is_cut():
    """Otherwise the cut could go through a URL, whose rest is no longer known for one."""
    for shift in range(200):
        before, after = "x " * (230 + shift), "y " * (350 - shift)
        shown = sentence_text(before + URL + " " + after)
        assert len(shown) == LONGEST_MESSAGE
        assert not [part for part in ("me:", "s3c", "ret@") if part in shown]


@pytest.mark.parametrize("given", [ValueError("no\x07 way"), 7, None, b"bytes"])
def test_whatever_has_words_can_be_shown(given):
    assert message_text(given) == sentence_text(given) == str(given).replace("\x07", "?")


def failed_with_a_cause():
    try:
        try:
            raise OSError(f"cannot reach {URL}")
        except OSError as error:
            raise ValueError("token=abcdef \x1b[2J") from error
    except ValueError as error:
        return error


def test_a_traceback_has_its_causes_and_no_secrets():
    shown = traceback_text(failed_with_a_cause())
    assert "OSError: cannot reach postgresql://***@host/db" in shown
    assert "The above exception was the direct cause" in shown
    assert shown.endswith("ValueError: token=*** ?[2J")
    assert "s3cret" not in shown
    assert __file__ in shown
    assert traceback_text(ValueError("alone")) == "ValueError: alone"
