"""What every message goes through: no control characters, no secrets, no more than can be read."""

from __future__ import annotations

import re
import traceback

from leaderboard.text import plain_lines

LONGEST_MESSAGE = 1_000
"""Characters of an error's sentence; names in it are cut long before."""
LONGEST_TEXT = 10_000
"""Characters of a notice or a hint: a command to go on with stands there whole."""

# The user's part of a URL, up to its last @ before the host; passwords with a slash in them too, but no port.
_USER = re.compile(r"(?<=://)(?:[^\s/?#]+|[^\s/?#:@]+:(?!\d+/)\S+)@")
_VALUE = re.compile(
    r"""((?:[?&;][\w.-]*|\b)(?:password|passwd|pwd|passphrase|token|secret|signature|credential|api_?key)[\w.-]*=)"""
    r"""(?:'[^']*'|"[^"]*"|[^\s&;'"]+)""",
    re.IGNORECASE,
)
_HIDDEN = "***"


def without_secrets(text: str) -> str:
    """Text without the user and password of any URL in it, and without the values of passwords and tokens."""
    return _VALUE.sub(rf"\g<1>{_HIDDEN}", _USER.sub(f"{_HIDDEN}@", text))


def shortened(text: str, most: int) -> str:
    """Text cut in its middle, since what went wrong stands at one end and where often at the other."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 3]} … {text[-end:]}"


def message_text(text: object, most: int = LONGEST_TEXT) -> str:
    """Text as it may be shown to the user."""
    return shortened(without_secrets(plain_lines(text)), most)


def traceback_text(error: BaseException) -> str:
    """The traceback of an error as it may be shown, with all its causes."""
    return without_secrets(plain_lines("".join(traceback.format_exception(error)).rstrip("\n")))
