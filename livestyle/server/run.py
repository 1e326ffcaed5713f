"""Run the web server until it is interrupted."""

import asyncio
import errno
import os
import secrets
import socket
import ssl
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import uvicorn

from livestyle.errors import DeviceError, InputError
from livestyle.jobs.live.source import open_live_source
from livestyle.server.addresses import is_local, link, names_of
from livestyle.server.app import make_app
from livestyle.server.bugs import report_bugs
from livestyle.server.connections import Connections, bounded_protocols
from livestyle.server.feed import Feed
from livestyle.server.limits import Limits
from livestyle.server.service import Service
from livestyle.size import Size
from livestyle.stylizer import Stylizer

SHUTDOWN_SECONDS = 2  # streams that do not end by themselves are cancelled after this time
WARM_SHAPE = (360, 640, 3)  # of the page's frames at the start: everything for this size is made before the first one


@dataclass(frozen=True)
class ServeJob:
    """Description of a server. The model and the device belong to the Stylizer that it runs with."""

    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for all addresses of this machine. Beyond this machine, HTTPS and a token are used."""
    port: int = 8080
    """The TCP port; 0 for a free one."""
    source: str | None = None
    """A source of the server's own, as `open_live_source` opens it; None for none: viewers send their camera's frames."""
    size: Size | None = None
    """The box, in pixels, that the frames of `source` are scaled to fit."""
    rate: Fraction | None = None
    """Frames per second of `source`, if it is the screen, raw frames or "demo"; None for 30."""
    loop: bool = False
    """Whether to repeat `source` without end, if it is a video file."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names by which the server may be reached, as through a proxy or a tunnel. A token is needed then."""
    certificate: Path | None = None
    """PEM file of a certificate, with its chain; None for one of the server's own, where HTTPS is used."""
    key: Path | None = None
    """PEM file of the certificate's private key; None if `certificate` contains it."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Address:
    """Where a server can be reached."""

    links: tuple[str, ...]
    """Links to the page, with the token; the best one first."""
    port: int
    token: str | None
    """What requests must contain; None if they need none."""
    fingerprint: str | None
    """SHA-256 of the server's own certificate; None if it uses another one, or none."""


def run_server(
    job: ServeJob,
    open_stylizer: Callable[[], AbstractContextManager[Stylizer]],
    on_ready: Callable[[Address], object] = lambda address: None,
) -> None:
    """Serve until Ctrl-C, which raises KeyboardInterrupt after all connections and threads have ended.

    open_stylizer: returns the stylizer, as a context manager that is left at the end.
    on_ready: called when the server accepts connections.

    Raises DeviceError if the server cannot listen, InputError if the certificate or the source cannot be used; StyleError.
    """
    with ExitStack() as opened:
        listener = opened.enter_context(closing(_listen(job.host, job.port)))
        port = listener.getsockname()[1]
        public = not is_local(job.host)
        token = secrets.token_urlsafe(16) if public or job.allowed_hosts else None
        names = names_of(job.host, job.allowed_hosts)
        context, fingerprint = _https(job, names) if public or job.certificate else (None, None)
        stylizer = opened.enter_context(open_stylizer())
        source = None
        if job.source is not None:
            source = open_live_source(job.source, job.size, job.rate, job.loop)
            opened.callback(source.close)
        stylizer.warm_up(*WARM_SHAPE[:2])
        for size in stylizer.engine.batches:
            stylizer.submit([np.zeros(WARM_SHAPE, np.uint8)] * min(size, job.limits.viewers)).result()
        links = tuple(link(name, port, context is not None, token) for name in names if public or name == job.host)
        address = Address(links, port, token, fingerprint)
        report_bugs()
        warnings.filterwarnings("ignore", "Image size .* exceeds limit")  # Pillow's: a client could fill the log with it
        connections = Connections(job.limits)
        http, websocket = bounded_protocols(connections)

        async def open_service() -> Service:
            return Service(stylizer, job.limits, None if source is None else Feed(source))

        async def run(service: Service) -> None:
            config = uvicorn.Config(
                make_app(service, names, token),
                ws=websocket,
                ws_max_size=job.limits.frame_bytes + 1024,
                ws_per_message_deflate=False,  # JPEG does not get smaller
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
            config.load()
            server = uvicorn.Server(config)

            def make_protocol(address: str) -> asyncio.Protocol:
                return http(config=config, server_state=server.server_state, app_state={}, address=address)

            listener.listen()
            accepting = asyncio.create_task(connections.accept(listener, make_protocol, context))
            on_ready(address)
            try:
                await server.serve([])  # it waits for signals, and ends the connections
            finally:
                accepting.cancel()

        with asyncio.Runner() as runner:
            service = runner.run(open_service())
            try:
                runner.run(run(service))
            finally:
                runner.run(service.close())  # not in `run`, as Ctrl-C cancels it


def _listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address. Raises DeviceError if it is in use, or not one of this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise DeviceError(f"cannot listen at {host}: {error.strerror or error}") from error
    try:
        if os.name == "posix":  # elsewhere it would allow two servers at one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        advice = "choose another port with --port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise DeviceError(f"cannot listen at {host}:{port}: {error.strerror or error}", advice=advice) from error
    return listener


def _https(job: ServeJob, names: list[str]) -> tuple[ssl.SSLContext, str | None]:
    """The context of HTTPS, and the fingerprint of the certificate if it is the server's own. Raises InputError, OutputError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # uvicorn's has only old ciphers for TLS 1.2
    if job.certificate is not None:
        try:
            context.load_cert_chain(job.certificate, job.key)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"cannot use the certificate {job.certificate}: {error.strerror or error}") from error
        return context, None
    from livestyle.server.certificate import certificate_path, own_certificate

    path = certificate_path()
    fingerprint = own_certificate(path, names)
    context.load_cert_chain(path)
    return context, fingerprint
