"""A headless Chromium."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """A browser with a fresh profile, whose logs of the console and the network can be read."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--disable-background-networking", f"--user-data-dir={profile}"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Any, url: str, width: int, theme: str) -> None:
    """Open a page, as wide as asked for, on a device that prefers a theme."""
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    driver.get("about:blank")  # the page of a new tab goes on loading otherwise
    driver.get_log("performance")
    driver.get(url)


def until(condition: Callable[[], Any]) -> None:
    """Wait for what the page does after a moment."""
    deadline = time.monotonic() + 60  # a busy machine must not fail a test
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wider_than(driver: Any, width: int, but: str = "unknown") -> list[str]:
    """What of the page reaches beyond a width, except in elements of the selector ``but``."""
    found: list[str] = driver.execute_script(
        """
        const [width, but] = arguments;
        return [...document.querySelectorAll("body *")].filter((each) =>
            !each.closest(but) && each.getClientRects().length
            && each.getBoundingClientRect().right > width + .5
        ).map((each) => each.outerHTML.slice(0, 200));
        """,
        width,
        but,
    )
    return found
