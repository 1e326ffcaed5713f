"""The command `livestyle bench`."""

import json
from contextlib import nullcontext
from pathlib import Path

import click

from livestyle.bench.sizes import SIZES
from livestyle.cli.command import Command
from livestyle.cli.options import add_to_summary, complete_style, print_line
from livestyle.networks import ARCHITECTURES


@click.command(
    cls=Command,
    examples=[
        "livestyle bench",
        "livestyle bench --model lite --size 1280x720 --frames 100 --json",
    ],
)
@click.option("-s", "--style", default="wave", show_default=True, shell_complete=complete_style, help="Style to paint in.")
@click.option(
    "--model", "models", multiple=True, type=click.Choice(list(ARCHITECTURES)), help="Network; repeatable. Default: all."
)
@click.option("--device", "devices", multiple=True, help="Device; repeatable. Default: all that this machine has.")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=click.Choice(list(SIZES)),
    help="Frame size of the network test; repeatable. Default: all that suit the network and the device.",
)
@click.option(
    "--frames",
    type=click.IntRange(4),
    default=2000,
    show_default=True,
    help="Frames of the memory test; a small number, such as 100, also shortens the other tests.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON on stdout.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the figures as JSON to this file.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
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
    """Measure how fast livestyle is on this machine, and how much memory it uses. Takes several minutes.

    Measures each network on each device, frame by frame and in batches. Measures on the first device: painting videos from
    file to file, changing the style, memory, and start-up.
    """
    from livestyle.bench.run import measure
    from livestyle.output_file import OutputFile

    progress = (lambda line: None) if quiet else (lambda line: print_line(line, err=True))
    with OutputFile(output) if output else nullcontext() as file:  # fails before minutes of measuring, not after
        report = measure(style, models or list(ARCHITECTURES), devices, sizes, frames, progress).as_dict()
        add_to_summary(report)
        if file is not None:
            file.partial.write_text(f"{json.dumps(report, indent=2)}\n", encoding="utf-8")
            file.commit()
