"""The web page of `livestyle serve`, in a headless Chromium with a fake camera that shows one picture."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as PillowImage

from livestyle.frame import Image
from livestyle.pictures.compressed_frames import encode_frame
from livestyle.pictures.reading import decode_picture
from livestyle.streaming.looks import crossfade
from livestyle.stylizer import Stylizer

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
for module in ("starlette", "uvicorn", "websockets"):
    pytest.importorskip(module, reason="needs livestyle[serve]")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

expect = sync_api.expect
Page = Any
"""playwright.sync_api.Page"""

TIMEOUT_MS = 30_000
WIDTH, HEIGHT = 320, 180
WINDOW = {"width": 1024, "height": 640}
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}

CAMERA_ADVICE = {"NotAllowedError": "Allow it", "NotFoundError": "Connect one", "NotReadableError": "Close that program"}

HOOK = """
    window.sockets = []; window.sent = 0; window.unanswered = []; window.waiting = [];
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        if (!window.sockets.includes(this)) {
            window.sockets.push(this);
            window.unanswered = [];
            this.addEventListener("message", ({ data }) => { // after the page's own handler, which may have sent the next frame
                if (typeof data === "string") return;
                const exchange = [window.unanswered.shift(), data];
                const texts = exchange.map((buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))));
                window.waiting.splice(0).forEach((resolve) => resolve(texts));
            });
        }
        if (typeof data !== "string") {
            window.sent += 1;
            window.unanswered.push(data.slice(0));
        }
        send.call(this, data);
    };
    window.nextExchange = () => new Promise((resolve, reject) => {
        window.waiting.push(resolve);
        setTimeout(() => reject(new Error("no painting came")), 30_000);
    });
"""
"""Script that runs before the page's: window.nextExchange() is the next frame that is answered, and its answer, in base64."""


def scene(seed: int, width: int, height: int) -> Image:
    """A picture with soft shapes, (height, width, 3) uint8 RGB, different for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 8, 3), np.uint8)
    return np.asarray(PillowImage.fromarray(small).resize((width, height), PillowImage.Resampling.BICUBIC))


def jpeg(image: Image) -> bytes:
    data = io.BytesIO()
    PillowImage.fromarray(image).save(data, "JPEG", quality=95)
    return data.getvalue()


def decoded(data: bytes) -> Image:
    return decode_picture(data, "a picture").image


def sent(image: Image) -> Image:
    """A picture after its way through the server's JPEG encoder."""
    return decoded(encode_frame(image))


