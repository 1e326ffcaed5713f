"""livestyle video"""

import re
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

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
from livestyle.errors import InputError, LivestyleError, OutputError
from livestyle.output_file import is_partial

if TYPE_CHECKING:
    from livestyle.frame import Frame, Source
    from livestyle.pipeline import Pipeline
    from livestyle.sinks.video import VideoWriter
    from livestyle.smoothing import Smoothing
    from livestyle.stylizer import Stylizer

SUFFIXES = (".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")
"""What counts as a video in a folder; a file that is named is tried whatever it is called."""

POLL_SECONDS = 0.1  # how soon Ctrl-C is noticed while no frame comes


class TimeType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """Seconds, or [h:]m:s -> exact seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        match = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,9}(?:\.\d{1,9})?)", str(value))
        if not match:
            self.fail(f"{value!r} is not a time; write seconds (12.5), or 1:02:03.5", param, ctx)
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + Fraction(match[3])


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A folder for several inputs, or a file for one.")
@style_option
@look_options
@smooth_option
@size_option
@click.option("--start", type=TimeType(), default="0", help="Leave out what is before; the first frame kept is at 0.")
@click.option("--duration", type=TimeType(), help="How much to paint.")
@click.option("--codec", help="h264, hevc, av1 or vp9; default: what suits the container.")
@click.option("--crf", type=click.IntRange(0, 63), default=18, show_default=True, help="Quality, 0 the best.")
@click.option("--preset", help="The encoder's own, for example veryfast, medium, slow.")
@click.option("--pix-fmt", help="For example yuv444p, which keeps odd sizes; default yuv420p.")
@click.option("--skip-existing", is_flag=True, help="Leave inputs alone whose output is there.")
@overwrite_options
@report_options
def video(
    paths: tuple[Path, ...],
    output: Path | None,
    style: str,
    model: str,
    device: str,
    strength: float,
    keep_colors: bool,
    smooth: float,
    size: Size | None,
    start: Fraction,
    duration: Fraction | None,
    codec: str | None,
    crf: int,
    preset: str | None,
    pix_fmt: str | None,
    skip_existing: bool,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Paint video files: INPUT OUTPUT, or several inputs or a folder with -o FOLDER.

    While it runs the output is NAME.partial.EXT; what is in it plays whenever the run ends.
    """
    from livestyle.sinks.video import VideoWriter
    from livestyle.smoothing import smoothing
    from livestyle.sources.video import VideoFile

    jobs = plan(list(paths), output)
    if skip_existing:
        jobs = [(source, target) for source, target in jobs if not target.exists()]
    summaries: list[dict[str, Any]] = []
    failed: list[str] = []
    with open_stylizer(style, model, device, strength, keep_colors, quiet) as stylizer:
        for source_path, target in jobs:
            try:
                refuse_same_file(source_path, target)
                may_replace = may_write(target, overwrite)
                source = VideoFile(
                    source_path,
                    start_seconds=start,
                    duration_seconds=duration,
                    size=lambda width, height: fit_size(width, height, size),
                    for_gpu=stylizer.engine.takes_nv12 and pix_fmt in (None, "yuv420p") and not smooth,
                )
                try:
                    target.parent.mkdir(parents=True, exist_ok=True) if output else None
                    sink = VideoWriter(
                        target,
                        source.info,
                        sound_from=source_path,
                        codec=codec,
                        crf=crf,
                        preset=preset,
                        pix_fmt=pix_fmt,
                        duration_seconds=duration,
                        on_gpu=stylizer.engine.takes_nv12,
                        overwrite=may_replace,
                    )
                except BaseException:
                    source.close()
                    raise
                summary = paint_file(source, stylizer, sink, quiet, smoothing(smooth))
            except LivestyleError as error:
                if len(jobs) == 1:
                    raise
                failed.append(f"{source_path}: {error}")
                click.echo(f"livestyle: {error}", err=True)
                continue
            summaries.append({"input": str(source_path), "output": str(target), **summary})
            tell(summary["notes"], quiet)
            for line in summary["damage"]:
                click.echo(f"damaged: {source_path}: {line}", err=True)
            if not quiet:
                click.echo(
                    f"{target}: {summary['frames']} frames, {summary['width']}x{summary['height']}, "
                    f"in {summary['seconds']:.1f} s ({summary['fps']:.1f} fps)",
                    err=True,
                )
    if as_json:
        print_json({"files": summaries, "failed": failed})
    if failed and not summaries:
        return 2
    return 1 if failed or any(summary["damage"] for summary in summaries) else 0


