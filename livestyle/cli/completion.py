"""livestyle completion bash|zsh|fish"""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script; load it with: eval "$(livestyle completion bash)"."""
    from livestyle.cli import cli

    found = get_completion_class(shell)
    assert found is not None  # click has all three
    click.echo(found(cli, {}, "livestyle", "_LIVESTYLE_COMPLETE").source())
