"""livestyle train"""

from pathlib import Path
from typing import Any

import click

from livestyle.cli.options import print_json, torch_device


@click.command()
@click.option("-c", "--conf", required=True, type=click.Path(path_type=Path), help="The conf file, or a bundled one's name.")
@click.option("--content", type=click.Path(path_type=Path), help="A folder of photos, or a video.")
@click.option("--loss-model", help="vgg_16, vgg_19, vgg_19_sixteenth or random.")
@click.option("--loss-model-file", type=click.Path(path_type=Path), help="The loss network's weights, safetensors.")
@click.option("--steps", type=click.IntRange(1), help="How many steps; takes the place of epoch.")
@click.option("--model", type=click.Choice(["full", "lite"]), help="The network to train.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="Where to train.")
@click.option("--naming", help="The run's and the style's name.")
@click.option("--model-path", type=click.Path(path_type=Path), help="Where the style and the checkpoints go.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option("-y", "overwrite", is_flag=True, help="Start anew over an earlier run.")
@click.option("--json", "as_json", is_flag=True, help="A machine-readable summary on stdout.")
@click.option("--quiet", is_flag=True, help="No progress bar, no summary.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def train(
    conf: Path, device: str, resume: bool, overwrite: bool, as_json: bool, quiet: bool, debug: bool, **overrides: Any
) -> None:
    """Train new styles as a conf file says.

    The options take the place of its keys. Conf files of the original TensorFlow program run as they are. Ctrl-C
    saves a checkpoint; --resume goes on. For several GPUs: torchrun --nproc-per-node N -m livestyle train -c CONF
    """
    from livestyle.train.config import read_config
    from livestyle.train.loop import train as run

    config = read_config(conf, overrides)
    summary = run(config, torch_device(device), resume=resume, overwrite=overwrite, quiet=quiet)
    if summary is None:  # one of several processes, and not the first
        return
    if as_json:
        styles = {name: str(path) for name, path in summary.styles.items()}
        print_json({"styles": styles, "steps": summary.steps, "seconds": round(summary.seconds, 1), "losses": summary.losses})
    elif not quiet:
        click.echo(str(summary), err=True)
