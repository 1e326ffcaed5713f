"""The predictor: a network that maps a painting's statistics to a style's rows (Ghiasi et al. 2017).

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network". Its input is not the
picture but statistics of the bundled loss network's activations. Inference, without PyTorch, is in livestyle/prediction.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.frame import FloatArray
from livestyle.prediction.predictor import HIDDEN
from livestyle.prediction.statistics import LAYERS, STATISTICS

SMALL = 0.1  # factor of the last layer's initial weights: the first rows are then close to its bias
LEAST_SCALE = 0.1  # of an input; on 48 paintings the scales are 0.19 to 2.1


class Predictor(nn.Module):
    """Maps statistics of style pictures, (N, 1920), to rows, (N, 2, K). livestyle.prediction.predictor computes the same.

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

    @classmethod
    def of(cls, tensors: Mapping[str, FloatArray]) -> "Predictor":
        """Build the predictor of a file. tensors: as `livestyle.prediction.predictor.tensor_shapes` lists them."""
        predictor = cls(torch.zeros(len(tensors["rows.bias"])))
        predictor.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
        return predictor

    def tensors(self) -> dict[str, FloatArray]:
        """Copy the current values: name -> array, as `of` takes them."""
        return {name: value.detach().cpu().numpy().astype(np.float32) for name, value in self.state_dict().items()}

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
    """Compute the statistics of style pictures from their activations in the loss network `own`, layer -> (N, C, h, w).

    Returns (N, 1920): as `livestyle.prediction.statistics.style_statistics`, for pictures with a short side of 256 pixels.
    """
    parts: list[Tensor] = []
    for layer in LAYERS:
        flat = features[layer].float().flatten(2)  # (N, C, h w)
        parts += [flat.mean(2), flat.std(2, correction=0)]
    return torch.cat(parts, 1).log1p()
