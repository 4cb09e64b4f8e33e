"""The card of a board on the Hugging Face Hub: what it is, its table, its terms, and how it is read back."""

from __future__ import annotations

from bench.api.boards import Board
from bench.core.datasets import DATASETS
from bench.core.text import counted_noun, plain

BUNDLE = "board.zip"
"""Name of the one file that holds every row with its predictions."""

_METADATA = """---
license: other
pretty_name: {name}
tags:
- lungbench
- respiratory-sounds
- audio-classification
- leaderboard
configs:
- config_name: leaderboard
  data_files: leaderboard.csv
---
"""

_TEXT = """
# {name}

A board of LungBench, the benchmark and leaderboard of respiratory sound classification. It holds {runs} with the
scores of every tested cycle, so that anybody can recompute all numbers. `leaderboard.csv` is the table below in full
precision; `{bundle}` is everything else in one download.

```sh
bench board pull hf:{name}            # checks all of it, and merges it into your board; doing it twice changes nothing
bench board pull hf:{name}@REVISION   # an older version
bench board push hf:{name}            # adds the rows of your board; rows that are here stay
```

Every version stays in this repository's history: cite the board by its revision. A row's state says how far its
numbers were checked; marks say what a reader should know of it. Simulated and partial results have sections of their
own and are never ranked.

## Leaderboard

By the last epoch (`bench report leaderboard --protocol last`).

{table}

## Terms

`{bundle}` holds predictions, and the labels of the tested cycles, which belong to the owners of the data sets: pass
them on under their terms.

{licences}

Results are for research. No row says that a system may be used to diagnose anybody.
"""


def board_card(board: Board, name: str) -> str:
    """Write the card of a board in Markdown, with the Hub's block of metadata before it.

    Args:
        board: The board.
        name: ``OWNER/NAME`` of the data set.

    Raises:
        StoreError: If the board cannot be read.
    """
    runs = board.store.runs()
    held = dict.fromkeys(run.spec["dataset"] for run in runs)
    text = _TEXT.format(
        name=name,
        runs=counted_noun(len(runs), "result"),
        bundle=BUNDLE,
        table=board.table().to_markdown().strip().replace("## ", "### "),
        licences="\n".join(f"- {_licence(dataset)}" for dataset in sorted(held)),
    )
    return _METADATA.format(name=name) + text


def _licence(dataset: str) -> str:
    """What is known of the terms of a data set."""
    if dataset not in DATASETS:
        return f"{plain(dataset)}: not known here"
    card = DATASETS.card(dataset)
    return f"{card.title} ({card.owner}): {card.licence}"
