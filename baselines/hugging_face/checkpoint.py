"""Checkpoints of transformers: a folder, or a repository on the hub, with the files that describe its encoder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.checkpoints import INDEX_ENDING
from baselines.downloads import fetch_weights
from baselines.hugging_face.card import BEATS, KINDS, PREFIX, EncoderKind
from baselines.json_objects import read_json_object
from bench.core.cards import WeightsCard
from bench.core.errors import RegistryError, WeightsError
from bench.core.hub import ODD_ANSWERS, first_line, is_repository_name
from bench.core.paths import cache_folder, expanded
from bench.core.text import echoed

CONFIG, EXTRACTOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
WHOLE = ("model.safetensors", "pytorch_model.bin")
WEIGHTS = (*WHOLE, *(name + INDEX_ENDING for name in WHOLE))
MOST_BYTES = 4 << 20

Locate = Callable[[str], Path | None]
"""Gives a file of a checkpoint by its name; None where it has none."""


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint without reading its weights.

    Attributes:
        name: As it was asked for, without ``hf:``.
        kind: The kind of its encoder.
        config: The part of ``config.json`` that describes the encoder.
        extractor: What ``preprocessor_config.json`` says.
        pretrain: What ``--pretrain`` takes for its weights: their name on the card, or the folder.
        weights: Its weights on the hub by that name; none for a folder.
        licence: Licence, as far as the hub says it.
    """

    name: str
    kind: EncoderKind
    config: Mapping[str, Any]
    extractor: Mapping[str, Any]
    pretrain: str
    weights: Mapping[str, WeightsCard] = field(default_factory=dict)
    licence: str = "not stated"


def find_checkpoint(name: str) -> Checkpoint:
    """Read what describes a checkpoint.

    Args:
        name: A folder, or OWNER/NAME on the hub; or a file of BEATs.

    Raises:
        RegistryError: If there is no such folder, or it lacks a file, or its encoder is of a kind that is not known.
        WeightsError: If the hub cannot be asked, or has no such repository.
    """
    file = _as_file(name)
    if file is not None:
        return Checkpoint(name, KINDS[BEATS], _beats_config(file), {}, pretrain=str(file))
    folder = _as_folder(name)
    if folder is not None:
        described = _described(name, lambda file: folder / file if (folder / file).is_file() else None)
        return Checkpoint(name, *described, pretrain=str(folder))
    if not _is_repository(name):
        raise RegistryError(
            f"'{PREFIX}:{echoed(name, 300)}' is neither a folder nor OWNER/NAME on the hub, nor a file of BEATs.",
            f"Name a folder that transformers saved, a repository, or a kind alone: {', '.join(KINDS)}.",
        )
    described = _described(name, lambda file: _hub_file(name, file))
    licence = _licence(name)
    return Checkpoint(name, *described, pretrain=name, weights={name: _hub_weights(name, licence)}, licence=licence)


def kind_of(name: str) -> EncoderKind:
    """The kind of encoder that ``hf:NAME`` means, where NAME is a kind, a folder or a repository.

    Args:
        name: The NAME.

    Raises:
        RegistryError: As :func:`find_checkpoint` does.
        WeightsError: As :func:`find_checkpoint` does.
    """
    return KINDS[name] if name in KINDS else find_checkpoint(name).kind


def _as_file(name: str) -> Path | None:
    path = expanded(name)
    try:
        return path.absolute() if name and path.is_file() else None
    except (OSError, ValueError):
        return None


