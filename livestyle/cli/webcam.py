"""livestyle webcam"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    TimeType,
    look_options,
    may_write,
    open_stylizer,
    overwrite_options,
    print_json,
    print_line,
    report_options,
    size_option,
    smooth_option,
    style_option,
    tell,
    write_json,
)
from livestyle.errors import DeviceError, hide_passwords
from livestyle.output_file import refuse_same_file
from livestyle.size import Size, fit_size

if TYPE_CHECKING:
    from livestyle.cli.session import Recorder, Session
    from livestyle.frame import Source
    from livestyle.sinks.window import Screen
    from livestyle.sources.live import Pausable
    from livestyle.streaming.pipeline import Pipeline
    from livestyle.streaming.smoothing import Smoothing
    from livestyle.stylizer import Stylizer

DEMO_SIZE = (640, 360)
NOTHING_SHOWN: dict[str, Any] = {
    "captured": 0,
    "frames": 0,
    "dropped": 0,
    "failed": 0,
    "fps": 0.0,
    "median_delay_ms": None,
    "recordings": [],
    "kept": [],
    "pictures": [],
    "notes": [],
    "damage": [],
    "errors": [],
}
"""The summary of a run that ends before its first frame."""


@dataclass(frozen=True)
class Parts:
    """What takes its time to open."""

    source: "Pausable"
    stylizer: "Stylizer"
    styles: list[str]

    def close(self) -> None:
        self.stylizer.close()
        self.source.close()


@click.command(
    cls=Command,
    examples=["livestyle webcam --style scream --mirror", "livestyle webcam --camera rtsp://192.168.1.20/live --record out.mp4"],
)
@click.option("--camera", default="0", show_default=True, help="An index, a device, a URL, a video file, or `demo`.")
@click.option("--list-cameras", is_flag=True, help="List the cameras, and end.")
@size_option
@click.option("--mirror", is_flag=True, help="Swap left and right.")
@click.option("--record", type=click.Path(path_type=Path), metavar="OUT.mp4", help="Record; works without a display too.")
@click.option("--seconds", type=TimeType(above_zero=True), metavar="TIME", help="End after so long; default: when you quit.")
@style_option
@look_options
@smooth_option
@overwrite_options
@report_options
def webcam(
    camera: str,
    list_cameras: bool,
    size: Size | None,
    mirror: bool,
    record: Path | None,
    seconds: Fraction | None,
    style: str,
    model: str,
    device: str,
    strength: float,
    keep_colors: bool,
    smooth: float,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Paint a camera's picture in a window, live.

    Keys: 1-9 pick a style, n and p the next and the previous one, + and - the strength, c the colours,
    space pauses, s saves a picture, r records (both in this folder), f full screen, i the status line,
    h help, q or Esc quits.
    """
    # first of all: after `import av` OpenCV's windows would hang
    from livestyle.sinks.window import NoWindow, Window, check_display

    if list_cameras:
        return _list_cameras(as_json)
    may_replace = False
    if record is not None:
        if _is_file(camera):
            with suppress(OSError):  # a name that no file can have
                refuse_same_file(Path(camera), record)
        may_replace = may_write(record, overwrite)
    has_display = True
    try:
        check_display("to work without one, use --record out.mp4")
    except DeviceError as error:
        if record is None:
            raise
        has_display = False
        tell([f"{str(error).split(';')[0]}; recording without a window, Ctrl-C ends it"], quiet)
    screen: Screen = Window("livestyle") if has_display else NoWindow()

    from livestyle.cli.session import load
    from livestyle.interrupt import ctrl_c_noted
    from livestyle.streaming.channel import Channel
    from livestyle.streaming.pipeline import JOIN_TIMEOUT_SECONDS
    from livestyle.streaming.smoothing import smoothing

    def open_parts() -> "Iterator[str | Parts]":
        """The parts, after a line for each step. They are closed again if nobody takes them."""
        from livestyle.sources.live import Mirrored, Pausable

        with ExitStack() as opened:
            yield f"camera {hide_passwords(camera)}"
            source = opened.enter_context(closing(open_source(camera, size)))
            yield f"style {style}"
            stylizer = opened.enter_context(open_stylizer(style, model, device, strength, keep_colors, quiet))
            styles = stylizer.load_all()
            width, height = source.info.width, source.info.height
            yield f"{stylizer.engine.name} at {width}x{height}"
            stylizer.warm_up(height, width)
            yield Parts(Pausable(Mirrored(source) if mirror else source), stylizer, styles)
            opened.pop_all()

    def start_recording(recorder: "Recorder") -> None:
        if record is not None:
            recorder.start(record, may_replace)

    def report(summary: dict[str, Any], print_object: Callable[[dict[str, Any]], None] = print_json) -> int:
        return _report(summary, print_object if as_json else None, quiet)

    with closing(screen), ctrl_c_noted() as interrupted:
        with Channel(open_parts(), 1, join_timeout_seconds=JOIN_TIMEOUT_SECONDS) as loading:
            try:
                parts = load(loading, screen, interrupted)
            except Exception:
                report(NOTHING_SHOWN)
                raise
        if parts is None:
            code = report(NOTHING_SHOWN)
        else:
            code = _show(parts, screen, start_recording, seconds, smoothing(smooth), interrupted, report, debug)
        if interrupted():
            raise KeyboardInterrupt
        return code


