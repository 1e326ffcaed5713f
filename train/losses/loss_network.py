"""The loss networks: frozen networks whose activations after ReLU are named conv1_1, conv1_2 ...

- vgg_16, vgg_19 (Simonyan and Zisserman 2015): input RGB 0-255 minus the ImageNet mean, as for the original program's weights and
  torchvision's IMAGENET1K_FEATURES.
- vgg_19_sixteenth: a VGG-19 with a quarter of the channels (Collaborative Distillation, Wang et al. 2020), about a sixteenth of
  the arithmetic; fast enough to train on a CPU.
- random: as vgg_19_sixteenth, but with random filters, so it needs no file. It responds to colour and texture, but not to objects
  (He et al. 2016, "A Powerful Generative Model Using Random Weights for the Deep Image Representation").
- own: bundled; a VGG-19 with factored convolutions and about a ninth of the weights, distilled by livestyle.train.distil.
"""

import importlib.resources
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from livestyle.errors import TrainingError
from livestyle.train.losses.foreign_formats import describe_format

MEAN_255 = (123.68, 116.779, 103.939)
DEPTHS = {
    "own": (2, 2, 4, 3), "vgg_16": (2, 2, 3, 3, 3), "vgg_19": (2, 2, 4, 4, 4),
    "vgg_19_sixteenth": (2, 2, 4, 4), "random": (2, 2, 4, 4),
}  # fmt: skip
WIDTHS = {
    "own": (64, 128, 256, 512), "vgg_16": (64, 128, 256, 512, 512), "vgg_19": (64, 128, 256, 512, 512),
    "vgg_19_sixteenth": (16, 32, 64, 128), "random": (16, 32, 64, 128),
}  # fmt: skip
POOLED = ("conv2_1", "conv3_1", "conv4_1", "conv5_1")  # the layers after a pooling layer
NARROWING = 4  # own's 3 x 3 convolutions have a quarter of the input and output channels of a VGG-19
LOSS_MODELS = tuple(DEPTHS)


def layer_names(model: str) -> list[str]:
    """The names of a loss network's layers, by block and number in the order of execution: conv1_1, conv1_2, conv2_1 ..."""
    return [f"conv{block}_{number}" for block, depth in enumerate(DEPTHS[model], 1) for number in range(1, depth + 1)]


