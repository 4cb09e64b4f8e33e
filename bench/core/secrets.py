"""Secrets in text: passwords and tokens, which come in addresses most of all, are shown nowhere.

Any text that is shown goes through :func:`without_secrets`, which knows a secret by how it is written. What a library
says of an address that is known goes through :func:`masked`, which hides the secrets of that address in every spelling,
and all that :func:`without_secrets` hides.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"

_PARAMETERS = r"pass|pwd|token|secret|key|sig|auth|credential"
"""Parts of the names of a URL's parameters that hold a secret."""

_WORDS = r"password|passwd|pwd|passphrase|token|secret|signature|credential|api_?key"
"""Beginnings of such names elsewhere: fewer, since ``key=value`` and ``sigma=1`` are no secrets."""

# Names are bounded below, and so is a password with a slash in it: without bounds the search takes minutes for a long
# word that only looks as if a secret might follow.
_BEGINNING = r"[a-z][a-z0-9+._-]{0,63}:/{1,3}"
"""Of a URL; one slash is left where a URL was taken for a path."""

_SECRET_NAMES = re.compile(_PARAMETERS, re.IGNORECASE)
_VALUE = re.compile(
    rf"""((?:[?&;][\w.-]{{0,99}}?(?:{_PARAMETERS})|\b(?:{_WORDS}))[\w.-]{{0,99}}=)(?:'[^']*'|"[^"]*"|[^\s&;'"]+)""",
    re.IGNORECASE,
)
# The user's part of a URL, up to its last @ before the host; passwords with a slash in them too, but no port. That of
# the example in hints is nobody's.
_USER = re.compile(rf"({_BEGINNING})(?!user@host/name\b)(?:[^\s/?#]+|[^\s/?#:@]+:(?!\d+/)\S{{1,2000}})@", re.IGNORECASE)

_DATABASE = re.compile(r"(?:postgres|mysql|mariadb|sqlite|oracle|mssql|redis)", re.IGNORECASE)
_SCHEME = re.compile(_BEGINNING, re.IGNORECASE)
_URL = re.compile(rf"{_BEGINNING}[^\s'\"<>]+", re.IGNORECASE)
_GLUED = 4
"""From this many characters on a secret is masked also inside longer words; a shorter one would spoil the text."""


_SHORTEST_KEY = 6
"""Characters of the value of a variable from which on it can be a key: a shorter one would spoil the text."""


def without_secrets(text: str) -> str:
    """Text without the user and password of any URL in it, and without the values of passwords and tokens."""
    return _VALUE.sub(rf"\g<1>{MASK}", _USER.sub(rf"\g<1>{MASK}@", text))


def without_secrets_of_environment(text: str) -> str:
    """Text without secrets, and without the values of the environment's variables whose names say that they are one.

    Libraries are given keys by such variables (``WANDB_API_KEY``, ``MLFLOW_TRACKING_PASSWORD``, ``HF_TOKEN``), and some
    repeat them in what they say.
    """
    held = [value for name, value in os.environ.items() if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST_KEY]
    for value in sorted(held, key=len, reverse=True):
        text = text.replace(value, MASK)
    return without_secrets(text)


def public_url(url: str) -> str:
    """A URL as it may be shown: without the password, and without the secrets of its query.

    Of addresses other than databases' the user (which may be a token) and the whole query are hidden too, since servers
    name the parameters of signed addresses as they like.

    Args:
        url: Any text; what does not begin as a URL is given back as it is.
    """
    found = _SCHEME.match(url)
    if found is None:
        return url
    user, at, place = _split_user(url[found.end() :])
    head, question, query = place.partition("?")
    if not _DATABASE.match(url):
        head = head.partition("#")[0]
        return f"{found[0]}{MASK + at if at else ''}{head}{question}{MASK if question else ''}"
    name, colon, _ = user.partition(":")
    shown = f"{name}{colon}{MASK if colon else ''}{at}"
    parts = [_public_parameter(part) for part in query.split("&")]
    return f"{found[0]}{shown}{head}{question}{'&'.join(parts) if question else ''}"


def masked(text: object, *urls: str) -> str:
    """Text without the secrets of some URLs, nor of any other URL that it holds.

    It hides what :func:`without_secrets` hides, and the whole query of every address of the web.

    Args:
        text: A message, an exception, a line of a log.
        urls: Addresses whose secrets must not be in it, however they are written there.
    """
    forms = {form for url in urls for secret in _secrets(url) for form in _spellings(secret)}
    shown = _URL.sub(lambda found: public_url(found[0]), str(text))
    # The longest first: a secret may begin like another one.
    for form in sorted(forms, key=len, reverse=True):
        pattern = re.escape(form)
        shown = re.sub(pattern if len(form) >= _GLUED else rf"(?<!\w){pattern}(?!\w)", MASK, shown)
    return without_secrets(shown)


def _split_user(rest: str) -> tuple[str, str, str]:
    """What stands before the @ of a URL, the @, and what follows; a password may hold any sign, written carelessly."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        user, at, host = authority.rpartition("@")
        return user, at, host + rest[len(authority) :]
    if "@" in rest and ":" in authority:
        return rest.rpartition("@")
    return "", "", rest


def _public_parameter(part: str) -> str:
    name, equals, value = part.partition("=")
    return f"{name}{equals}{MASK}" if value and _SECRET_NAMES.search(name) else part


def _secrets(url: str) -> list[str]:
    scheme = _SCHEME.match(url)
    if scheme is None:
        return []
    user, _, place = _split_user(url[scheme.end() :])
    name, colon, password = user.partition(":")
    web = _DATABASE.match(url) is None
    found = [password, name if web and not colon else ""]
    for part in place.partition("?")[2].partition("#")[0].split("&"):
        parameter, equals, value = part.partition("=")
        found += [value if equals else part] if web or _SECRET_NAMES.search(parameter) else []
    return [secret for secret in found if secret and secret != MASK]


def _spellings(secret: str) -> set[str]:
    raw = {secret, unquote(secret), unquote_plus(secret)}
    return raw | {quote(word, safe="") for word in raw} | {quote_plus(word) for word in raw}
