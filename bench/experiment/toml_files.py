"""What the TOML files of composite systems and of matrices have in common: how they are read, and their settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.documents import read_bytes
from bench.core.errors import ResultError, SpecError
from bench.core.text import echoed
from bench.experiment.spec_documents import DOCUMENT_LIMIT


def read_toml(path: Path, what: str, hint: str) -> dict[str, Any]:
    """Read a TOML file within bounds.

    Args:
        path: The file.
        what: What it is, for messages: ``a composite's file``.
        hint: What shows how such a file is written.

    Raises:
        SpecError: If it cannot be read, or is no TOML.
    """
    try:
        content = read_bytes(path, DOCUMENT_LIMIT, what).decode()
    except ResultError as error:
        raise SpecError(error.message, hint) from None
    except UnicodeDecodeError:
        raise SpecError(f"{path} is no text in UTF-8.", hint) from None
    try:
        return tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is a ValueError alone.
        raise SpecError(f"{path} is no TOML: {echoed(error, 200)}.", hint) from None


def flat_settings(settings: Mapping[str, Any], where: str, hint: str) -> dict[str, Any]:
    """Settings with dotted names in the place of tables.

    Args:
        settings: Values by name; a table within names an owner.
        where: Where they stand, for messages.
        hint: What shows how such a file is written.

    Raises:
        SpecError: At a value that is no number, text, true or false.
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inner = {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        for key, one in inner.items():
            if type(one) not in (bool, int, float, str):
                raise SpecError(
                    f"{where}: {echoed(key)} is {echoed(repr(one))}, but must be a number, a text, true or false.", hint
                )
            found[key] = one
    return found
