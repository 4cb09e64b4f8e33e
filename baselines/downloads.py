"""Files of weights on servers: fetched once into the cache, checked against a hash, resumed where they were cut."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

from bench.download import Patience, download
from bench.errors import BenchError, WeightsError
from bench.progress import counted
from bench.registry import suggestion
from leaderboard.files import atomic_path, exclusive_lock

SCHEMES = ("http://", "https://", "hf:", "timm:", "torchvision:")
"""How a location begins."""

PATIENCE = Patience()
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LocatedWeights:
    """A file of weights.

    Attributes:
        path: Where it is.
        sha256: Its hash, part of a run's identity.
    """

    path: Path
    sha256: str


@dataclass(frozen=True)
class Remote:
    """A file on a server.

    Attributes:
        url: Its address.
        name: Its name in the cache folder; a file that is put there by hand is used.
        checksum: ``algorithm:hexadecimal digits`` (or the first of them); empty where none is known.
        hub: Repository and file where the Hugging Face hub has it.
    """

    url: str
    name: str
    checksum: str
    hub: tuple[str, str] | None = None


def remote(location: str) -> Remote:
    """Say where a location is.

    Args:
        location: A URL, ``hf:OWNER/REPOSITORY/FILE``, ``timm:NAME.TAG`` or ``torchvision:NAME``; with
            ``#sha256=…`` at its end the file must have that hash.

    Raises:
        WeightsError: If it names no file.
    """
    location, fragment = urldefrag(location)
    checksum = _checksum_of(fragment, location)
    kind, _, name = location.partition(":")
    if kind == "timm":
        return _on_hub(f"timm/{name}", "model.safetensors", checksum)
    if kind == "hf":
        return _on_hub(*_split_hub(name), checksum)
    if kind == "torchvision":
        url, checksum = _torchvision(name)
        return Remote(url, _file_name(url), checksum)
    stem = hashlib.sha256(location.encode()).hexdigest()[:12]
    return Remote(location, f"{stem}-{_file_name(location)}", checksum)


def _checksum_of(fragment: str, location: str) -> str:
    if not fragment:
        return ""
    algorithm, _, value = fragment.partition("=")
    if algorithm != "sha256" or not _SHA256.fullmatch(value.lower()):
        raise WeightsError(f"'#{fragment}' after {location} is no hash.", "Write #sha256= and 64 hexadecimal digits.")
    return f"sha256:{value.lower()}"


def _file_name(url: str) -> str:
    return re.sub(r"[^\w.=+-]", "_", unquote(urlsplit(url).path).rpartition("/")[2]) or "weights"


def _split_hub(name: str) -> tuple[str, str]:
    owner, repository, file = [*name.split("/", 2), "", ""][:3]
    if not file:
        raise WeightsError(f"'hf:{name}' names no file on the hub.", "Write hf:OWNER/REPOSITORY/FILE.")
    return f"{owner}/{repository}", file


def _on_hub(repository: str, file: str, checksum: str) -> Remote:
    from huggingface_hub import hf_hub_url

    name = f"{repository}/{file}".replace("/", "--")
    return Remote(hf_hub_url(repository, file), name, checksum, (repository, file))


def _torchvision(name: str) -> tuple[str, str]:
    """Address and hash of weights of torchvision: ``resnet18`` (its default) or ``ResNet18_Weights.IMAGENET1K_V1``."""
    from torchvision import models

    try:
        weights = models.get_weight(name) if "." in name else models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError, KeyError):
        close = suggestion(name, models.list_models(module=models))
        raise WeightsError(f"torchvision has no weights '{name}': {close}", "Write torchvision:resnet18.") from None
    # The names of its files end in the first digits of their SHA-256.
    digits = re.search(r"-([0-9a-f]{8,})\.", weights.url)
    return weights.url, f"sha256:{digits[1]}" if digits else ""


def fetch(location: str, checksum: str, folder: Path) -> LocatedWeights:
    """Fetch a file once; its hash is the one that is given, or the one that was recorded at the first use.

    Args:
        location: As :func:`remote` reads it.
        checksum: ``algorithm:digits``, or empty.
        folder: Where such files are kept.

    Raises:
        WeightsError: If it cannot be fetched, or is not the file that it must be; nothing is kept then.
    """
    file = remote(location)
    record = folder / f"{file.name}.sha256"
    with exclusive_lock(folder / f"{file.name}.lock", _say_waiting):
        recorded = f"sha256:{record.read_text(encoding='ascii').strip()}" if record.is_file() else ""
        known = checksum or file.checksum or recorded
        path = _bring(file, known, folder)
        found = sha256(path)
        _check(path, found, known, file, record)
        if not record.is_file():
            with atomic_path(record) as temporary:
                temporary.write_text(found + "\n", encoding="ascii")
    return LocatedWeights(path, found)


def _say_waiting(holder: str) -> None:
    sys.stderr.write(f"Waiting for {holder}, which is fetching the same weights.\n")


def _bring(file: Remote, known: str, folder: Path) -> Path:
    kept = folder / file.name
    try:
        if file.hub is None:
            return _from_url(file, known, kept)
        return kept if kept.is_file() else _from_hub(*file.hub, folder / "hub")
    except _FetchError as error:
        raise WeightsError(
            f"Cannot fetch the weights {file.url}: {error}.",
            f"Fetch that file elsewhere and put it at {kept}, or name it with --pretrain FILE, or use --pretrain none.",
        ) from error


class _FetchError(Exception):
    """Why a file could not be fetched, on one line."""


def _from_url(file: Remote, known: str, kept: Path) -> Path:
    """Pooch decides whether to fetch and compares the hash; what was cut short is gone on with at the next attempt."""
    import pooch

    def resuming(url: str, output: str, _: Any) -> None:
        target = kept.with_name(f"{kept.name}.download")
        sys.stderr.write(f"Fetching {url}\n")
        with counted("bytes") as update:
            download(url, target, patience=PATIENCE, on_progress=lambda _, done, total: update(kept.name, done, total))
        target.replace(output)

    whole = known if len(known) in (len("sha256:") + 64, len("md5:") + 32) else None
    try:
        return Path(pooch.retrieve(file.url, whole, kept.name, kept.parent, downloader=resuming))
    except BenchError as error:
        raise _FetchError(f"{error.message.rstrip('.')}{f' ({error.hint})' if error.hint else ''}") from error
    except (OSError, ValueError) as error:
        raise _FetchError(one_line(error)) from error


def _from_hub(repository: str, file: str, folder: Path) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the client that this version uses

    try:
        return Path(hf_hub_download(repository, file, cache_dir=folder))
    except (OSError, ValueError, HTTPError) as error:
        raise _FetchError(one_line(error)) from error


def _check(path: Path, found: str, known: str, file: Remote, record: Path) -> None:
    """Compare a file with its hash, and with the name that the hub gave it: the SHA-256 of a large file.

    Raises:
        WeightsError: If they differ; the file is deleted.
    """
    import pooch

    blob = path.resolve()
    expected = [known, f"sha256:{blob.name}" if _SHA256.fullmatch(blob.name) else ""]
    for algorithm, _, digits in (each.partition(":") for each in expected if each):
        actual = found if algorithm == "sha256" else pooch.file_hash(str(path), alg=algorithm)
        if not actual.startswith(digits):
            blob.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            replaced = f"; if they were replaced on purpose, delete {record}" if record.is_file() else ""
            raise WeightsError(
                f"The weights {file.url} have the {algorithm} {actual}, but {digits} was expected; they are not kept.",
                f"Fetch them again{replaced}.",
            )


def one_line(error: BaseException) -> str:
    """The first line of an error's text, or its name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        WeightsError: If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.", "Check its permissions.") from error
