"""Tries to export every registered model with its front-end, and every front-end with a model that takes it.

``PYTHONPATH=. python tests/support/export_table.py [MODEL or FRONT-END…]`` prints the table of docs/export.md: weights
as they are drawn, small geometries where a model has a demo profile, made-up waveforms. It takes some minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from small_data import write_small_data

import bench
from baselines import MODELS
from baselines.hugging_face.card import KINDS
from bench.core.errors import BenchError
from bench.data.frontends import LearningFrontEnd
from bench.data.frontends.chosen import choose_front_end
from bench.data.units import UnitWaves
from bench.engine.export.examples import Examples, made_up
from bench.engine.export.formats import OnnxProgram, TorchProgram
from bench.engine.export.parity import compared, trials_of
from bench.engine.export.programs import program_of
from bench.engine.graph import build_graph
from bench.engine.trained import TrainedRun
from bench.experiment.initial_runs import InitialRun
from bench.experiment.registries import DATASETS
from leaderboard.results.run_folder import RunFolder
from leaderboard.tasks import judged_task


@dataclass(frozen=True)
class Pair:
    """A model with a front-end, and settings by name."""

    model: str
    frontend: str
    method: str = "ce"
    settings: dict[str, Any] = field(default_factory=dict)


WIDTHS = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
PADDED = {"frontend.seconds": 2, "frontend.fit": "pad", "frontend.lengths": True}
SMALL_ENCODERS: dict[str, dict[str, Any]] = {
    "audio-spectrogram-transformer": {"config": json.dumps(WIDTHS)},
    "clap": {"config": json.dumps({"depths": [1, 1, 1, 1], "patch_embeds_hidden_size": 16, "hidden_size": 128})},
    "wav2vec2": {"config": json.dumps({**WIDTHS, "feat_extract_norm": "layer"}), **PADDED},
    "wavlm": {"config": json.dumps({**WIDTHS, "feat_extract_norm": "layer"}), **PADDED},
    "data2vec-audio": {"config": json.dumps(WIDTHS), "frontend.seconds": 2},
    "beats": {"config": json.dumps({"encoder_layers": 2, "encoder_embed_dim": 64, "encoder_attention_heads": 4})},
    "whisper": {"config": json.dumps({"d_model": 64, "encoder_layers": 2, "encoder_attention_heads": 4})},
}
"""Kinds of encoders as small ones of the same layout; those that listen to waveforms with an attention mask too."""

OTHERS = (
    Pair("resnet18", "logmel-image", settings={"frontend.size": 64, "frontend.spectrum_correction": False}),
    Pair("resnet18", "logmel-image", settings={"frontend.size": 64, "frontend.spectrum_correction": True}),
    Pair("cnn6", "sadaco"),
    Pair("cnn6", "scl", settings={"frontend.normalise": "batch"}),
    Pair("cnn6", "gammatone", settings={"frontend.bank": "mel"}),
    Pair("cnn6", "ast", "mixup-bce"),
    Pair("cnn6", "kaldi-fbank", settings={"frontend.frames": 128}),
    Pair("cnn6", "stft-mel", settings={"frontend.seconds": 2}),
    Pair("hf:hubert", "waveform", settings={"frontend.seconds": 2}),
    *(Pair(f"hf:{kind}", KINDS[kind].frontend, settings=settings) for kind, settings in SMALL_ENCODERS.items()),
)
"""Front-ends that no model has for its own, options that change what is exported, a method that makes the scores."""


def pairs() -> list[Pair]:
    """Every model with its own front-end, then the others."""
    return [*(Pair(entry.card.id, entry.card.frontend) for entry in MODELS), *OTHERS]


def untrained_run(pair: Pair, data: Path, cache: Path) -> TrainedRun:
    """A run as it would be opened, but with the weights that are drawn at its start."""
    spec = bench.resolve(
        *(pair.model, pair.method),
        frontend=pair.frontend,
        data=data,
        cache=cache,
        device="cpu",
        precision="fp32",
        pretrain="none",
        settings=pair.settings,
    )
    chosen = choose_front_end(spec.frontend, spec.frontend_options)
    graph, frontend = build_graph(spec).eval(), chosen.build()
    if isinstance(frontend, LearningFrontEnd):
        generator = torch.Generator().manual_seed(0)
        waves = [torch.randn(4000, generator=generator) for _ in range(4)]
        frontend.use(frontend.learn([UnitWaves.of(waves, ["a", "a", "b", "b"])]))
    judged = judged_task({"dataset": spec.dataset})
    assert judged.dataset in DATASETS
    run = InitialRun(RunFolder(data / "run"), "0" * 16, "last")
    return TrainedRun(run, spec, {"provenance": {}}, judged, chosen, frontend, graph)


def tried(run: TrainedRun, kind: str, folder: Path) -> tuple[str, str | None]:
    """What came of an export: the greatest difference or why there is none, and why the front-end is left out."""
    program = program_of(run)
    try:
        trials = trials_of(run, program, Examples([made_up(0)], "made-up waveforms"))
        made = OnnxProgram(program, trials[-1][0], 18) if kind == "onnx" else TorchProgram(program, trials[-1][0])
        path = folder / f"program.{kind}"
        made.write(path, {})
        return f"{compared(made.load(path), trials, 'made-up waveforms').greatest:.0e}", program.without_frontend
    except BenchError as error:
        return error.message, program.without_frontend


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(wanted: list[str]) -> None:
    """Print a line of the table for each pair."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_small_data(folder / "data")
        _say("| model | front-end | takes | torch | onnx |\n|---|---|---|---|---|")
        for pair in pairs():
            if wanted and not {pair.model, pair.frontend} & set(wanted):
                continue
            run = untrained_run(pair, data, folder / "cache")
            found = {kind: tried(run, kind, folder) for kind in ("torch", "onnx")}
            reason = found["torch"][1]
            takes = "waveforms" if reason is None else f"pictures: {reason}"
            given = [f"`{key.rpartition('.')[2]}={value}`" for key, value in pair.settings.items() if key != "config"]
            words = " ".join([f"`{pair.frontend}`", *given, *([f"({pair.method})"] if pair.method != "ce" else [])])
            _say(f"| `{pair.model}` | {words} | {takes} | {found['torch'][0]} | {found['onnx'][0]} |")


if __name__ == "__main__":
    main(sys.argv[1:])
