"""The networks that losses are measured in: frozen, their ReLU activations named conv1_1 ... conv4_3.

vgg_16 and vgg_19 (Simonyan and Zisserman 2015) take RGB 0-255 minus the ImageNet mean, as the
original program's weights do; torchvision's IMAGENET1K_FEATURES weights are of that convention.
vgg_19_sixteenth is a VGG-19 with a quarter of the channels (Collaborative Distillation, Wang et
al. 2020), about a sixteenth of the arithmetic: it trains on a CPU.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from livestyle.errors import TrainingError

MEAN_255 = (123.68, 116.779, 103.939)
DEPTHS = {"vgg_16": (2, 2, 3, 3), "vgg_19": (2, 2, 4, 3), "vgg_19_sixteenth": (2, 2, 4, 3)}
WIDTHS = {"vgg_16": (64, 128, 256, 512), "vgg_19": (64, 128, 256, 512), "vgg_19_sixteenth": (16, 32, 64, 128)}
LOSS_MODELS = tuple(DEPTHS)


class LossNetwork(nn.Module):
    """RGB in [0, 1], (N, 3, H, W) -> {layer: activations after ReLU, (N, C, h, w)}, no deeper than is asked for."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.reflect = model == "vgg_19_sixteenth"  # the VGGs pad with zeros
        self.convolutions = nn.ModuleDict()
        inputs = 3
        for block, (depth, width) in enumerate(zip(DEPTHS[model], WIDTHS[model], strict=True), start=1):
            for number in range(1, depth + 1):
                self.convolutions[f"conv{block}_{number}"] = nn.Conv2d(inputs, width, 3)
                inputs = width
        self.register_buffer("scale", torch.eye(3).reshape(3, 3, 1, 1) * 255)
        self.register_buffer("shift", -torch.tensor(MEAN_255))

    def forward(self, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = F.conv2d(x, self.scale, self.shift)  # type: ignore[arg-type]  # buffers
        for name, convolution in self.convolutions.items():
            if name[4] > "1" and name.endswith("_1"):
                x = F.max_pool2d(x, 2)
            x = F.relu(convolution(F.pad(x, (1, 1, 1, 1), mode="reflect" if self.reflect else "constant")))
            if name in wanted:
                found[name] = x
                if len(found) == len(wanted):
                    break
        return found


def load_loss_network(model: str, file: Path | None) -> LossNetwork:
    """Load the weights: from the file (safetensors), or torchvision's own hash-checked download.

    The file's keys are torchvision's (`features.0.weight`), or Collaborative Distillation's
    (`conv11.weight`). Raises TrainingError that says where the weights were looked for and how to get them.
    """
    network = LossNetwork(model)
    state = _read(file) if file is not None and file.exists() else None
    if state is None and model == "vgg_19_sixteenth":
        raise TrainingError(f"no weights for {model} at {file}; name the file with --loss-model-file")
    if state is None:
        state = _download(model, file)
    translated = {}
    index = 0  # torchvision counts convolutions, ReLUs and pools
    for name in network.convolutions:
        index += name[4] > "1" and name.endswith("_1")
        own = f"conv{name[4]}{name[6]}" if model == "vgg_19_sixteenth" else f"features.{index}"
        for part in ("weight", "bias"):
            value = state.get(f"{own}.{part}")
            target = f"convolutions.{name}.{part}"
            if value is None or value.shape != network.state_dict()[target].shape:
                raise TrainingError(f"{file} does not hold {model}: {own}.{part} is missing or of another shape")
            translated[target] = value.float()
        index += 2
    if model == "vgg_19_sixteenth":
        translated |= {"scale": state["conv0.weight"].float(), "shift": state["conv0.bias"].float()}
    network.load_state_dict(translated, strict=False)
    return network.eval().requires_grad_(False)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        kind = "a TensorFlow checkpoint" if file.suffix == ".ckpt" else "not a safetensors file"
        raise TrainingError(
            f"{file} is {kind}, which is not read; use --loss-model-file vgg.safetensors "
            "(torchvision's keys), or leave it out of the conf file to download torchvision's weights"
        ) from error


def _download(model: str, file: Path | None) -> dict[str, Tensor]:
    from torchvision.models import VGG16_Weights, VGG19_Weights  # heavy

    try:
        if model == "vgg_16":
            return dict(VGG16_Weights.IMAGENET1K_FEATURES.get_state_dict(progress=True, check_hash=True))
        state = dict(VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True))
    except Exception as error:  # urllib's, socket's, or torch's own: all mean that there are no weights
        looked = f"not at {file}, and " if file is not None else ""
        raise TrainingError(
            f"no weights for {model}: {looked}torchvision's download failed ({error}); "
            "bring a safetensors file with torchvision's keys and name it with --loss-model-file"
        ) from error
    # these weights take RGB / 255 over the ImageNet deviation: fold that into the first convolution
    deviation = torch.tensor([0.229, 0.224, 0.225]) * 255
    state["features.0.weight"] = state["features.0.weight"] / deviation[None, :, None, None]
    return state
