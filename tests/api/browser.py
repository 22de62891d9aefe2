"""A real browser for the page's tests: Debian's Chromium, driven by Playwright."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

__all__ = ["chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_PATIENCE_MS = 60_000
"""What is waited for a browser on a busy machine before it is given up; Playwright's own limit is 5 s."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; without one a failure in CI, elsewhere a skip that says why."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        reason = "Chromium is not installed (Debian: apt-get install chromium)."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=_ARGUMENTS, timeout=2 * _PATIENCE_MS
        )
        try:
            yield browser
        finally:
            browser.close()
