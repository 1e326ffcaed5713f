"""The command `livestyle serve`."""

from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    look_options,
    open_stylizer,
    print_line,
    report_options,
    size_option,
    style_option,
    write_json,
)
from livestyle.errors import DeviceError
from livestyle.size import Size

if TYPE_CHECKING:
    from livestyle.server.run import Address

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    cls=Command,
    examples=[
        "livestyle serve --host 0.0.0.0",
        "livestyle serve --source screen --style scream",
    ],
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for other machines.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="TCP port; 0 for a free one.")
@click.option("--source", metavar="SOURCE", help="A source of this machine: what `livestyle webcam --camera` takes.")
@size_option
@click.option("--rate", type=click.FloatRange(0.1, 1000), metavar="FPS", help="Frames per second of screen, - or demo.")
@click.option("--loop", is_flag=True, help="Repeat a video file without end.")
@click.option("--max-viewers", type=click.IntRange(1, 1000), help="Most viewers at a time; default: 8.")
@click.option("--allowed-host", "allowed_hosts", multiple=True, metavar="NAME", help="Another name of this server; repeatable.")
@click.option("--cert", "certificate", type=EXISTING_FILE, help="Certificate for HTTPS (PEM), with its chain.")
@click.option("--key", type=EXISTING_FILE, help="Private key of the certificate (PEM).")
@click.option("--demo-limits", is_flag=True, help="List the limits that protect the server, and exit.")
@style_option
@look_options
@report_options
def serve(
    host: str,
    port: int,
    source: str | None,
    size: Size | None,
    rate: float | None,
    loop: bool,
    max_viewers: int | None,
    allowed_hosts: tuple[str, ...],
    certificate: Path | None,
    key: Path | None,
    demo_limits: bool,
    style: str,
    model: str,
    device: str,
    strength: float,
    keep_colors: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Paint in any browser: a page whose camera is painted on this machine.

    The page needs no installation: each viewer chooses styles, uploads paintings, takes snapshots and records. Several viewers
    are painted together, each in a style of their own. There is an HTTP API too; the page /docs describes it.

    Beyond this machine (--host), the page is served by HTTPS, with a certificate of its own unless --cert names one, and only to
    those who have the link: it contains a token. Browsers warn about the certificate; compare its fingerprint.

    With --source, the page can also show a camera, a file or the screen of this machine, as can OBS: its address is
    /stream.mjpg?style=NAME.
    """
    from livestyle.server.limits import Limits

    limits = Limits() if max_viewers is None else Limits(viewers=max_viewers)
    if demo_limits:
        for line in limits.lines():
            print_line(line)
        return
    if key is not None and certificate is None:
        raise click.UsageError("--key needs --cert")
    if source is None and (size is not None or rate is not None or loop):
        raise click.UsageError("--size, --rate and --loop belong to --source")
    try:
        from livestyle.server.run import ServeJob, run_server
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise DeviceError(f"the server needs {missing}; run: pip install 'livestyle[serve]'") from error

    job = ServeJob(
        host=host,
        port=port,
        source=source,
        size=size,
        rate=None if rate is None else Fraction(rate).limit_denominator(1001),
        loop=loop,
        allowed_hosts=allowed_hosts,
        certificate=certificate,
        key=key,
        limits=limits,
    )

    def report(address: "Address") -> None:
        if as_json:
            write_json({"serving": vars(address)})
        elif not quiet:
            _print_address(address)

    run_server(job, lambda: open_stylizer(style, model, device, strength, keep_colors, quiet), report)


def _print_address(address: "Address") -> None:
    """Print the links; where there is a token, also a QR code for phones, and the certificate's fingerprint."""
    for link in address.links[:3]:
        print_line(link, err=True)
    if address.token is not None:
        import segno

        code = StringIO()
        segno.make_qr(address.links[0]).terminal(code, compact=True)
        for line in code.getvalue().splitlines():
            print_line(line, err=True)
    if address.fingerprint is not None:
        print_line(f"the certificate's SHA-256 fingerprint: {address.fingerprint}", err=True)
    print_line("Ctrl-C stops the server", err=True)
