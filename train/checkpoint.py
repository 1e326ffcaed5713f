"""Checkpoints: weights and optimiser state in two safetensors files, named after the step.

A step counts only when both of its files are there, so a kill between the two leaves the last step.
"""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from livestyle.errors import TrainingError
from livestyle.style import write_atomically

WEIGHTS, OPTIMIZER = "step-{:07d}.weights.safetensors", "step-{:07d}.optimizer.safetensors"


def last_step(folder: Path) -> int | None:
    """The newest step with both files, or None."""
    steps = [int(match[1]) for path in folder.glob("step-*.weights.safetensors") if (match := re.match(r"step-(\d+)\.", path.name))]
    return max((step for step in steps if (folder / OPTIMIZER.format(step)).exists()), default=None)


def save_checkpoint(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Adam) -> None:
    """Write both files atomically, then delete the older steps."""
    state: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            state[f"{name}.{key}"] = value.reshape(-1) if key == "step" else value
    write_atomically(dict(model.state_dict()), {"step": str(step)}, folder / WEIGHTS.format(step))
    write_atomically(state, {"step": str(step)}, folder / OPTIMIZER.format(step))
    for path in folder.glob("step-*.safetensors"):
        if int(path.name[5:12]) < step:
            path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Adam) -> None:
    """Put the step's weights and optimiser state back. Raises TrainingError if they are of another network."""
    path = folder / WEIGHTS.format(step)
    try:
        weights, state = load_file(path), load_file(folder / OPTIMIZER.format(step))
        model.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise TrainingError(f"cannot go on from {path}: it does not fit this conf file's network and styles, or is damaged") from error
    for name, parameter in model.named_parameters():
        if f"{name}.step" in state:
            slots = {key: state[f"{name}.{key}"].to(parameter.device) for key in ("exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {"step": state[f"{name}.step"].reshape(()), **slots}
