"""Sessions of viewers: each has a look of its own, its paintings are right, and it leaves nothing behind."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import picture
from server_process import SAME, Server, Viewer, decoded, difference, jpeg, open_websocket, resources, wait_until

from livestyle.frame import Image
from livestyle.look import Look
from livestyle.server.limits import Limits
from livestyle.server.painter import SharedPainter
from livestyle.server.session import Session
from livestyle.streaming.looks import crossfade
from livestyle.stylizer import Stylizer

PHOTO = jpeg(picture(0))
CUT = {"fade": 0}


def test_painting_is_the_one_of_the_stylizer(server: Server, stylizer: Stylizer) -> None:
    with Viewer(server) as viewer:
        for number in range(3):
            photo = jpeg(picture(10 * number, 64 + number, 48))
            assert difference(viewer.paint(photo), stylizer(decoded(photo))) < SAME


def test_webp_frames_are_painted(server: Server, stylizer: Stylizer) -> None:
    import cv2

    photo = cv2.imencode(".webp", picture(0)[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes()
    with Viewer(server) as viewer:
        assert difference(viewer.paint(photo), stylizer(decoded(photo))) < SAME


def test_each_viewer_has_a_look_of_its_own(server: Server, stylizer: Stylizer) -> None:
    expected = {style: stylizer(decoded(PHOTO), stylizer.look(style)) for style in ("udnie", "scream", "mosaic")}
    assert difference(expected["udnie"], expected["scream"]) > 3 * SAME
    with Viewer(server) as one, Viewer(server) as two, Viewer(server) as three:
        viewers = dict(zip(expected, (one, two, three), strict=True))
        for style, viewer in viewers.items():
            assert viewer.control(style=style, fade=0)["state"]["style"] == style
        for number in range(5):
            for viewer in viewers.values():
                viewer.send_frame(PHOTO, bytes([number] * 8))
            for style, viewer in viewers.items():
                assert difference(viewer.receive_painting(bytes([number] * 8)), expected[style]) < SAME


def test_hello_describes_the_session(server: Server) -> None:
    with Viewer(server) as viewer:
        hello = dict(viewer.hello)
    styles = hello["state"].pop("styles")
    assert "wave" in styles
    assert styles == sorted(styles)
    assert len(hello.pop("session")) >= 20
    limits = Limits()
    assert hello == {
        "server_source": True,
        "predicts": True,
        "webrtc": find_spec("aiortc") is not None,
        "limits": {
            "frame_bytes": limits.frame_bytes,
            "frame_pixels": limits.frame_pixels,
            "picture_bytes": limits.picture_bytes,
        },
        "state": {"style": "wave", "strength": 1.0, "blend": None, "fade": 0.5, "colours": False, "compare": 0.0},
    }


# controls


def test_controls_change_the_state(server: Server) -> None:
    with Viewer(server) as viewer:
        before = viewer.hello["state"]
        for settings, changes in [
            ({"style": "scream"}, {"style": "scream", "blend": 1.0}),
            ({"style": before["styles"].index("udnie") + 1}, {"style": "udnie"}),  # by number
            ({"strength": 0.25}, {"strength": 0.25}),
            ({"strength": 1}, {"strength": 1.0}),
            ({"fade": 10}, {"fade": 10.0}),
            ({"fade": 0}, {"fade": 0.0}),
            ({"colours": True}, {"colours": True}),
            ({"colours": 0}, {"colours": False}),
            ({"compare": 0.5}, {"compare": 0.5}),
            ({"blend": 0.25}, {"blend": 0.25, "style": "scream:0.8,udnie:0.2"}),
            ({"blend": 0, "strength": 0, "colours": True}, {"blend": 0.0, "style": "scream", "strength": 0.0, "colours": True}),
        ]:
            state = viewer.control(**settings)["state"]
            assert state == before | changes
            before = state


@pytest.mark.parametrize(
    "text",
    [
        '{"style": "no such style"}',
        '{"style": "../wave"}',
        '{"style": 0}',
        '{"style": 1e300}',
        '{"style": 99999999999999999999999999}',
        '{"style": true}',
        '{"style": ["wave"]}',
        '{"style": ""}',
        '{"strength": 1.01}',
        '{"strength": -0.0001}',
        '{"strength": NaN}',
        '{"strength": Infinity}',
        '{"strength": true}',
        '{"strength": "1"}',
        '{"strength": null}',
        '{"fade": 10.1}',
        '{"fade": -1}',
        '{"blend": 0.5}',
        '{"colours": 2}',
        '{"colours": "yes"}',
        '{"compare": 2}',
        '{"compare": {}}',
        '{"cue": 1}',
        '{"record": 1}',
        '{"token": "x"}',
        '{"strength": 0.5, "unknown": 1}',
        '{"__class__": 1}',
        "{}",
        "[]",
        "null",
        "0",
        '"style"',
        "",
        "{",
        "\x00",
        '{"style": "\\ud800"}',
        "[" * 1900,
        '{"strength": 1' + "0" * 1900 + "}",
        '{"strength": 1e99999}',
    ],
)
def test_wrong_control_messages_are_answered_and_change_nothing(server: Server, text: str) -> None:
    with Viewer(server) as viewer:
        viewer.connection.send(text)
        answer = viewer.receive_json()
        assert list(answer) == ["error"]
        assert 0 < len(answer["error"]) < 400
        assert "\n" not in answer["error"]
        assert viewer.control(strength=1)["state"] == viewer.hello["state"]


def test_blend_of_styles_with_different_bodies_is_refused(server: Server) -> None:
    with Viewer(server) as viewer:
        viewer.control(style="udnie", fade=0)
        state = viewer.control(style="mosaic", fade=0)["state"]
        answer = viewer.control(blend=0.5)
        assert "error" in answer or answer["state"] == state | {"blend": 0.5, "style": "udnie:0.5,mosaic:0.5"}


def test_compare_shows_the_photo_on_the_left(server: Server, stylizer: Stylizer) -> None:
    with Viewer(server) as viewer:
        viewer.control(compare=0.5)
        shown = viewer.paint(PHOTO)
    photo = decoded(PHOTO)
    assert difference(shown[:, :24], photo[:, :24]) < SAME
    assert difference(shown[:, 40:], stylizer(photo)[:, 40:]) < SAME
    assert shown[:, 32:34].mean() > 200  # the line


def test_strength_zero_shows_the_photo(server: Server) -> None:
    with Viewer(server) as viewer:
        viewer.control(strength=0)
        assert difference(viewer.paint(PHOTO), decoded(PHOTO)) < SAME


def in_session(stylizer: Stylizer, use: Callable[[Session, list[float]], Any]) -> None:
    """Run `use` with a session whose clock it sets."""

    async def run() -> None:
        now, painter = [0.0], SharedPainter(stylizer.engine)
        try:
            styles = ["udnie", "wave"]
            await use(Session(stylizer, painter, styles, stylizer.default_look, Limits(), clock=lambda: now[0]), now)
        finally:
            painter.close()

    asyncio.run(run())


def test_style_fades_in(stylizer: Stylizer) -> None:
    photo, end = picture(0), stylizer.look("udnie")

    async def use(session: Session, now: list[float]) -> None:
        session.change({"style": "udnie", "fade": 2})
        for now[0] in (5.0, 5.5, 6.0, 7.0, 60.0):  # the fade begins with the first frame
            look = crossfade(stylizer.default_look, end, min(1.0, (now[0] - 5) / 2))
            assert isinstance(look, Look)
            assert difference(await session.paint(photo), stylizer(photo, look)) < 1

    in_session(stylizer, use)


def test_settings_of_one_message_apply_in_the_order_of_the_controls(stylizer: Stylizer) -> None:
    async def use(session: Session, now: list[float]) -> None:
        session.change({"style": "wave"})
        session.change({"blend": 0.25, "fade": 0, "style": "udnie"})
        assert session.state()["style"] == "wave:0.8,udnie:0.2"

    in_session(stylizer, use)


def test_crossfade_is_visible_to_the_viewer(server: Server, stylizer: Stylizer) -> None:
    start, end = stylizer(decoded(PHOTO)), stylizer(decoded(PHOTO), stylizer.look("udnie"))
    with Viewer(server) as viewer:
        viewer.control(fade=1)
        viewer.control(style="udnie")
        between = 0
        while difference(shown := viewer.paint(PHOTO), end) > SAME:
            between += difference(shown, start) > SAME
    assert between > 0


# styles from paintings


def test_uploaded_painting_is_a_style_of_its_session_only(server: Server, stylizer: Stylizer) -> None:
    painting = jpeg(picture(3, 96, 96))
    with Viewer(server) as viewer, Viewer(server) as other:
        reply = server.request(f"/api/sessions/{viewer.session}/styles?name=My%20night.jpg", painting)
        assert (reply.status, reply.json) == (201, {"style": "My night"})
        state = viewer.control(style="My night", fade=0)["state"]
        assert state["style"] == "My night"
        assert state["styles"] == [*viewer.hello["state"]["styles"], "My night"]
        expected = stylizer(decoded(PHOTO), stylizer.predict(decoded(painting), "night"))
        assert difference(viewer.paint(PHOTO), expected) < SAME
        assert "error" in other.control(style="My night")
        assert other.control(fade=0)["state"]["styles"] == other.hello["state"]["styles"]
    assert all(style["name"] != "My night" for style in server.request("/api/styles").json["styles"])


def test_uploaded_paintings_of_one_name_get_different_names(server: Server) -> None:
    painting = jpeg(picture(3, 96, 96))
    with Viewer(server) as viewer, ThreadPoolExecutor(3) as pool:
        address = f"/api/sessions/{viewer.session}/styles?name=wave.png"
        replies = list(pool.map(lambda _: server.request(address, painting), range(3)))
        assert sorted(reply.json["style"] for reply in replies) == ["wave 2", "wave 3", "wave 4"]
        styles = viewer.control(fade=0)["state"]["styles"]
        assert len(styles) == len(set(styles))


@pytest.mark.parametrize("name", ["", "..%2F..%2Fetc%2Fpasswd", "%00.jpg", "%E2%80%AEgpj", "a" * 5000, "%3Cscript%3E"])
def test_names_of_uploaded_paintings_are_made_safe(server: Server, name: str) -> None:
    with Viewer(server) as viewer:
        reply = server.request(f"/api/sessions/{viewer.session}/styles?name={name}", jpeg(picture(3, 96, 96)))
        assert reply.status == 201
        style = reply.json["style"]
        assert 0 < len(style) <= 100
        assert style.isprintable()
        assert not set(style) & set("/\\<>\0")
        assert viewer.control(style=style)["state"]["style"] == style


# the server's own source


def test_viewer_of_the_servers_source_gets_its_paintings(server: Server, stylizer: Stylizer, film_picture: Image) -> None:
    with Viewer(server, "server") as viewer:
        for _ in range(3):
            assert difference(viewer.paint(), stylizer(film_picture)) < SAME


def read_parts(response: Any, count: int) -> list[bytes]:
    """The next pictures of an MJPEG stream."""
    parts = []
    for _ in range(count):
        assert response.readline() == b"--frame\r\n"
        assert response.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(response.readline().removeprefix(b"Content-Length: "))
        assert response.readline() == b"\r\n"
        parts.append(response.read(length))
        assert response.readline() == b"\r\n"
    return parts


def test_mjpeg_of_the_servers_source(server: Server, stylizer: Stylizer, film_picture: Image) -> None:
    expected = stylizer(film_picture, stylizer.look("scream", strength=0.8))
    with server.opened("/stream.mjpg?style=scream&strength=0.8") as response:
        assert response.status == 200
        assert response.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        for part in read_parts(response, 3):
            assert difference(decoded(part), expected) < SAME


def test_mjpeg_follows_a_session_and_ends_with_it(server: Server, stylizer: Stylizer) -> None:
    with Viewer(server) as viewer:
        viewer.control(style="scream", fade=0)
        shown = viewer.paint(PHOTO)
        with server.opened(f"/stream.mjpg?session={viewer.session}") as response:
            assert np.array_equal(decoded(read_parts(response, 1)[0]), shown)
            shown = viewer.paint(jpeg(picture(20)))
            assert np.array_equal(decoded(read_parts(response, 1)[0]), shown)
            viewer.close()
            assert response.read() == b""


# leaving


def test_viewers_who_leave_leave_nothing_behind(server: Server) -> None:
    process = psutil.Process(server.process.pid)

    def visit(number: int) -> None:
        viewer = Viewer(server, "server" if number % 3 == 2 else "camera")
        if number % 3 == 0:
            viewer.paint(PHOTO)
        viewer.send_frame(PHOTO)  # leaves in the middle of a frame
        if number % 2:
            viewer.close()
        else:
            viewer.vanish()
        if number % 5 == 0:
            with server.opened("/stream.mjpg") as response:
                read_parts(response, 1)

    def settled() -> bool:
        return server.figure("livestyle_viewers") == 0

    for number in range(6):  # caches and thread pools are filled
        visit(number)
    wait_until(settled, "sessions remain")
    connection = open_websocket(server)
    connection.close()
    before, memory = resources(server), process.memory_info().rss
    for number in range(30):
        visit(number)
    wait_until(settled, "sessions remain")
    wait_until(lambda: resources(server)[0] <= before[0] and resources(server)[1] <= before[1], "descriptors or threads remain")
    assert process.memory_info().rss - memory < 64 * 2**20


def test_session_ends_with_its_connection(server: Server) -> None:
    viewer = Viewer(server)
    path = f"/api/sessions/{viewer.session}"
    assert server.request(path).status == 200
    viewer.close()
    wait_until(lambda: server.request(path).status == 404, "the session remains")


def test_unpaintable_frame_is_answered_and_the_session_goes_on(server: Server) -> None:
    with Viewer(server) as viewer:
        viewer.send_frame(b"no picture")
        assert viewer.receive_json() == {"error": "the frame is neither a JPEG nor a WebP", "frame": True}
        viewer.paint(PHOTO)
