"""Addresses of files on the web, checked before anybody is asked, so that a slip is a sentence."""

from __future__ import annotations

import base64
from urllib.parse import quote, unquote, urlsplit, urlunsplit

WEB_SCHEMES = ("http", "https")

_AS_WRITTEN = "/%:;=&?@!$'()*+,~[]"
"""Signs of a path or query that stay as the user wrote them."""


def address_fault(url: str) -> str | None:
    """What is wrong with the address of a file on the web; ``None`` if nothing is.

    The sentence repeats nothing of the address, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        # Read for its errors: both are computed at this moment.
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "its host or port is malformed"
    if parts.scheme not in WEB_SCHEMES:
        return "it must begin with http:// or https://"
    if not url.isprintable() or " " in url:
        return "it holds spaces or control characters"
    try:
        named = bool((host or "").encode("idna"))
    except UnicodeError:
        named = False
    return None if named else "it names no host"


def split_credentials(url: str) -> tuple[str, str]:
    """Split an address into what a server is asked for, in ASCII, and the header that carries user and password.

    Returns:
        The address without user and password, and the value of ``Authorization`` (RFC 7617); empty without them.
    """
    parts = urlsplit(url)
    secrets, at, host = parts.netloc.rpartition("@")
    path, query = (quote(text, safe=_AS_WRITTEN) for text in (parts.path, parts.query))
    address = urlunsplit((parts.scheme, host.encode("idna").decode("ascii"), path, query, ""))
    if not at:
        return address, ""
    user, _, password = secrets.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return address, f"Basic {base64.b64encode(pair).decode('ascii')}"
