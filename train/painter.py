"""The painter: the model that is trained. It has one body, rows for each named style, and may have a predictor of rows."""

from pathlib import Path

import torch
from torch import Tensor, nn

from livestyle.errors import StyleError, TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.networks.torch_ops import TorchOps, TransformerNetwork
from livestyle.style_files.file_format import STYLE_SUFFIX, load_body, load_rows, read_header
from livestyle.train.config import Config
from livestyle.train.losses.perceptual import overshoot_loss
from livestyle.train.predictor import Predictor, load_predictor


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
    """A transformer network with one body, the rows of S named styles, and a predictor or None."""

    def __init__(self, network: TransformerNetwork, styles: int, predictor: Predictor | None = None) -> None:
        super().__init__()
        self.network = network
        self.rows = nn.Parameter(network.plain_rows().repeat(styles, 1, 1))  # (S, 2, K)
        self.predictor = predictor

    def forward(self, x: Tensor, style: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Paint photos, (N, 3, H, W) in [0, 1], in the styles of these indices, (N,).

        Index S + p is the style whose rows are predicted from statistics[p]. statistics: (P, 1920); P may be 0.
        Returns the paintings, (N, 3, H, W) in [0, 1], and the overshoot of each, (N,).
        """
        rows: Tensor = self.rows
        if self.predictor is not None and statistics is not None:
            with torch.autocast(x.device.type, enabled=False):
                rows = torch.cat([rows, self.predictor(statistics)])  # (S + P, 2, K)
        rows = rows.index_select(0, style)  # (N, 2, K); unlike indexing, its gradient is summed in a fixed order
        ops = OvershootOps(self.network.convolutions, rows)
        painted: Tensor = self.network.architecture.forward(ops, x)
        return painted, x.new_zeros(len(x)) if ops.overshoot is None else ops.overshoot


def make_painter(config: Config) -> Painter:
    """Make the painter for the first step. What config.finetune does not train is frozen.

    Without config.start, the painter is initialised at random from the seed. With config.start, its body is read from that file;
    a style's rows are copied from the style of the same name in the file's folder, if there is one for this body, and otherwise
    are the mean of all styles there for this body.

    With config.style_pictures the painter has a predictor: the one for this body from the folder of config.start, or else a new
    one, which predicts about that mean for every picture. Raises TrainingError if a file cannot be used.
    """
    known_rows: dict[str, Tensor] = {}
    predictor = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.start is None:
            network = TransformerNetwork(ARCHITECTURES[config.model])
        else:
            body, known_rows = _load_start(config.start, config.model)
            network = TransformerNetwork.of(body).train()
            predictor = None if config.style_pictures is None else load_predictor(body, config.start.parent)
        mean = torch.stack(list(known_rows.values())).mean(0) if known_rows else network.plain_rows()  # (2, K)
        if config.style_pictures is not None and predictor is None:
            predictor = Predictor(mean)
    painter = Painter(network, len(config.styles), predictor)
    painter.network.requires_grad_(config.finetune == "all")
    painter.rows.requires_grad_(config.finetune != "predictor")
    with torch.no_grad():
        for index, name in enumerate(config.styles):
            painter.rows[index] = known_rows.get(name, mean)
    return painter


def _load_start(path: Path, model: str) -> tuple[Body, dict[str, Tensor]]:
    """Load a body, and the rows of every style in its file's folder that is for this body: name -> (2, K).

    model: the architecture that the body must have. Raises TrainingError.
    """
    try:
        header = read_header(path)
        if header.architecture != model:
            raise TrainingError(f"cannot start from {path}: it is of the network {header.architecture}, not {model}")
        return load_body(header), _load_rows_for(header.body_hash, path.parent)
    except StyleError as error:
        raise TrainingError(f"cannot start from {path}: {error}") from error


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
