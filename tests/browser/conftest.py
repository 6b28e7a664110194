"""A real Chromium before a real web process. Nothing may come from anywhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.saas.console.factories import PASSWORD
from tests.workers.serving.web import web_server

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESKTOP = {"width": 1360, "height": 860}
PHONE = {"width": 390, "height": 844}

Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "these tests need Chromium: apt-get install chromium"
    # Playwright keeps an event loop in this thread; the ORM is called between its calls
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def address(db: None, redis_url: str) -> Iterator[str]:
    with web_server() as url:
        yield url


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Visit]:
    """Opens a fresh browser window; at the end no script may have failed and no byte be foreign."""
    faults: list[str] = []
    with ExitStack() as windows:

        def open_window(
            *,
            language: str = "en-US",
            dark: bool = False,
            phone: bool = False,
            refused: str = "no page",
            **more: Any,
        ) -> Page:
            """`refused`: the one path whose refusal the test is about."""
            context = chromium.new_context(
                base_url=address,
                viewport=PHONE if phone else DESKTOP,
                color_scheme="dark" if dark else "light",
                locale=language,
                **more,
            )
            windows.callback(context.close)
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
            page.on(
                "console",
                lambda m: (
                    faults.append(f"{m.location['url']}: {m.text}")
                    if m.type == "error" and not m.location["url"].endswith(refused)
                    else None
                ),
            )
            page.on("request", lambda r: None if _local(r.url, address) else faults.append(r.url))
            return page

        yield open_window
    assert faults == []


def _local(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


def sign_in(page: Page, email: str) -> None:
    page.goto("/accounts/login/")
    page.fill("[name=login]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("main form button[type=submit]")
    page.wait_for_url("**/console/**")


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(0, width)


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keeps a picture for people to look at, in the folder $SCREENSHOTS where that is set."""
    folder = os.environ.get("SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return take
