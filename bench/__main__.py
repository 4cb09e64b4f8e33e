"""The ``bench`` command, also as ``python -m bench``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process; Ctrl-C ends it without a traceback, also while its modules are imported."""
    try:
        from bench.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
