"""The command `livestyle video`."""

import re
import shlex
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    TimeType,
    add_to_summary,
    compare_option,
    counted,
    look_options,
    may_write,
    only_option,
    open_stylizer,
    overwrite_options,
    print_error,
    print_line,
    print_notes,
    report_options,
    size_option,
    smooth_option,
    style_option,
    with_advice,
)
from livestyle.cli.progress import progress_bar
from livestyle.errors import InputError, LivestyleError, OutputError
from livestyle.output_file import make_folders, refuse_same_file
from livestyle.size import Size

if TYPE_CHECKING:
    from livestyle.jobs.video import VideoJob, VideoResult


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
@compare_option
@only_option
@size_option
@click.option("--start", type=TimeType(), default="0", metavar="TIME", help="Start at this time: 90, 1:30 or 1m30s.")
@click.option("--duration", type=TimeType(above_zero=True), metavar="TIME", help="Paint only this much of the input.")
@click.option("--no-deinterlace", is_flag=True, help="Do not deinterlace interlaced video.")
@click.option("--codec", help="h264, hevc, av1 or vp9; default: h264, or vp9 in WebM.")
@click.option("--crf", type=click.IntRange(0, 63), default=18, show_default=True, help="Lower: better quality, larger file.")
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
    compare: bool,
    only: str | None,
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

    Sound, subtitles and frame times are kept. Until a video is complete, it is written to NAME.partial.EXT,
    which is playable however the run ends.
    """
    from livestyle.jobs.video import VideoJob, run_video

    pairs = plan(list(paths), output)
    if skip_existing:
        pairs = [(source, target) for source, target in pairs if not target.exists()]
        print_notes([] if pairs else ["nothing to do: every output exists"], quiet)
    files: list[dict[str, Any]] = []
    failed: list[str] = []
    add_to_summary({"files": files, "failed": failed})
    if not pairs:
        return 0
    with open_stylizer(style, model, device, strength, keep_colors, quiet) as stylizer:
        for source, target in pairs:
            try:
                refuse_same_file(source, target)
                may_replace = may_write(target, overwrite)
                if output:
                    make_folders([target])
                job = VideoJob(
                    source=source,
                    target=target,
                    style=style,
                    strength=strength,
                    keep_colors=keep_colors,
                    smooth=smooth,
                    compare=compare,
                    only=only,
                    size=size,
                    start_seconds=start,
                    duration_seconds=duration,
                    deinterlace=not no_deinterlace,
                    codec=codec,
                    crf=crf,
                    preset=preset,
                    pix_fmt=pix_fmt,
                    overwrite=may_replace,
                )
                with progress_bar(quiet) as show:
                    result = run_video(job, stylizer, show)
            except LivestyleError as error:
                failed.append(f"{source}: {error}")
                if len(pairs) == 1:
                    raise
                print_error(error, with_advice(error))
                continue
            files.append(describe(job, result))
            report(job, result, quiet)
    if failed and not files:
        add_to_summary({"error": f"none of the {len(pairs)} videos could be painted"})
        return 2
    return 1 if failed or any(file["damage"] for file in files) else 0


def describe(job: "VideoJob", result: "VideoResult") -> dict[str, Any]:
    """The JSON object of a painted video."""
    return {
        "input": str(job.source),
        "output": str(job.target),
        "frames": result.frames,
        "width": result.width,
        "height": result.height,
        "seconds": round(result.seconds, 3),
        "fps": round(result.fps, 2),
        "notes": list(result.notes),
        "damage": list(result.damage),
    }


def report(job: "VideoJob", result: "VideoResult", quiet: bool) -> None:
    """Print a painted video's notes, its damage, and a line of figures."""
    print_notes(result.notes, quiet)
    for line in result.damage:
        print_line(f"damaged: {job.source}: {line}", err=True)
    if not quiet:
        print_line(
            f"{job.target}: {counted(result.frames, 'frame')}, {result.width}x{result.height}, "
            f"in {result.seconds:.1f} s ({result.fps:.1f} fps)",
            err=True,
        )


def plan(paths: list[Path], output: Path | None) -> list[tuple[Path, Path]]:
    """Each input, paired with its output. Raises OutputError or InputError if the names do not fit together."""
    from livestyle.jobs.video import find_videos, target_in
    from livestyle.pictures.formats import READ_SUFFIXES

    for path in paths if output else paths[:-1] or paths:
        check_input(path)
    if output is None:
        if len(paths) == 1:
            raise OutputError("name the output too: livestyle video INPUT OUTPUT, or INPUT -o FOLDER")
        if paths[0].is_dir():
            raise OutputError(f"{paths[0]} is a folder; name the folder for its paintings with -o FOLDER")
        if len(paths) > 2:
            raise_if_pictures(paths[:-1])
            raise OutputError(f"{len(paths)} names without -o; to paint several inputs, name the folder for them with -o FOLDER")
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
        inside = find_videos(path)
        if not inside:
            picture = next((entry for entry in sorted(path.iterdir()) if entry.suffix.lower() in READ_SUFFIXES), None)
            raise sequence_error(path / f"*{picture.suffix}") if picture else InputError(f"no videos in the folder {path}")
        inputs += inside
    pairs = [(path, target_in(output, path)) for path in inputs]
    targets = [target for _, target in pairs]
    shared = next((target for target in targets if targets.count(target) > 1), None)
    if shared:
        raise OutputError(f"several inputs would be written to {shared}; paint them one by one")
    return pairs


def check_input(path: Path) -> None:
    """Raise InputError, with advice, if an input does not exist and is stdin, a URL or a pattern of names."""
    if path.exists():
        return
    if path == Path("-"):
        raise InputError("video cannot read stdin; write the video to a file, and name that")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # not printed: it may contain a password
        raise InputError(
            "video reads files, not URLs; download it first (yt-dlp URL), or paint the stream live: "
            "livestyle webcam --camera URL --record out.mp4"
        )
    from livestyle.pictures.formats import READ_SUFFIXES

    if path.suffix.lower() in READ_SUFFIXES and re.search(r"%\d*d|[*?[]", path.name):
        raise sequence_error(path)
    if re.search(r"[*?[]", path.name):
        raise InputError(f"no file matches {path}; leave out the quotes, or name a folder: livestyle video FOLDER -o FOLDER")


def raise_if_pictures(paths: list[Path]) -> None:
    """Raise InputError if all paths are pictures, which is what the command gets when the shell expands frames/*.png."""
    from livestyle.pictures.formats import READ_SUFFIXES

    if all(path.suffix.lower() in READ_SUFFIXES for path in paths):
        raise sequence_error(paths[0].parent / f"*{paths[0].suffix}")


def sequence_error(path: Path) -> InputError:
    """The error if an input is a sequence of pictures. path: their pattern, with %04d or *."""
    pattern = "" if "%" in path.name else "-pattern_type glob "
    return InputError(
        f"{path} is a sequence of pictures; make a video of it: ffmpeg -framerate 25 {pattern}-i {shlex.quote(str(path))} "
        f"-crf 10 frames.mp4; or paint each: livestyle image {shlex.quote(str(path.parent))} -o FOLDER"
    )


def check_output(path: Path) -> None:
    """Raise OutputError, with advice, if an output is stdout, a GIF or a picture."""
    if path == Path("-"):
        raise OutputError("video cannot write to stdout; name a file such as out.mp4")
    if path.suffix.lower() in (".gif", ".png", ".jpg", ".jpeg", ".webp"):
        raise OutputError(f"cannot write {path}; write out.mp4, then: ffmpeg -i out.mp4 {shlex.quote(str(path))}")
