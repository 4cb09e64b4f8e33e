"""Pretrained weights as a user names them (on the model's card, a file, a folder, an address), and as a spec does."""

from __future__ import annotations

import logging
import re
import stat
from pathlib import Path

from baselines.checkpoints import INDEX_ENDING, fingerprint, read_tensors
from baselines.downloads import LocatedWeights, fetch_weights
from baselines.locations import SCHEMES, is_remote
from bench.core.cards import ModelCard, WeightsCard
from bench.core.errors import RunWeightsError, WeightsError
from bench.core.kept import once
from bench.core.paths import expanded
from bench.core.registry import suggestion
from bench.core.secrets import masked
from bench.core.text import echoed

logger = logging.getLogger(__name__)

__all__ = ["LocatedWeights", "check_named", "locate", "read_tensors", "weights_of_run"]

_FILE_ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".tar", ".json")
_WHOLE_FILES = ("model.safetensors", "pytorch_model.bin")
_NAMES_IN_A_FOLDER = (
    _WHOLE_FILES[0],
    _WHOLE_FILES[0] + INDEX_ENDING,
    _WHOLE_FILES[1],
    _WHOLE_FILES[1] + INDEX_ENDING,
)
"""What a folder of the Hugging Face hub's libraries calls its weights; the first that is there is read."""

_SPREAD = {
    "zero_to_fp32.py": "DeepSpeed's; join its parts with the zero_to_fp32.py in it, and name the file that this writes",
    ".metadata": "torch.distributed.checkpoint's; join its parts with python -m torch.distributed.checkpoint."
    "format_utils dcp_to_torch FOLDER FILE",
}
"""Files by which a folder is known that holds a checkpoint in parts, one for each process of a training."""

_LIKE_AN_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?!\\)")


def locate(card: ModelCard, pretrain: str, cache: Path) -> LocatedWeights | None:
    """Find the weights that a user asks for, and fetch them if they are not there.

    Args:
        card: The model's card.
        pretrain: ``none``, a name on the card, a file, a folder that a Hugging Face library saved, a URL, or a name
            on the hub or of torchvision (see :func:`baselines.locations.remote`).
        cache: The cache folder; downloads are kept in ``weights`` below it.

    Returns:
        The file, or ``None`` for ``none``.

    Raises:
        WeightsError: If there is no such name or file, or it cannot be fetched.
        SpecError: If the path begins with the home of a user who is not there.
    """
    if pretrain == "none":
        return None
    return once(("weights", card.id, pretrain, cache), lambda: _locate(card, pretrain, cache))


def _locate(card: ModelCard, pretrain: str, cache: Path) -> LocatedWeights:
    if pretrain in card.weights:
        known = card.weights[pretrain]
        path = fetch_weights(known.location, _checksum_on_card(known), cache / "weights").path
    elif is_remote(pretrain):
        path = fetch_weights(pretrain, "", cache / "weights").path
    else:
        path = _weights_on_disk(card, pretrain)
    return LocatedWeights(path, fingerprint(path))


def check_named(card: ModelCard, pretrain: str) -> None:
    """Refuse weights that are neither known by a name nor on the disk; nothing is fetched or read.

    Args:
        card: The model's card.
        pretrain: As for :func:`locate`.

    Raises:
        WeightsError: If there is no such name or file.
        SpecError: If the path begins with the home of a user who is not there.
    """
    if pretrain != "none" and pretrain not in card.weights and not is_remote(pretrain):
        _weights_on_disk(card, pretrain)


def weights_of_run(pretrain: str, path: str | None, sha256: str | None) -> LocatedWeights | None:
    """The weights that a spec names, which must still be the ones that it was made with.

    Args:
        pretrain: The spec's field ``pretrain``.
        path: The spec's field ``weights``, the path of the file.
        sha256: The spec's field ``weights_sha256``, part of the run's identity.

    Returns:
        The file; ``None`` for a spec that starts from scratch.

    Raises:
        RunWeightsError: If the file is not there, or has another hash: both are in the message.
        WeightsError: If the three do not belong together.
    """
    if pretrain == "none" and path is None and sha256 is None:
        return None
    if pretrain == "none" or path is None or sha256 is None:
        raise WeightsError(
            f"The spec says pretrain {echoed(pretrain)}, weights {echoed(path)} and weights_sha256 {echoed(sha256)}, "
            "which do not belong together.",
            "A start from scratch has none of them, and pretrained weights have a file and its hash.",
        )
    file = Path(path)
    try:
        found = fingerprint(file)
    except WeightsError as error:
        raise RunWeightsError(error.message, error.hint) from error
    if found != sha256:
        raise RunWeightsError(
            f"The weights {file} are not those of the run: their SHA-256 is {found}, the spec's is {echoed(sha256)}.",
            "Put the same file there, or start a new run with --pretrain.",
        )
    logger.debug("weights %s have the SHA-256 of the run, %s", file, found)
    return LocatedWeights(file, found)


def _checksum_on_card(known: WeightsCard) -> str:
    if known.sha256:
        return f"sha256:{known.sha256}"
    return f"md5:{known.md5}" if known.md5 else ""


def _weights_on_disk(card: ModelCard, pretrain: str) -> Path:
    path = expanded(pretrain)
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        raise WeightsError(f"Cannot read {echoed(path, 300)}: {error.strerror}.", "Check its permissions.") from error
    except (OSError, ValueError) as error:
        raise _not_found(card, pretrain, path) from error
    return (_weights_file_in(path) if stat.S_ISDIR(mode) else path).absolute()


def _weights_file_in(folder: Path) -> Path:
    found = next((folder / name for name in _NAMES_IN_A_FOLDER if (folder / name).is_file()), None)
    if found is not None:
        return found
    spread = next((whose for name, whose in _SPREAD.items() if (folder / name).exists()), None)
    if spread is not None:
        whose, _, what = spread.partition("; ")
        raise WeightsError(f"The folder {folder} holds a checkpoint in parts, {whose}.", f"{what.capitalize()}.")
    names = " or ".join(_WHOLE_FILES)
    raise WeightsError(f"The folder {folder} holds no {names}.", "Name the file of weights inside it.")


def _not_found(card: ModelCard, pretrain: str, path: Path) -> WeightsError:
    address = _LIKE_AN_ADDRESS.match(pretrain)
    if address is not None:
        kinds = ", ".join(SCHEMES)
        near = suggestion(f"{address['scheme'].lower()}:", [scheme.rstrip("/") for scheme in SCHEMES])
        return WeightsError(
            f"There are no weights '{echoed(masked(pretrain, pretrain), 200)}': "
            f"{near if near.startswith('did') else 'it is no file and begins as no address does.'}",
            f"Addresses begin with {kinds}.",
        )
    if "/" in pretrain or pretrain.endswith(_FILE_ENDINGS):
        return WeightsError(f"There is no file of weights {echoed(path, 300)}.", "Check the path.")
    names = ("none", *card.weights)
    return WeightsError(
        f"Model '{card.id}' has no pretrained weights '{echoed(pretrain)}': {suggestion(pretrain, names)}",
        f"Use one of {', '.join(names)}, or a file or URL of weights.",
    )
