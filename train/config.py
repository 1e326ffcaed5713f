"""A conf file, read and checked. The original program's conf files are read as they are."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from livestyle.errors import TrainingError
from livestyle.network import NETWORKS
from livestyle.train.loss_network import LOSS_MODELS

LAYERS = ["conv1_2", "conv2_2", "conv3_3", "conv4_3"]


@dataclass(frozen=True)
class Config:
    """One training run. The names of the original's keys are kept; pixels are 0-255 in `absolute` weighting."""

    naming: str  # the run's folder below model_path, and the style's name
    styles: dict[str, Path]  # style's name -> its picture
    style_weights: dict[str, float]  # how much each style's loss counts
    style_size: int  # short side of the style pictures, pixels
    model: str = "lite"
    model_path: Path = Path("models")
    weighting: str = "relative"  # style loss over the style's own Gram norm, or "absolute", as in the original
    content: Path = Path("train2014")
    content_weight: float = 1.0
    tv_weight: float = 0.0
    grid_weight: float = 0.0
    image_size: int = 256
    batch_size: int = 4
    epoch: int = 2
    steps: int | None = None  # takes the place of epoch
    learning_rate: float = 1e-3
    learning_rate_decay: str = "none"  # or "cosine": falls to nothing at the last step
    zoom: float = 1.0  # the content's short side is image_size times 1 to zoom; more than 1 crops at random
    loss_model: str = "vgg_16"
    loss_model_file: Path | None = None
    content_layers: dict[str, float] = dataclasses.field(default_factory=lambda: {"conv3_3": 1.0})
    style_layers: dict[str, float] = dataclasses.field(default_factory=lambda: dict.fromkeys(LAYERS, 1.0))
    precision: str = "auto"
    seed: int = 0
    origin: str = ""  # where the picture comes from, written into the style file


CHOICES = {
    "model": tuple(NETWORKS),
    "weighting": ("relative", "absolute"),
    "learning_rate_decay": ("none", "cosine"),
    "precision": ("auto", "fp32", "bf16"),
    "loss_model": tuple(LOSS_MODELS),
}
COUNTS = ("image_size", "style_size", "batch_size", "epoch", "steps")
WEIGHTS = ("content_weight", "tv_weight", "grid_weight", "learning_rate", "zoom")


def read_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a conf file; overrides that are None are left out.

    Relative paths are looked for from the working folder, then from the conf folder's parent, as
    the original's users start it from there. Raises TrainingError that names the key.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TrainingError(f"no conf file {path}; the project's conf/ folder has one for each style") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"cannot read the conf file {path}: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise TrainingError(f"{path} is not a conf file: it has no keys")
    raw = {str(key): value for key, value in raw.items()}
    original = "style_image" in raw and "weighting" not in raw and str(raw.get("content_layers", "")).find("vgg") >= 0
    return build_config(raw, path, {key: value for key, value in (overrides or {}).items() if value is not None}, original)


def build_config(raw: dict[str, Any], where: Path, overrides: dict[str, Any], original: bool) -> Config:
    """Check every key of a conf file and turn it into a Config."""
    raw = dict(raw)
    raw.pop("checkpoint_exclude_scopes", None)  # the original's: our loss networks have no fully connected layers
    if original:
        raw = {"model": "full", "weighting": "absolute", "content": "train2014"} | raw
    raw |= overrides
    base = where.resolve().parent.parent

    def found(value: Any) -> Path:
        candidate = Path(str(value)).expanduser()
        return candidate if candidate.is_absolute() or candidate.exists() else base / candidate

    naming = str(raw.get("naming", where.stem))
    if "/" in naming or "\\" in naming or naming in ("", ".", ".."):
        raise TrainingError(f"{where}: naming: {naming!r} cannot be a file's name")
    weight = raw.pop("style_weight", 6.0)
    styles = raw.pop("styles", None) or {naming: raw.get("style_image")}
    raw.pop("style_image", None)
    if not isinstance(styles, dict):
        raise TrainingError(f"{where}: styles: expected a line a style, `name: picture.jpg`")
    pictures, weights = {}, {}
    for name, entry in styles.items():
        entry = entry if isinstance(entry, dict) else {"picture": entry}
        if not entry.get("picture"):
            raise TrainingError(f"{where}: no style_image; write `style_image: path/to/painting.jpg`")
        pictures[str(name)] = found(entry["picture"])
        weights[str(name)] = _number(where, f"style_weight of {name}", entry.get("style_weight", weight))
    known = {field.name for field in dataclasses.fields(Config)}
    unknown = set(raw) - known
    if unknown:
        raise TrainingError(f"{where}: unknown key {sorted(unknown)[0]!r}; known keys: {', '.join(sorted(known))}")
    for key in COUNTS:
        if raw.get(key) is not None and (type(raw[key]) is not int or raw[key] < 1):
            raise TrainingError(f"{where}: {key}: expected a whole number above 0, found {raw[key]!r}")
    for key in WEIGHTS:
        if key in raw:
            raw[key] = _number(where, key, raw[key])
    for key, choices in CHOICES.items():
        if key in raw and raw[key] not in choices:
            raise TrainingError(f"{where}: {key}: {raw[key]!r} is none of {', '.join(choices)}")
    for key in ("content_layers", "style_layers"):
        if key in raw:
            raw[key] = _layers(where, key, raw[key])
    if raw.get("loss_model_file"):
        raw["loss_model_file"] = found(raw["loss_model_file"])
    values = raw | {"naming": naming, "styles": pictures, "style_weights": weights}
    values["style_size"] = raw.get("style_size") or raw.get("image_size", 256)
    values["model_path"] = Path(str(raw.get("model_path", "models")))
    values["content"] = found(raw.get("content", "train2014"))
    return Config(**values)


def _number(where: Path, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise TrainingError(f"{where}: {key}: expected a number, 0 or more, found {value!r}")
    return float(value)


def _layers(where: Path, key: str, value: Any) -> dict[str, float]:
    """A list of layers, or layer: weight. `vgg_16/conv3/conv3_3` is conv3_3 of whatever loss network is used."""
    layers = value if isinstance(value, dict) else dict.fromkeys(value if isinstance(value, list) else [value], 1.0)
    known = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1", "conv4_2", "conv4_3")
    short = {str(name).rsplit("/", 1)[-1]: _number(where, key, weight) for name, weight in layers.items()}
    for name in short:
        if name not in known:
            raise TrainingError(f"{where}: {key}: no layer {name!r}; there are {', '.join(known)}")
    if not short:
        raise TrainingError(f"{where}: {key}: at least one layer is needed")
    return short