def plan(paths: list[Path], output: Path | None) -> list[tuple[Path, Path]]:
    """Each input with its output. Raises OutputError or InputError for words that do not fit together."""
    if output is None:
        if len(paths) != 2:
            raise OutputError("name one input and one output, or several inputs and -o FOLDER")
        if paths[0].is_dir():
            raise OutputError(f"{paths[0]} is a folder; name the folder for its paintings with -o FOLDER")
        return [(paths[0], paths[1])]
    if len(paths) == 1 and not paths[0].is_dir() and output.suffix and not output.is_dir():
        return [(paths[0], output)]
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; several inputs need a folder")
    inputs: list[Path] = []
    for path in paths:
        if not path.is_dir():
            inputs.append(path)
            continue
        inside = sorted(
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in SUFFIXES
            and not entry.name.startswith(".")  # ._NAME is what macOS keeps beside a file, on disks of others
            and not is_partial(entry)
        )
        if not inside:
            raise InputError(f"no videos in the folder {path}")
        inputs += inside
    from livestyle.sinks.video import CONTAINERS

    jobs = [(path, output / (path.name if path.suffix.lower() in CONTAINERS else f"{path.stem}.mp4")) for path in inputs]
    targets = [target for _, target in jobs]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice:
        raise OutputError(f"several inputs would be written to {twice}; paint them one by one")
    return jobs


def paint_file(
    source: "Source", stylizer: "Stylizer", sink: "VideoWriter", quiet: bool, smoothing: "Smoothing | None" = None
) -> dict[str, Any]:
    """Paint one file and return the summary. After an error or Ctrl-C what was painted stays, playable, as `sink.kept`."""
    from livestyle.interrupt import ctrl_c_noted, ctrl_c_raised
    from livestyle.pipeline import Pipeline, offline

    started = time.monotonic()
    info = source.info
    frames = 0
    with ctrl_c_noted() as interrupted:  # to the end: Ctrl-C while the file is completed loses nothing
        try:
            with tqdm(total=info.frame_count, disable=quiet or None, unit="frame", dynamic_ncols=True, desc="warming up") as bar:
                with ctrl_c_raised():  # it may take long, and nothing was written yet
                    batch = stylizer.best_batch(info.frame_shape)
                with Pipeline(source, stylizer, offline(batch), smoothing) as pipeline:
                    bar.set_description("painting")
                    for frame in polled(pipeline, interrupted):
                        sink.write(frame)
                        frames += 1
                        bar.update()
            sink.close()
        except BaseException as error:
            source.close()
            sink.close(error)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(f"interrupted; {sink.remains}") from None
            if sink.kept and not isinstance(error, OutputError):  # which says so itself
                click.echo(f"livestyle: {sink.remains}", err=True)
            raise
        if interrupted():
            raise KeyboardInterrupt(f"interrupted when {sink.path} was complete")
    seconds = time.monotonic() - started
    return {
        "frames": frames,
        "width": info.width,
        "height": info.height,
        "seconds": round(seconds, 3),
        "fps": round(frames / seconds, 2),
        "notes": source.notes + stylizer.engine.notes + sink.notes,
        "damage": source.damage + sink.damage,
    }


def polled(pipeline: "Pipeline", interrupted: Callable[[], bool]) -> Iterator["Frame"]:
    """The painted frames to the end. Raises KeyboardInterrupt between two frames, or while none comes."""
    while not interrupted():
        try:
            frame = pipeline.poll(POLL_SECONDS)
        except StopIteration:
            return
        if frame is not None:
            yield frame
    raise KeyboardInterrupt
