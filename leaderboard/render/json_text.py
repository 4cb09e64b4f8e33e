"""JSON that nothing obeys: characters that cannot be shown are written as escapes."""

from __future__ import annotations

import json
import re
from typing import Any

_NOT_ASCII = re.compile(r"[^\n -~]")


def json_text(document: Any) -> str:
    """A document as JSON; characters that cannot be shown, or that a terminal would obey, are escaped."""
    return escaped(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def escaped(text: str) -> str:
    """JSON with escapes instead of the characters that cannot be shown."""
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)
