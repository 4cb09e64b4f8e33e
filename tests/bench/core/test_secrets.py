"""Secrets in addresses: no password, token or user of the web is shown."""

from __future__ import annotations

import pytest

from bench.core.secrets import masked, public_url


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
