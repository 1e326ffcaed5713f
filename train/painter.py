"""The painter: the model that is trained, with one body and rows for each style."""

from pathlib import Path

import torch
from torch import Tensor, nn

from livestyle.errors import StyleError, TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TorchOps, TransformerNetwork
from livestyle.style_files.file_format import STYLE_SUFFIX, load_body, load_rows, read_header
from livestyle.train.config import Config
from livestyle.train.losses.perceptual import overshoot_loss


class OvershootOps(TorchOps):
    """TorchOps that also measure by how much the input of the last activation, tanh or sigmoid, is in its saturated range."""

    overshoot: Tensor | None = None
    """`losses.perceptual.overshoot_loss` of each picture, (N,); None until a tanh or sigmoid has run."""

    def tanh(self, x: Tensor) -> Tensor:
        self.overshoot = overshoot_loss(x)
        return x.tanh()  # not in place: the backward pass needs x

    def sigmoid(self, x: Tensor) -> Tensor:
        self.overshoot = overshoot_loss(x / 2)  # sigmoid(x) = (1 + tanh(x / 2)) / 2
        return x.sigmoid()


class Painter(nn.Module):
    """A transformer network with one body, and the rows of S styles."""

    def __init__(self, network: TransformerNetwork, styles: int) -> None:
        super().__init__()
        self.network = network
        self.rows = nn.Parameter(network.plain_rows().repeat(styles, 1, 1))  # (S, 2, K)

    def forward(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Paint photos, (N, 3, H, W) in [0, 1], in the styles of these indices, (N,).

        Returns the paintings, (N, 3, H, W) in [0, 1], and the overshoot of each, (N,).
        """
        rows = self.rows.index_select(0, style)  # (N, 2, K); unlike indexing, its gradient is summed in a fixed order
        ops = OvershootOps(self.network.convolutions, rows)
        painted: Tensor = self.network.architecture.forward(ops, x)
        return painted, x.new_zeros(len(x)) if ops.overshoot is None else ops.overshoot


def make_painter(config: Config) -> Painter:
    """Make the painter for the first step. Its body is frozen if only rows are trained.

    Without config.start, the painter is initialised at random from the seed. With config.start, its body is read from that file;
    a style's rows are copied from the style of the same name in the file's folder, if there is one for this body, and otherwise
    are the mean of all styles there for this body. Raises TrainingError if the file cannot be used.
    """
    count = len(config.styles) + config.extra_styles
    if config.start is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return Painter(TransformerNetwork(ARCHITECTURES[config.model]), count)
    try:
        header = read_header(config.start)
        body = load_body(header)
        known_rows = _load_rows_for(header.body_hash, config.start.parent)
    except StyleError as error:
        raise TrainingError(f"cannot start from {config.start}: {error}") from error
    if header.architecture != config.model:
        raise TrainingError(f"cannot start from {config.start}: it is of the network {header.architecture}, not {config.model}")
    painter = Painter(TransformerNetwork.of(body), count)
    painter.network.train().requires_grad_(config.finetune == "all")
    if known_rows:
        mean = torch.stack(list(known_rows.values())).mean(0)  # (2, K)
        with torch.no_grad():
            painter.rows.copy_(mean)
            for index, name in enumerate(config.styles):
                painter.rows[index] = known_rows.get(name, mean)
    return painter


def _load_rows_for(body_hash: str, folder: Path) -> dict[str, Tensor]:
    """Read the rows of every style in the folder that is for this body: name -> (2, K)."""
    headers = []
    for path in sorted(folder.glob(f"*{STYLE_SUFFIX}")):
        try:
            headers.append(read_header(path))
        except StyleError:
            continue  # not a style file
    return {
        header.name: torch.from_numpy(load_rows(header))
        for header in headers
        if header.has_rows and header.body_hash == body_hash
    }
