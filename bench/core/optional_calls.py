"""Calls that the code of a user may have or lack, told by what is there to be called and not by a name alone."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from typing import Any


class _ByFunctions(ABCMeta):
    """Lets ``isinstance`` ask for functions: a part of a model may well be called ``scores`` too, and is callable."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return all(inspect.isroutine(getattr(instance, name, None)) for name in cls.__abstractmethods__)


class OptionalCalls(metaclass=_ByFunctions):
    """Base of classes that declare optional calls by abstract methods.

    ``isinstance`` is true for an object that has a function or a method of each of these names, whatever its class is;
    a submodule, a number or None of that name is no such call.
    """
