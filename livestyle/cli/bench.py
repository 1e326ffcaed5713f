"""livestyle bench"""

import json
from contextlib import nullcontext
from pathlib import Path

import click

from livestyle.cli.command import Command
from livestyle.cli.options import complete_style, print_json, print_line
from livestyle.networks import ARCHITECTURES

SIZE_NAMES = ["256x256", "640x360", "1280x720", "1920x1080", "3840x2160"]


@click.command(
    cls=Command,
    examples=[
        "livestyle bench",
        "livestyle bench --model lite --size 1280x720 --frames 100 --json",
    ],
)
@click.option("-s", "--style", default="wave", show_default=True, shell_complete=complete_style, help="The style to paint in.")
@click.option("--model", "models", multiple=True, type=click.Choice(list(ARCHITECTURES)), help="Repeatable. Default: all.")
@click.option("--device", "devices", multiple=True, help="Device; repeatable. Default: all of this machine.")
@click.option("--size", "sizes", multiple=True, type=click.Choice(SIZE_NAMES), help="Frame size; repeatable.")
@click.option(
    "--frames", type=click.IntRange(4), default=2000, show_default=True, help="Frames of the memory test; 100 is quick."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON on stdout.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the figures as JSON to this file.")
@click.option("--quiet", is_flag=True, help="No lines while it runs.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def bench(
    style: str,
    models: tuple[str, ...],
    devices: tuple[str, ...],
    sizes: tuple[str, ...],
    frames: int,
    as_json: bool,
    output: Path | None,
    quiet: bool,
    debug: bool,
) -> None:
    """Measure the speed and memory of this machine.

    Each network on each device, frame by frame and in batches; videos from file to file; a style change; start-up.
    Takes some minutes.
    """
    from livestyle.bench import measure
    from livestyle.output_file import OutputFile

    say = (lambda line: None) if quiet else (lambda line: print_line(line, err=True))
    with OutputFile(output) if output else nullcontext() as file:  # before minutes of measuring
        report = measure(style, models or list(ARCHITECTURES), devices, sizes, frames, say).as_dict()
        print_json(report)
        if file is not None:
            file.partial.write_text(f"{json.dumps(report, indent=2)}\n", encoding="utf-8")
            file.commit()