def difference(one: Image, other: Image) -> float:
    """Mean absolute difference of two pictures, 0 to 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.fixture(scope="module")
def stylizer() -> Iterator[Stylizer]:
    with Stylizer("wave", model="lite", device="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The link of a running server."""
    command = [sys.executable, "-P", "-m", "livestyle", "serve", "--port", "0", "--json", "--style", "wave", "--model", "lite"]
    options = ["--device", "cpu", "--source", "demo", "--size", "160x90", "--rate", "5", "--max-viewers", "64"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, cwd=tmp_path_factory.mktemp("server")) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["serving"]["links"][0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, whose camera shows `scene(0)`."""
    camera = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    camera.write_bytes(jpeg(scene(0, WIDTH, HEIGHT)) * 2)
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--no-sandbox"]
    with sync_api.sync_playwright() as playwright:
        camera_flag = f"--use-file-for-fake-video-capture={camera}"
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags, camera_flag])
        yield opened
        opened.close()


@pytest.fixture
def faults() -> list[str]:
    """The warnings and errors in the consoles of the pages."""
    return []


@pytest.fixture
def open_page(browser: Any, address: str, faults: list[str]) -> Iterator[Callable[..., Page]]:
    """Open the page. At the end no page has written a warning or an error to its console."""
    contexts = []

    def open_one(script: str = "", viewport: dict[str, int] = WINDOW, scheme: str = "dark", path: str = "") -> Page:
        context = browser.new_context(base_url=address, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", lambda message: faults.append(message.text) if message.type in ("warning", "error") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.add_init_script(HOOK + script)
        page.goto(f"/{path}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    page = open_page()
    expect(page.locator("#meter")).to_have_text("Ready", timeout=TIMEOUT_MS)
    return page


@pytest.fixture
def live_page(page: Page) -> Page:
    """The page with its camera started."""
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#meter")).to_contain_text("fps", timeout=TIMEOUT_MS)
    return page


def exchange(page: Page) -> tuple[Image, Image]:
    """The next frame that the server answers, and its painting."""
    frame, answer = (base64.b64decode(each) for each in page.evaluate("nextExchange()"))
    assert frame[:8] == answer[:8]
    return decoded(frame[8:]), decoded(answer[12:])


def wait_for_painting(page: Page, is_expected: Callable[[Image, Image], bool]) -> None:
    """Wait until a frame and its painting are as expected."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while time.monotonic() < deadline:
        if is_expected(*exchange(page)):
            return
    pytest.fail("no painting is as expected")


def state(page: Page) -> dict[str, Any]:
    """The state of the page's session, from the server."""
    session = re.search(r"session=([\w-]+)", page.locator("#stream").input_value())
    assert session is not None
    result: dict[str, Any] = page.request.get(f"/api/sessions/{session[1]}").json()
    return result


def tile(page: Page, name: str) -> Any:
    return page.get_by_role("group", name="Style").get_by_role("button", name=name, exact=True)


def test_camera_comes_back_painted(live_page: Page, stylizer: Stylizer) -> None:
    photo, painting = exchange(live_page)
    assert difference(photo, scene(0, WIDTH, HEIGHT)[:, ::-1]) < 8  # mirrored
    assert difference(painting, sent(stylizer(photo))) < 1
    assert difference(painting, photo) > 20
    shown = live_page.evaluate("document.querySelector('#painting').toDataURL()")
    assert difference(decoded(base64.b64decode(shown.partition(",")[2])), painting) < 4
    expect(live_page.locator("#meter")).to_have_text(re.compile(r"^\d+ fps · \d+ ms delay$"))


def test_click_on_a_style_crossfades_to_it(live_page: Page, stylizer: Stylizer) -> None:
    wave, mosaic = stylizer.look("wave"), stylizer.look("mosaic")
    live_page.get_by_role("slider", name="Fade").fill("1")
    tile(live_page, "mosaic").click()
    expect(tile(live_page, "mosaic")).to_have_attribute("aria-pressed", "true")
    expect(tile(live_page, "wave")).to_have_attribute("aria-pressed", "false")
    expect(live_page.get_by_role("status")).to_have_text("Style: mosaic")
    between = []

    def is_mosaic(photo: Image, painting: Image) -> bool:
        to_wave, to_mosaic = (difference(painting, sent(stylizer(photo, look))) for look in (wave, mosaic))
        between.append(min(to_wave, to_mosaic) > 5)
        return to_mosaic < 1

    wait_for_painting(live_page, is_mosaic)
    assert any(between)


def test_blend_needs_a_second_style_and_paints_both(live_page: Page, stylizer: Stylizer) -> None:
    blend = live_page.get_by_role("slider", name="Blend")
    expect(blend).to_be_disabled()
    expect(blend).to_have_accessible_description("Select a second style to blend two.")
    live_page.get_by_role("slider", name="Fade").fill("0")
    tile(live_page, "mosaic").click()
    expect(blend).to_be_enabled()
    blend.fill("0.5")
    look = crossfade(stylizer.look("wave"), stylizer.look("mosaic"), 0.5)
    wait_for_painting(live_page, lambda photo, painting: difference(painting, sent(stylizer(photo, look))) < 1)
    expect(blend).to_have_attribute("aria-valuetext", "50 % wave, 50 % mosaic")


def test_compare_shows_the_photo_left_of_the_divider(live_page: Page, stylizer: Stylizer) -> None:
    def is_divided_at(column: int) -> Callable[[Image, Image], bool]:
        def is_divided(photo: Image, painting: Image) -> bool:
            left, right = slice(0, column - 8), slice(column + 8, None)  # JPEG mixes the pixels of a block
            return (
                difference(painting[:, left], photo[:, left]) < 4
                and difference(painting[:, right], stylizer(photo)[:, right]) < 4
            )

        return is_divided

    divider = live_page.get_by_role("slider", name="Divider")
    expect(divider).to_be_hidden()
    live_page.get_by_role("button", name="Compare").click()
    wait_for_painting(live_page, is_divided_at(WIDTH // 2))
    box = divider.bounding_box()
    live_page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    live_page.mouse.down()
    live_page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20)
    live_page.mouse.up()
    wait_for_painting(live_page, is_divided_at(round(WIDTH * 0.75)))
    divider.press("Home")
    expect(divider).to_have_attribute("aria-valuetext", "photo 1 %, painting 99 %")


def test_uploaded_and_dropped_paintings_become_styles(live_page: Page, tmp_path: Path, stylizer: Stylizer) -> None:
    live_page.get_by_role("slider", name="Fade").fill("0")
    painting = jpeg(scene(1, 400, 300))
    with live_page.expect_file_chooser() as chooser:
        live_page.get_by_role("button", name="Add a painting").click()
    chooser.value.set_files({"name": "sunset.jpg", "mimeType": "image/jpeg", "buffer": painting})
    expect(tile(live_page, "sunset")).to_have_attribute("aria-pressed", "true", timeout=TIMEOUT_MS)
    look = stylizer.predict(decoded(painting), "sunset")
    wait_for_painting(live_page, lambda photo, painting: difference(painting, sent(stylizer(photo, look))) < 1)
    live_page.evaluate(
        """(data) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
            transfer.items.add(new File([bytes], "dawn.jpg", { type: "image/jpeg" }));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        base64.b64encode(jpeg(scene(2, 400, 300))).decode(),
    )
    expect(tile(live_page, "dawn")).to_have_attribute("aria-pressed", "true", timeout=TIMEOUT_MS)


def test_what_is_no_picture_is_refused(page: Page, faults: list[str]) -> None:
    page.locator("#style-file").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    expect(page.get_by_role("status")).to_have_class(re.compile("error"))
    expect(tile(page, "a")).to_have_count(0)
    assert "400" in faults.pop()  # browsers write failed requests to the console


def test_photo_is_painted_at_full_size(page: Page, stylizer: Stylizer) -> None:
    photo = jpeg(scene(3, 800, 450))
    page.get_by_role("button", name="Photo", exact=True).click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a photo").click()
    chooser.value.set_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo})
    download = page.get_by_role("button", name="Download")
    expect(download).to_be_enabled(timeout=TIMEOUT_MS)
    expect(page.get_by_role("img", name="The painted photo")).to_be_visible()
    assert difference(downloaded(page, download), stylizer(decoded(photo))) < 4
    with page.expect_response("**/api/paint?*"):
        tile(page, "mosaic").click()
    expect(page.get_by_role("status")).to_have_text("The photo is painted.")
    assert difference(downloaded(page, download), stylizer(decoded(photo), stylizer.look("mosaic"))) < 4


def downloaded(page: Page, button: Any) -> Image:
    with page.expect_download() as download:
        button.click()
    return decoded(Path(download.value.path()).read_bytes())


def test_snapshot_and_recording_are_downloaded(live_page: Page) -> None:
    _, painting = exchange(live_page)
    assert difference(downloaded(live_page, live_page.get_by_role("button", name="Snapshot")), painting) < 4
    record = live_page.locator("#record")
    record.click()
    expect(record).to_have_text("0:01")
    exchange(live_page)
    with live_page.expect_download() as download:
        record.click()
    expect(record).to_have_text("Record")
    with av.open(str(download.value.path())) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (WIDTH, HEIGHT)
        assert sum(1 for _ in video.decode(video=0)) >= 1


def test_keys_work_as_in_the_window_unless_a_text_field_has_the_focus(page: Page) -> None:
    styles = state(page)["styles"]
    page.keyboard.press("3")
    expect(tile(page, styles[2].replace("_", " "))).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("n")
    expect(tile(page, styles[3])).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("-")
    expect(page.get_by_role("slider", name="Strength")).to_have_value("0.9")
    page.keyboard.press("c")
    expect(page.get_by_role("switch", name="colours")).to_be_checked()
    page.keyboard.press("v")
    expect(page.get_by_role("button", name="Compare")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Address for a browser source").press("n")
    expect(tile(page, styles[3])).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_styles_are_selected_with_tab_and_enter(page: Page) -> None:
    page.locator("#full-screen").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text(page.locator(".tile .name").nth(2).text_content())
    assert focused.evaluate("(tile) => getComputedStyle(tile).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(focused).to_have_attribute("aria-pressed", "true")


def test_look_survives_a_lost_connection(live_page: Page) -> None:
    live_page.locator("#style-file").set_input_files(
        {"name": "sunset.jpg", "mimeType": "image/jpeg", "buffer": jpeg(scene(1, 400, 300))}
    )
    expect(tile(live_page, "sunset")).to_have_attribute("aria-pressed", "true", timeout=TIMEOUT_MS)
    live_page.get_by_role("slider", name="Fade").fill("0.2")
    live_page.get_by_role("slider", name="Strength").fill("0.6")
    tile(live_page, "udnie").click()
    expect(live_page.get_by_role("status")).to_have_text("Style: udnie")
    exchange(live_page)
    before = state(live_page)
    first = live_page.locator("#stream").input_value()
    live_page.evaluate("sockets.at(-1).close()")
    expect(live_page.locator("#stream")).not_to_have_value(first)
    wait_for_painting(live_page, lambda *_: without_figures(state(live_page)) == without_figures(before))


def without_figures(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in ("fps", "delay_ms", "frames")}


def test_refused_connection_shows_the_reason_and_tries_again_when_asked(open_page: Callable[..., Page]) -> None:
    script = """
        window.isFull = true;
        const Socket = WebSocket;
        window.WebSocket = class extends EventTarget {
            constructor(address) {
                super();
                if (!window.isFull) return new Socket(address);
                queueMicrotask(() => this.onclose({ code: 1013, reason: "8 of 8 viewers are connected" }));
            }
            close() {}
        };
    """
    page = open_page(script)
    expect(page.locator("#card")).to_contain_text("8 of 8 viewers are connected")
    page.evaluate("window.isFull = false")
    page.get_by_role("button", name="Connect again").click()
    expect(page.locator("#meter")).to_have_text("Ready")
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()


def test_advice_if_the_camera_does_not_open(page: Page) -> None:
    card = page.locator("#card")
    script = "(name) => { MediaDevices.prototype.getUserMedia = async () => { throw new DOMException('', name); }; }"
    for fault, advice in CAMERA_ADVICE.items():
        page.evaluate(script, fault)
        card.get_by_role("button").click()
        expect(card).to_contain_text(advice)
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    card.get_by_role("button", name="Try again").click()
    expect(card).to_contain_text("https://")
    expect(page.get_by_role("status")).to_contain_text("https://")


def test_unplugged_camera_stops_the_page(live_page: Page) -> None:
    live_page.evaluate("document.querySelector('#camera').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect(live_page.locator("#card")).to_contain_text("The camera was disconnected")
    live_page.locator("#card-button").click()
    exchange(live_page)


def test_servers_source_is_painted(page: Page) -> None:
    page.get_by_label("Camera", exact=True).select_option(label="The server’s source")
    expect(page.get_by_role("switch", name="Mirror")).to_be_disabled()
    page.locator("#start").click()
    received = base64.b64decode(page.evaluate("nextExchange()")[1])
    assert decoded(received[12:]).shape == (90, 160, 3)
    expect(page.locator("#meter")).to_contain_text("fps")


def test_hidden_page_sends_no_frames(live_page: Page) -> None:
    hide = """(isHidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    frames_sent = """async () => {
        if (unanswered.length) await nextExchange();
        const before = sent;
        const video = document.querySelector("#camera");
        for (let count = 0; count < 10; count++) await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
        return sent - before;
    }"""
    live_page.evaluate(hide, True)
    assert live_page.evaluate(frames_sent) == 0
    live_page.evaluate(hide, False)
    exchange(live_page)


def test_page_fits_a_phone(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport=PHONE)
    expect(page.locator(".tile img").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    controls = page.evaluate(
        """[...document.querySelectorAll("button, select, input, a[href]:not(.skip)")].flatMap((each) => {
            if (!each.checkVisibility()) return [];
            each.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
            const { left, right, width, height } = (each.closest("label") ?? each).getBoundingClientRect();
            return { name: each.outerHTML.slice(0, 80), left, right, side: Math.min(width, height) };
        })"""
    )
    assert len(controls) > 20
    assert [each for each in controls if each["left"] < 0 or each["right"] > PHONE["width"]] == []
    assert [each for each in controls if each["side"] < 44] == []


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")], ids=["phone", "desktop"])
def test_page_is_accessible(open_page: Callable[..., Page], viewport: dict[str, int], scheme: str) -> None:
    page = open_page(viewport=viewport, scheme=scheme)
    expect(page.locator("#meter")).to_have_text("Ready")
    page.keyboard.press("n")
    page.keyboard.press("v")  # the divider is visible
    expect(page.get_by_role("slider", name="Divider")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("?")
    assert_accessible(page)


def assert_accessible(page: Page) -> None:
    """No violation that axe-core finds serious or critical, and a name for each control in the accessibility tree."""
    violations = axe_module.Axe().run(page).response["violations"]
    assert [each["id"] for each in violations if each["impact"] in ("serious", "critical")] == []
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "slider", "switch", "combobox", "textbox", "link", "dialog", "image", "group", "heading")
    controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert len(controls) >= 3
    assert [node["role"]["value"] for node in controls if not node["name"]["value"]] == []


def test_api_page_lists_the_operations(open_page: Callable[..., Page]) -> None:
    page = open_page(path="docs")
    expect(page.get_by_role("heading", name="/api/paint")).to_be_visible()
    violations = axe_module.Axe().run(page).response["violations"]
    assert [each["id"] for each in violations if each["impact"] in ("serious", "critical")] == []
