"""Locations of weights on servers: addresses, and names on the Hugging Face hub, of timm and of torchvision.

A slip is seen before anybody is asked, where the names that there are can be known without asking.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urldefrag, urlsplit, urlunsplit

from bench.core.addresses import address_fault
from bench.core.errors import WeightsError
from bench.core.hub import is_repository_name
from bench.core.registry import suggestion
from bench.core.secrets import public_url
from bench.core.text import echoed

SCHEMES = ("http://", "https://", "hf:", "timm:", "torchvision:")
"""Beginnings by which a location is told from a path."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OF_RUN = re.compile(r"(.+?)(?::(last|best-test|best-val|stage-[0-9]{1,4}))?")
"""The repository of a run that `bench push` wrote, and which of its weights are meant; the last epoch's by default."""

_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_LONGEST_NAME = 150
"""Bytes of a name in the cache: a file system takes 255, with endings."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        url: Address of the file.
        name: Name of the file in the cache folder; a file that is put there by hand is used.
        checksum: ``algorithm:hexadecimal digits`` (or the first of them); empty where none is known.
        hub: Repository and file where the Hugging Face hub has it.
        revision: Branch, tag or commit on the hub; None for the main branch.
    """

    url: str
    name: str
    checksum: str
    hub: tuple[str, str] | None = None
    revision: str | None = None


def remote(location: str) -> RemoteFile:
    """Find the address, the cache's name and the hash of the file that a location means.

    Args:
        location: A URL, ``hf:OWNER/REPOSITORY/FILE``, ``hf:OWNER/REPOSITORY`` for a run that `bench push` wrote (its
            last weights; ``:best-test`` behind it for others), ``timm:NAME.TAG`` or ``torchvision:NAME``. Behind a
            repository may stand ``@REVISION``; with ``#sha256=…`` at its end the file must have that hash.

    Raises:
        WeightsError: If it names no file.
    """
    kind, _, name = location.partition(":")
    if kind.lower() in ("http", "https"):
        return _on_the_web(location)
    name, _, fragment = name.partition("#")
    checksum = _checksum_of(fragment, location)
    if kind == "timm":
        return _on_hub(f"timm/{_timm_name(name)}", "model.safetensors", checksum)
    if kind == "torchvision":
        url, known = _torchvision_file(name)
        return RemoteFile(url, _file_name(url), checksum or known)
    repository, revision, file = _split_hub(name)
    return _on_hub(repository, file, checksum, revision)


def is_remote(location: str) -> bool:
    """Whether a name of weights is a location; the scheme of an address may be in capitals."""
    return location.startswith(SCHEMES) or location.lower().startswith(SCHEMES[:2])


def _on_the_web(location: str) -> RemoteFile:
    fault = address_fault(location)
    if fault is not None:
        raise WeightsError(
            f"The address {echoed(public_url(location), 200)} cannot be used: {fault}.",
            "Write it as https://host/file.",
        )
    address, fragment = urldefrag(location)
    checksum = _checksum_of(fragment, location)
    parts = urlsplit(address)
    # The name in the cache tells nothing of the user: whoever asks, it is the same file.
    unnamed = address if "@" not in parts.netloc else urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    stem = hashlib.sha256(unnamed.encode(errors="surrogateescape")).hexdigest()[:12]
    return RemoteFile(address, f"{stem}-{_file_name(address)}", checksum)


def _checksum_of(fragment: str, location: str) -> str:
    if not fragment:
        return ""
    algorithm, _, value = fragment.partition("=")
    if algorithm != "sha256" or not _SHA256.fullmatch(value.lower()):
        shown = echoed(public_url(location.partition("#")[0]), 200)
        raise WeightsError(f"What follows the # of {shown} is no hash.", "Write #sha256= and 64 hexadecimal digits.")
    return f"sha256:{value.lower()}"


def _file_name(url: str) -> str:
    name = re.sub(r"[^\w.=+-]", "_", unquote(urlsplit(url).path).rpartition("/")[2])
    return _shortened(name) or "weights"


def _shortened(name: str) -> str:
    """A name that a file system takes; the end stays, which tells the kind of file."""
    return os.fsdecode(os.fsencode(name)[-_LONGEST_NAME:]) if len(os.fsencode(name)) > _LONGEST_NAME else name


def _split_hub(name: str) -> tuple[str, str | None, str]:
    """Repository, revision and file of a name on the hub."""
    how = "Write hf:OWNER/REPOSITORY/FILE, or hf:OWNER/REPOSITORY for what `bench push` wrote."
    owner, repository, file = [*name.split("/", 2), "", ""][:3]
    if not file and (run := _OF_RUN.fullmatch(repository)) and name.count("/") == 1:
        repository, file = run[1], f"weights/{run[2] or 'last'}.safetensors"
    repository, at, revision = repository.partition("@")
    if not is_repository_name(f"{owner}/{repository}"):
        raise WeightsError(f"'hf:{echoed(name)}' names no repository on the hub.", how)
    if not file or not file.isprintable() or ".." in file.split("/"):
        raise WeightsError(f"'hf:{echoed(name)}' names no file on the hub.", how)
    if at and not _REVISION.fullmatch(revision):
        raise WeightsError(f"'hf:{echoed(name)}' names no revision on the hub.", how)
    return f"{owner}/{repository}", revision or None, file


def _on_hub(repository: str, file: str, checksum: str, revision: str | None = None) -> RemoteFile:
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(repository, file, revision=revision)
    fault = address_fault(url)
    if fault is not None:
        raise WeightsError(
            f"The hub's address {echoed(public_url(url), 200)} cannot be used: {fault}.", "Check HF_ENDPOINT."
        )
    name = f"{repository}{f'@{revision}' if revision else ''}/{file}".replace("/", "--")
    return RemoteFile(url, _shortened(name), checksum, (repository, file), revision)


def _timm_name(name: str) -> str:
    """The name of weights that timm keeps on the hub; a slip is seen without asking there."""
    import timm

    known = timm.list_pretrained()
    if name in known:
        return name
    tagged = [each for each in known if each.partition(".")[0] == name.partition(".")[0]]
    near = _near_name(name, tagged) or _near_name(name, known)
    raise WeightsError(
        f"timm has no weights '{echoed(name)}'{near}.", "Write timm:NAME.TAG, as in timm:resnet18.tv_in1k."
    )


def _torchvision_file(name: str) -> tuple[str, str]:
    """Address and hash of weights of torchvision: ``resnet18`` (its default) or ``ResNet18_Weights.IMAGENET1K_V1``."""
    from torchvision import models

    try:
        weights = models.get_weight(name) if "." in name else models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError, KeyError):
        near = _near_name(name, models.list_models(module=models))
        raise WeightsError(
            f"torchvision has no weights '{echoed(name)}'{near}.", "Write torchvision:NAME, as in torchvision:resnet18."
        ) from None
    # The names of its files end in the first digits of their SHA-256.
    digits = re.search(r"-([0-9a-f]{8,})\.", weights.url)
    return weights.url, f"sha256:{digits[1]}" if digits else ""


def _near_name(name: str, known: Iterable[str]) -> str:
    """``: did you mean 'x'`` where one is near; hundreds of names are not listed."""
    near = suggestion(name, known)
    return f": {near.rstrip('?')}" if near.startswith("did you mean") else ""
