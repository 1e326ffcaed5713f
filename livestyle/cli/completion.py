"""The command `livestyle completion`."""

import click
from click.shell_completion import get_completion_class

from livestyle.cli.command import Command


@click.command(
    cls=Command,
    examples=[
        'eval "$(livestyle completion bash)"     # in ~/.bashrc; for zsh in ~/.zshrc, after compinit',
        "livestyle completion fish | source      # in ~/.config/fish/config.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and styles in your shell."""
    from livestyle.cli import cli

    found = get_completion_class(shell)
    assert found is not None  # click supports all three
    click.echo(found(cli, {}, "livestyle", "_LIVESTYLE_COMPLETE").source())