def _show(
    parts: Parts,
    screen: "Screen",
    start_recording: "Callable[[Recorder], None]",
    seconds: Fraction | None,
    smoothing: "Smoothing",
    interrupted: Callable[[], bool],
    report: Callable[..., int],
    debug: bool,
) -> int:
    """Show and record until the end; the exit code. Raises an error that comes before the first frame."""
    from livestyle.cli import one_line
    from livestyle.cli.session import Recorder, Session
    from livestyle.sinks.window import on_lost_display
    from livestyle.streaming.looks import SwitchedLook
    from livestyle.streaming.pipeline import LIVE, Pipeline

    source, stylizer = parts.source, parts.stylizer
    screen.resize(source.info.width, source.info.height)
    recorder = Recorder(source.info)
    looks = SwitchedLook(stylizer.default_look)
    session = Session(stylizer, looks, parts.styles, source, screen, recorder)
    pipeline: Pipeline | None = None

    def end(*print_object: Callable[[dict[str, Any]], None]) -> int:
        session.finish()
        return report(_summary(parts, session, recorder, pipeline), *print_object)

    def end_process() -> NoReturn:
        session.fail("the display has closed the connection; does its server still run?")
        code = end(write_json)  # at once: the command will not return
        sys.stdout.flush()
        os._exit(code)

    try:
        start_recording(recorder)
        pipeline = Pipeline(source, stylizer.engine, looks, LIVE, smoothing)
        with pipeline, on_lost_display(end_process):
            session.run(pipeline, seconds, interrupted)
    except Exception as error:
        if not session.meter.frames:
            end()
            raise
        if debug:
            traceback.print_exc()
        session.fail(one_line(error))
    finally:
        if pipeline is None or not pipeline.is_stuck:
            parts.close()
    return end()


def open_source(camera: str, size: Size | None) -> "Source":
    """What --camera names, at its own speed."""
    from livestyle.sources.camera import Camera
    from livestyle.sources.demo import DemoScene
    from livestyle.sources.live import Paced
    from livestyle.sources.video.file import open_video

    def fitted(width: int, height: int) -> tuple[int, int]:
        return fit_size(width, height, size)

    if camera == "demo":
        return Paced(DemoScene(*fitted(*DEMO_SIZE)))
    if _is_file(camera):
        return Paced(open_video(Path(camera), size=fitted))
    ask = None if size is None else (size[0] or round(size[1] * 16 / 9), size[1])
    source = Camera(camera, ask=ask, size=fitted)
    return source if source.info.live else Paced(source)


def _is_file(camera: str) -> bool:
    """Whether --camera names a file, or would if it were there: no index, URL or device."""
    path = Path(camera)
    if not camera or camera.isdecimal() or "://" in camera:
        return False
    try:
        return not path.is_char_device() and (path.exists() or bool(path.suffix))
    except OSError:  # a name that no file can have; opening it says why
        return True


def _list_cameras(as_json: bool) -> int:
    from livestyle.sources.camera import find_cameras

    cameras = find_cameras()
    if as_json:
        print_json({"cameras": [vars(camera) for camera in cameras]})
        return 0
    for camera in cameras:
        print_line(camera)
    if not cameras:
        print_line("no camera found; --camera demo is a moving scene drawn by code", err=True)
    return 0


def _summary(parts: Parts, session: "Session", recorder: "Recorder", pipeline: "Pipeline | None") -> dict[str, Any]:
    meter = session.meter
    captured, failed = (pipeline.captured, pipeline.failed) if pipeline is not None else (0, 0)
    return {
        "captured": captured,
        "frames": meter.frames,
        "dropped": captured - meter.frames - failed,  # with those that were on their way at the end
        "failed": failed,
        "fps": round(meter.mean_fps, 2),
        "median_delay_ms": meter.median_delay_ms,
        "recordings": [str(path) for path in recorder.paths],
        "kept": [str(path) for path in recorder.kept],
        "pictures": [str(path) for path in session.pictures],
        "notes": parts.source.notes + parts.stylizer.engine.notes + recorder.notes,
        "damage": parts.source.damage + recorder.damage,
        "errors": session.errors,
    }


def _report(summary: dict[str, Any], print_object: Callable[[dict[str, Any]], None] | None, quiet: bool) -> int:
    """Print the summary, as an object by that function or for a person; the exit code."""
    tell(summary["notes"], quiet)
    for line in summary["damage"]:
        print_line(f"damaged: {line}", err=True)
    if print_object is not None:
        print_object(summary)
    elif summary["captured"] and not quiet:
        delay = "" if summary["median_delay_ms"] is None else f", {summary['median_delay_ms']} ms from camera to window"
        counts = f"{summary['frames']} of {summary['captured']} frames shown, {summary['dropped']} dropped"
        counts += f", {summary['failed']} failed" if summary["failed"] else ""
        print_line(f"{counts}, {summary['fps']:.1f} fps{delay}", err=True)
        for path in summary["recordings"] + summary["pictures"]:
            print_line(path, err=True)
    return 1 if summary["damage"] or summary["errors"] else 0
