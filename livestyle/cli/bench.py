"""livestyle bench"""

import json
from pathlib import Path

import click

SIZE_NAMES = ["256x256", "640x360", "1280x720", "1920x1080", "3840x2160"]


@click.command()
@click.option("-s", "--style", default="wave", show_default=True)
@click.option("--model", "models", multiple=True, type=click.Choice(["lite", "full"]), help="May be repeated; default: both.")
@click.option("--device", "devices", multiple=True, help="May be repeated; default: all of this machine.")
@click.option("--size", "sizes", multiple=True, type=click.Choice(SIZE_NAMES), help="May be repeated; default: the usual ones.")
@click.option("--frames", type=click.IntRange(4), default=2000, show_default=True, help="To watch the memory over; few: fast.")
@click.option("--json", "as_json", is_flag=True, help="The figures on stdout.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The figures as JSON to a file.")
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
    """Measure this machine's speed and memory: each network on each engine, videos from end to end, a style change, start-up."""
    from livestyle.bench import measure

    say = (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))
    report = measure(style, models or ("lite", "full"), devices, sizes, frames, say)
    text = json.dumps(report.as_dict(), indent=2)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    if as_json:
        click.echo(text)
