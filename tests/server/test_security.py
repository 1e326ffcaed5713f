"""Who may use the server: hosts, origins, the token, HTTPS, and the headers of every response."""

import datetime
import hashlib
import json
import logging
import os
import re
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from server_process import DEVICE, Server, Viewer, closed, open_websocket
from websockets.exceptions import InvalidStatus

from livestyle.errors import InputError
from livestyle.server import certificate as certificates
from livestyle.server.addresses import names_of
from livestyle.server.bugs import report_bugs
from livestyle.server.certificate import own_certificate

NAME = "paint.example"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`livestyle serve` for other machines: with HTTPS, a certificate of its own, and a token."""
    folder = tmp_path_factory.mktemp("public")
    options = ["--host", "0.0.0.0", "--port", "0", "--allowed-host", NAME, "--json", "--model", "lite", "--device", DEVICE]
    server = Server([sys.executable, "-P", "-m", "livestyle", "serve", *options], folder)
    server.certificate = folder / "data/livestyle/serve.pem"
    yield server
    assert server.stop() == 130
    assert re.sub(r"^note: .*\n", "", server.stderr(), flags=re.MULTILINE).strip() == "interrupted"  # no token, for example


def exchange(server: Server, request: str) -> bytes:
    """Send the text of a request, and return all that the server answers."""
    with server.open() as connection:
        connection.sendall(request.encode("latin-1"))
        answer = b""
        while part := connection.recv(2**16):
            answer += part
    return answer


def status(answer: bytes) -> int:
    return int(answer.split()[1])


# hosts


@pytest.mark.parametrize(
    "host", ["127.0.0.1:PORT", "127.0.0.1", "localhost:PORT", "LocalHost:PORT", "localhost.:PORT", "[::1]:PORT", "[::1]"]
)
def test_own_hosts_are_answered(server: Server, host: str) -> None:
    assert server.request("/api/styles", Host=host.replace("PORT", str(server.port))).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:PORT",  # DNS rebinding: a name of the attacker, which is resolved to 127.0.0.1
        "evil.example",
        "localhost.evil.example:PORT",
        "127.0.0.1.evil.example:PORT",
        "evil.localhost:PORT",
        "0.0.0.0:PORT",
        "127.1:PORT",
        "2130706433:PORT",
        "[::ffff:127.0.0.1]:PORT",
        "127.0.0.1@evil.example:PORT",
        "evil.example@127.0.0.1:PORT",
        "127.0.0.1:PORT:PORT",
        "127.0.0.1:PORT/evil.example",
        "127.0.0.1#evil.example",
        "[::1",
        "::1",
        "[127.0.0.1]",
        " ",
        "",
    ],
)
def test_other_hosts_are_refused(server: Server, host: str) -> None:
    host = host.replace("PORT", str(server.port))
    reply = server.request("/api/styles", Host=host)
    assert reply.status == 403
    assert list(reply.json) == ["error"]
    with pytest.raises(InvalidStatus) as caught:
        open_websocket(server, additional_headers={"Host": host})
    assert caught.value.response.status_code in (400, 403)  # two Host headers, as the client sends its own


@pytest.mark.parametrize("hosts", [["localhost", "evil.example"], ["evil.example", "localhost"], ["localhost", "localhost"], []])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_host_must_be_clear(server: Server, hosts: list[str], version: str) -> None:
    headers = "".join(f"Host: {host}\r\n" for host in hosts)
    assert status(exchange(server, f"GET /api/styles HTTP/{version}\r\n{headers}Connection: close\r\n\r\n")) in (400, 403)


def test_address_in_the_request_does_not_replace_the_host(server: Server) -> None:
    request = "GET http://127.0.0.1/api/styles HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert status(exchange(server, request)) == 403


def test_allowed_host_is_answered(public: Server) -> None:
    for host in (NAME, f"{NAME.upper()}:{public.port}", f"127.0.0.1:{public.port}"):
        assert public.request("/api/styles", Host=host).status == 200
    assert public.request("/api/styles", Host=f"www.{NAME}").status == 403


# pages of other sites


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://evil.example:PORT",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:PORT",  # this request's host is 127.0.0.1
        "http://sub.127.0.0.1:PORT",
        "http://127.0.0.1:PORT@evil.example",
        "http://evil.example@127.0.0.1:PORT",
        "http://127.0.0.1:PORT.evil.example",
        "file://127.0.0.1:PORT",
        "ftp://127.0.0.1:PORT",
        "http://[",
        "127.0.0.1:PORT",
        "http://127.0.0.1:PORT http://evil.example",
    ],
)
def test_requests_from_other_origins_are_refused(server: Server, origin: str) -> None:
    origin = origin.replace("PORT", str(server.port))
    for method, path in (("GET", "/api/styles"), ("POST", "/api/paint"), ("GET", "/stream.mjpg"), ("GET", "/")):
        reply = server.request(path, method=method, Origin=origin)
        assert reply.status == 403
        assert not [name for name in reply.headers if name.startswith("access-control")]
    with pytest.raises(InvalidStatus) as caught:
        open_websocket(server, additional_headers={"Origin": origin})
    assert caught.value.response.status_code == 403


def test_own_origin_is_answered(server: Server) -> None:
    for host in (f"127.0.0.1:{server.port}", f"LOCALHOST:{server.port}"):
        assert server.request("/api/styles", Host=host, Origin=f"http://{host.lower()}").status == 200
    # through a proxy that has the certificate
    assert server.request("/api/styles", Origin=f"https://127.0.0.1:{server.port}").status == 200
    open_websocket(server, additional_headers={"Origin": f"http://127.0.0.1:{server.port}"}).close()


def test_insecure_origin_is_refused_over_https(public: Server) -> None:
    host = f"127.0.0.1:{public.port}"
    assert public.request("/api/styles", Origin=f"http://{host}").status == 403
    assert public.request("/api/styles", Origin=f"https://{host}").status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "x"])
def test_requests_from_other_sites_are_refused(server: Server, site: str) -> None:
    for path in ("/api/styles", "/stream.mjpg", "/static/openapi.json", "/metrics"):
        assert server.request(path, Sec_Fetch_Site=site).status == 403
        assert server.request(path, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 403
    assert server.request("/docs", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403


def test_links_of_other_sites_open_the_page(server: Server) -> None:
    for path in ("/", "/docs"):
        assert server.request(path, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200
    for site in ("same-origin", "none"):
        assert server.request("/api/styles", Sec_Fetch_Site=site).status == 200


def test_preflight_is_refused(server: Server) -> None:
    headers = {"Origin": "http://evil.example", "Access_Control_Request_Method": "POST"}
    reply = server.request("/api/paint", method="OPTIONS", **headers)
    assert reply.status == 403
    assert not [name for name in reply.headers if name.startswith("access-control")]


# headers


@pytest.mark.parametrize(
    ("code", "path", "options"),
    [
        (200, "/", {}),
        (200, "/docs", {}),
        (200, "/openapi.json", {}),
        (200, "/static/openapi.json", {}),
        (200, "/api/styles", {}),
        (200, "/metrics", {}),
        (400, "/api/paint?format=gif", {"body": b"x"}),
        (403, "/api/styles", {"Host": "evil.example"}),
        (403, "/ws", {"Host": "evil.example"}),
        (404, "/nothing", {}),
        (404, "/ws", {}),
        (404, "/static/../guard.py", {}),
        (404, "/static/%2e%2e/guard.py", {}),
        (404, "/static/..%2fguard.py", {}),
        (404, "/static/%00", {}),
        (404, "/static/" + "a" * 5000, {}),
        (404, "/api/sessions/x", {}),
        (405, "/api/styles", {"method": "DELETE"}),
        (405, "/openapi.json", {"body": b"x"}),
    ],
)
def test_every_response_has_the_security_headers(server: Server, code: int, path: str, options: dict[str, Any]) -> None:
    reply = server.request(path, **options)
    assert reply.status == code
    if code >= 400:
        assert list(reply.json) == ["error"]
    assert reply.headers["content-security-policy"] == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert reply.headers["cache-control"] in ("no-store", "no-cache")
    assert not {"server", "set-cookie", "access-control-allow-origin"} & set(reply.headers)


def test_refused_websocket_has_the_security_headers(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught:
        open_websocket(server, additional_headers={"Origin": "http://evil.example"})
    assert caught.value.response.headers["Content-Security-Policy"] == POLICY
    assert list(json.loads(caught.value.response.body)) == ["error"]


# the token

PROTECTED = [
    ("GET", "/api/styles"),
    ("GET", "/api/styles/wave/thumbnail"),
    ("GET", "/api/sessions/x"),
    ("POST", "/api/sessions/x"),
    ("POST", "/api/sessions/x/styles"),
    ("POST", "/api/paint"),
    ("GET", "/stream.mjpg"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("GET", "/ws"),
    ("GET", "//api/styles"),
    ("GET", "/statics/../api/styles"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_requests_need_the_token(public: Server, method: str, path: str) -> None:
    wrong = ["", "Bearer", "Bearer ", "Bearer x", f"Bearer {public.token}x", f"Basic {public.token}", f"{public.token}"]
    for found in [*wrong, f"Bearer {str(public.token)[:-1]}", f"Bearer {public.token} {public.token}", "Bearer \xe9"]:
        assert public.request(path, method=method, Authorization=found).status == 401
    assert public.request(path, method=method).status != 401


def test_token_may_be_in_the_query_of_the_stream_only(public: Server) -> None:
    assert public.request(f"/stream.mjpg?token={public.token}", Authorization="").status == 400  # it has no source
    assert public.request(f"/stream.mjpg?token=x&token={public.token}", Authorization="").status == 401
    assert public.request(f"/api/styles?token={public.token}", Authorization="").status == 401


def test_page_needs_no_token(public: Server) -> None:
    for path in ("/", "/docs", "/openapi.json", "/static/openapi.json"):
        assert public.request(path, Authorization="").status == 200


@pytest.mark.parametrize("found", ["", "x", "TOKENx", "TOKE", "é", "\ud800", 1, None, True, ["TOKEN"], {"token": "TOKEN"}])
def test_websocket_needs_the_token(public: Server, found: Any) -> None:
    connection = open_websocket(public)
    text = json.dumps({"source": "camera", "token": found}).replace("TOKE", str(public.token)[:-1], 1)
    connection.send(text.replace("TOKEN", str(public.token)))
    assert closed(connection) == (1008, "the token is missing or wrong; open the link that the server printed")
    assert public.figure("livestyle_viewers") == 0


def test_websocket_with_the_token_is_answered(public: Server) -> None:
    with Viewer(public) as viewer:
        assert viewer.hello["server_source"] is False
    connection = open_websocket(public)
    connection.send(json.dumps({"source": "camera"}))
    assert closed(connection)[0] == 1008


def test_token_is_in_the_fragment_of_the_links_only(public: Server) -> None:
    assert len(str(public.token)) >= 20
    assert NAME in public.address["links"][0]
    for link in public.address["links"]:
        assert link.startswith("https://")
        assert link.endswith(f":{public.port}/#token={public.token}")


# HTTPS


def test_certificate_is_the_one_whose_fingerprint_is_printed(public: Server) -> None:
    with public.open() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        digest = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
    assert public.address["fingerprint"].replace(":", "").lower() == digest
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(public.open(secure=False), server_hostname="127.0.0.1")


def test_certificate_is_for_all_names_of_the_server(public: Server) -> None:
    for name in (NAME, "localhost", "127.0.0.1", "::1"):
        public.context().wrap_socket(public.open(secure=False), server_hostname=name).close()
    with pytest.raises(ssl.SSLCertVerificationError):
        public.context().wrap_socket(public.open(secure=False), server_hostname="evil.example")


def test_tls_1_2_has_no_old_ciphers(public: Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with context.wrap_socket(public.open(secure=False)) as connection:
        assert "GCM" in (connection.cipher() or ("",))[0]
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(public.open(secure=False))


def test_plain_http_is_not_answered_at_the_https_port(public: Server) -> None:
    with public.open(secure=False) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100) == b""


def test_certificate_is_kept_until_it_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new folder/serve.pem"
    first = own_certificate(path, ["192.0.2.1", "localhost"])
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert own_certificate(path, ["localhost"]) == first
    assert own_certificate(path, ["192.0.2.1", "localhost"]) == first
    second = own_certificate(path, ["192.0.2.2", "localhost"])  # a name is missing
    assert second != first
    monkeypatch.setattr(certificates, "RENEWED_DAYS", certificates.VALID_DAYS + 1)  # it ends soon
    third = own_certificate(path, ["192.0.2.2", "localhost"])
    assert third != second
    assert [each.name for each in path.parent.iterdir()] == ["serve.pem"]


@pytest.mark.parametrize("damage", ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no key"])
def test_broken_certificate_is_replaced(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "serve.pem"
    own_certificate(path, ["localhost"])
    text = path.read_text()
    path.write_text(text[text.index("-----BEGIN CERT") :] if damage == "no key" else damage)
    own_certificate(path, ["localhost"])
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


def test_certificate_has_names_and_addresses(tmp_path: Path) -> None:
    path = tmp_path / "serve.pem"
    own_certificate(path, ["192.0.2.1", "2001:db8::1", "paint.example", "my_machine"])
    made = x509.load_pem_x509_certificate(path.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["my_machine", "paint.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "2001:db8::1"]
    assert made.not_valid_after_utc - made.not_valid_before_utc <= datetime.timedelta(days=398)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", ["127.0.0.1", "localhost", "::1"]),
        ("localhost", ["localhost", "127.0.0.1", "::1"]),
        ("192.0.2.1", ["192.0.2.1"]),
        ("2001:DB8:0::1", ["2001:db8::1"]),
        ("Bücher.example.", ["xn--bcher-kva.example"]),
    ],
)
def test_names_are_those_that_browsers_send(host: str, expected: list[str]) -> None:
    assert names_of(host) == expected
    assert names_of(host, ["Paint.Example"]) == ["paint.example", *expected]
    assert {"localhost", "127.0.0.1"} < set(names_of("0.0.0.0"))


@pytest.mark.parametrize(
    "name", ["https://paint.example", "paint.example:8080", "*", "*.example", "", "a b", "a/b", "-a", "a" * 64, "[::1]"]
)
def test_allowed_host_must_be_a_name(name: str) -> None:
    with pytest.raises(InputError, match="neither a host name nor an IP address"):
        names_of("127.0.0.1", [name])


# errors of the server


def test_error_of_the_server_is_printed_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:  # restored at the end
        for attribute in ("handlers", "propagate", "level"):
            monkeypatch.setattr(logger, attribute, getattr(logger, attribute))
    report_bugs()

    def fail(message: str) -> None:
        for logger in loggers:
            try:
                raise RuntimeError(message)
            except RuntimeError:
                logger.exception("Exception in ASGI application\n")

    for number in range(3):
        fail(f"number {number}")
    for logger in loggers:
        logger.error("an error without an exception")
        logger.warning("a warning")
    printed = capsys.readouterr().err
    assert printed.count("Traceback") == 1
    assert "RuntimeError: number 0" in printed
    assert printed.startswith("livestyle: an error of the server, please report it: Exception in ASGI application")
    assert len(re.findall("number|an error|a warning", printed)) == 2