def _beats_config(path: Path) -> dict[str, Any]:
    """What a checkpoint of Microsoft's says of its encoder: a file of ``cfg`` and ``model``."""
    found = path.stat()
    return _config_in_file(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _config_in_file(path: Path, *_state: int) -> dict[str, Any]:
    from baselines.torch_files import read_torch_file

    try:
        document = read_torch_file(path)
    except WeightsError as error:
        raise RegistryError(error.message, error.hint) from error
    config = document.get("cfg") if isinstance(document, Mapping) and "model" in document else None
    if not isinstance(config, Mapping):
        raise RegistryError(
            f"The file {path} is no checkpoint of BEATs: it holds no cfg and model.",
            f"For other encoders name the folder that transformers saved, {PREFIX}:FOLDER.",
        )
    # What else stands there says how it was trained.
    return {name: value for name, value in config.items() if isinstance(value, bool | int | float | str)}


def _as_folder(name: str) -> Path | None:
    path = expanded(name)
    try:
        return path.absolute() if name and path.is_dir() else None
    except (OSError, ValueError):
        return None


def _described(name: str, locate: Locate) -> tuple[EncoderKind, dict[str, Any], dict[str, Any]]:
    """Kind, configuration and feature extractor of a checkpoint; raises RegistryError."""
    place = f"{PREFIX}:{echoed(name, 300)}"
    path = locate(CONFIG)
    if path is None:
        raise RegistryError(
            f"{place} holds no {CONFIG}.", "Name a folder that save_pretrained of transformers wrote, with its weights."
        )
    config = _read_json(path)
    kind = _known_kind(config.get("model_type"), place)
    part = config.get(kind.part) if kind.part in config else config
    if not isinstance(part, dict):
        raise RegistryError(f"{place}: {kind.part} in {CONFIG} is no object.", "Fetch it again.")
    return kind, part, _extractor(place, locate)


def _known_kind(model_type: Any, place: str) -> EncoderKind:
    types = [kind for kind in KINDS.values() if kind.id != BEATS]
    for kind in types:
        if model_type in (kind.id, *kind.other_types):
            return kind
    what = "says no model_type" if model_type is None else f"is of the model type '{echoed(model_type)}'"
    raise RegistryError(
        f"{place} {what}, which is no audio encoder that can be used here.",
        f"Model types that can be used: {', '.join(kind.id for kind in types)}. See docs/foundation-encoders.md.",
    )


def _extractor(place: str, locate: Locate) -> dict[str, Any]:
    """What a checkpoint says of its feature extractor, which transformers 5 may keep within that of its processor."""
    path = locate(EXTRACTOR)
    if path is not None:
        return _read_json(path)
    path = locate(PROCESSOR)
    found = _read_json(path).get("feature_extractor") if path is not None else None
    if not isinstance(found, dict):
        raise RegistryError(
            f"{place} holds no {EXTRACTOR}, so that its front-end is not known.",
            "Save the feature extractor beside the weights, with save_pretrained of transformers.",
        )
    return found


def _read_json(path: Path) -> dict[str, Any]:
    return read_json_object(path, MOST_BYTES, "JSON object", RegistryError)


def _is_repository(name: str) -> bool:
    return name.count("/") == 1 and is_repository_name(name)


def _hub_file(repository: str, file: str) -> Path | None:
    """A file of a repository, from the cache where it is there; None where the repository has none."""
    cache = cache_folder(None) / "weights"
    if not _is_on_hub(repository, file, cache):
        return None
    return fetch_weights(f"hf:{repository}/{file}", "", cache).path


def _is_on_hub(repository: str, file: str, cache: Path) -> bool:
    from huggingface_hub import errors, file_exists

    if _is_cached(repository, file, cache):
        return True
    try:
        return file_exists(repository, file)
    except (OSError, ValueError, RuntimeError, *ODD_ANSWERS, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise WeightsError(
            f"Cannot ask the hub for {repository}: {first_line(error)}.",
            f"Fetch the repository elsewhere, and name its folder: {PREFIX}:FOLDER.",
        ) from error


def _is_cached(repository: str, file: str, cache: Path) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, file, cache_dir=cache / "hub"), str)


def _hub_weights(repository: str, licence: str) -> WeightsCard:
    cache = cache_folder(None) / "weights"
    # What is there is used, so that nobody is asked: a second start needs no network.
    file = next((name for name in WEIGHTS if _is_cached(repository, name, cache)), None) or next(
        (name for name in WEIGHTS if _is_on_hub(repository, name, cache)), None
    )
    if file is None:
        raise WeightsError(
            f"The repository {repository} holds neither {' nor '.join(WHOLE)}, whole or in shards.",
            f"Fetch it elsewhere, and name its folder: {PREFIX}:FOLDER.",
        )
    return WeightsCard(
        title=f"The checkpoint {repository}",
        source=f"https://huggingface.co/{repository}",
        licence=licence,
        location=f"hf:{repository}/{file}",
    )


def _licence(repository: str) -> str:
    """The licence that a repository's card states in its metadata."""
    from huggingface_hub import ModelCard as HubCard

    try:
        path = _hub_file(repository, "README.md")
        stated = None if path is None else HubCard.load(path).data.to_dict().get("license")
    except Exception:  # noqa: BLE001 - anybody's YAML, whose reader promises no class of errors
        # A licence that cannot be read is not stated; what the checkpoint itself lacks is told elsewhere.
        return "not stated"
    return echoed(stated) if stated else "not stated"
