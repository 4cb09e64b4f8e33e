"""Addresses of files on the web: what is wrong with one, and what of it a server is told."""

from __future__ import annotations

import base64

import pytest

from bench.core.addresses import address_fault, split_credentials

SECRET = "s3cret"

MALFORMED = "its host or port is malformed"
SCHEME = "it must begin with http:// or https://"
SPACES = "it holds spaces or control characters"
NO_HOST = "it names no host"


@pytest.mark.parametrize(
    "url",
    [
        "https://host",
        "http://host:8080/a/b.zip?x=1#part",
        "HTTPS://HOST/",
        f"https://me:{SECRET}@host/w.pth",
        "https://[::1]:80/x",
        "https://127.0.0.1/x",
        "https://bücher.example/ä.zip",
        "https://host:65535/",
    ],
)
def test_a_sound_address_has_no_fault(url):
    assert address_fault(url) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (f"https://me:{SECRET}@host:port/x", MALFORMED),
        (f"https://me:{SECRET}@host:65536/x", MALFORMED),
        ("https://[::1/x", MALFORMED),
        (f"ftp://me:{SECRET}@host/x", SCHEME),
        ("file:///etc/passwd", SCHEME),
        ("javascript:alert(1)", SCHEME),
        ("host/x", SCHEME),
        ("", SCHEME),
        (f"https://host/a b?{SECRET}", SPACES),
        ("https://host/a\x1bb", SPACES),
        ("https://host/\u202eb", SPACES),
        ("https://", NO_HOST),
        ("https:///path", NO_HOST),
        (f"https://me:{SECRET}@/path", NO_HOST),
        ("https://a..b/x", NO_HOST),
        (f"https://{'a' * 64}.example/x", NO_HOST),
    ],
)
def test_a_fault_is_named_and_nothing_of_the_address_repeated(url, fault):
    assert address_fault(url) == fault


def decoded(header):
    kind, _, value = header.partition(" ")
    assert kind == "Basic"
    return base64.b64decode(value).decode()


@pytest.mark.parametrize(
    ("url", "address", "pair"),
    [
        ("https://me:pw@host/x", "https://host/x", "me:pw"),
        ("https://me@host:80/x", "https://host:80/x", "me:"),
        ("https://:pw@host/x", "https://host/x", ":pw"),
        ("https://m%40e:p%3Aw%2F@host/x", "https://host/x", "m@e:p:w/"),
        ("https://me:p:w@host/x", "https://host/x", "me:p:w"),
        ("https://me:p@w@host/x", "https://host/x", "me:p@w"),
        ("https://mé:pß@host/x", "https://host/x", "mé:pß"),
    ],
)
def test_user_and_password_go_into_a_header_of_their_own(url, address, pair):
    found, header = split_credentials(url)
    assert found == address
    assert decoded(header) == pair


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://host/x", "https://host/x"),
        ("https://host/a%20b?x=1&y=%2F;z=[1]", "https://host/a%20b?x=1&y=%2F;z=[1]"),
        ("https://host/x#part", "https://host/x"),
        ("https://bücher.example/ä.zip?q=ü", "https://xn--bcher-kva.example/%C3%A4.zip?q=%C3%BC"),
        ('https://host/a"b<c>', "https://host/a%22b%3Cc%3E"),
    ],
)
def test_a_server_is_asked_in_ascii(url, address):
    found, header = split_credentials(url)
    assert (found, header) == (address, "")
    assert found.isascii()
    assert split_credentials(found) == (found, "")
