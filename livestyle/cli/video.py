"""livestyle video"""

import re
import shlex
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from livestyle.cli.command import Command
from livestyle.cli.options import (
    TimeType,
    counted,
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
    with_option,
)
from livestyle.errors import InputError, LivestyleError, OutputError
from livestyle.output_file import is_partial, refuse_same_file
from livestyle.size import Size, video_size

if TYPE_CHECKING:
    from livestyle.frame import Frame, Source
    from livestyle.sinks.video.writer import VideoWriter
    from livestyle.streaming.pipeline import Pipeline
    from livestyle.streaming.smoothing import Smoothing
    from livestyle.stylizer import Stylizer

VIDEO_SUFFIXES = (
    *(".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""What counts as a video in a folder; a file that is named is tried whatever it is called."""

POLL_SECONDS = 0.1  # how soon Ctrl-C is noticed while no frame comes


@click.command(
    cls=Command,
    examples=[
        "livestyle video in.mp4 out.mp4 --style scream --size 720p",
        "livestyle video clips/ -o painted/ --skip-existing",
    ],
)
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output file for one input, or folder for several.")
@style_option
@look_options
@smooth_option
@size_option
@click.option("--start", type=TimeType(), default="0", metavar="TIME", help="Start here: 90, 1:30 or 1m30s.")
@click.option("--duration", type=TimeType(above_zero=True), metavar="TIME", help="Paint only this much.")
@click.option("--no-deinterlace", is_flag=True, help="Keep interlaced video as it is.")
@click.option("--codec", help="h264, hevc, av1 or vp9; default: h264, in WebM vp9.")
@click.option("--crf", type=click.IntRange(0, 63), default=18, show_default=True, help="Quality; lower is better and larger.")
@click.option("--preset", help="Preset of the encoder, for example veryfast, medium, slow.")
@click.option("--pix-fmt", help="Pixel format; default: yuv420p. yuv444p keeps odd sizes.")
@click.option("--skip-existing", is_flag=True, help="Skip inputs whose output exists.")
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
    no_deinterlace: bool,
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

    Sound, subtitles and frame times are kept. Until a video is complete it is written to NAME.partial.EXT,
    which can be played however the run ends.
    """
    from livestyle.sinks.video.writer import VideoWriter
    from livestyle.sources.video.file import is_animated_webp, open_video
    from livestyle.streaming.smoothing import smoothing

    jobs = plan(list(paths), output)
    if skip_existing:
        all_jobs, jobs = jobs, [(source, target) for source, target in jobs if not target.exists()]
        tell([] if jobs else [f"nothing to do: {counted(len(all_jobs), 'output')} exist already"], quiet)
    summaries: list[dict[str, Any]] = []
    failed: list[str] = []
    print_json({"files": summaries, "failed": failed})
    if not jobs:
        return 0
    with open_stylizer(style, model, device, strength, keep_colors, quiet) as stylizer:
        for source_path, target in jobs:
            try:
                refuse_same_file(source_path, target)
                may_replace = may_write(target, overwrite)
                make_folder(target.parent) if output else None
                source = open_video(
                    source_path,
                    start_seconds=start,
                    duration_seconds=duration,
                    deinterlace=not no_deinterlace,
                    size=lambda width, height: video_size(width, height, size),
                    for_gpu=stylizer.engine.takes_nv12 and pix_fmt in (None, "yuv420p") and not smooth,
                    gpu=stylizer.engine.gpu,
                )
                open_sink = partial(
                    VideoWriter,
                    target,
                    source.info,
                    sound_from=None if is_animated_webp(source_path) else source_path,
                    codec=codec,
                    crf=crf,
                    preset=preset,
                    pix_fmt=pix_fmt,
                    duration_seconds=duration,
                    on_gpu=stylizer.engine.takes_nv12,
                    gpu=stylizer.engine.gpu,
                    overwrite=may_replace,
                )
                summary = paint_file(source, stylizer, open_sink, quiet, smoothing(smooth))
            except LivestyleError as error:
                failed.append(f"{source_path}: {error}")
                if len(jobs) == 1:
                    raise
                print_line(f"livestyle: {with_option(error)}", err=True)
                continue
            summaries.append({"input": str(source_path), "output": str(target), **summary})
            tell(summary["notes"], quiet)
            for line in summary["damage"]:
                print_line(f"damaged: {source_path}: {line}", err=True)
            if not quiet:
                print_line(
                    f"{target}: {counted(summary['frames'], 'frame')}, {summary['width']}x{summary['height']}, "
                    f"in {summary['seconds']:.1f} s ({summary['fps']:.1f} fps)",
                    err=True,
                )
    if failed and not summaries:
        print_json({"error": f"none of the {len(jobs)} videos could be painted"})
        return 2
    return 1 if failed or any(summary["damage"] for summary in summaries) else 0


def plan(paths: list[Path], output: Path | None) -> list[tuple[Path, Path]]:
    """Each input with its output. Raises OutputError or InputError for words that do not fit together."""
    for path in paths if output else paths[:-1] or paths:
        check_input(path)
    if output is None:
        if len(paths) == 1:
            raise OutputError("name the output too: livestyle video INPUT OUTPUT, or INPUT -o FOLDER")
        if paths[0].is_dir():
            raise OutputError(f"{paths[0]} is a folder; name the folder for its paintings with -o FOLDER")
        if len(paths) > 2:
            raise_if_pictures(paths[:-1])
            raise OutputError(f"{len(paths)} names are several inputs; name the folder for their paintings with -o FOLDER")
        check_output(paths[1])
        return [(paths[0], paths[1])]
    check_output(output)
    if len(paths) == 1 and not paths[0].is_dir() and output.suffix and not output.is_dir():
        return [(paths[0], output)]
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; several inputs need a folder")
    if len(paths) > 1:
        raise_if_pictures(paths)
    inputs: list[Path] = []
    for path in paths:
        if not path.is_dir():
            inputs.append(path)
            continue
        inside = sorted(
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in VIDEO_SUFFIXES
            and not entry.name.startswith(".")  # ._NAME is what macOS keeps beside a file, on disks of others
            and not is_partial(entry)
        )
        if not inside:
            from livestyle.pictures.reading import READ_SUFFIXES as PICTURES

            picture = next((entry for entry in sorted(path.iterdir()) if entry.suffix.lower() in PICTURES), None)
            raise sequence_error(path / f"*{picture.suffix}") if picture else InputError(f"no videos in the folder {path}")
        inputs += inside
    from livestyle.sinks.video.containers import CONTAINERS

    jobs = [(path, output / (path.name if path.suffix.lower() in CONTAINERS else f"{path.stem}.mp4")) for path in inputs]
    targets = [target for _, target in jobs]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice:
        raise OutputError(f"several inputs would be written to {twice}; paint them one by one")
    return jobs


def check_input(path: Path) -> None:
    """Raises InputError, which says what to do, for what other programs take as an input and is no file."""
    if path.exists():
        return
    if path == Path("-"):
        raise InputError("video cannot read stdin; write the video to a file, and name that")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # not printed: it may hold a password
        raise InputError(
            "video reads files, not URLs; download it first (yt-dlp URL), or paint the stream live: "
            "livestyle webcam --camera URL --record out.mp4"
        )
    from livestyle.pictures.reading import READ_SUFFIXES as PICTURES

    if path.suffix.lower() in PICTURES and re.search(r"%\d*d|[*?[]", path.name):
        raise sequence_error(path)
    if re.search(r"[*?[]", path.name):
        raise InputError(f"no file matches {path}; leave out the quotes, or name a folder: livestyle video FOLDER -o FOLDER")


def raise_if_pictures(paths: list[Path]) -> None:
    """Raises InputError if all are pictures: frames/*.png, as the shell gives it."""
    from livestyle.pictures.reading import READ_SUFFIXES as PICTURES

    if all(path.suffix.lower() in PICTURES for path in paths):
        raise sequence_error(paths[0].parent / f"*{paths[0].suffix}")


def sequence_error(path: Path) -> InputError:
    """For pictures that are the frames of a video, as a pattern with %04d or *."""
    pattern = "" if "%" in path.name else "-pattern_type glob "
    return InputError(
        f"{path} is a sequence of pictures; make a video of it: ffmpeg -framerate 25 {pattern}-i {shlex.quote(str(path))} "
        f"-crf 10 frames.mp4; or paint each: livestyle image {shlex.quote(str(path.parent))} -o FOLDER"
    )


def check_output(path: Path) -> None:
    """Raises OutputError, which says what to do, for what other programs take as an output and is no video file."""
    if path == Path("-"):
        raise OutputError("video cannot write to stdout; name a file such as out.mp4")
    if path.suffix.lower() in (".gif", ".png", ".jpg", ".jpeg", ".webp"):
        raise OutputError(f"cannot write {path}; write out.mp4, then: ffmpeg -i out.mp4 {shlex.quote(str(path))}")


def make_folder(path: Path) -> None:
    """Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}") from error


def paint_file(
    source: "Source",
    stylizer: "Stylizer",
    open_sink: "Callable[[], VideoWriter]",
    quiet: bool,
    smoothing: "Smoothing | None" = None,
) -> dict[str, Any]:
    """Paint one file, close it, and return the summary.

    After an error or Ctrl-C what was painted stays, playable, under the partial name, which the message tells.
    """
    from livestyle.interrupt import ctrl_c_noted, ctrl_c_raised
    from livestyle.streaming.looks import ConstantLook
    from livestyle.streaming.pipeline import Pipeline, offline

    started = time.monotonic()
    info = source.info
    frames = 0
    sink: VideoWriter | None = None
    with ctrl_c_noted() as interrupted:  # from the partial file's creation to its completion: Ctrl-C leaves or loses nothing
        try:
            sink = open_sink()
            with tqdm(total=info.frame_count, disable=quiet or None, unit="frame", dynamic_ncols=True, desc="warming up") as bar:
                with ctrl_c_raised():  # it may take long, and nothing was written yet
                    batch = stylizer.best_batch(info.frame_shape, info.frame_count)
                looks = ConstantLook(stylizer.default_look)
                with Pipeline(source, stylizer.engine, looks, offline(batch), smoothing) as pipeline:
                    bar.set_description("painting")
                    for frame in polled(pipeline, interrupted):
                        sink.write(frame)
                        frames += 1
                        bar.update()
            sink.close()
        except BaseException as error:
            source.close()
            if sink is None:
                raise
            sink.close(error)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(f"interrupted; {sink.remains}") from None
            if sink.kept and not isinstance(error, OutputError):  # which says so itself
                print_line(f"livestyle: {sink.remains}", err=True)
            raise
        if interrupted():
            raise KeyboardInterrupt(f"interrupted when {sink.path} was complete")
    seconds = time.monotonic() - started
    return {
        "frames": frames,
        "width": sink.width,
        "height": sink.height,
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
