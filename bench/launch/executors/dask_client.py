"""The way to a Dask scheduler that runs somewhere: its address, TLS, and what keeps a client from it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bench.core.errors import SpecError
from bench.core.text import echoed

VARIABLE = "DASK_SCHEDULER_ADDRESS"
CONNECT_SECONDS = 8.0
"""How long the scheduler may take to answer at first."""


def scheduler_address(named: str | None) -> str:
    """The address of the scheduler.

    Args:
        named: An address (``tcp://host:8786``, ``tls://…``) or the file that the scheduler wrote, ``….json``; None for
            what Dask's own variable and configuration say.

    Raises:
        SpecError: If nothing says where it is, or its file does not.
    """
    import dask

    named = named or os.environ.get(VARIABLE) or dask.config.get("scheduler-address", None)
    if not named:
        raise SpecError(
            "Nothing says where the Dask scheduler is.",
            f"Give --scheduler tcp://HOST:8786, the file of `dask scheduler --scheduler-file`, or set {VARIABLE}.",
        )
    return _address_in(Path(named)) if "://" not in named and named.endswith(".json") else str(named)


def _address_in(file: Path) -> str:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(
            f"The file {echoed(str(file))} does not say where a Dask scheduler is ({type(error).__name__}).",
            "`dask scheduler --scheduler-file FILE` writes it, and removes it at its end.",
        ) from error


def connected(named: str | None) -> Any:
    """A client of the scheduler.

    Args:
        named: As for :func:`scheduler_address`.

    Raises:
        SpecError: If Dask is not installed, or the scheduler does not answer.
    """
    try:
        import distributed
    except ImportError as error:
        raise SpecError(
            "--launcher dask needs the package distributed.", "Install it: pip install 'lungbench[dask]'"
        ) from error
    address = scheduler_address(named)
    try:
        _check_address(address)
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise SpecError(
            f"No Dask scheduler answers at {echoed(address)}: {echoed(said)}",
            "Start one (`dask scheduler`), or check the address.",
        ) from error


def _check_address(address: str) -> None:
    """Refuse what can be no address here, before there is a client: one that never connects is not easily closed.

    Raises:
        ValueError: If it has no port, or an unknown scheme.
        SpecError: If it asks for TLS, and Dask's configuration has no certificate.
    """
    from distributed.comm import get_address_host_port
    from distributed.security import Security

    get_address_host_port(address)
    if address.startswith("tls://") and Security().get_connection_args("client")["ssl_context"] is None:
        raise SpecError(
            f"The Dask scheduler's address {echoed(address)} asks for TLS, and there is no certificate for it here.",
            "Name one in Dask's configuration: DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__TLS__CLIENT__CERT and "
            "…__TLS__CLIENT__KEY.",
        )
