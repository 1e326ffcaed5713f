"""What is trained: one body, and rows for every style; from nothing, or from a style that is there."""

from pathlib import Path

import torch
from torch import Tensor, nn

from livestyle.errors import StyleError, TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TorchOps, TransformerNetwork
from livestyle.style_files.file_format import STYLE_SUFFIX, load_body, load_rows, read_header
from livestyle.train.config import Config
from livestyle.train.losses.perceptual import overshoot_loss


class WatchedOps(TorchOps):
    """Measures what is about to be squeezed into [0, 1]."""

    overshoot: Tensor
    """`losses.overshoot_loss`, (N,)."""

    def tanh(self, x: Tensor) -> Tensor:
        self.overshoot = overshoot_loss(x)
        return x.tanh()  # not in place: the way back needs x

    def sigmoid(self, x: Tensor) -> Tensor:
        self.overshoot = overshoot_loss(x / 2)  # (1 + tanh(x / 2)) / 2
        return x.sigmoid()


class Painter(nn.Module):
    """One body, and the rows of every style."""

    def __init__(self, network: TransformerNetwork, styles: int) -> None:
        super().__init__()
        self.network = network
        self.rows = nn.Parameter(network.plain_rows().repeat(styles, 1, 1))  # (S, 2, K)

    def forward(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in [0, 1] and each picture's style, (N,) -> painted, (N, 3, H, W) in [0, 1], and overshoot, (N,)."""
        rows = self.rows.index_select(0, style)  # whose gradient adds up in a fixed order
        ops = WatchedOps(self.network.convolutions, rows)
        painted: Tensor = self.network.architecture.forward(ops, x)
        return painted, ops.overshoot


def new_painter(config: Config) -> Painter:
    """The painter at the first step, its body frozen if rows alone are trained.

    Without config.start at random, by the seed. Else its body is the file's, and a style's rows are those of the style
    of its name beside the file, or the mean of all that are there for this body. Raises TrainingError if they do not fit.
    """
    count = len(config.styles) + config.extra_styles
    if config.start is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return Painter(TransformerNetwork(ARCHITECTURES[config.model]), count)
    try:
        header = read_header(config.start)
        body = load_body(header)
        known = _rows_beside(config.start, header.body_hash)
    except StyleError as error:
        raise TrainingError(f"cannot start from {config.start}: {error}") from error
    if header.architecture != config.model:
        raise TrainingError(f"cannot start from {config.start}: it is of the network {header.architecture}, not {config.model}")
    painter = Painter(TransformerNetwork.of(body), count)
    painter.network.train().requires_grad_(config.finetune == "all")
    if known:
        mean = torch.stack(list(known.values())).mean(0)
        with torch.no_grad():
            painter.rows.copy_(mean)
            for number, name in enumerate(config.styles):
                painter.rows[number] = known.get(name, mean)
    return painter


def _rows_beside(file: Path, body_hash: str) -> dict[str, Tensor]:
    """The rows of every style for this body that lie in the file's folder, by name."""
    headers = []
    for path in sorted(file.parent.glob(f"*{STYLE_SUFFIX}")):
        try:
            headers.append(read_header(path))
        except StyleError:
            continue  # something else
    return {
        header.name: torch.from_numpy(load_rows(header))
        for header in headers
        if header.has_rows and header.body_hash == body_hash
    }
