"""The command `livestyle serve`."""

import json
import socket
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from conftest import picture
from server_process import DEVICE, Server, Viewer, jpeg, open_websocket, wait_until

from livestyle.cli.serve import _print_address
from livestyle.server.certificate import own_certificate
from livestyle.server.limits import Limits
from livestyle.server.run import Address

Run = Callable[..., Any]


def test_limits_are_listed(run: Run) -> None:
    done = run("serve", "--demo-limits", "--max-viewers", "3")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["3", "viewers", "at", "a", "time"]
    assert len(lines) == len(fields(Limits))
    assert f"{Limits().picture_bytes:,} bytes of a picture" in done.out


def test_ctrl_c_ends_the_server_while_viewers_are_connected(tmp_path: Path) -> None:
    options = ["--port", "0", "--source", "demo", "--size", "64x48", "--json", "--model", "lite", "--device", DEVICE]
    server = Server([sys.executable, "-P", "-m", "livestyle", "serve", *options], tmp_path)
    try:
        assert server.address == {
            "links": [f"http://127.0.0.1:{server.port}/"],
            "port": server.port,
            "token": None,
            "fingerprint": None,
        }
        camera, source, silent = Viewer(server), Viewer(server, "server"), open_websocket(server)
        assert source.paint().shape == (36, 64, 3)
        camera.paint(jpeg(picture(0)))
        with server.opened("/stream.mjpg") as stream, server.opened(f"/stream.mjpg?session={camera.session}"):
            assert stream.read(1000)
            camera.send_frame(jpeg(picture(1, 640, 480)))
            source.send_frame()
            half = server.open()
            half.sendall(b"POST /api/paint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            wait_until(lambda: server.figure("livestyle_viewers") == 3, "a viewer is missing")
            assert server.stop() == 130
        assert server.stderr().strip() == "interrupted"
        assert server.rest() == '{"error": "interrupted"}\n'
        for viewer in (camera, source):
            assert viewer.closed()[0] in (1001, 1012)
        silent.close()
        half.close()
    finally:
        server.stop()


def test_port_in_use_is_an_error(run: Run) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert done.code == 2
    assert f"cannot listen at 127.0.0.1:{port}" in done.error
    assert "choose another port with --port" in done.error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
        (["--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
        (["--key", "KEY"], "--key needs --cert"),
        (["--size", "640x360"], "--size, --rate and --loop belong to --source"),
        (["--loop"], "--size, --rate and --loop belong to --source"),
        (["--cert", "missing.pem"], "missing.pem"),
        (["--cert", "KEY"], "cannot use the certificate"),
        (["--cert", "CERT", "--key", "OTHER"], "cannot use the certificate"),
        (["--cert", "TEXT"], "cannot use the certificate"),
        (["--allowed-host", "https://paint.example/"], "neither a host name nor an IP address"),
        (["--source", "missing.mp4"], "missing.mp4"),
        (["--style", "missing"], "missing"),
        (["--max-viewers", "0"], "--max-viewers"),
        (["--port", "65536"], "--port"),
    ],
)
def test_wrong_options_are_errors(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    files = {name: tmp_path / f"{name.lower()}.pem" for name in ("CERT", "KEY", "OTHER", "TEXT")}
    own_certificate(tmp_path / "both.pem", ["localhost"])
    own_certificate(files["OTHER"], ["localhost"])
    text = (tmp_path / "both.pem").read_text()
    place = text.index("-----BEGIN CERT")
    files["KEY"].write_text(text[:place])
    files["CERT"].write_text(text[place:])
    files["TEXT"].write_text("no certificate")
    done = run("serve", "--port", "0", "--model", "lite", *[files.get(word, word) for word in words])
    assert done.code == 2
    assert message in done.error


@pytest.mark.parametrize("missing", ["uvicorn", "starlette", "prometheus_client"])
def test_missing_extra_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [name for name in sys.modules if name.startswith("livestyle.server.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    done = run("serve", "--port", "0")
    assert done.code == 2
    assert f"the server needs {missing}; run: pip install 'livestyle[serve]'" in done.error


def test_address_is_printed_with_a_qr_code(capsys: pytest.CaptureFixture[str]) -> None:
    link = "https://192.0.2.1:8080/#token=abc"
    _print_address(Address((link, "https://b/", "https://c/", "https://d/"), 8080, "abc", "AB:CD"))
    printed = capsys.readouterr().err
    assert printed.splitlines()[:3] == [link, "https://b/", "https://c/"]
    assert "the certificate's SHA-256 fingerprint: AB:CD" in printed
    assert printed.count("\u2588") > 50
    _print_address(Address(("http://127.0.0.1:8080/",), 8080, None, None))
    assert capsys.readouterr().err == "http://127.0.0.1:8080/\nCtrl-C stops the server\n"


def test_summary_is_one_object_after_an_error(run: Run) -> None:
    done = run("serve", "--json", "--host", "192.0.2.1", "--port", "0")
    assert list(json.loads(done.out)) == ["error"]
