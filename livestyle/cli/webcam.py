"""livestyle webcam"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from livestyle.cli.options import (
    Size,
    fit_size,
    look_options,
    may_write,
    open_stylizer,
    overwrite_options,
    print_json,
    refuse_same_file,
    report_options,
    size_option,
    smooth_option,
    style_option,
    tell,
)
from livestyle.errors import DeviceError

if TYPE_CHECKING:
    from livestyle.cli.session import Recorder, Session
    from livestyle.frame import Source
    from livestyle.sinks.window import Screen

DEMO_SIZE = (640, 360)


@click.command()
@click.option("--camera", default="0", show_default=True, help="An index, a device, a URL, a video file, or `demo`.")
@click.option("--list-cameras", is_flag=True, help="List the cameras, and end.")
@size_option
@click.option("--mirror", is_flag=True, help="Swap left and right.")
@click.option("--record", type=click.Path(path_type=Path), metavar="OUT.mp4", help="Record; works without a display too.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after so long; default: when you quit.")
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
    seconds: float | None,
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
    space pauses, s saves a picture, r records (both in this folder), f full screen, h help, q or Esc quits.
    """
    # first of all: after `import av` OpenCV's windows would hang
    from livestyle.sinks.window import NoWindow, Window, check_display

    if list_cameras:
        return _list_cameras(as_json)
    if record is not None:
        refuse_same_file(Path(camera), record)
        may_write(record, overwrite)
    has_display = True
    try:
        check_display()
    except DeviceError as error:
        if record is None:
            raise
        has_display = False
        tell([f"{str(error).split(';')[0]}; recording without a window, Ctrl-C ends it"], quiet)

    source = open_source(camera, size)
    try:
        from livestyle.cli.session import Recorder, Session
        from livestyle.pipeline import LIVE, Pipeline
        from livestyle.smoothing import smoothing
        from livestyle.sources.live import Mirrored, Pausable

        pausable = Pausable(Mirrored(source) if mirror else source)
        with open_stylizer(style, model, device, strength, keep_colors, quiet) as stylizer:
            styles = stylizer.load_all()
            stylizer.warm_up(source.info.height, source.info.width)
            recorder = Recorder(source.info)
            screen: Screen = Window("livestyle", source.info.width, source.info.height) if has_display else NoWindow()
            session = Session(stylizer, styles, pausable, screen, recorder)
            dropped = 0
            try:
                if record is not None:
                    recorder.start(record)
                with Pipeline(pausable, stylizer, LIVE, smoothing(smooth)) as pipeline:
                    try:
                        session.run(pipeline, seconds)
                    finally:
                        dropped = pipeline.dropped
            except BaseException as error:
                recorder.stop(error)
                raise
            else:
                recorder.stop()
            finally:
                screen.close()
                tell(source.notes + stylizer.engine.notes + recorder.notes + source.damage, quiet)
                if session.meter.frames or as_json:
                    _report(session, recorder, dropped, as_json, quiet)
    finally:
        source.close()
    return 1 if source.damage else 0


def open_source(camera: str, size: Size | None) -> "Source":
    """What --camera names, at its own speed."""
    from livestyle.sources.camera import Camera
    from livestyle.sources.demo import DemoScene
    from livestyle.sources.live import Paced
    from livestyle.sources.video import VideoFile

    def fitted(width: int, height: int) -> tuple[int, int]:
        return fit_size(width, height, size)

    if camera == "demo":
        return Paced(DemoScene(*fitted(*DEMO_SIZE)))
    path = Path(camera)
    is_number_or_url = camera.isdecimal() or "://" in camera
    if not is_number_or_url and not path.is_char_device() and (path.exists() or path.suffix):
        return Paced(VideoFile(path, size=fitted))
    ask = None if size is None else (size[0] or round(size[1] * 16 / 9), size[1])
    source = Camera(camera, ask=ask, size=fitted)
    return source if source.info.live else Paced(source)


def _list_cameras(as_json: bool) -> int:
    from livestyle.sources.camera import find_cameras

    cameras = find_cameras()
    if as_json:
        print_json({"cameras": [vars(camera) for camera in cameras]})
        return 0
    for camera in cameras:
        click.echo(str(camera))
    if not cameras:
        click.echo("no camera found; --camera demo is a moving scene drawn by code", err=True)
    return 0


def _report(session: "Session", recorder: "Recorder", dropped: int, as_json: bool, quiet: bool) -> None:
    """The summary."""
    meter = session.meter
    if as_json:
        print_json(
            {
                "frames": meter.frames,
                "dropped": dropped,
                "fps": round(meter.mean_fps, 2),
                "median_delay_ms": meter.median_delay_ms,
                "recordings": [str(path) for path in recorder.paths],
                "pictures": [str(path) for path in session.pictures],
            }
        )
    elif not quiet:
        delay = "" if meter.median_delay_ms is None else f", {meter.median_delay_ms} ms from camera to window"
        click.echo(f"{meter.frames} frames, {dropped} dropped, {meter.mean_fps:.1f} fps{delay}", err=True)
        for path in recorder.paths + session.pictures:
            click.echo(str(path), err=True)
