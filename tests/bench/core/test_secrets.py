"""Secrets in text and in addresses: no password, token or user of the web is shown."""

from __future__ import annotations

import time

import pytest
from speeds import limit

from bench.core.secrets import MASK, masked, public_url, without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/w.pth", "https://host/w.pth"),
        ("https://user:pw@host:80/w.pth", "https://***@host:80/w.pth"),
        ("https://ghp_0123@host/w.pth", "https://***@host/w.pth"),
        ("https://host/w.pth?token=t0k3n&id=7", "https://host/w.pth?***"),
        ("https://host/w.pth#t0k3n", "https://host/w.pth"),
        ("https://user:p/w?#@host/w.pth", "https://***@host/w.pth"),
        ("https:/user:pw@host/w.pth", "https:/***@host/w.pth"),
        ("https://host/a@v2/w.pth", "https://host/a@v2/w.pth"),
        (
            "postgresql://me:pw@host/db?password=x&sslmode=require",
            "postgresql://me:***@host/db?password=***&sslmode=require",
        ),
        ("results/run", "results/run"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url, shown):
    assert public_url(url) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Max retries: https://user:s3cr3t@host/w.pth?sig=abcdef failed",
        "nonnumeric port: 's3cr3t@host'",
        "cannot open (w.pth?sig=abcdef)",
        "password s3cr3t refused",
        "asked for s%33cr3t",
    ],
)
def test_a_text_is_masked_however_it_repeats_the_secret(text):
    shown = masked(text, "https://user:s%33cr3t@host/w.pth?sig=abcdef")
    assert "***" in shown
    assert not {word for word in ("s3cr3t", "s%33cr3t", "abcdef") if word in shown}


def test_a_short_secret_does_not_spoil_the_sentence():
    assert masked("status 40: password 4", "https://u:4@host/") == "status 40: password ***"


SECRET = [
    ("postgresql://me:s3cret@host:5432/db", "postgresql://***@host:5432/db"),
    ("postgresql+psycopg://me:s3c/ret@host/db", "postgresql+psycopg://***@host/db"),
    ("postgresql://host/db?password=s3cret&x=1", "postgresql://host/db?password=***&x=1"),
    ("https://u:s3c@ret@host/w.pth", "https://***@host/w.pth"),
    ("https://s3cret@host/w.pth", "https://***@host/w.pth"),
    ("https://host/w.pth?x=1&access_token=s3cret", "https://host/w.pth?x=1&access_token=***"),
    ("https://host/w?X-Amz-Signature=s3cret&y", "https://host/w?X-Amz-Signature=***&y"),
    ("connection failed: host=h password='s3 cret' x=1", "connection failed: host=h password=*** x=1"),
    ("No such file: 'postgresql:/me:s3cret@host/db'", "No such file: 'postgresql:/***@host/db'"),
    ("https://host:8080/a@b and c@d.e", "https://host:8080/a@b and c@d.e"),
    ("lr=0.1, heads=3", "lr=0.1, heads=3"),
]


@pytest.mark.parametrize(("text", "shown"), SECRET)
def test_secrets_are_left_out(text, shown):
    assert without_secrets(text) == shown


# Each says which words of the text are secrets; nobody may see them by either way.
HIDDEN = [
    ("postgresql://me:s3cret@host:5432/db", ["s3cret"]),
    ("postgresql+psycopg_async://me:s3cret@host/db", ["s3cret"]),
    ("postgresql:///db?host=/run&user=me&password=s3cret", ["s3cret"]),
    ("mysql://me:s3/cr?et#x@host/db", ["s3/cr", "et#x"]),
    ("https://host/w.pth?sig=abcdef&sv=1", ["abcdef"]),
    ("https://host/w.pth?Key-Pair-Id=abcdef", ["abcdef"]),
    ("https://host/w.pth?x-auth=abcdef", ["abcdef"]),
    ("HTTPS://TOK3N@host/w.pth and ftp://u:tok3n@host/", ["TOK3N", "tok3n"]),
    ("password=s3cret", ["s3cret"]),
    ("password='s3 cret'", ["s3 cret"]),
    ('passphrase="s3 cret" and host=h', ["s3 cret"]),
    ("api_key=abcdef apikey=ghijkl", ["abcdef", "ghijkl"]),
    ("one https://u:pw1@a/x?token=t1 two https://pw2@b/y", ["pw1", "t1", "pw2"]),
]


@pytest.mark.parametrize(("text", "secrets"), HIDDEN)
@pytest.mark.parametrize("hide", [without_secrets, masked])
def test_both_ways_hide_the_same_secrets(hide, text, secrets):
    shown = hide(text)
    assert MASK in shown
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("text", [text for text, _ in SECRET] + [text for text, _ in HIDDEN])
def test_what_is_hidden_once_stays_as_it_is(text):
    for hide in (without_secrets, masked):
        assert hide(hide(text)) == hide(text)
        assert without_secrets(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the option sigma=3 of author=me, with keys=4 and monkey=5",
        "--set takes key=value",
        "Write it as postgresql://user@host/name, or none.",
        "see https://arxiv.org/abs/2305.14032v4#S3",
        "http://localhost:8080/board?page=2&order=as",
        "C:/Users/me and /data/icbhi/a@b.wav",
        "a mail to me@host.org",
        "bench run --pretrain https://host/w.pth?download=true",
    ],
)
def test_a_text_without_secrets_is_left_alone(text):
    assert without_secrets(text) == text


def test_what_a_library_says_loses_the_whole_query_of_any_address():
    """A server names the parameters of a signed address as it likes, also of one that it sends on to."""
    said = "moved to https://cdn/w.pth?policy=abc&exp=9 from https://host/w.pth"
    assert masked(said, "https://host/w.pth") == "moved to https://cdn/w.pth?*** from https://host/w.pth"
    assert without_secrets(said) == said


def test_a_known_secret_is_hidden_in_every_spelling():
    url = "postgresql://me:p%40ss%2Fw%2B%20d@host/db"
    for spelling in ("p%40ss%2Fw%2B%20d", "p@ss/w+ d", "p%40ss%2Fw%2B+d"):
        assert masked(f"no way in with {spelling}!", url) == "no way in with ***!"


def test_a_secret_that_begins_like_another_is_hidden_whole():
    shown = masked("tried abcd and abcdefgh", "https://u:abcd@host/", "https://u:abcdefgh@host/")
    assert shown == "tried *** and ***"


def test_the_user_of_a_database_is_no_secret_where_the_web_user_is_one():
    assert masked("no role service", "postgresql://service:pw@host/db") == "no role service"
    assert masked("no role service", "https://service@host/w.pth") == "no role ***"


@pytest.mark.parametrize("nothing", ["", "results/run", "not a url at all", "https://host/w.pth", "https://***@host/"])
def test_an_address_without_secrets_hides_nothing_of_a_text(nothing):
    text = "host answers 404: run not found, *** is left"
    assert masked(text, nothing) == text


def test_an_error_is_taken_by_its_words():
    assert masked(ValueError("nonnumeric port: 'pw1234@host'"), "https://u:pw1234@host/") == (
        "nonnumeric port: '***@host'"
    )


@pytest.mark.parametrize("word", ["a.", "pass", "token."])
@pytest.mark.parametrize("hide", [without_secrets, masked])
def test_a_long_word_takes_no_time(hide, word):
    """Processor time: without bounds the search takes ten seconds to a minute, with them a quarter of a second."""
    text = "?" + word * (100_000 // len(word))
    began = time.process_time()
    assert hide(text) == text
    assert time.process_time() - began < limit(1.5)
