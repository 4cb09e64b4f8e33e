"""A run that came to an end: its numbers, its predictions, its model."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, WeightsError
from bench.core.text import echoed

if TYPE_CHECKING:
    from torch import nn

    from bench.api.cycle_predictions import CyclePredictions
    from bench.experiment.spec import RunSpec
    from bench.launch.once import Launched


AGAIN = "Run it again with rerun=True."


class Run:
    """A run that came to an end, as :func:`bench.run` returns it.

    Args:
        launched: How it ended.
        spec: What was run.

    Attributes:
        spec: The complete spec.
        folder: The run's folder, with its result, predictions and weights.
        error: What it failed with; None where it finished.
        document: Its ``result.json``.
    """

    def __init__(self, launched: Launched, spec: RunSpec) -> None:
        self.spec = spec
        self.folder: Path = launched.folder
        self.error: BenchError | None = launched.error
        self.document: dict[str, Any] = launched.document
        self._result = launched.result

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.spec.model} · {self.spec.method} · seed {self.spec.seed} · {self.status}>"

    @property
    def id(self) -> str:
        """The run's id, 16 hexadecimal characters: the same for the same spec on every machine."""
        return str(self.document["run_id"])

    @property
    def status(self) -> str:
        """``finished``, ``failed`` or ``pruned``."""
        return str(self.document["status"])

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics by selection rule, then by what a hit is; a rule without an epoch has None.

        ``run.metrics["last"]["4class"]`` holds ``sp``, ``se`` and ``score`` (percent), ``confusion`` (rows are true
        classes), ``n`` and ``epoch``; of a task of seven classes they are ``7class`` and ``2class``, and ``as`` and
        ``hs`` are there where the Score is made of them. They are of the main tested part.
        """
        return dict(self.document["metrics"])

    @property
    def other_parts(self) -> dict[str, Any]:
        """Metrics of the tested parts beside the main one, by part and then as :attr:`metrics`; mostly empty."""
        return dict(self.document.get("other_parts", {}))

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Loss, rate, time and metrics of each epoch."""
        return list(self.document["epochs"])

    @property
    def seconds(self) -> float:
        """How long the training took, without the preparation of features."""
        return float(self.document["seconds"])

    @cached_property
    def predictions(self) -> dict[str, CyclePredictions]:
        """The test cycles with their scores, by selection rule."""
        from bench.api.cycle_predictions import CyclePredictions
        from leaderboard.results.schema import task_of

        judged = self._result.cycles
        if judged is None:
            return {}
        classes = task_of(self.document).task.classes
        return {rule: CyclePredictions.of(judged, scores, classes) for rule, scores in self._result.scores.items()}

    def model(self, rule: str = "last") -> nn.Module:
        """The trained model, ready for evaluation.

        Args:
            rule: The selection rule whose epoch is wanted: ``last``, ``best-test`` or ``best-val``.

        Returns:
            The module on the CPU, in evaluation mode: pictures (batch, 1, frames, mels) of the run's front-end to
            logits (batch, classes).

        Raises:
            WeightsError: If the run's folder keeps no weights of that rule, or those of something else.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        import baselines
        from bench.engine.graph import give_own_head
        from bench.engine.random_states import random_states_kept
        from bench.experiment.plugins import load_plugins_of
        from leaderboard.results.schema import task_of

        path = self._weights(rule)
        load_plugins_of(self.spec)
        # Weights are drawn first, and then replaced by those of the file.
        classes = len(task_of(self.document).task.classes)
        with random_states_kept():
            model = baselines.create(
                self.spec.model, num_classes=classes, cache=Path(self.spec.cache), **self.spec.model_options
            )
            give_own_head(model, self.spec, classes)
        try:
            model.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError, OSError) as error:
            raise WeightsError(
                f"The weights {path} are not those of the run's model: {echoed(str(error), 200)}.", AGAIN
            ) from error
        return model.eval()

    def _weights(self, rule: str) -> Path:
        from leaderboard.results.run_folder import RunFolder

        folder = RunFolder(self.folder)
        path = folder.weights_of(rule)
        if path.is_file():
            return path
        kept = ", ".join(folder.kept_weights())
        raise WeightsError(
            f"The run {self.id} keeps no weights of '{echoed(rule)}' in {folder.weights}.",
            f"It keeps those of {kept}." if kept else f"{AGAIN} Trials of a search keep none.",
        )

    def to_json(self) -> dict[str, Any]:
        """The run as ``bench run --format json`` prints it."""
        from leaderboard.results.schema import printed

        return printed(self.document, self.folder)
