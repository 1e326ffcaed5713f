"""livestyle train"""

import re
from pathlib import Path
from typing import Any

import click

from livestyle.cli.options import print_json, torch_device
from livestyle.errors import TrainingError

MINUTE = Path("minute.yml")  # the bundled conf file for pictures without one


@click.command()
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("-c", "--conf", type=click.Path(path_type=Path), help="The conf file, or a bundled one's name.")
@click.option("--name", "--naming", "naming", help="The style's name; default: the picture's.")
@click.option("--content", type=click.Path(path_type=Path), help="A folder of photos, or a video.")
@click.option("--finetune", type=click.Choice(["rows", "all"]), help="Train the styles' rows alone, or the body too.")
@click.option("--style-weight", type=click.FloatRange(0), help="More: the photo drowns. Less: it shows through.")
@click.option("--loss-model", help="own (bundled), vgg_16, vgg_19, vgg_19_sixteenth or random.")
@click.option("--loss-model-file", type=click.Path(path_type=Path), help="Its weights, safetensors; VGG: for RGB 0-255.")
@click.option("--steps", type=click.IntRange(1), help="How many steps; takes the place of epoch.")
@click.option("--seconds", type=click.FloatRange(1), help="How long to train, at most.")
@click.option("--model", type=click.Choice(["full", "lite"]), help="The network to train.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="Where to train.")
@click.option("--model-path", type=click.Path(path_type=Path), help="Where the style and the checkpoints go.")
@click.option(
    "--preview",
    type=click.Choice(["none", "file", "window"]),
    default="none",
    show_default=True,
    help="Show a picture getting painted: in a window, or in the run's sample.jpg.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option("-y", "--overwrite", is_flag=True, help="Start anew over an earlier run.")
@click.option("--json", "as_json", is_flag=True, help="A machine-readable summary on stdout.")
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
    """Train new styles: from PICTURES in a minute, or as a conf file says.

    With PICTURES alone, one style each, the bundled body learns them with the bundled loss network: no conf file, no
    photos and no download needed. The options take the place of the conf file's keys. Conf files of the original
    TensorFlow program run as they are. Ctrl-C saves, and keeps the best so far; --resume goes on. For several
    GPUs: torchrun --nproc-per-node N -m livestyle train -c CONF
    """
    if not pictures and conf is None:
        raise click.UsageError("name a picture to learn: livestyle train painting.jpg --name autumn; or a conf file with -c")
    if pictures:
        overrides |= styles_of(pictures, overrides["naming"])
    if preview == "window":
        from livestyle.sinks.window import check_display

        check_display("use --preview file, which renews the run's sample.jpg")
    from livestyle.train.config import read_config
    from livestyle.train.loop import train as run

    config = read_config(conf or MINUTE, overrides)
    summary = run(config, torch_device(device), resume=resume, overwrite=overwrite, quiet=quiet, preview=preview)
    if summary is None:  # one of several processes, and not the first
        return
    if as_json:
        styles = {name: str(path) for name, path in summary.styles.items()}
        print_json({"styles": styles, "steps": summary.steps, "seconds": round(summary.seconds, 1), "losses": summary.losses})
    elif not quiet:
        click.echo(str(summary), err=True)


def styles_of(pictures: tuple[Path, ...], name: str | None) -> dict[str, Any]:
    """The conf file's keys for pictures given by hand: a style each, called as asked or as their files are."""
    if name is not None and len(pictures) > 1:
        raise click.UsageError("--name is for one picture; leave it out, and each style is called as its picture is")
    names = [name or re.sub(r"[^\w()+~ -]+", "_", picture.stem).strip("-_ ") or "style" for picture in pictures]
    for given, picture in zip(names, pictures, strict=True):
        if names.count(given) > 1:
            raise TrainingError(f"several pictures would be called {given}; rename {picture}")
        if picture.is_dir():
            raise TrainingError(f"{picture} is a folder; name the pictures in it")
    unknown = {"origin": "", "licence": ""}  # the conf file's are of its own picture
    styles = {given: {"picture": str(picture.absolute())} | unknown for given, picture in zip(names, pictures, strict=True)}
    return {"styles": styles, "naming": "+".join(names)[:100]}
