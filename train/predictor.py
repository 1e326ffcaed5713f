"""The predictor: a network that maps a painting's statistics to a style's rows (Ghiasi et al. 2017).

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network". Its input is not the
picture but statistics of the bundled loss network's activations. Inference without PyTorch is in livestyle/prediction.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from livestyle.errors import TrainingError
from livestyle.networks.body import Body
from livestyle.style_files.file_format import FORMAT, body_hash, write_safetensors

PREDICTOR_SUFFIX = "-predictor.safetensors"
LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
STATISTICS = 2 * (64 + 128 + 256 + 512)
HIDDEN = (384, 256)
SMALL = 0.1  # factor of the last layer's initial weights: the first rows are then close to its bias
LEAST_SCALE = 0.02  # of an input; a channel that is hardly ever active would otherwise dominate the others when it is


class Predictor(nn.Module):
    """Maps statistics of style pictures, (N, 1920), to rows, (N, 2, K).

    rows: (2, K); a new predictor predicts about these rows for every picture.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(STATISTICS))
        self.register_buffer("scale", torch.ones(STATISTICS))
        sizes = (STATISTICS, *HIDDEN)
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(sizes))
        self.rows = nn.Linear(HIDDEN[-1], rows.numel())
        with torch.no_grad():
            self.rows.weight.mul_(SMALL)
            self.rows.bias.copy_(rows.flatten())

    def forward(self, statistics: Tensor) -> Tensor:
        x = (statistics - self.mean) / self.scale  # (N, 1920)
        for layer in self.hidden:
            x = F.relu(layer(x))
        rows: Tensor = self.rows(x)  # (N, 2 K)
        return rows.reshape(len(rows), 2, self.rows.out_features // 2)

    @property
    def is_normalised(self) -> bool:
        """Whether `normalise` has been called on this predictor, or on the one that it was loaded from."""
        return bool((self.scale != 1).any())

    def normalise(self, statistics: Tensor) -> None:
        """Set the mean and scale of the inputs from those of a sample of style pictures, (N, 1920), N > 1."""
        self.mean.copy_(statistics.mean(0))
        self.scale.copy_(statistics.std(0).clamp_min(LEAST_SCALE))


@torch.no_grad()
def picture_statistics(features: Mapping[str, Tensor]) -> Tensor:
    """Statistics of style pictures from their activations in the loss network `own`, layer -> (N, C, h, w). Returns (N, 1920).

    For each of LAYERS: log(1 + mean) of each channel, then log(1 + standard deviation).
    """
    parts: list[Tensor] = []
    for layer in LAYERS:
        flat = features[layer].float().flatten(2)  # (N, C, h w)
        parts += [flat.mean(2), flat.std(2, correction=0)]
    return torch.cat(parts, 1).log1p()


def write_predictor(path: Path, predictor: Predictor, body: Body, training: Mapping[str, object]) -> None:
    """Write a predictor file, completely or not at all: half-precision tensors, and metadata as in the body's file.

    Raises OutputError if it cannot be written.
    """
    tensors = {name: value.detach().cpu().numpy().astype(np.float16) for name, value in predictor.state_dict().items()}
    metadata = {"format": FORMAT, "architecture": body.architecture.name, "body": body_hash(body.parameters)}
    write_safetensors(path, tensors, metadata | {"training": json.dumps(training)})


def load_predictor(body: Body, folder: Path) -> Predictor | None:
    """Load the predictor for a body from the first file in the folder that is for it; None if there is none.

    Raises TrainingError if the file is damaged.
    """
    wanted = body_hash(body.parameters)
    predictor = Predictor(torch.zeros(2, body.architecture.row_length))
    shapes = {name: list(value.shape) for name, value in predictor.state_dict().items()}
    for path in sorted(folder.glob(f"*{PREDICTOR_SUFFIX}")):
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("body") != wanted:
                    continue
                if {name: file.get_slice(name).get_shape() for name in file.keys()} != shapes:  # noqa: SIM118 (not a dict)
                    raise TrainingError(f"cannot start from {path}: it is not a predictor of this version of livestyle")
                state = {name: file.get_tensor(name).float() for name in shapes}
        except (SafetensorError, OSError, ValueError) as error:
            raise TrainingError(f"cannot start from {path}: it is damaged") from error
        if not all(torch.isfinite(value).all() for value in state.values()):
            raise TrainingError(f"cannot start from {path}: it contains values that are not finite")
        predictor.load_state_dict(state)
        return predictor
    return None
