"""Checkpoints: weights and optimiser state in two safetensors files, named after the step.

A step counts only when both of its files are there, so a kill between the two leaves the last step.
"""

import json
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
ADAM, MUON = ("exp_avg", "exp_avg_sq"), ("momentum",)  # what they keep, of the parameter's shape


def steps_in(folder: Path) -> list[int]:
    """The steps with both files, in order."""
    matches = (re.fullmatch(r"step-(\d{7,})\.weights\.safetensors", path.name) for path in folder.glob("step-*"))
    steps = sorted(int(match[1]) for match in matches if match)
    return [step for step in steps if (folder / OPTIMIZER.format(step)).exists()]


def remove_checkpoints(folder: Path, keep: int | None = None) -> None:
    """Delete the files of every step but one."""
    for path in folder.glob("step-*.safetensors"):
        if keep is None or path.name not in (WEIGHTS.format(keep), OPTIMIZER.format(keep)):
            path.unlink(missing_ok=True)


def is_finite(model: nn.Module, optimizers: Iterable[Optimizer]) -> bool:
    """Whether all numbers of the model and of its optimizers' memory are: nothing else is worth keeping."""
    memory = (value for optimizer in optimizers for slots in optimizer.state.values() for value in slots.values())
    return all(bool(torch.isfinite(value).all()) for value in (*model.state_dict().values(), *memory))


def save_checkpoint(folder: Path, step: int, model: nn.Module, optimizers: Sequence[Optimizer], styles: Iterable[str]) -> None:
    """Write both files atomically, then delete the other steps. styles: the names of the model's rows, in order.

    Raises OutputError, and leaves the other steps as they are, if the files cannot be written.
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
    except OutputError:  # a full disk: half a checkpoint only makes it fuller
        with suppress(OSError):
            (folder / WEIGHTS.format(step)).unlink(missing_ok=True)
        raise
    remove_checkpoints(folder, keep=step)


def load_checkpoint(folder: Path, step: int, model: nn.Module, optimizers: Sequence[Optimizer], styles: Iterable[str]) -> None:
    """Put the step's weights and optimiser state back; before the first step there is no such state.

    Raises TrainingError if they are of another network or of other styles.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    weights = _read(folder / WEIGHTS.format(step), {name: tuple(value.shape) for value, name in names.items()}, list(styles))
    slots: dict[str, tuple[Optimizer, Tensor, str]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for optimizer in optimizers if step else ():
        for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
            for key in (*ADAM, "step") if isinstance(optimizer, Adam) else MUON:
                slots[f"{names[parameter]}.{key}"] = optimizer, parameter, key
                shapes[f"{names[parameter]}.{key}"] = (1,) if key == "step" else tuple(parameter.shape)
    state = _read(folder / OPTIMIZER.format(step), shapes, list(styles))
    model.load_state_dict(weights)
    for name, (optimizer, parameter, key) in slots.items():
        value = state[name].reshape(()) if key == "step" else state[name].to(parameter.device)
        optimizer.state[parameter][key] = value.clone(memory_format=torch.preserve_format)


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]], styles: list[str]) -> dict[str, Tensor]:
    """Read tensors whose names and shapes were seen to fit first."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a dict)
            trained = json.loads(metadata.get("styles", json.dumps(styles)))
            if not isinstance(trained, list):
                raise ValueError
            if found != dict(shapes) or trained != styles:
                there = ", ".join(map(str, trained))
                raise TrainingError(
                    f"cannot continue from {path}: it is not of this conf file's network and styles, but of {there:.200}; "
                    "or of an older livestyle: then start again with --overwrite"
                )
            tensors = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"cannot continue from {path}: it is damaged; start again with --overwrite") from error
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise TrainingError(f"cannot continue from {path}: it holds numbers that are not finite; start again with --overwrite")
    return tensors
