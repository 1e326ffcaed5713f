"""Checkpoints: weights and optimizer state in two safetensors files, named by step.

A step counts as saved if both of its files exist, so a process that is killed between the two leaves the previous step valid.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from livestyle.errors import OutputError, TrainingError
from livestyle.style_files.file_format import write_safetensors

WEIGHTS, OPTIMIZER = "step-{:07d}.weights.safetensors", "step-{:07d}.optimizer.safetensors"
ADAM_STATE, MUON_STATE = ("exp_avg", "exp_avg_sq"), ("momentum",)  # optimizer state tensors that have the parameter's shape


def steps_in(folder: Path) -> list[int]:
    """The numbers of the saved steps, in ascending order."""
    matches = (re.fullmatch(r"step-(\d{7,})\.weights\.safetensors", path.name) for path in folder.glob("step-*"))
    steps = sorted(int(match[1]) for match in matches if match)
    return [step for step in steps if (folder / OPTIMIZER.format(step)).exists()]


def describe_checkpoint(folder: Path) -> str:
    """Say which checkpoint the folder has, or that it has none, as part of an error message."""
    steps = steps_in(folder)
    return f"the checkpoint of step {steps[-1]} is kept in {folder}" if steps else f"there is no checkpoint yet in {folder}"


def remove_checkpoints(folder: Path, keep: int | None = None) -> None:
    """Delete all checkpoint files, except those of step `keep`."""
    for path in folder.glob("step-*.safetensors"):
        if keep is None or path.name not in (WEIGHTS.format(keep), OPTIMIZER.format(keep)):
            path.unlink(missing_ok=True)


def is_finite(model: nn.Module, optimizers: Iterable[Optimizer]) -> bool:
    """Whether all values of the model and of its optimizers' state are finite. If not, a checkpoint would be useless."""
    state = (value for optimizer in optimizers for slots in optimizer.state.values() for value in slots.values())
    return all(bool(torch.isfinite(value).all()) for value in (*model.state_dict().values(), *state))


def save_checkpoint(folder: Path, step: int, model: nn.Module, optimizers: Sequence[Optimizer], styles: Iterable[str]) -> None:
    """Write both files of a checkpoint atomically, then delete those of other steps. styles: the names of the rows, in order.

    If a file cannot be written, raises OutputError and leaves the other steps as they are.
    """
    state: dict[str, Tensor] = {}
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    for optimizer in optimizers:
        for parameter, slots in optimizer.state.items():
            for key, value in slots.items():
                state[f"{names[parameter]}.{key}"] = value.reshape(-1) if key == "step" else value
    metadata = {"step": str(step), "styles": json.dumps(list(styles))}
    try:
        for tensors, name in ((model.state_dict(), WEIGHTS), (state, OPTIMIZER)):
            arrays = {key: value.detach().cpu().numpy() for key, value in tensors.items()}
            write_safetensors(folder / name.format(step), arrays, metadata)
    except OutputError:  # on a full disk, half a checkpoint would only take up more space
        with suppress(OSError):
            (folder / WEIGHTS.format(step)).unlink(missing_ok=True)
        raise
    remove_checkpoints(folder, keep=step)


def load_checkpoint(folder: Path, step: int, model: nn.Module, optimizers: Sequence[Optimizer], styles: Iterable[str]) -> None:
    """Load a step's weights and optimizer state in place. At step 0 there is no optimizer state.

    Raises TrainingError if they belong to another network or to other styles, or are damaged.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    weights = _read(folder / WEIGHTS.format(step), shapes, list(styles))
    slots: dict[str, tuple[Optimizer, Tensor, str]] = {}
    shapes = {}
    for optimizer in optimizers if step else ():
        for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
            for key in (*ADAM_STATE, "step") if isinstance(optimizer, Adam) else MUON_STATE:
                slots[f"{names[parameter]}.{key}"] = optimizer, parameter, key
                shapes[f"{names[parameter]}.{key}"] = (1,) if key == "step" else tuple(parameter.shape)
    state = _read(folder / OPTIMIZER.format(step), shapes, list(styles))
    model.load_state_dict(weights)
    for name, (optimizer, parameter, key) in slots.items():
        value = state[name].reshape(()) if key == "step" else state[name].to(parameter.device)
        optimizer.state[parameter][key] = value.clone(memory_format=torch.preserve_format)


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]], styles: list[str]) -> dict[str, Tensor]:
    """Read a file's tensors after validating their names and shapes, and the styles in its metadata. Raises TrainingError."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a dict)
            trained = json.loads(metadata.get("styles", json.dumps(styles)))
            if not isinstance(trained, list):
                raise ValueError
            if found != dict(shapes) or trained != styles:
                raise TrainingError(
                    f"cannot continue from {path}: it is not of this conf file's network and styles, but of "
                    f"{', '.join(map(str, trained)):.200}; if it is from an older livestyle, start again with --overwrite"
                )
            tensors = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"cannot continue from {path}: it is damaged; start again with --overwrite") from error
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise TrainingError(f"cannot continue from {path}: it contains values that are not finite; start again with --overwrite")
    return tensors


class BestParameters:
    """An in-memory copy of the model's trained parameters at the lowest loss so far."""

    def __init__(self, model: nn.Module) -> None:
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._loss, self._values = math.inf, [parameter.detach().clone() for parameter in self._trained]

    def update(self, loss: float) -> None:
        """Copy the parameters if this loss is the lowest so far."""
        if loss < self._loss:
            self._loss, self._values = loss, [parameter.detach().clone() for parameter in self._trained]

    def restore(self) -> None:
        """Copy the best parameters back into the model."""
        for parameter, value in zip(self._trained, self._values, strict=True):
            parameter.data.copy_(value)
