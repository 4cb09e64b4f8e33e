"""The reference of the Python API, which mkdocstrings writes from the docstrings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType

from site_pages.markdown import page

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):(?=<code>)")
"""The names of roles that docstrings have before a name; the page shows the name alone."""


def library_pages() -> dict[str, str]:
    """The pages by their path."""
    import bench
    from bench import plugins

    functions = [name for name in bench.__all__ if name[0].islower()]
    classes = [name for name in bench.__all__ if name[0].isupper()]
    api = page(
        "# Python API",
        "Everything that `import bench` offers, made from the docstrings. [The Python API](../python.md) has an "
        "example of each.",
        "## Functions",
        *(_described(f"{bench._MODULES[name]}.{name}") for name in functions),
        "## Values",
        *(_described(f"{bench._MODULES[name]}.{name}") for name in classes),
    )
    own = page(
        "# For plug-ins",
        "Everything that `bench.plugins` offers to a file of your own. [Adding a method, a model or a "
        "front-end](../extending.md) shows it in use.",
        *(_described(where) for where in _places(plugins)),
    )
    return {"reference/python.md": api, "reference/plugins.md": own}


def _places(plugins: ModuleType) -> Iterator[str]:
    """Where each name for plug-ins is defined; those that are loaded when they are asked for are not loaded here."""
    for name in plugins.__all__:
        module = plugins._MODULES.get(name) or getattr(plugins, name).__module__
        yield f"{module}.{name}"


def _described(where: str) -> str:
    return f"::: {where}"


def without_roles(content: str) -> str:
    """A page as HTML without the names of roles.

    Args:
        content: The page.
    """
    return ROLE.sub("", content)
