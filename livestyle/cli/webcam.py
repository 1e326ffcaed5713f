"""The command `livestyle webcam`."""

import traceback
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    TimeType,
    add_to_summary,
    compare_option,
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
    write_json,
)
from livestyle.errors import DeviceError
from livestyle.size import Size

if TYPE_CHECKING:
    from livestyle.jobs.live.cues import Show
    from livestyle.jobs.live.session import LiveResult
    from livestyle.sinks.window import Screen


@click.command(
    cls=Command,
    examples=[
        "livestyle webcam --style painting.jpg --refine",
        "livestyle webcam --camera rtsp://192.168.1.20/live --to window --to rtmp://live.example.com/app/KEY",
    ],
)
@click.option("--camera", default="0", show_default=True, help="Camera index, name or device, URL, file, screen, - or demo.")
@click.option("--list-cameras", is_flag=True, help="List the connected cameras and exit.")
@size_option
@click.option("--rate", type=click.FloatRange(0.1, 1000), metavar="FPS", help="Frames per second of screen, - or demo.")
@click.option("--loop", is_flag=True, help="Repeat a video file without end.")
@click.option("--mirror", is_flag=True, help="Swap left and right.")
@click.option("--record", type=click.Path(path_type=Path), metavar="OUT.mp4", help="Record; needs no display.")
@click.option("--to", "targets", multiple=True, metavar="OUTPUT", help="An output; may be repeated; see below. Default: window.")
@click.option("--seconds", type=TimeType(above_zero=True), metavar="TIME", help="Stop after this time; default: never.")
@click.option(
    "--sound",
    default="source",
    show_default=True,
    metavar="source|microphone|NAME|none",
    help="Whose sound to use; NAME is a part of a microphone's name; a wrong one lists them.",
)
@style_option
@look_options
@smooth_option
@compare_option
@only_option
@click.option("--fade", type=TimeType(), default="0.5", show_default=True, help="Duration of a style change; 0 cuts.")
@click.option("--playlist", metavar="STYLE:SECONDS,...", help="Show styles in turn, for as long as stated: wave:10,scream:20.")
@click.option("--shuffle", type=TimeType(above_zero=True), metavar="TIME", help="Change the style at random, this often.")
@click.option("--on-beat", type=click.IntRange(1, 64), metavar="N", help="Change the style on every N-th beat; see below.")
@click.option("--show", type=click.Path(path_type=Path), metavar="SHOW.yml", help="File of cues; see below.")
@click.option("--osc", metavar="[HOST:]PORT", help="Receive OSC messages; without HOST, from this machine only.")
@click.option("--midi", metavar="NAME", help="Follow the MIDI controller with this in its name; see below.")
@click.option("--list-controls", is_flag=True, help="List what OSC and MIDI messages change, and exit.")
@click.option("--no-skip", is_flag=True, help="Also paint frames that are about the same as the last one.")
@click.option("--refine", is_flag=True, help="Train the style of a picture while it is shown; see below.")
@overwrite_options
@report_options
def webcam(
    camera: str,
    list_cameras: bool,
    size: Size | None,
    rate: float | None,
    loop: bool,
    mirror: bool,
    record: Path | None,
    targets: tuple[str, ...],
    seconds: Fraction | None,
    sound: str,
    style: str,
    model: str,
    device: str,
    strength: float,
    keep_colors: bool,
    smooth: float,
    compare: bool,
    only: str | None,
    fade: Fraction,
    playlist: str | None,
    shuffle: Fraction | None,
    on_beat: int | None,
    show: Path | None,
    osc: str | None,
    midi: str | None,
    list_controls: bool,
    no_skip: bool,
    refine: bool,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Paint a camera live, in a window.

    Keys: 1-9 select a style, n and p the next and the previous one, b blends the last two, the left and right arrows shift
    the blend, + and - change the strength, c the colours, v shows the photo beside the painting (drag the divider), space
    pauses, s saves a picture, r records (both in the current folder), f toggles full screen, . and , paint at a larger and at a
    smaller size, h hides everything but the picture, ? shows help, q or Esc quits.

    --to OUTPUT: `window`, `window:2` (full screen on the second monitor), a video file, an rtmp://, rtmps://, rtsp:// or srt://
    address to stream to, `camera` (a virtual camera for video calls), or `-` (raw frames on stdout, for other programs). If one
    fails, the others go on. Without a window, Ctrl-C stops. --json also prints an object {"live": ...} every second.

    --camera screen paints the primary monitor, screen:2 monitor 2, and screen:640x360+100+50 a part (width x height + left +
    top). --camera - reads raw rgb24 frames of --size from standard input, at most --rate of them a second, as from:
    ffmpeg -i in.mp4 -s 640x360 -f rawvideo -pix_fmt rgb24 -

    --show SHOW.yml: cues, such as `cues: {drop: {style: "scream:.5,udnie:.5", strength: .8, fade: 2, key: d, at: 30}}`. A cue
    changes what it names: the style, the strength, keep_colors. It fires at its time, in seconds, or with its key, a small
    letter or a digit. `loop: 60` repeats the times every 60 seconds.

    --osc 9000: messages such as /livestyle/style "scream" change the look; --list-controls lists them. --midi NAME: notes and
    controllers do the same. The key l maps them: play a note or move a controller for each control that the screen names.

    --on-beat 4: the next style, or the next cue of --playlist or --show, on every fourth beat of the sound; of a microphone with
    --sound microphone. There are at most three changes a second: faster flashes can cause seizures in people with photosensitive
    epilepsy.

    --style painting.jpg --refine: the style of a picture is shown at once, trained in the background at low priority, and shown
    as it gets better. At the end it is saved with your own styles; the next run continues with it.
    """
    if sum(option is not None for option in (playlist, shuffle, show)) > 1:
        raise click.UsageError("--playlist, --shuffle and --show exclude each other")
    if on_beat is not None and shuffle is not None:
        raise click.UsageError("--on-beat and --shuffle exclude each other")
    # before anything that imports av: on Linux the window hangs if av is imported before cv2
    from livestyle.sinks.window import NoWindow, Window

    # isort: split

    from livestyle.jobs.live.outputs import STDOUT, is_file

    if list_cameras:
        return _list_cameras(as_json)
    if list_controls:
        return _list_controls(as_json)
    windows = [target for target in targets if target.partition(":")[0] == "window" and "://" not in target]
    outputs = tuple(target for target in targets if target not in windows)
    if as_json and STDOUT in outputs:
        raise click.UsageError("--json and --to - exclude each other: both write to stdout")
    files = [*([record] if record is not None else []), *(Path(target) for target in outputs if is_file(target))]
    may_replace = _may_replace(files, camera, overwrite)
    screen: Screen = NoWindow()
    if windows or not outputs:
        try:
            screen = Window("livestyle", alternative="to run without one, use --record out.mp4", monitor=_monitor(windows))
        except DeviceError as error:
            if windows or record is None:
                raise
            print_notes([f"{str(error).split(';')[0]}; recording without a window, stop with Ctrl-C"], quiet)

    from livestyle.cli import one_line
    from livestyle.jobs.live.cues import SHORTEST_SECONDS
    from livestyle.jobs.live.session import LiveJob, LiveSession

    def show_error(error: Exception) -> None:
        if debug:
            traceback.print_exception(error)
        print_error(error, one_line(error))

    def report(result: "LiveResult", print_object: Callable[[dict[str, Any]], None] = add_to_summary) -> int:
        return _report(_summary(result), print_object if as_json else None, quiet)

    job = LiveJob(
        camera=camera,
        sound=sound,
        style=style,
        size=size,
        rate=None if rate is None else Fraction(rate).limit_denominator(1001),
        loop=loop,
        mirror=mirror,
        strength=strength,
        keep_colors=keep_colors,
        smooth=smooth,
        compare=compare,
        only=only,
        fade_seconds=float(fade),
        show=_show(playlist, show),
        shuffle_seconds=None if shuffle is None else max(float(shuffle), SHORTEST_SECONDS),
        on_beat=on_beat,
        skip=not no_skip,
        refine={} if refine else None,
        osc=osc,
        midi=midi,
        seconds=seconds,
        record=record,
        outputs=outputs,
        overwrite=may_replace,
    )
    # write_json prints at once: after a lost display the process ends before the command returns
    session = LiveSession(
        job,
        screen,
        on_error=show_error,
        on_lost_display=lambda result: report(result, write_json),
        on_second=(lambda figures: write_json({"live": figures})) if as_json else lambda figures: None,
    )
    try:
        result = session.run(lambda: open_stylizer(style, model, device, strength, keep_colors, quiet))
    except (Exception, KeyboardInterrupt):
        report(session.result)
        raise
    return report(result)


def _show(playlist: str | None, file: Path | None) -> "Show":
    from livestyle.jobs.live.cues import NO_CUES
    from livestyle.jobs.live.show_file import parse_playlist, read_show

    if playlist is not None:
        return parse_playlist(playlist)
    return NO_CUES if file is None else read_show(file)


def _monitor(windows: list[str]) -> int | None:
    """The number of the monitor that the window is to cover; None if none is named."""
    if len(windows) > 1:
        raise click.BadParameter("there can be only one window", param_hint="'--to'")
    number = "".join(windows).partition(":")[2]
    if number and not (number.isdecimal() and int(number[:4]) > 0):
        raise click.BadParameter(f"{number} is not the number of a monitor; try window:2", param_hint="'--to'")
    return int(number) if number else None


def _may_replace(files: list[Path], camera: str, overwrite: bool | None) -> bool:
    """Whether files that exist may be replaced. Raises OutputError if one must not be, or is the source."""
    from livestyle.jobs.live.source import refuse_source

    for path in files:
        refuse_source(camera, path)
    replaced = [may_write(path, overwrite) for path in files]
    return any(replaced)


def _list_cameras(as_json: bool) -> int:
    from livestyle.sources.camera import find_cameras

    cameras = find_cameras()
    if as_json:
        add_to_summary({"cameras": [vars(camera) for camera in cameras]})
        return 0
    for camera in cameras:
        print_line(camera)
    if not cameras:
        print_line("no camera found; --camera demo is a moving test scene", err=True)
    return 0


def _list_controls(as_json: bool) -> int:
    from livestyle.jobs.live.remote.messages import CONTROLS
    from livestyle.jobs.live.remote.midi_mapping import mapping_path, read_mapping

    mapping = read_mapping(mapping_path())
    sources = {name: str(source) for name, source in mapping.items()}
    if as_json:
        keys = ("address", "argument", "help")
        controls = [{key: getattr(each, key) for key in keys} | {"midi": sources.get(each.name)} for each in CONTROLS]
        add_to_summary({"controls": controls})
        return 0
    for control in CONTROLS:
        midi = sources.get(control.name, "nothing") + (" and up" if control.kind == "choice" and control.name in sources else "")
        print_line(f"{control.address + ' ' + control.argument:30} {control.help} (MIDI: {midi})")
    return 0


def _summary(result: "LiveResult") -> dict[str, Any]:
    """The result, with its paths and errors as text for JSON."""
    from livestyle.cli import one_line

    paths = {"recordings": result.recordings, "kept": result.kept, "pictures": result.pictures}
    return (
        vars(result)
        | {name: [str(path) for path in group] for name, group in paths.items()}
        | {"refined": None if result.refined is None else str(result.refined)}
        | {"notes": list(result.notes), "damage": list(result.damage)}
        | {"errors": [one_line(error) for error in result.errors]}
    )


def _report(summary: dict[str, Any], print_object: Callable[[dict[str, Any]], None] | None, quiet: bool) -> int:
    """Print the summary with `print_object`, or as text if that is None. Returns the exit code."""
    print_notes(summary["notes"], quiet)
    for line in summary["damage"]:
        print_line(f"damaged: {line}", err=True)
    if print_object is not None:
        print_object(summary)
    elif summary["captured"] and not quiet:
        counts = f"{summary['frames']} shown, {summary['dropped']} dropped, {summary['failed']} failed"
        line = f"{summary['captured']} frames captured: {counts}; {summary['fps']:.1f} fps"
        if summary["median_delay_ms"] is not None:
            line += f"; delay {summary['median_delay_ms']} ms (median), {summary['p99_delay_ms']} ms (99th percentile)"
        print_line(line, err=True)
        for path in summary["recordings"] + summary["pictures"]:
            print_line(path, err=True)
    return 1 if summary["damage"] or summary["errors"] else 0
