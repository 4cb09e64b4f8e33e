"""Secrets in addresses: passwords and tokens that came in a URL are shown nowhere."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"

_SECRET_NAMES = re.compile(r"pass|pwd|token|secret|key|sig|auth|credential", re.IGNORECASE)
"""Parameters of a query that hold a secret."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def public_url(url: str) -> str:
    """A URL as it may be shown: without the password, and without the secrets of its query.

    Args:
        url: Any text; what has no ``://`` is given back as it is.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    user, at, place = _split_user(rest)
    name, colon, _ = user.partition(":")
    shown = f"{name}{colon}{MASK if colon else ''}{at}"
    head, question, query = place.partition("?")
    parts = [_public_parameter(part) for part in query.split("&")]
    return f"{scheme}://{shown}{head}{question}{'&'.join(parts) if question else ''}"


def masked(text: str, *urls: str) -> str:
    """Text without the secrets of some URLs, nor of any other URL that it holds.

    Args:
        text: A message, a line of a log.
        urls: Addresses whose secrets must not be in it, however they are written there.
    """
    forms = {form for url in urls for secret in _secrets(url) for form in _spellings(secret)}
    # The longest first: a secret may begin like another one.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return _URL.sub(lambda found: public_url(found[0]), text)


def _split_user(rest: str) -> tuple[str, str, str]:
    """What stands before the @ of a URL, the @, and what follows; a password may hold any sign, written carelessly."""
    head, question, query = rest.partition("?")
    if "@" in head:
        user, at, place = head.rpartition("@")
        return user, at, place + question + query
    if "@" in query and ":" in head.partition("/")[0] and "/" not in head:
        return rest.rpartition("@")
    return "", "", rest


def _public_parameter(part: str) -> str:
    name, equals, value = part.partition("=")
    return f"{name}{equals}{MASK}" if value and _SECRET_NAMES.search(name) else part


def _secrets(url: str) -> list[str]:
    _, separator, rest = url.partition("://")
    if not separator:
        return []
    user, _, place = _split_user(rest)
    found = [user.partition(":")[2]]
    for part in place.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        found += [value] if _SECRET_NAMES.search(name) else []
    return [secret for secret in found if secret and secret != MASK]


def _spellings(secret: str) -> set[str]:
    raw = {secret, unquote(secret), unquote_plus(secret)}
    return raw | {quote(word, safe="") for word in raw} | {quote_plus(word) for word in raw}
