"""Reports as LaTeX that fits a page of A4: booktabs rules, nothing that needs another package; all text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from leaderboard.render.cells import Report, Table
from leaderboard.render.latex_layout import LINE, Layout, TypesetCell, fit_one_page, fitted, pages
from leaderboard.render.latex_text import breakable, escaped

PACKAGES = "% \\usepackage{booktabs}"
LINKS = "\\providecommand{\\href}[2]{#2}% links with \\usepackage{hyperref}"


def write(report: Report) -> str:
    """A report as LaTeX: a float for each table, with the caption below each and the notes below the last."""
    # Without a table there is nothing to set: what is said instead is a comment.
    parts = [] if report.tables else ["".join(f"% {escaped(line)}\n" for line in (report.empty, *report.notes))]
    for table in report.tables:
        notes = [report.caption] if report.caption else []
        parts.append(_floats(table.for_paper(), [*notes, *(report.notes if table is report.tables[-1] else ())]))
    return "\n".join(parts)


def _floats(table: Table, notes: Sequence[str]) -> str:
    """A floating table over the page's width, or several where it is longer than a page.

    Columns that are too many for a line are left out in the order that they declare; a note says so.
    """
    layout = fitted(table)
    gone = [f"Left out for want of room: {', '.join(layout.gone)} (--format csv has them)."] if layout.gone else []
    notes = [*notes, *gone]
    parts_of_rows = list(pages(layout))
    below = notes if fit_one_page(layout, parts_of_rows[-1], notes) else []
    parts = []
    for number, blocks in enumerate(parts_of_rows):
        last = number == len(parts_of_rows) - 1
        title = f"{table.title} (continued)" if number else table.title
        parts.append(_float(replace(layout, blocks=blocks), title, below if last else [], number > 0))
    if notes and not below:
        parts.append([f"{{{layout.size.command}\\noindent", *_note_lines(notes), "}"])
    head = "\n".join([PACKAGES, *[LINKS] * any(column.linked for column in table.columns)])
    return f"{head}\n" + "\\clearpage\n".join("\n".join(part) + "\n" for part in parts)


def _float(layout: Layout, caption: str, notes: Sequence[str], continued: bool) -> list[str]:
    aligned = "".join("r" if column.number else "l" for column in layout.columns)
    heads = [TypesetCell(column.head_line) for column in layout.columns]
    lines = [
        "\\begin{table*}",
        *(["\\addtocounter{table}{-1}"] if continued else []),
        f"\\centering{layout.size.command}\\setlength{{\\tabcolsep}}{{{layout.size.gap:g}pt}}",
        f"\\caption{{{escaped(caption)}}}",
        f"\\begin{{tabular}}{{{aligned}}}",
        "\\toprule",
        *_group_lines(layout.groups),
        _line(_boxed(layout, place, head, "b", breakable(head.text)) for place, head in enumerate(heads)),
    ]
    for block in layout.blocks:
        lines.append("\\midrule")
        if block.title:
            lines.append(f"\\multicolumn{{{len(layout.columns)}}}{{l}}{{\\textit{{{escaped(block.title)}}}}} \\\\")
        lines += [_line(_boxed(layout, place, cell, "t") for place, cell in enumerate(row)) for row in block.rows]
    lines += ["\\bottomrule", "\\end{tabular}"]
    if notes:
        lines += ["", "\\smallskip", "\\begin{minipage}{\\linewidth}", *_note_lines(notes), "\\end{minipage}"]
    return [*lines, "\\end{table*}"]


def _note_lines(notes: Sequence[str]) -> list[str]:
    return [f"{breakable(note)}\\par" for note in notes]


def _group_lines(groups: Sequence[tuple[str, int]]) -> list[str]:
    heads, rules, first = [], [], 1
    for title, span in groups:
        heads.append(f"\\multicolumn{{{span}}}{{c}}{{{escaped(title)}}}")
        if title and span > 1:
            rules.append(f"\\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    return [_line(heads), " ".join(rules)] if groups else []


def _boxed(layout: Layout, place: int, cell: TypesetCell, stands: str, shown: str | None = None) -> str:
    """A cell, in a box of its column's width where it is too long for one line of it.

    Args:
        layout: The table as it fits.
        place: The place of its column.
        cell: The cell.
        stands: Which line of the box stands on that of its row: ``t`` for the top one, ``b`` for the bottom one.
        shown: What is shown in the box; by default numbers as they are, and words so that they may be broken.
    """
    room, column = layout.widths[place], layout.columns[place]
    if room is None or cell.width * layout.size.em <= room:
        return cell.shown()
    if shown is None:
        whole = column.number and not layout.size.breaks
        shown = cell.shown() if whole else cell.shown(breakable)
    ragged = "\\raggedleft" if column.number else "\\raggedright"
    return f"\\parbox[{stands}]{{{room / LINE:.3f}\\linewidth}}{{{ragged} {shown}\\strut}}"


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\"
