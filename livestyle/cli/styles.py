"""livestyle styles"""

import click

from livestyle.cli.options import print_json, tell


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A machine-readable list on stdout.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def styles(as_json: bool, debug: bool) -> None:
    """List the styles: which networks each is there for, after which picture, and where it lies.

    They are looked for in ./models, in your own data folder and among the bundled ones, in this order.
    """
    from livestyle.gallery import Gallery

    gallery = Gallery()
    rows = [
        {"style": name, "model": model, "file": str(header.path), **header.info}
        for name in gallery.names
        for model, header in sorted(gallery.models(name).items())
    ]
    if as_json:
        print_json({"styles": rows, "folders": [str(folder) for folder in gallery.folders], "notes": gallery.notes})
        return
    tell(gallery.notes, quiet=False)
    for row in rows:
        click.echo(f"{row['style']:20} {row['model']:5} {row.get('origin') or row.get('picture', ''):40} {row['file']}")
