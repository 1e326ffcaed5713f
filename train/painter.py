"""The painter: the model that is trained. It has one body, rows for each named style, and may have a predictor of rows."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from livestyle.errors import StyleError, TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.networks.torch_ops import TorchOps, TransformerNetwork
from livestyle.prediction import predictor as prediction
from livestyle.prediction.statistics import style_statistics
from livestyle.style_files.file_format import STYLE_SUFFIX, StyleHeader, load_body, load_predictor, load_rows, read_header
from livestyle.train.config import Config
from livestyle.train.losses.perceptual import overshoot_loss
from livestyle.train.objective import read_style_image
from livestyle.train.predictor import Predictor


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

    Without config.start, the painter is initialised at random from the seed. With config.start, its body is read from that file.
    From the files for this body in its folder, a style's rows are those of the style of the same name, or else those that the
    predictor predicts from its picture, or else the mean of all styles.

    With config.style_pictures the painter has a predictor: the one for this body from that folder, or else a new one, which
    predicts about the mean of all styles for every picture. Raises TrainingError if a file cannot be used.
    """
    start = None if config.start is None else _load_start(config.start, config.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = TransformerNetwork(ARCHITECTURES[config.model]) if start is None else TransformerNetwork.of(start.body).train()
        known_rows = {} if start is None else start.rows
        mean = torch.stack(list(known_rows.values())).mean(0) if known_rows else network.plain_rows()  # (2, K)
        predictor = None
        if config.style_pictures is not None:
            predictor = Predictor(mean) if start is None or start.predictor is None else Predictor.of(start.predictor.tensors)
    painter = Painter(network, len(config.styles), predictor)
    painter.network.requires_grad_(config.finetune == "all")
    painter.rows.requires_grad_(config.finetune != "predictor")
    with torch.no_grad():
        for index, (name, source) in enumerate(config.styles.items()):
            rows = known_rows.get(name)
            if rows is None and start is not None and start.predictor is not None:
                statistics = style_statistics(read_style_image(source), str(source.picture))
                rows = torch.from_numpy(start.predictor(statistics))  # (2, K)
            painter.rows[index] = mean if rows is None else rows
    return painter


@dataclass(frozen=True)
class _Start:
    """What a training starts from: a body, and what its file's folder has for this body."""

    body: Body
    rows: dict[str, Tensor]
    """The rows of each style: name -> (2, K)."""
    predictor: prediction.Predictor | None


def _load_start(path: Path, model: str) -> _Start:
    """Load the body in a file. model: the architecture that it must have. Raises TrainingError."""
    try:
        header = read_header(path)
        if header.architecture != model:
            raise TrainingError(f"cannot start from {path}: it is of the network {header.architecture}, not {model}")
        headers = _headers_for(header.body_hash, path.parent)
        rows = {each.name: torch.from_numpy(load_rows(each)) for each in headers if each.has_rows}
        predictor = next((load_predictor(each) for each in headers if each.is_predictor), None)
        return _Start(load_body(header), rows, predictor)
    except StyleError as error:
        raise TrainingError(f"cannot start from {path}: {error}") from error


def _headers_for(body_hash: str, folder: Path) -> list[StyleHeader]:
    """Read the headers of all style and predictor files in the folder that are for this body."""
    headers = []
    for path in sorted(folder.glob(f"*{STYLE_SUFFIX}")):
        try:
            headers.append(read_header(path))
        except StyleError:
            continue  # not a style file
    return [header for header in headers if header.body_hash == body_hash]
