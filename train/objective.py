"""The objective of a training: the weighted sum of its losses."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from livestyle.errors import InputError, TooLargeError, TrainingError
from livestyle.pictures.reading import read_picture
from livestyle.train.config import Config, StyleSource
from livestyle.train.content import drawn
from livestyle.train.content.crops import ContentCrops, crop_centre, resize_short_side, to_image, to_tensor
from livestyle.train.content.variations import variation
from livestyle.train.losses import perceptual as losses
from livestyle.train.losses.loss_network import LossNetwork
from livestyle.train.losses.temporal import RandomWarp
from livestyle.train.measure.yardstick import Yardstick, check_picture


class Objective:
    """The losses of paintings, for each layer, and their weighted sum.

    pictures: the style pictures in the order of the styles, each (3, h, w) in [0, 1].
    """

    def __init__(self, config: Config, network: LossNetwork, pictures: Iterable[Tensor], device: torch.device) -> None:
        self.config, self.network = config, network
        relative = config.weighting == "relative"
        self.style_loss = losses.relative_style_loss if relative else losses.absolute_style_loss
        self.content_loss = losses.relative_content_loss if relative else losses.absolute_content_loss
        self.layers = [*config.content_layers, *config.style_layers]
        weights = [source.weight for source in config.styles.values()] + [config.extra_weight] * config.extra_styles
        self.style_weights = torch.tensor(weights, device=device)  # (S,)
        grams: dict[str, list[Tensor]] = {layer: [] for layer in config.style_layers}
        for picture in pictures:
            for layer, activations in network(picture[None].to(device), config.style_layers).items():
                grams[layer].append(losses.gram_matrix(activations)[0])
        self.grams = {layer: torch.stack(each) for layer, each in grams.items()}  # (S, C, C)

    def __call__(
        self, painted: Tensor, photo: Tensor, style: Tensor, overshoot: Tensor, painted_copies: Tensor, warp: RandomWarp
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch. Returns name -> scalar.

        painted, photo: (N, 3, H, W) in [0, 1]. style: indices, (N,). overshoot: as `Painter` returns it, (N,).
        painted_copies: paintings of `warp.noisy_copies(photo)`, (N, 3, H, W); (0, 3, H, W) without the temporal loss.
        Names such as "content/conv3_3" are losses without weights, for each layer; "content_weight", "style_weight" ... are the
        losses with their weights; "total" is the sum of the latter, and is minimised.
        """
        config = self.config
        features = self.network(painted, self.layers)
        with torch.no_grad():
            photo_features = self.network(photo, config.content_layers)
        parts: dict[str, Tensor] = {}
        weighted = {"content_weight": painted.new_zeros(()), "style_weight": painted.new_zeros(())}
        for layer, weight in config.content_layers.items():
            each = self.content_loss(features[layer], photo_features[layer])  # (N,)
            parts[f"content/{layer}"] = each.mean()
            weighted["content_weight"] = weighted["content_weight"] + config.content_weight * weight * each.mean()
        for layer, weight in config.style_layers.items():
            each = self.style_loss(features[layer], self.grams[layer][style])  # (N,)
            parts[f"style/{layer}"] = each.mean()
            weighted["style_weight"] = weighted["style_weight"] + weight * (each * self.style_weights[style]).mean()
        if config.tv_weight:
            parts["tv"] = losses.total_variation_loss(painted).mean()
            weighted["tv_weight"] = config.tv_weight * parts["tv"]
        if config.grid_weight:
            parts["grid"] = losses.grid_loss(painted).mean()
            weighted["grid_weight"] = config.grid_weight * parts["grid"]
        if config.overshoot_weight:
            parts["overshoot"] = overshoot.mean()
            weighted["overshoot_weight"] = config.overshoot_weight * parts["overshoot"]
        if config.steady_weight:
            parts["steady"] = warp.loss(painted, painted_copies).mean()
            weighted["steady_weight"] = config.steady_weight * parts["steady"]
        return parts | weighted | {"total": torch.stack(list(weighted.values())).sum()}

    @torch.no_grad()
    def yardstick_by_style(self, pictures: Tensor) -> dict[str, float]:
        """Measure each named style on one photo: relative style loss, summed over layers, and content loss (see yardstick.py).

        pictures: the photo, followed by its painting in each style, (1 + S, 3, H, W) in [0, 1].
        """
        yardstick = Yardstick(self.network, tuple(self.config.style_layers), next(iter(self.config.content_layers)))
        measures: dict[str, float] = {}
        for number, name in enumerate(self.config.styles):
            grams = {layer: each[number] for layer, each in self.grams.items()}
            measure = yardstick.measure(pictures[number + 1, None], pictures[:1], grams)
            measures |= {f"yardstick/{name}/style": measure.style, f"yardstick/{name}/content": measure.content}
        return measures


def read_style_pictures(config: Config, crops: ContentCrops) -> Iterator[Tensor]:
    """Yield the picture of every named style, then those of the extra styles, each (3, h, w) in [0, 1]."""
    named = [read_style_picture(source, config) for source in config.styles.values()]
    yield from named
    images = [to_image(picture) for picture in named]
    for number in range(config.extra_styles):
        yield to_tensor(variation(number, images, to_image(crops[number][0]), config.seed))


def read_style_picture(source: StyleSource, config: Config) -> Tensor:
    """Read a style picture -> (3, h, w) in [0, 1], with a short side of style_size pixels.

    With absolute weighting, only its centre square is used, as in the original program.

    Raises TrainingError if it cannot be read, or is too small, of one colour, or too narrow.
    """
    try:
        picture = drawn.draw_style(source.picture) if drawn.is_drawn(source.picture) else read_picture(source.picture).image
    except (InputError, TooLargeError) as error:
        raise TrainingError(f"cannot read the style picture: {error}") from error
    check_picture(picture, f"the style picture {source.picture}")
    picture = resize_short_side(picture, config.style_size)
    return to_tensor(crop_centre(picture, config.style_size) if config.weighting == "absolute" else picture)
