"""Figures of studies as one page of HTML that needs nothing else: figures inline, all trials as tables, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from bench.search.figures import draw, style, words
from bench.search.figures.data import TEST, FigureData, StudyData
from bench.search.figures.text import trials_table
from leaderboard.render.pages import environment

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

COLOURS = (
    ("ink", style.INK, "#e7e9ee"),
    ("muted", style.MUTED, "#a3acba"),
    ("line", style.LINE, "#333a46"),
    ("chosen", style.CHOSEN, "#4b5464"),
    ("paper", style.PAPER, "#14171c"),
    ("warning", "#b3261e", "#ff8a80"),
    *(
        (f"series{place}", light, dark)
        for place, (light, dark) in enumerate(
            zip(style.SERIES, ("#5cb0f0", "#f0964f", "#3fc49b", "#cf8fea"), strict=True)
        )
    ),
)
"""Name, light and dark; the figures are drawn in the light ones."""
_VARIABLES = {light: f"var(--{name})" for name, light, _ in COLOURS}
_HEX = re.compile(r"#[0-9a-f]{6}\b")
_REFERENCE = re.compile(r"url\(#|^#")
_LEFT_OUT = {f"{{{SVG}}}metadata"}


def html(figure: FigureData) -> str:
    """Write the figure as one page of HTML.

    Args:
        figure: The studies to show.
    """
    panels = draw.panels(figure)
    return (
        environment("bench.search.figures", ".")
        .get_template("page.html.jinja")
        .render(
            title=words.title(figure),
            colours=COLOURS,
            studies=[_study_values(study) for study in figure.studies],
            panels=[
                Markup(inline(draw.panel_svg(panel), panel.title, f"p{place}-")) for place, panel in enumerate(panels)
            ],
            notes=words.notes(figure),
        )
    )


def _study_values(study: StudyData) -> Mapping[str, Any]:
    table = trials_table(study)
    return {
        "name": study.name,
        "line": words.study_line(study),
        "counts": words.counts_words(study),
        "marked": study.objective == TEST or study.data is not None,
        "heads": [column.head for column in table.columns],
        "rows": [[line for cell in row.cells for line in cell.lines] for row in table.sections[0].rows],
        "best": None if study.best is None else str(study.best.number),
    }


def inline(svg: bytes, label: str, prefix: str) -> str:
    """Turn a figure of matplotlib into an element of a page.

    Args:
        svg: The SVG document that matplotlib wrote.
        label: What the figure shows, for those who do not see it.
        prefix: Text put before the ids in the figure, so that figures on one page do not share any.

    Returns:
        The ``svg`` element, without metadata, its colours those of the page.
    """
    root = ElementTree.fromstring(svg)
    for child in [child for child in root if child.tag in _LEFT_OUT]:
        root.remove(child)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _page_attribute(name, value, prefix))
    for size in ("width", "height"):
        del root.attrib[size]
    root.attrib |= {"role": "img", "aria-label": label}
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _page_attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}{value}"
    if name == "style":
        value = _HEX.sub(lambda found: _VARIABLES.get(found[0], found[0]), value)
    return _REFERENCE.sub(lambda found: f"{found[0]}{prefix}", value)
