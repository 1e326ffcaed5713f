"""The HTTP API: styles, pictures, sessions, metrics, and its description."""

import json
import re
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from conftest import picture
from PIL import Image as PillowImage
from server_process import SAME, Server, Viewer, decoded, difference, jpeg, wait_until

from livestyle.pictures.strokes import paint_larger
from livestyle.stylizer import Stylizer

PHOTO = jpeg(picture(0, 90, 70))


def test_styles_are_listed_with_their_thumbnails(server: Server) -> None:
    styles = {style["name"]: style for style in server.request("/api/styles").json["styles"]}
    assert {"wave", "scream"} <= set(styles)
    assert "Hokusai" in styles["wave"]["origin"]
    reply = server.request(styles["wave"]["thumbnail"])
    assert (reply.status, reply.headers["content-type"]) == (200, "image/jpeg")
    assert min(decoded(reply.body).shape[:2]) > 10


@pytest.mark.parametrize(("kind", "tolerance"), [("jpg", SAME), ("png", 0.5), ("webp", 0.5)])
def test_picture_is_painted_at_full_size(server: Server, stylizer: Stylizer, kind: str, tolerance: float) -> None:
    reply = server.request(f"/api/paint?style=scream&strength=0.7&keep_colors=true&format={kind}", PHOTO)
    assert (reply.status, reply.headers["content-type"]) == (200, f"image/{'jpeg' if kind == 'jpg' else kind}")
    expected = stylizer(decoded(PHOTO), stylizer.look("scream", strength=0.7, keep_colors=True))
    with PillowImage.open(BytesIO(reply.body)) as painting:
        assert painting.format == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[kind]
        assert difference(np.asarray(painting.convert("RGB")), expected) < tolerance


def test_picture_is_painted_with_larger_strokes(server: Server, stylizer: Stylizer) -> None:
    reply = server.request("/api/paint?stroke_size=2&format=png", PHOTO)
    expected = paint_larger(stylizer, decoded(PHOTO), 2)
    assert difference(decoded(reply.body), expected) < 0.5
    assert difference(expected, stylizer(decoded(PHOTO))) > 1


def test_transparency_is_kept(server: Server) -> None:
    data = BytesIO()
    PillowImage.new("RGBA", (40, 30), (200, 100, 50, 128)).save(data, "PNG")
    reply = server.request("/api/paint?format=png", data.getvalue())
    with PillowImage.open(BytesIO(reply.body)) as painting:
        assert painting.mode == "RGBA"
        assert set(np.unique(np.asarray(painting)[:, :, 3])) == {128}


def test_picture_is_painted_in_the_look_of_a_session(server: Server, stylizer: Stylizer) -> None:
    with Viewer(server) as viewer:
        viewer.control(style="udnie", fade=10, strength=0.6, compare=0.5)
        reply = server.request(f"/api/paint?session={viewer.session}&format=png", PHOTO)
        expected = stylizer(decoded(PHOTO), stylizer.look("udnie", strength=0.6))
        assert difference(decoded(reply.body), expected) < 0.5  # the end of the fade, without the comparison


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("style=nothing", 400),
        ("style=wave:.5,scream:.5", 400),
        ("style=../wave", 400),
        ("style=%2Fetc%2Fpasswd", 400),
        ("style=http://127.0.0.1/a.jpg", 400),
        ("strength=2", 400),
        ("strength=nan", 400),
        ("strength=", 400),
        ("strength=1" + "0" * 5000, 400),
        ("keep_colors=yes", 400),
        ("stroke_size=0.5", 400),
        ("stroke_size=11", 400),
        ("format=gif", 400),
        ("format=../a", 400),
        ("session=nothing", 404),
    ],
)
def test_wrong_parameters_are_refused(server: Server, query: str, code: int) -> None:
    reply = server.request(f"/api/paint?{query}", PHOTO)
    assert reply.status == code
    assert list(reply.json) == ["error"]
    assert len(reply.json["error"]) < 300


