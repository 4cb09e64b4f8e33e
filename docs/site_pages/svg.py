"""Drawings as SVG within a page: their colours are the theme's, so that they can be read in light and dark."""

from __future__ import annotations

import html
from collections.abc import Iterable


def drawing(width: int, height: int, title: str, parts: Iterable[str], caption: str = "") -> str:
    """A drawing with a caption; on a narrow screen it shrinks with the text column.

    Args:
        width: Width of the drawing in its own units, of which the letters are 14 high.
        height: Height in the same units.
        title: What is to be seen, for those who do not see it.
        parts: Elements, from the functions below.
        caption: Sentence below it.
    """
    said = html.escape(title)
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    inner = "".join(parts)
    return (
        f'<figure class="drawing"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{said}">'
        f"<title>{said}</title>{inner}</svg>{below}</figure>"
    )


def box(x: float, y: float, width: float, height: float, kind: str, corner: float = 2) -> str:
    """A rectangle; ``kind`` is its class in ``stylesheets/site.css``."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" rx="{corner}" '
        f'class="{kind}"/>'
    )


def words(x: float, y: float, said: str, kind: str = "", at: str = "start") -> str:
    """A line of text whose baseline is at y; ``at`` is ``start``, ``middle`` or ``end``."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{at}" class="{kind}">{html.escape(said)}</text>'


def line(points: Iterable[tuple[float, float]], kind: str) -> str:
    """A line through points."""
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{through}" class="{kind}"/>'


def dot(x: float, y: float, kind: str, radius: float = 4.5) -> str:
    """A filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}"/>'


def arrow(begin: tuple[float, float], end: tuple[float, float], kind: str = "arrow") -> str:
    """A bent line from above to below, with a head at its end."""
    (x, y), (to_x, to_y) = begin, end
    middle = (y + to_y) / 2
    path = f"M{x:.1f},{y:.1f} C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}"
    head = f"M{to_x - 3.5:.1f},{to_y - 6:.1f} L{to_x:.1f},{to_y:.1f} L{to_x + 3.5:.1f},{to_y - 6:.1f}"
    return f'<path d="{path}" class="{kind}"/><path d="{head}" class="{kind}"/>'
