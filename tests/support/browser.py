"""A real browser for the tests of pages: the Chromium of the machine, driven by Playwright; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """The browser that ``BENCH_TEST_CHROMIUM`` names, otherwise the first one that is installed."""
    return os.environ.get("BENCH_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; raises RuntimeError, with the reason, where there is none."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError("playwright is not installed: pip install 'lungbench[test]'") from None
    path = executable()
    if path is None:
        raise RuntimeError("no Chromium is installed, and BENCH_TEST_CHROMIUM names none")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            raise RuntimeError(f"{path} does not start: {str(error).splitlines()[0]}") from None
        try:
            yield browser
        finally:
            browser.close()