def test_state_of_a_session(server: Server) -> None:
    with Viewer(server) as viewer:
        for _ in range(3):
            viewer.paint(PHOTO)
        state = server.request(f"/api/sessions/{viewer.session}").json
        assert state.pop("frames") == 3
        assert state.pop("fps") >= 0
        assert state.pop("delay_ms") >= 0
        assert state == viewer.hello["state"]


def test_look_of_a_session_is_changed_and_its_viewer_told(server: Server) -> None:
    with Viewer(server) as viewer, Viewer(server) as other:
        path = f"/api/sessions/{viewer.session}"
        reply = server.request(path, json.dumps({"style": "scream", "fade": 0, "strength": 0.5}))
        expected = viewer.hello["state"] | {"style": "scream", "fade": 0.0, "strength": 0.5, "blend": 1.0}
        assert (reply.status, reply.json) == (200, expected)
        assert viewer.receive_json() == {"state": expected}
        for wrong in (b"", b"{", b"\xff", b"[]", b"null", b'{"strength": 2}', b'{"style": "no"}', b"[" * 1999, b"1" * 1999):
            reply = server.request(path, wrong)
            assert (reply.status, list(reply.json)) == (400, ["error"])
        assert server.request(path).json["style"] == "scream"
        assert other.control(compare=0)["state"] == other.hello["state"]


def test_metrics_count(server: Server) -> None:
    reply = server.request("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = ("frame_seconds_count", "sent_frame_bytes_total", "pictures_total", "predicted_styles_total", "viewers")
    before = {name: server.figure(f"livestyle_{name}") for name in names}
    with Viewer(server) as viewer:
        sizes = []
        for _ in range(2):
            viewer.send_frame(PHOTO)
            sizes.append(len(viewer.receive()) - 12)
        server.request("/api/paint", PHOTO)
        server.request(f"/api/sessions/{viewer.session}/styles", PHOTO)
        counted = [2, sum(sizes), 1, 1, 1]
        assert [server.figure(f"livestyle_{name}") - before[name] for name in names] == counted
    wait_until(lambda: server.figure("livestyle_viewers") == before["viewers"], "the viewer is counted on")


def test_description_names_what_the_server_answers(server: Server) -> None:
    description = server.request("/openapi.json").json
    with Viewer(server) as viewer:
        for path, methods in description["paths"].items():
            if path.startswith(("/whip", "/whep")):
                continue  # they need WebRTC clients: test_webrtc.py
            for method, operation in methods.items():
                address = path.replace("{id}", viewer.session).replace("{name}", "wave")
                body = None if method == "get" else PHOTO if "paint" in path or "styles" in path else b'{"strength": 1}'
                with server.opened(address, body, method.upper()) as response:
                    assert str(response.status) in operation["responses"], path
                    assert response.status < 300
                    content = operation["responses"][str(response.status)]["content"]
                    assert response.headers["content-type"].split(";")[0] in content
        assert_fits(viewer.hello["state"], description["components"]["schemas"]["State"])


def assert_fits(value: dict[str, Any], schema: dict[str, Any]) -> None:
    kinds = {"string": str, "integer": int, "number": int | float, "boolean": bool, "array": list, "null": type(None)}
    for name, found in value.items():
        stated = schema["properties"][name]["type"]
        assert any(isinstance(found, kinds[kind]) for kind in ([stated] if isinstance(stated, str) else stated)), name


def test_page_loads_nothing_from_elsewhere(server: Server) -> None:
    for path in ("/", "/docs"):
        for address in re.findall(r'(?:src|href)="([^"]+)"', server.request(path).body.decode()):
            assert not re.match(r"\w+:|//", address), address
            if not address.startswith(("#", "/stream.mjpg")):
                assert server.request(address if address.startswith("/") else f"/{address}").status == 200, address
