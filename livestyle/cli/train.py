"""The command `livestyle train`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.command import Command
from livestyle.cli.options import TimeType, add_to_summary, counted, print_line, torch_device
from livestyle.errors import TrainingError
from livestyle.networks import ARCHITECTURES

if TYPE_CHECKING:
    from livestyle.train.loop import Summary

DEFAULT_CONF = Path("minute.yml")  # bundled; used without --conf
MADE_FOR = ", ".join(f"{each.name} for {each.made_for.upper()}s" for each in ARCHITECTURES.values())
MAX_NAMED_FILES = 3  # the number of skipped content pictures that the summary names


@click.command(
    cls=Command,
    examples=[
        "livestyle train painting.jpg --name autumn",
        "livestyle train -c conf/wave.yml --content folder/of/photos",
    ],
)
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("-c", "--conf", type=click.Path(path_type=Path), help="A conf file, or the name of a bundled one.")
@click.option("--name", "--naming", "naming", help="The style's name; default: that of the picture.")
@click.option("--content", type=click.Path(path_type=Path), help="A folder of photos, or a video.")
@click.option("--style-pictures", type=click.Path(path_type=Path), help="A folder of paintings; trains a predictor of styles.")
@click.option("--finetune", type=click.Choice(["rows", "predictor", "all"]), help="Train only this part; all: also the body.")
@click.option("--style-weight", type=click.FloatRange(0), help="Higher: more of the painting, less of the photo.")
@click.option("--loss-model", help="own (bundled), vgg_16, vgg_19, vgg_19_sixteenth or random.")
@click.option("--loss-model-file", type=click.Path(path_type=Path), help="Its weights (safetensors); VGG: for RGB 0-255.")
@click.option("--steps", type=click.IntRange(1), help="Number of steps; replaces epoch.")
@click.option(
    "--seconds",
    type=TimeType(above_zero=True),
    callback=lambda context, option, seconds: None if seconds is None else float(seconds),
    metavar="TIME",
    help="Time limit of the training: 600, 10m or 2h.",
)
@click.option("--model", type=click.Choice(list(ARCHITECTURES)), help=f"The network to train: {MADE_FOR}.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="Where to train.")
@click.option(
    "--model-path",
    type=click.Path(path_type=Path),
    help="The folder for the style and its checkpoints; default: your own styles, see `livestyle styles --help`.",
)
@click.option(
    "--preview",
    type=click.Choice(["none", "file", "window"]),
    default="none",
    show_default=True,
    help="Show the progress on a sample photo: in sample.jpg; window: also in a window.",
)
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint.")
@click.option("-y", "--overwrite", is_flag=True, help="Start again, replacing an earlier run.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON on stdout.")
@click.option("--quiet", is_flag=True, help="No progress bar, no summary.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def train(
    pictures: tuple[Path, ...],
    conf: Path | None,
    device: str,
    preview: str,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **overrides: Any,
) -> None:
    """Train new styles, from PICTURES in a minute, or with a conf file.

    With PICTURES only, one style is trained from each, on the bundled body and with the bundled loss network: no conf
    file, photos or download needed. It starts from the style that `--style PICTURE` paints. Options replace the keys of
    the conf file. Conf files of the original TensorFlow program work unchanged. Ctrl-C writes the best result so far;
    --resume continues.

    The loss curves go to log.txt in the folder that the command prints, and to TensorBoard if that is installed
    (pip install 'livestyle[tensorboard]'): tensorboard --logdir FOLDER

    Several GPUs: torchrun --nproc-per-node N -m livestyle train -c CONF
    """
    if not pictures and conf is None:
        raise click.UsageError("name a style picture: livestyle train painting.jpg --name autumn; or a conf file with -c")
    if pictures:
        overrides |= styles_from_pictures(pictures, overrides["naming"])
    if preview == "window":
        from livestyle.sinks.window import check_display

        check_display("use --preview file, which updates the run's sample.jpg")
    from livestyle.train.config import read_config
    from livestyle.train.loop import train as run

    config = read_config(conf or DEFAULT_CONF, overrides)
    try:
        summary = run(config, torch_device(device), resume=resume, overwrite=overwrite, quiet=quiet, preview=preview)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{stop}: {resume_command()}" if str(stop) else "") from stop
    if summary is None:  # not the first of several processes
        return
    if as_json:
        add_to_summary(
            {
                "styles": {name: str(path) for name, path in summary.styles.items()},
                "predictor": str(summary.predictor) if summary.predictor else None,
                "model": summary.model,
                "folder": str(summary.folder),
                "steps": summary.steps,
                "planned_steps": summary.planned_steps,
                "finished": summary.steps == summary.planned_steps,
                "seconds": round(summary.seconds, 1),
                "losses": summary.losses,
                "skipped": list(summary.skipped_pictures),
            }
        )
    elif not quiet:
        for line in [*describe_result(summary), *next_steps(summary)]:
            print_line(line, err=True)


def resume_command() -> str:
    """The command line that continues this training: the same, with --resume and without --overwrite."""
    words = [word for word in sys.argv[1:] if word not in ("-y", "--overwrite", "--resume")]
    return shlex.join(["livestyle", *words, "--resume"])


def describe_result(summary: "Summary") -> list[str]:
    """Describe the result of a training in lines for the terminal."""
    lines = [f"{name}: {path}" for name, path in summary.styles.items()]
    if summary.predictor is not None:
        lines.append(f"predictor: {summary.predictor}")
    time = f"{summary.seconds:.0f} s" if summary.seconds < 100 else f"{summary.seconds / 60:.1f} minutes"
    if summary.steps < summary.planned_steps:
        lines.append(f"{summary.steps} of {counted(summary.planned_steps, 'step')}, {time}; unfinished, time limit reached")
        lines.append(f"continue with: {resume_command()}")
    else:
        lines.append(f"{counted(summary.steps, 'step')}, {time}")
    if skipped := summary.skipped_pictures:
        more = f" and {len(skipped) - MAX_NAMED_FILES} more" if len(skipped) > MAX_NAMED_FILES else ""
        lines.append(
            f"skipped {len(skipped)} of {counted(summary.content_pictures, 'content picture')}, unreadable, of one colour or "
            f"too narrow: {', '.join(skipped[:MAX_NAMED_FILES])}{more}"
        )
    return lines


def next_steps(summary: "Summary") -> list[str]:
    """Explain in lines how to paint with the new styles, and which other files have the same names."""
    from livestyle.style_files.gallery import Gallery, user_folder

    if not summary.styles:  # only a predictor was trained
        return [f"try it: livestyle image photo.jpg --style painting.jpg --model {summary.model}"]
    gallery, model = Gallery(), summary.model
    lines: list[str] = []
    commands: list[str] = []
    for name, path in summary.styles.items():
        headers = gallery.models(name) if name in gallery.names else {}
        found = headers.get(model)
        if found is None or not found.path.samefile(path):
            if found is not None:
                lines.append(f"the name {name} selects {found.path} ({model}); to use the new style, name its path")
            commands.append(shlex.quote(str(path)))
            continue
        others = {other: header.path for other, header in headers.items() if other != model}
        for other, other_path in others.items():
            lines.append(f"{name} exists for {other} too ({other_path}); --model {model} selects the new one")
        lines += gallery.shadowed([name], model)
        commands.append(f"{shlex.quote(name)} --model {model}" if others else shlex.quote(name))
    if next(iter(summary.styles.values())).parent.resolve() != user_folder().resolve():
        lines.append(f"to use it by name in every folder, copy the files to {user_folder()}")
    return [*lines, f"try it: livestyle image photo.jpg --style {commands[0]}"]


def styles_from_pictures(pictures: tuple[Path, ...], name: str | None) -> dict[str, Any]:
    """Make conf file keys for pictures from the command line: a style for each, named `name`, or after its file if None.

    Raises UsageError or TrainingError for invalid pictures or names.
    """
    from livestyle.style_files.file_format import name_of_picture

    if name is not None and len(pictures) > 1:
        raise click.UsageError("--name is for one picture; without it, each style has the name of its picture")
    names = [name or name_of_picture(picture) for picture in pictures]
    for given, picture in zip(names, pictures, strict=True):
        if names.count(given) > 1:
            raise TrainingError(f"several pictures would have the name {given}; rename {picture}")
        if picture.is_dir():
            raise TrainingError(f"{picture} is a folder; name the pictures in it")
    unknown = {"origin": "", "licence": ""}  # those in the conf file are about its own picture
    styles = {given: {"picture": str(picture.absolute())} | unknown for given, picture in zip(names, pictures, strict=True)}
    return {"styles": styles, "naming": "+".join(names)[:100]}
