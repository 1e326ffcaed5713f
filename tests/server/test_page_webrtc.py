"""The web page's second transport, WebRTC, in a headless Chromium with a fake camera that shows one picture."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from picture_files import blocks
from PIL import Image as PillowImage
from server_process import PATIENCE_SECONDS, Server, decoded, difference, wait_until

from livestyle.frame import Image
from livestyle.stylizer import Stylizer

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

expect = sync_api.expect
Page = Any
"""playwright.sync_api.Page"""

PHOTO = np.ascontiguousarray(blocks(96)[:160])  # (160, 288, 3)
MIRRORED = np.ascontiguousarray(PHOTO[:, ::-1])
ALIKE = 0.25
"""Largest difference between what is shown and what is expected, as a share of that between the photo and its painting."""
RATE_ONLY, WITH_DELAY = re.compile(r"^\d+ fps$"), re.compile(r"^\d+ fps · \d+ ms delay$")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, whose camera shows PHOTO."""
    camera = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    PillowImage.fromarray(PHOTO).save(camera, "JPEG", quality=95)
    camera.write_bytes(camera.read_bytes() * 2)
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--no-sandbox"]
    with sync_api.sync_playwright() as playwright:
        camera_flag = f"--use-file-for-fake-video-capture={camera}"
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags, camera_flag])
        yield opened
        opened.close()


@pytest.fixture
def live_page(browser: Any, server: Server) -> Iterator[Page]:
    """The page with its camera started, by WebRTC."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{server.port}")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    expect.set_options(PATIENCE_SECONDS * 1000)
    page.goto("/")
    page.get_by_label("Connection").select_option("webrtc")
    page.get_by_role("slider", name="Fade").fill("0")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#meter")).to_have_text(RATE_ONLY)
    yield page
    context.close()


def wait_for_painting(page: Page, is_expected: Callable[[Image], bool]) -> None:
    def is_shown() -> bool:
        data = page.evaluate("document.querySelector('#painting').toDataURL().split(',')[1]")
        return is_expected(decoded(base64.b64decode(data)))

    wait_until(is_shown, "the painting is not shown")


def like(expected: Image, other: Image, columns: slice = slice(None)) -> Callable[[Image], bool]:
    """Whether these columns of a picture show what is expected there, not the other picture."""
    most = ALIKE * difference(expected[:, columns], other[:, columns])
    return lambda shown: difference(shown[:, columns], expected[:, columns]) < most


def test_webrtc_shows_the_look_of_the_page(live_page: Page, server: Server, stylizer: Stylizer) -> None:
    wave, mosaic = (stylizer(MIRRORED, stylizer.look(name)) for name in ("wave", "mosaic"))
    wait_for_painting(live_page, like(wave, MIRRORED))
    counts = ("livestyle_viewers", "livestyle_webrtc_connections")
    wait_until(lambda: [server.figure(name) for name in counts] == [1, 1], "the page is not one viewer")
    live_page.locator(".tile", has_text="mosaic").click()
    wait_for_painting(live_page, like(mosaic, MIRRORED))
    live_page.get_by_role("button", name="Compare").click()
    left, right = like(MIRRORED, mosaic, slice(0, 136)), like(mosaic, MIRRORED, slice(152, None))
    wait_for_painting(live_page, lambda shown: left(shown) and right(shown))
    live_page.locator("#start").click()
    wait_until(lambda: server.figure("livestyle_webrtc_connections") == 0, "the connection remains")
    assert server.figure("livestyle_viewers") == 1
    live_page.locator("#start").click()
    expect(live_page.locator("#meter")).to_have_text(RATE_ONLY)
    live_page.close()
    wait_until(lambda: server.figure("livestyle_webrtc_connections") == 0, "the connection remains")


def test_lost_webrtc_connection_is_replaced_by_the_websocket(live_page: Page, server: Server) -> None:
    session = live_page.locator("#stream").input_value().partition("session=")[2]
    assert server.request(f"/whip/{session}", method="DELETE").status == 200
    expect(live_page.get_by_label("Connection")).to_have_value("websocket")
    expect(live_page.get_by_role("status")).to_contain_text("WebRTC failed")
    expect(live_page.locator("#meter")).to_have_text(WITH_DELAY)
