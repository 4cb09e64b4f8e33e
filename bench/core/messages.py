"""What every message goes through: no control characters, no secrets, no more than can be read."""

from __future__ import annotations

import re
import traceback

from bench.core.secrets import without_secrets
from bench.core.text import echoed, plain_lines

LONGEST_MESSAGE = 1_000
"""Characters of an error's sentence; names in it are cut long before."""
LONGEST_TEXT = 10_000
"""Characters of a notice or a hint: a command to go on with stands there whole."""

# No part of a path is longer than 255 bytes: this is a word that nobody reads.
_ENDLESS = re.compile(r"[^\s/]{256,}")


def shortened(text: str, most: int) -> str:
    """Text cut in its middle, since what went wrong stands at one end and where often at the other."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 3]} … {text[-end:]}"


def sentence_text(text: object) -> str:
    """An error's sentence as it may be shown to the user: words without an end in it are cut, then the whole."""
    cut = _ENDLESS.sub(lambda word: echoed(word[0]), without_secrets(plain_lines(text)))
    return shortened(cut, LONGEST_MESSAGE)


def message_text(text: object) -> str:
    """Any other text as it may be shown to the user; a command in it stays whole."""
    return shortened(without_secrets(plain_lines(text)), LONGEST_TEXT)


def traceback_text(error: BaseException) -> str:
    """The traceback of an error as it may be shown, with all its causes."""
    return without_secrets(plain_lines("".join(traceback.format_exception(error)).rstrip("\n")))
