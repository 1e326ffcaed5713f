"""The objective of a training: the weighted sum of its losses."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from livestyle.errors import InputError, TooLargeError, TrainingError
from livestyle.frame import Image
from livestyle.pictures.reading import read_picture
from livestyle.prediction.statistics import LAYERS, STATISTICS
from livestyle.train.config import Config, StyleSource
from livestyle.train.content import drawn
from livestyle.train.content.crops import crop_centre, resize_short_side, to_tensor
from livestyle.train.losses import perceptual as losses
from livestyle.train.losses.loss_network import LossNetwork
from livestyle.train.losses.temporal import RandomWarp
from livestyle.train.measure.yardstick import Yardstick, check_picture
from livestyle.train.predictor import picture_statistics


class Objective:
    """The losses of paintings, for each layer, and their weighted sum.

    pictures: the pictures of the named styles, in order, each (3, h, w) in [0, 1].
    statistics_network: the bundled loss network, which may be the same object as `network`, for predicted styles; else None.
    """

    def __init__(
        self,
        config: Config,
        network: LossNetwork,
        pictures: Iterable[Tensor],
        device: torch.device,
        statistics_network: LossNetwork | None = None,
    ) -> None:
        self.config, self.network, self.statistics_network = config, network, statistics_network
        relative = config.weighting == "relative"
        self.style_loss = losses.relative_style_loss if relative else losses.absolute_style_loss
        self.content_loss = losses.relative_content_loss if relative else losses.absolute_content_loss
        self.layers = [*config.content_layers, *config.style_layers]
        weights = [source.weight for source in config.styles.values()]
        self.style_weights = torch.tensor([*weights, config.extra_weight], device=device)  # (S + 1,); the last: of all others
        self.grams: dict[str, list[Tensor]] = {layer: [] for layer in config.style_layers}  # S of (C, C)
        self.statistics: list[Tensor] = []  # S of (1, 1920), for the samples; empty unless only the predictor is trained
        for picture in pictures:
            on_device = picture[None].to(device)  # (1, 3, h, w)
            for layer, activations in network(on_device, config.style_layers).items():
                self.grams[layer].append(losses.gram_matrix(activations)[0])
            if statistics_network is not None and config.finetune == "predictor":
                self.statistics.append(picture_statistics(statistics_network(on_device, LAYERS)))

    @torch.no_grad()
    def read_style_pictures(self, pictures: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Compute what style pictures, (P, 3, h, w) in [0, 1], are painted with and compared with. P may be 0.

        Returns their Gram matrices, layer -> (P, C, C), and their statistics, (P, 1920). The bundled loss network computes in
        fp32, as in inference.
        """
        config, network = self.config, self.statistics_network
        if network is None or not len(pictures):
            return dict.fromkeys(config.style_layers, pictures[:0]), pictures.new_zeros(0, STATISTICS)
        with torch.autocast(pictures.device.type, enabled=False):
            features = network(pictures, [*LAYERS, *(config.style_layers if network is self.network else ())])
        statistics = picture_statistics(features)
        if network is not self.network:
            features = self.network(pictures, config.style_layers)
        return {layer: losses.gram_matrix(features[layer]) for layer in config.style_layers}, statistics

    def __call__(
        self,
        painted: Tensor,
        photo: Tensor,
        style: Tensor,
        overshoot: Tensor,
        painted_copies: Tensor,
        warp: RandomWarp,
        other_grams: Mapping[str, Iterable[Tensor]],
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch. Returns name -> scalar.

        painted, photo: (N, 3, H, W) in [0, 1]. style: indices, (N,). overshoot: as `Painter` returns it, (N,).
        other_grams: the Gram matrices of the styles with the indices S, S + 1 ...: layer -> (C, C) each.
        painted_copies: paintings of `warp.noisy_copies(photo)`, (N, 3, H, W); (0, 3, H, W) without the temporal loss.
        Names such as "content/conv3_3" are losses without weights, for each layer; "content_weight", "style_weight" ... are the
        losses with their weights; "total" is the sum of the latter, and is minimised.
        """
        config = self.config
        features = self.network(painted, self.layers)
        with torch.no_grad():
            photo_features = self.network(photo, config.content_layers)
        style_weights = self.style_weights[style.clamp_max(len(self.style_weights) - 1)]  # (N,)
        parts: dict[str, Tensor] = {}
        weighted = {"content_weight": painted.new_zeros(()), "style_weight": painted.new_zeros(())}
        for layer, weight in config.content_layers.items():
            each = self.content_loss(features[layer], photo_features[layer])  # (N,)
            parts[f"content/{layer}"] = each.mean()
            weighted["content_weight"] = weighted["content_weight"] + config.content_weight * weight * each.mean()
        for layer, weight in config.style_layers.items():
            targets = torch.stack([*self.grams[layer], *other_grams[layer]]).index_select(0, style)  # (N, C, C)
            each = self.style_loss(features[layer], targets)  # (N,)
            parts[f"style/{layer}"] = each.mean()
            weighted["style_weight"] = weighted["style_weight"] + weight * (each * style_weights).mean()
        if config.tv_weight:
            parts["tv"] = losses.total_variation_loss(painted).mean()
            weighted["tv_weight"] = config.tv_weight * parts["tv"]
        if config.grid_weight:
            parts["grid"] = losses.grid_loss(painted).mean()
            weighted["grid_weight"] = config.grid_weight * parts["grid"]
        if config.lattice_weight:
            parts["lattice"] = losses.lattice_loss(painted).mean()
            weighted["lattice_weight"] = config.lattice_weight * parts["lattice"]
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


def read_style_picture(source: StyleSource, config: Config) -> Tensor:
    """Read a style picture -> (3, h, w) in [0, 1], with a short side of style_size pixels. Raises as `read_style_image` does.

    With absolute weighting, only its centre square is used, as in the original program.
    """
    picture = resize_short_side(read_style_image(source), config.style_size)
    return to_tensor(crop_centre(picture, config.style_size) if config.weighting == "absolute" else picture)


def read_style_image(source: StyleSource) -> Image:
    """Read or draw a style picture -> (H, W, 3) uint8 RGB.

    Raises TrainingError if it cannot be read, or is too small, of one colour, or too narrow.
    """
    try:
        picture = drawn.draw_style(source.picture) if drawn.is_drawn(source.picture) else read_picture(source.picture).image
    except (InputError, TooLargeError) as error:
        raise TrainingError(f"cannot read the style picture: {error}") from error
    check_picture(picture, f"the style picture {source.picture}")
    return picture