def narrow_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """A factored 3 x 3 convolution: 1 x 1 to a quarter of the channels, 3 x 3, then 1 x 1 to all channels.

    It has about a ninth of the weights and of the arithmetic (Tucker-2, Kim et al. 2016).
    """
    return nn.Sequential(
        nn.Conv2d(inputs, inputs // NARROWING, 1, bias=False),
        nn.Conv2d(inputs // NARROWING, outputs // NARROWING, 3, padding=1, bias=False),
        nn.Conv2d(outputs // NARROWING, outputs, 1),
    )


class LossNetwork(nn.Module):
    """The convolutional layers of a loss network, up to the deepest of `layers`.

    Called with pictures, (N, 3, H, W) RGB in [0, 1], and the layers wanted; returns layer -> ReLU output, (N, C, h, w).
    """

    def __init__(self, model: str, layers: Iterable[str]) -> None:
        super().__init__()
        names = layer_names(model)
        deepest = max(names.index(layer) for layer in layers)
        self.normalise = nn.Conv2d(3, 3, 1)
        self.convolutions = nn.ModuleDict()
        inputs = 3
        for name in names[: deepest + 1]:
            width = WIDTHS[model][int(name[4]) - 1]
            if model == "own" and inputs > 3:
                self.convolutions[name] = narrow_convolution(inputs, width)
            else:
                self.convolutions[name] = nn.Conv2d(
                    inputs, width, 3, padding=1, padding_mode="reflect" if model == "vgg_19_sixteenth" else "zeros"
                )
            inputs = width

    def forward(self, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = self.normalise(x)
        for name, convolution in self.convolutions.items():
            if name in POOLED:
                x = F.max_pool2d(x, 2)
            x = F.relu(convolution(x), inplace=True)
            if name in wanted:
                found[name] = x
                if len(found) == len(wanted):
                    break
        return found


def load_loss_network(model: str, file: Path | None, layers: Iterable[str]) -> LossNetwork:
    """Build a frozen loss network and load its weights from the file (safetensors), or from torchvision's hash-checked download.

    The file's keys are those of torchvision (`features.0.weight`); for the model "vgg_19_sixteenth", those of Collaborative
    Distillation (`conv11.weight`); for the model "own", those of LossNetwork.

    Raises TrainingError; the message names the places searched and says how to get the weights.
    """
    network = LossNetwork(model, layers)
    if model == "own" and file is None:
        file = Path(str(importlib.resources.files("livestyle.prediction"))) / "loss_network.safetensors"
    if model == "random":
        state = _random_state(network)
    elif file is not None and file.exists():
        state = _read(model, file, network)
    elif model == "own":
        raise TrainingError(f"no weights for own: {file} does not exist; leave out --loss-model-file to use the bundled weights")
    elif model == "vgg_19_sixteenth":
        looked = f"{file} does not exist" if file else "the conf file names no loss_model_file"
        raise TrainingError(
            f"no weights for {model}: {looked}; name a safetensors file with --loss-model-file (the weights are "
            "on github.com/MingSun-Tse/Collaborative-Distillation), or use --loss-model vgg_16"
        )
    else:
        state = _download(model, file, network)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _keys(model: str, network: LossNetwork) -> dict[str, str]:
    """Map the parameter names of a LossNetwork to the keys in its weights files."""
    if model == "own":
        return {name: name for name in network.state_dict()}
    keys: dict[str, str] = {}
    index = 0  # torchvision counts convolutions, ReLUs and pools
    for name in network.convolutions:
        index += name in POOLED
        own = f"conv{name[4]}{name[6]}" if model == "vgg_19_sixteenth" else f"features.{index}"
        keys |= {f"convolutions.{name}.{part}": f"{own}.{part}" for part in ("weight", "bias")}
        index += 2
    if model == "vgg_19_sixteenth":
        keys |= {"normalise.weight": "conv0.weight", "normalise.bias": "conv0.bias"}
    return keys


def _caffe_normalisation() -> dict[str, Tensor]:
    """The weights of `normalise` that scale [0, 1] to 0-255 and subtract the ImageNet mean, as Caffe's VGG expects."""
    return {"normalise.weight": torch.eye(3)[:, :, None, None] * 255, "normalise.bias": -torch.tensor(MEAN_255)}


def _read(model: str, file: Path, network: LossNetwork) -> dict[str, Tensor]:
    """Read only the tensors that the network needs, after validating their names and shapes. Raises TrainingError."""
    try:
        with safe_open(file, framework="pt") as weights:
            keys = set(weights.keys())
            state = {}
            for name, key in _keys(model, network).items():
                shape = tuple(network.state_dict()[name].shape)
                if key not in keys or tuple(weights.get_slice(key).get_shape()) != shape:
                    raise TrainingError(f"{file} does not contain {model}: {key} {shape} is missing or has another shape")
                state[name] = weights.get_tensor(key).float()
    except (SafetensorError, OSError, ValueError) as error:
        raise TrainingError(
            f"{file} is {describe_format(file)}, which is not supported; use --loss-model-file FILE.safetensors (torchvision's "
            "keys), or remove loss_model_file from the conf file to download torchvision's weights"
        ) from error
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise TrainingError(f"{file} contains values that are not finite; the file is damaged")
    return state if "normalise.weight" in state else state | _caffe_normalisation()


def _random_state(network: LossNetwork) -> dict[str, Tensor]:
    """Make random filters from a fixed seed.

    Each sums to 0, so that it responds to edges and colours rather than to brightness. They are scaled so that activations keep
    their size from layer to layer (He et al. 2015).
    """
    generator = torch.Generator().manual_seed(0)
    state = {"normalise.weight": torch.eye(3)[:, :, None, None] * 4, "normalise.bias": torch.full((3,), -2.0)}
    for name, value in network.convolutions.state_dict(prefix="convolutions.").items():
        if name.endswith("weight"):  # (outputs, inputs, 3, 3)
            filters = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
            state[name] = filters - filters.mean((1, 2, 3), keepdim=True)
        else:
            state[name] = torch.zeros_like(value)
    return state


def _download(model: str, file: Path | None, network: LossNetwork) -> dict[str, Tensor]:
    from torchvision.models import VGG16_Weights, VGG19_Weights  # slow to import

    choice = VGG16_Weights.IMAGENET1K_FEATURES if model == "vgg_16" else VGG19_Weights.IMAGENET1K_V1
    try:
        weights = choice.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # from urllib, socket or torch; each means that there are no weights
        looked = f"{file} does not exist, and " if file is not None else ""
        reason = " ".join(str(error).split())
        raise TrainingError(
            f"no weights for {model}: {looked}torchvision's download from {choice.url} failed ({reason}); get a safetensors "
            "file with torchvision's keys and name it with --loss-model-file, or use --loss-model own, which is bundled"
        ) from error
    state = {name: weights[key].float() for name, key in _keys(model, network).items()} | _caffe_normalisation()
    if model == "vgg_19":  # they expect RGB / ImageNet deviation: fold it into the first convolution
        deviation = torch.tensor([0.229, 0.224, 0.225]) * 255
        state["convolutions.conv1_1.weight"] = state["convolutions.conv1_1.weight"] / deviation[None, :, None, None]
    return state
