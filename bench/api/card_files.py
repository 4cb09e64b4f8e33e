"""What a model card says of the file that holds it: what it takes, what it gives, how it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Template
from typing import Any

from bench.api.card_markdown import code, facts, section
from methods.linear_probe.card import LINEAR_PROBE

TAKES = {
    True: "waveforms: a row is one unit (a cycle, or a piece of one) as the first half of the front-end cuts it",
    False: "pictures: a row is one unit as the front-end makes it",
}

LOADING = {
    "onnx": """import onnxruntime

session = onnxruntime.InferenceSession("FILE.onnx")
probabilities = session.run(None, {$named})[0]  # (batch, $classes)""",
    "torch": """import torch

program = torch.export.load("FILE.pt2").module()
with torch.no_grad():
    probabilities = program($inputs)  # (batch, $classes)""",
    "safetensors": """import baselines
${head_import}from safetensors.torch import load_file

model = baselines.create("$model", num_classes=$classes, **$options)
${head}tensors = load_file("FILE.safetensors")
model.load_state_dict({name: one for name, one in tensors.items() if not name.startswith(("frontend.", "method."))})""",
}


HEAD_IMPORT = "from methods.linear_probe.linear_probe import LinearHead"
HEAD = "model.classifier = LinearHead(model.feature_dim, {classes})"
"""Lines that give a model the classifier that a probe has in the place of its own."""


def file_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The section on a file.

    Args:
        told: What it says of itself.
    """
    yield from section("This file", _facts(told), code(_loading(told), "python"))


def _facts(told: Mapping[str, Any]) -> Iterator[str]:
    parity = told["parity"]
    inputs = "; ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in told["inputs"].items())
    rate = f", float32 in −1..1 at {told['sample_rate']} Hz" if told["sample_rate"] else ", float32"
    is_program = told["format"] != "safetensors"
    return facts(
        {
            "Format": told["format"] + (f", opset {told['opset']}" if told["opset"] else ""),
            "Weights": f"of the epoch chosen by {told['rule']}",
            "Input": inputs + rate if is_program else None,
            "It takes": TAKES[told["frontend_included"]] if is_program else None,
            "Front-end": f"not part of it: {told['without_frontend']}" if told["without_frontend"] else "part of it",
            "Normalised": told["normalisation"],
            "Output": f"{told['output']} (batch, {len(told['classes'])}): {', '.join(told['classes'])}"
            if is_program
            else None,
            "Pieces of one cycle": told["vote"] and f"judged by themselves; the run's vote over them is {told['vote']}",
            "Compared with the run": f"a probability differs by {parity['greatest_difference']:.2g} at most "
            f"({parity['units']} units; {parity['checked_on']})",
        }
    )


def _loading(told: Mapping[str, Any]) -> str:
    names, classes = list(told["inputs"]), len(told["classes"])
    is_probe = told["method"] == LINEAR_PROBE.id
    words = {
        "named": ", ".join(f'"{name}": {name}' for name in names),
        "inputs": ", ".join(names),
        "classes": classes,
        "head_import": f"{HEAD_IMPORT}\n" if is_probe else "",
        "head": f"{HEAD.format(classes=classes)}\n" if is_probe else "",
        "model": told["model"],
        "options": dict(told["spec"].get("model_options", {})),
    }
    return Template(LOADING[told["format"]]).substitute(words)
