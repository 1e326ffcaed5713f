"""livestyle demo"""

import time
from fractions import Fraction
from pathlib import Path

import click
from tqdm import tqdm

from livestyle.cli.command import Command
from livestyle.cli.options import (
    counted,
    look_options,
    may_write,
    open_stylizer,
    overwrite_options,
    print_json,
    print_line,
    report_options,
    size_option,
    tell,
)
from livestyle.errors import StyleError
from livestyle.size import Size, video_size

WIDTH, HEIGHT = 640, 360
SECONDS_PER_STYLE, CROSSFADE_SECONDS = Fraction(2), Fraction(1, 2)


@click.command(cls=Command, examples=["livestyle demo", "livestyle demo scene.mkv --size 720p --keep-colors"])
@click.argument("output", default="demo.mp4", type=click.Path(path_type=Path))
@look_options
@size_option
@overwrite_options
@report_options
def demo(
    output: Path,
    model: str,
    device: str,
    strength: float,
    keep_colors: bool,
    size: Size | None,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Paint a moving scene in every style, and write it to OUTPUT; default: demo.mp4.

    The scene is drawn by code: no camera, no file and no download is needed.
    """
    from livestyle.interrupt import ctrl_c_noted
    from livestyle.sinks.video.writer import VideoWriter
    from livestyle.sources.demo import DemoScene
    from livestyle.streaming.looks import Playlist
    from livestyle.streaming.pipeline import Pipeline, offline
    from livestyle.style_files.gallery import Gallery

    may_replace = may_write(output, overwrite)
    names = Gallery().names
    if not names:
        raise StyleError("no styles were found; train one, or install livestyle again")
    started = time.monotonic()
    with open_stylizer(names[0], model, device, strength, keep_colors, quiet, also=names) as stylizer:
        names = stylizer.load_all()
        width, height = video_size(WIDTH, HEIGHT, size)
        scene = DemoScene(width, height, seconds=float(SECONDS_PER_STYLE) * len(names))
        playlist = Playlist([stylizer.look(name) for name in names], SECONDS_PER_STYLE, CROSSFADE_SECONDS)
        with ctrl_c_noted() as interrupted:
            sink = VideoWriter(output, scene.info, overwrite=may_replace)
            try:
                with (
                    Pipeline(scene, stylizer.engine, playlist, offline(1)) as frames,
                    tqdm(total=scene.info.frame_count, disable=quiet or None, unit="frame", dynamic_ncols=True) as bar,
                ):
                    for frame in frames:
                        sink.write(frame)
                        bar.update()
                        if interrupted():  # between frames, so that none is lost
                            raise KeyboardInterrupt
                sink.close()
            except BaseException as error:
                sink.close(error)
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(f"interrupted; {sink.remains}") from None
                raise
    seconds = time.monotonic() - started
    tell(sink.notes, quiet)
    count = scene.info.frame_count
    summary = {"output": str(output), "styles": names, "frames": count, "width": sink.width, "height": sink.height}
    print_json(summary | {"seconds": round(seconds, 3)})
    if not quiet:
        print_line(f"{output}: {counted(len(names), 'style')} ({', '.join(names)}), in {seconds:.1f} s", err=True)
