"""The predictor, compared with PyTorch."""

import numpy as np
import pytest
import torch
from predictors import random_tensors

from livestyle.networks import ARCHITECTURES
from livestyle.prediction.predictor import Predictor
from livestyle.prediction.statistics import STATISTICS
from livestyle.train.predictor import Predictor as TrainedPredictor


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_rows_equal_those_of_the_trained_network(model: str) -> None:
    length = ARCHITECTURES[model].row_length
    tensors = {name: value.astype(np.float32) for name, value in random_tensors(model).items()}
    tensors["scale"] = np.linspace(0.5, 2, STATISTICS, dtype=np.float32)
    statistics = np.random.default_rng(1).exponential(1, STATISTICS).astype(np.float32)
    trained = TrainedPredictor(length)
    trained.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    with torch.no_grad():
        expected = trained(torch.from_numpy(statistics)[None])[0]  # (2, K)
    rows = Predictor(tensors)(statistics)
    assert rows.shape == (2, length)
    assert rows == pytest.approx(expected.numpy(), abs=1e-4)
