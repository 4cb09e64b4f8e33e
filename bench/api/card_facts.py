"""What a model card says of a run, gathered from its folder: result, cards of its parts, licences, files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bench.core.cards import Card, SystemCard, WeightsCard
from bench.core.errors import BenchError, SpecError, WeightsError
from bench.core.secrets import public_url
from bench.core.text import plain
from bench.experiment.paper_rows import row_system
from bench.experiment.registries import SYSTEMS, registries
from bench.experiment.spec import with_defaults
from leaderboard.published import MAIN_TABLE, printed_table
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import COMBINED, kind_of
from leaderboard.store.board_rows import BoardRun
from leaderboard.tables.row_systems import ALONE, is_run_of
from leaderboard.tables.single_result import PartScores, part_scores, run_of_result
from leaderboard.tasks import JudgedTask


@dataclass(frozen=True)
class CardFacts:
    """A finished run of one model, as its card describes it.

    Attributes:
        folder: The folder of the run.
        result: Its result, whose metrics were recomputed from the predictions.
    """

    folder: RunFolder
    result: RunResult

    @classmethod
    def read(cls, folder: Path) -> CardFacts:
        """Read a run's folder.

        Args:
            folder: The folder, with result and predictions.

        Raises:
            ResultError: If the result is missing or broken.
            SpecError: If it is not one finished model: a failed run, a submission, several runs combined.
        """
        found = RunFolder(folder)
        document = found.read_document()
        kind = kind_of(document)
        if kind == "submission":
            raise SpecError(f"{document['run_id']} is a submission: its model is not here.", "Name a run.")
        if kind in COMBINED:
            words = f"{document['run_id']} is the {kind} of several runs and has no model of its own."
            raise SpecError(words, f"Name one of its runs: {', '.join(part['run_id'] for part in document['parts'])}.")
        if document["status"] != "finished":
            raise SpecError(f"The run {document['run_id']} has {document['status']}.", "Run it to its end first.")
        return cls(found, found.read())

    @property
    def document(self) -> Mapping[str, Any]:
        """The result document."""
        return self.result.document

    @property
    def spec(self) -> Mapping[str, Any]:
        """The identity fields of the run's spec."""
        return self.result.document["spec"]

    @cached_property
    def run(self) -> BoardRun:
        """The run as a board would hold it."""
        return run_of_result(self.result)

    @property
    def judged(self) -> JudgedTask:
        """What it was judged on."""
        return self.run.judged_task

    @cached_property
    def scores(self) -> list[PartScores]:
        """What it reached, rule by rule and part by part."""
        return list(part_scores(self.result, self.run))

    def card(self, part: str) -> Card | None:
        """The card of the run's model, method or front-end; None where a plug-in that is not loaded has it."""
        try:
            card: Card = registries()[part].card(self.spec[part])
        except BenchError:
            return None
        return card

    def title(self, part: str) -> str:
        """The name in print of the run's model, method or front-end; its id where no card says it."""
        card = self.card(part)
        return card.title if card else str(self.spec[part])

    @cached_property
    def systems(self) -> list[SystemCard]:
        """The published systems that the run is one of, its recipe apart."""
        cards = [entry.card for entry in SYSTEMS if isinstance(entry.card, SystemCard) and not entry.card.composite]
        return [card for card in cards if self._is_of(card)]

    def _is_of(self, card: SystemCard) -> bool:
        if (card.model, card.method) != (self.spec["model"], self.spec["method"]):
            return False
        try:
            system = row_system(card, printed_table(MAIN_TABLE).dataset)
        except BenchError:
            return False  # it names what is not here
        return is_run_of(self._complete, system.runs[ALONE], self.judged.simulated)

    @property
    def pretrained(self) -> WeightsCard | None:
        """What is known of the weights that the training began with; None where there are none or no card says it."""
        weights: Mapping[str, WeightsCard] = getattr(self.card("model"), "weights", {})
        return weights.get(self.spec["pretrain"])

    @property
    def start(self) -> str:
        """What the training began with, in a few words and without paths or passwords."""
        pretrain = str(self.spec["pretrain"])
        if "://" in pretrain:
            return public_url(pretrain)
        # Of a file on somebody's disk its name is enough.
        return pretrain if pretrain.startswith(("hf:", "timm:", "torchvision:")) else Path(pretrain).name

    @property
    def public_spec(self) -> dict[str, Any]:
        """The identity fields of the spec without places on somebody's disk and passwords."""
        return {**self.spec, "pretrain": self.start}

    @cached_property
    def kept(self) -> list[str]:
        """The selection rules and stages whose weights the folder keeps, ``last`` first where it is one."""
        return sorted(self.folder.kept_weights(), key=lambda rule: rule != "last")

    @cached_property
    def numbers(self) -> int | None:
        """How many numbers a file of the run's weights holds; None where the folder keeps none.

        Raises:
            WeightsError: If the file cannot be read.
        """
        if not self.kept:
            return None
        path = self.folder.weights_of(self.kept[0])
        try:
            with safe_open(path, "np") as file:
                return sum(int(math.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"The weights {path} cannot be read: {error}.", "Run it again with --rerun.") from error

    def setting(self, name: str) -> Any:
        """A field of the spec, its default where the spec leaves it out."""
        return self._complete.get(name)

    @cached_property
    def _complete(self) -> Mapping[str, Any]:
        return with_defaults(self.spec)

    @property
    def simulated(self) -> bool:
        """Whether the data were made by a program."""
        return self.judged.simulated

    @property
    def name(self) -> str:
        """The model and how it was trained, in print."""
        return plain(f"{self.title('model')} · {self.title('method')}")
