"""A moving test scene drawn by code: dusk over a lake, with varied textures, edges and motion.

It has a soft sun, drifting clouds, hills and woods, a lit house, rippled water, boats, birds, and reeds in the wind. A frame
depends only on its time. Static parts are drawn once, and blended into each frame.
"""

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.frame import FloatArray, Frame, Image, StreamInfo

Color = tuple[int, int, int]
Points = list[tuple[float, float]]

# lengths and positions are in units of the frame's height; the origin is the top left corner
HORIZON = 0.58
SUN_HEIGHT, SUN_RADIUS = 0.395, 0.047
SMALLEST = 16  # pixels; smaller frames are scaled down from this size
DETAIL = 3  # small objects are drawn at this scale, then scaled down
FIXED_POINT = 4  # fractional bits of the coordinates for OpenCV's drawing functions

SKY = [(0.0, (38, 56, 112)), (0.22, (88, 92, 152)), (0.40, (188, 128, 150)), (0.52, (246, 168, 118)), (0.60, (255, 214, 148))]
SUN, SUNLIGHT = (255, 250, 226), (255, 236, 190)
CLOUD_SHADE, CLOUD_LIGHT = (104, 88, 136), (255, 190, 150)
DEEP_WATER = (16, 38, 74)
RIDGES = (  # top, rise, wave length, roughness, colour of the crest and of the foot
    (0.485, 0.060, 0.90, 0.018, (142, 112, 150), (226, 164, 148)),
    (0.520, 0.042, 0.60, 0.016, (98, 90, 130), (178, 130, 138)),
    (0.550, 0.026, 0.45, 0.020, (56, 70, 86), (100, 92, 100)),
)
LEAF_SHADE, LEAF_LIGHT = (22, 40, 36), (182, 138, 62)
REED_SHADE, REED_LIGHT, BULRUSH = (38, 58, 40), (186, 156, 70), (98, 58, 36)
SMOKE, BIRD = (206, 178, 184), (44, 36, 58)


class DemoScene:
    """A source that draws the scene, at `rate` frames per second of presentation time. `read` does not wait: see Paced.

    width, height: in pixels. seconds: duration; None for no end.
    """

    def __init__(self, width: int, height: int, rate: Fraction | int = 30, seconds: float | None = None) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._rate = Fraction(rate)
        count = None if seconds is None else round(self._rate * Fraction(seconds))
        self.info = StreamInfo(width, height, self._rate, count, time_base=1 / self._rate)
        self._scene = Lake(max(width, SMALLEST), max(height, SMALLEST))
        self._next = 0

    def read(self) -> Frame | None:
        if self._next == self.info.frame_count:
            return None
        pts_seconds = self._next / self._rate
        self._next += 1
        image = self._scene.draw(float(pts_seconds))
        if image.shape[:2] != (self.info.height, self.info.width):
            image = _scaled(image, self.info.width, self.info.height)
        return Frame(image, pts_seconds)

    def close(self) -> None:
        pass


class Layer:
    """A picture with transparency, prepared for blending.

    color: (H, W, 3) RGB. alpha: (H, W), from 0 to 1.
    """

    def __init__(self, color: NDArray[Any], alpha: NDArray[Any]) -> None:
        weight = np.clip(alpha, 0, 1)[..., None]
        self.light = np.asarray(np.clip(color, 0, 255) * weight, np.uint8, order="C")
        """(H, W, 3) uint8: color * alpha, which is added to the picture."""
        self.shade = np.repeat(np.asarray(255 - 255 * weight, np.uint8), 3, axis=2)
        """(H, W, 3) uint8: 255 * (1 - alpha), the part of the picture that stays."""

    def over(self, target: Image) -> None:
        """Blend the layer onto (H, W, 3) RGB, in place."""
        _blend(target, self.light, self.shade)


class Lake:
    """Draws the scene at one frame size, given in pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._aspect = width / height
        self._horizon = round(height * HORIZON)  # rows of sky and land
        self._sun = (0.60 * self._aspect, SUN_HEIGHT)
        self._rng = np.random.default_rng(7)
        self._sky = self._paint_sky()
        self._clouds = [  # strip, speed per second
            (self._paint_clouds(0.20, 0.36, 0.12), 0.012),
            (self._paint_clouds(0.0, 0.52, 0.30), 0.024),
        ]
        # reused: allocating arrays of this size takes longer than drawing into them
        self._drifting = np.empty((2, self._horizon, width, 3), np.uint8)
        self._land = self._paint_land()
        self._bank = self._paint_bank()
        self._boat, self._boat_below = self._paint_boat()
        self._plant_reeds()
        self._prepare_water()

    def draw(self, seconds: float) -> Image:
        """The scene at a time: (height, width, 3) uint8 RGB, a new array."""
        picture = np.empty((self._height, self._width, 3), np.uint8)
        above = picture[: self._horizon]
        above[:] = self._sky
        for clouds, speed in self._clouds:
            light, shade = self._drifted(clouds.light, seconds * speed, 0), self._drifted(clouds.shade, seconds * speed, 1)
            _blend(above[: len(light)], light, shade)
        self._draw_birds(above, seconds)
        self._land.over(above)
        self._draw_smoke(above, seconds)
        self._draw_water(picture, seconds)
        self._draw_boat(picture, 0.615, 0.42, 0.86 + seconds * 0.007, seconds)
        self._draw_boat(picture, 0.745, 1.0, 0.40 + seconds * 0.028, seconds)
        self._bank.over(picture[-len(self._bank.light) :])
        self._draw_reeds(picture, seconds)
        return picture

    # the sky

    def _paint_sky(self) -> Image:
        y, x = self._grid(0, self._horizon)
        heights, colors = zip(*SKY, strict=True)
        sky = np.stack([np.interp(y, heights, channel) for channel in np.transpose(colors)], axis=-1)  # (H, W, 3)
        sky = sky + 5 * self._noise(self._horizon, self._width, (0.7, 0.09), 4)[..., None]
        distance = np.hypot(x - self._sun[0], (y - self._sun[1]) * 1.15)
        glow = 0.75 * np.exp(-((distance / 0.16) ** 2)) + 0.45 * np.exp(-distance / 0.32)
        sky = _mix(sky, SUNLIGHT, glow)
        sky = _mix(sky, SUN, (SUN_RADIUS - distance) * self._height + 0.5)
        return np.asarray(np.clip(sky, 0, 255), np.uint8)

    def _paint_clouds(self, top: float, bottom: float, size: float) -> Layer:
        """A strip of clouds, three frame widths wide, which repeats after two: any window of one frame width can be cut from it.

        top, bottom: the rows that have clouds. size: size of the clouds. All in frame heights.
        """
        rows, columns = max(1, round(bottom * self._height)), 2 * self._width
        y = (np.arange(rows, dtype=np.float32) + 0.5)[:, None] / self._height
        noise = self._noise(rows, columns, (size * 1.6, size * 0.42), 5, wrap=True)
        noise += 0.35 * self._noise(rows, columns, (size * 5, size), 2, wrap=True)
        density = (noise - 0.10) * 1.9 * np.clip((y - top) / 0.10, 0, 1) * np.clip((bottom - y) / 0.14, 0, 1)
        below = cv2.GaussianBlur(np.roll(noise, -max(1, self._height // 50), axis=0), (0, 0), 0.012 * self._height + 0.3)
        lit = 0.45 + (noise - below) * 2.2 + (y - 0.22) * 1.1  # the sun lights the clouds from below
        color = _mix(np.full((rows, columns, 3), CLOUD_SHADE, np.float32), CLOUD_LIGHT, lit)
        again = np.arange(columns + self._width + 1) % columns
        return Layer(color[:, again], 0.92 * np.clip(density, 0, 1)[:, again])

    def _drifted(self, strip: Image, distance: float, place: int) -> Image:
        """Copy one frame width of a cloud strip, from `distance` in frame heights on, interpolated between pixels.

        Returns a view of `self._drifting[place]`.
        """
        start, part = divmod(distance * self._height % (2 * self._width), 1)
        left = strip[:, int(start) : int(start) + self._width]
        right = strip[:, int(start) + 1 : int(start) + 1 + self._width]
        window = self._drifting[place, : len(strip)]
        cv2.addWeighted(left, 1 - part, right, part, 0, window)
        return window

    def _draw_birds(self, picture: Image, seconds: float) -> None:
        for number in range(7):
            row = (number + 1) // 2 * (1 if number % 2 else -1)  # a V formation
            x = (0.16 + seconds * 0.035 - abs(row) * 0.048) % (self._aspect + 0.4) - 0.2 + 0.005 * np.sin(seconds + number)
            y = 0.17 + row * 0.026 + 0.012 * np.sin(seconds * 0.5) + 0.003 * np.sin(seconds * 1.7 + number * 2)
            lift = 0.011 * np.sin(seconds * 6.5 + number * 1.3) - 0.004
            wing = [(-0.017, -lift), (-0.008, -lift * 0.9 - 0.003), (0, 0), (0.008, -lift * 0.9 - 0.003), (0.017, -lift)]
            points = _fixed([(x + dx, y + dy) for dx, dy in wing], self._height)
            cv2.polylines(picture, [points], False, BIRD, max(1, round(0.004 * self._height)), cv2.LINE_AA, FIXED_POINT)

    # the land

    def _paint_land(self) -> Layer:
        """Hills, woods and the house, above the horizon."""
        rows, columns = self._horizon, self._width
        y, x = self._grid(0, rows)
        color, alpha = np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.float32)
        evening = np.exp(-(((x - self._sun[0]) / 0.28) ** 2))[..., None] * np.array((70, 36, 6))
        for top, rise, length, rough, crest, foot in RIDGES:
            line = self._noise(1, columns, (length, 1), 3) * rise + self._noise(1, columns, (length / 14, 1), 3) * rough
            depth = y - (top - line)
            hill = _mix(np.full_like(color, crest), foot, depth / 0.09)
            hill += evening * (1 - 0.4 * np.clip(depth / 0.09, 0, 1))[..., None]
            hill += self._noise(rows, columns, (0.030, 0.012), 3)[..., None] * 14
            self._cover(color, alpha, hill, depth)
        # the headland on the left: a meadow, woods and the house
        far = min(0.62, 0.4 * self._aspect)
        slope = np.clip(1 - x / far, 0, None) ** 0.62 * 0.17 + self._noise(1, columns, (0.10, 1), 3) * 0.006
        depth = y - (HORIZON + 0.012 - slope)
        grass = _mix(np.full_like(color, (132, 126, 60)), (44, 66, 44), depth / 0.12)
        grass += self._noise(rows, columns, (0.030, 0.008), 4)[..., None] * np.array((46, 40, 20))
        self._cover(color, alpha, grass, np.where(x < far, depth, -1))

        def ground(place: float) -> float:
            return float(HORIZON + 0.012 - max(0, 1 - place / far) ** 0.62 * 0.17)

        size = (min(columns, round(far * self._height)), rows)
        part = (slice(None), slice(size[0]))
        canvas, mask = (_scaled(array[part], size[0] * DETAIL, rows * DETAIL) for array in (color, alpha))
        house = 0.31 * far
        for place in np.sort(self._rng.uniform(-0.03, 0.52, 34)) * far / 0.62:
            if not house - 0.035 < place < house + 0.095:
                self._paint_tree(canvas, mask, place, ground(place) + self._rng.uniform(0, 0.03), self._rng.uniform(0.05, 0.10))
        self._paint_house(canvas, mask, house, ground(house) + 0.026)
        color[part], alpha[part] = _scaled(canvas, *size), _scaled(mask, *size)
        return Layer(color, alpha)

    def _cover(self, color: FloatArray, alpha: FloatArray, shape: NDArray[Any], depth: NDArray[Any]) -> None:
        """Draw a shape onto `color` (H, W, 3) and `alpha` (H, W), in place and antialiased.

        depth: how far each pixel is below the upper edge of the shape, (H, W) in frame heights; drawn where it is above 0.
        """
        weight = np.clip(depth * self._height + 0.5, 0, 1)
        color += (shape - color) * np.where(alpha > 0, weight, weight > 0)[..., None]
        np.maximum(alpha, weight, out=alpha)

    def _paint_tree(self, canvas: FloatArray, mask: FloatArray, x: float, base: float, height: float) -> None:
        """Draw a crown of leaves: dark at the bottom, warm on the side of the sun."""
        scale = self._height * DETAIL
        for _ in range(70):
            aside, up = self._rng.normal(0, 0.30), self._rng.uniform(0.12, 1)
            middle = _fixed([(x + aside * height * (0.80 - 0.52 * up), base - up * height)], scale)[0].tolist()
            warm = np.array(0.55 * up + 0.5 * aside + self._rng.uniform(-0.15, 0.25))
            shade = _mix(np.array(LEAF_SHADE, np.float32), LEAF_LIGHT, warm).tolist()
            radius = round(height * self._rng.uniform(0.04, 0.10) * scale * 2**FIXED_POINT)
            cv2.circle(canvas, middle, radius, shade, -1, cv2.LINE_8, FIXED_POINT)
            cv2.circle(mask, middle, radius, 1.0, -1, cv2.LINE_8, FIXED_POINT)

    def _paint_house(self, canvas: FloatArray, mask: FloatArray, x: float, base: float) -> None:
        self._chimney = (x + 0.018, base - 0.102)
        parts: list[tuple[Points, Color]] = [
            ([(0, 0), (0.053, 0), (0.053, 0.052), (0, 0.052)], (150, 122, 124)),  # front
            ([(0.053, 0), (0.085, 0), (0.085, 0.052), (0.069, 0.088), (0.053, 0.052)], (226, 206, 186)),  # gable
            ([(0.012, 0.052), (0.024, 0.052), (0.024, 0.102), (0.012, 0.102)], (112, 70, 62)),  # chimney
            ([(-0.006, 0.052), (0.053, 0.052), (0.069, 0.090), (0.012, 0.090)], (166, 62, 46)),  # roof
            ([(0.009, 0.018), (0.020, 0.018), (0.020, 0.036), (0.009, 0.036)], (255, 222, 120)),  # windows
            ([(0.031, 0.018), (0.042, 0.018), (0.042, 0.036), (0.031, 0.036)], (255, 222, 120)),
            ([(0.063, 0.022), (0.074, 0.022), (0.074, 0.042), (0.063, 0.042)], (255, 222, 120)),
        ]
        for outline, color in parts:
            points = _fixed([(x + dx, base - dy) for dx, dy in outline], self._height * DETAIL)
            cv2.fillPoly(canvas, [points], color, cv2.LINE_8, FIXED_POINT)
            cv2.fillPoly(mask, [points], 1.0, cv2.LINE_8, FIXED_POINT)

    def _draw_smoke(self, picture: Image, seconds: float) -> None:
        """Draw puffs of smoke that rise, widen and fade."""
        x, y = self._chimney
        left, right = (int(np.clip(place * self._height, 0, self._width)) for place in (x - 0.06, x + 0.20))
        top, bottom = (int(np.clip(place * self._height, 0, self._horizon)) for place in (y - 0.24, y + 0.01))
        if left >= right or top >= bottom:
            return
        number = np.arange(8, dtype=np.float32)
        age = (np.float32(seconds / 7) + number / 8) % 1
        middle_x = x + 0.10 * age**1.5 + 0.012 * np.sin(seconds * 0.9 + number * 2.1) * age
        width = 0.4 * (0.008 + 0.030 * age) ** 2
        across = (np.arange(left, right, dtype=np.float32)[:, None] + 0.5) / self._height - middle_x  # (W, puffs)
        down = (np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5) / self._height - (y - 0.17 * age)  # (H, puffs)
        # a round Gaussian is separable: an outer product of rows and columns
        thickness = (0.5 * (1 - age) * np.exp(-(down**2) / width)) @ np.exp(-(across**2) / width).T
        part = picture[top:bottom, left:right]
        part[:] = _mix(part, SMOKE, 0.7 * thickness)

    # the water

    def _prepare_water(self) -> None:
        rows = self._height - self._horizon
        y = (np.arange(rows, dtype=np.float32) + 0.5)[:, None] / rows  # 0 far, 1 near
        x = (np.arange(self._width, dtype=np.float32) + 0.5)[None] / self._height
        far = 1 / (y + 0.10)
        wander = self._noise(rows, self._width, (0.22, 0.05), 3)
        self._phases = [  # of three wave trains: phase at time 0, angular speed
            ((far * 21 + x * 5 + wander * 5).astype(np.float32), 1.9),
            ((far * 34 - x * 9 * (0.4 + y) + wander * 7 + 2).astype(np.float32), -1.5),
            ((far * 12 + x * 16 / far + wander * 3).astype(np.float32), 1.1),
        ]
        self._mirror = np.repeat(self._horizon - 1 - y * rows * 0.92, self._width, axis=1).astype(np.float32)
        self._columns = np.repeat(np.arange(self._width, dtype=np.float32)[None], rows, axis=0)
        self._swell = ((0.004 + 0.030 * y) * 0.5 * self._height).astype(np.float32)  # pixels
        self._deep = Layer(np.full((rows, self._width, 3), DEEP_WATER), np.repeat(0.14 + 0.50 * y**0.8, self._width, axis=1))
        sun = np.exp(-(((x - self._sun[0]) / (0.035 + 0.15 * y)) ** 2))
        self._glitter = (255 * (0.08 + 1.5 * sun) * np.clip(1.2 - 0.5 * y, 0, 1)).astype(np.float32)
        self._rarity = (1.05 - 0.75 * sun).astype(np.float32)  # the slope from which a wave reflects the sun
        self._warmth = (np.arange(256)[:, None] * np.array((1, 0.82, 0.54)))[None].astype(np.uint8)  # (1, 256, 3)

    def _draw_water(self, picture: Image, seconds: float) -> None:
        """Draw the reflection of land and sky: distorted by waves, darker towards the viewer, glittering below the sun."""
        one, two, three = (np.sin(phase + np.float32(seconds * speed)) for phase, speed in self._phases)
        slope = one + np.float32(0.7) * two + np.float32(0.6) * three
        moved = slope * self._swell
        water = picture[self._horizon :]
        columns, rows = self._columns + np.float32(0.35) * moved, self._mirror + moved
        cv2.remap(picture[: self._horizon], columns, rows, cv2.INTER_LINEAR, water, cv2.BORDER_REFLECT)
        self._deep.over(water)
        sparkle = np.clip((slope - self._rarity) * self._glitter, 0, 255).astype(np.uint8)
        cv2.add(water, cv2.LUT(cv2.merge([sparkle, sparkle, sparkle]), self._warmth), water)

    def _paint_boat(self) -> tuple[Layer, Layer]:
        """Two square layers: the boat, and its reflection, which is flipped when it is drawn.

        The water line is at 0.8 of their height.
        """
        side = max(8, round(0.30 * self._height))
        fine = side * DETAIL
        canvas, mask = np.zeros((fine, fine, 3), np.float32), np.zeros((fine, fine), np.float32)
        parts: list[tuple[Points, Color]] = [
            ([(0.50, 0.06), (0.515, 0.06), (0.52, 0.76), (0.495, 0.76)], (92, 60, 44)),  # mast
            ([(0.53, 0.10), (0.58, 0.26), (0.70, 0.48), (0.84, 0.66), (0.53, 0.68)], (246, 232, 208)),  # main sail
            ([(0.53, 0.42), (0.64, 0.48), (0.84, 0.66), (0.53, 0.68)], (226, 192, 168)),
            ([(0.485, 0.12), (0.43, 0.34), (0.34, 0.52), (0.22, 0.67), (0.485, 0.66)], (210, 76, 52)),  # jib
            ([(0.485, 0.46), (0.38, 0.53), (0.22, 0.67), (0.485, 0.66)], (170, 48, 44)),
            ([(0.14, 0.71), (0.90, 0.71), (0.80, 0.82), (0.24, 0.82)], (62, 38, 42)),  # hull
            ([(0.14, 0.71), (0.90, 0.71), (0.885, 0.735), (0.155, 0.735)], (232, 206, 170)),
        ]
        for outline, color in parts:
            points = _fixed(outline, fine)
            cv2.fillPoly(canvas, [points], color, cv2.LINE_8, FIXED_POINT)
            cv2.fillPoly(mask, [points], 1.0, cv2.LINE_8, FIXED_POINT)
        alpha = np.asarray(_scaled(mask, side, side), np.float32)
        color_ = _scaled(canvas, side, side) / np.maximum(alpha, 0.01)[..., None]
        fade = np.clip((np.arange(side) / side + 0.15), 0, 1)[:, None]  # the reflection of the mast's top is the faintest
        return Layer(color_, alpha), Layer(color_ * 0.72, alpha * 0.68 * fade)

    def _draw_boat(self, picture: Image, line: float, size: float, place: float, seconds: float) -> None:
        """Draw the boat and its reflection. A boat that leaves the frame on the right returns on the left.

        line: y of the water line, in frame heights. size: scale, 1 for the size of the layer. place: x, in frame widths.
        """
        side = len(self._boat.light)
        reach = max(4, round(side * size))
        left = ((place * self._aspect + 0.3) % (self._aspect + 0.6) - 0.3) * self._height - reach / 2
        foot = (line + 0.004 * size * float(np.sin(seconds * 1.5 + line))) * self._height
        tilt = np.float32(0.045 * np.sin(seconds * 1.1 + line * 9))
        x0, x1 = max(0, int(left) - 2), min(self._width, int(left) + reach + 3)
        boats = ((self._boat_below, foot, foot + 0.72 * reach), (self._boat, foot - 0.9 * reach, foot + 0.1 * reach))
        for layer, top, bottom in boats:
            y0, y1 = max(0, int(top)), min(self._height, int(bottom))
            if x0 >= x1 or y0 >= y1:
                continue
            v = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - foot)
            u = np.arange(x0, x1, dtype=np.float32)[None] + np.float32(0.5 - left - reach / 2)
            if layer is self._boat:
                u, v = u - tilt * v, v + tilt * u
            else:
                ripple = np.sin(v * np.float32(46 / reach) - np.float32(seconds * 3.2)) * (np.float32(0.012 * reach) + 0.05 * v)
                u, v = u + ripple + tilt * v, -1.25 * v + 0 * u
            u = u / np.float32(size) + np.float32(side / 2 - 0.5)
            v = v / np.float32(size) + np.float32(side * 0.80 - 0.5)
            light = cv2.remap(layer.light, u, v, cv2.INTER_LINEAR, borderValue=(0, 0, 0))
            shade = cv2.remap(layer.shade, u, v, cv2.INTER_LINEAR, borderValue=(255, 255, 255))
            _blend(picture[y0:y1, x0:x1], np.asarray(light, np.uint8), np.asarray(shade, np.uint8))

    # the foreground

    def _paint_bank(self) -> Layer:
        """The bank at the bottom of the frame."""
        top = min(self._height - 1, round(0.74 * self._height))
        y, x = self._grid(top, self._height)
        edge = self._noise(1, self._width, (0.16, 1), 4) * 0.022
        right = 0.985 - 0.20 * np.clip((x / self._aspect - 0.62) / 0.38, 0, 1) ** 1.3
        left = 0.99 - 0.12 * np.clip(1 - x / self._aspect / 0.34, 0, 1) ** 1.4
        depth = y - np.minimum(left, right) + edge
        earth = _mix(np.full((*y.shape, 3), (120, 98, 54), np.float32), (26, 34, 30), depth / 0.10)
        earth += self._noise(len(y), self._width, (0.035, 0.012), 4)[..., None] * np.array((56, 48, 26))
        return Layer(earth, depth * self._height + 0.5)

    def _plant_reeds(self) -> None:
        count = 60
        near = np.sort(self._rng.uniform(0, 1, count))  # sorted: far reeds are drawn first
        on_right = self._rng.uniform(0, 1, count) < 0.6
        spread = self._rng.uniform(0, 1, count)
        self._reed_x = self._aspect * np.where(on_right, 1 - 0.30 * spread**1.4, 0.20 * spread**1.6)
        self._reed_y = 0.92 + 0.11 * near
        self._reed_height = self._rng.uniform(0.10, 0.26, count) * (0.75 + 0.5 * near) * np.where(on_right, 1.25, 0.8)
        self._reed_lean = self._rng.uniform(-0.05, 0.05, count)
        warm = self._rng.uniform(0, 1, count) ** 1.7
        colors = _mix(np.full((count, 3), REED_SHADE, np.float32), REED_LIGHT, warm) * (0.7 + 0.3 * near)[:, None]
        self._reed_colors: list[Color] = [(int(r), int(g), int(b)) for r, g, b in colors]

    def _draw_reeds(self, picture: Image, seconds: float) -> None:
        gust = 0.6 * np.sin(seconds * 1.3 - self._reed_x * 2.5) + 0.25 * np.sin(seconds * 2.3 + np.arange(len(self._reed_x)))
        bend = self._reed_lean + 0.16 * self._reed_height * gust
        up = np.array([0, 0.35, 0.7, 1.0])
        middle = self._reed_x[:, None] + bend[:, None] * up**2  # (reeds, 4)
        y = self._reed_y[:, None] - self._reed_height[:, None] * up
        half = 0.0042 * np.array([1, 0.9, 0.6, 0.1])
        left, right = np.stack([middle - half, y], -1), np.stack([middle + half, y], -1)[:, ::-1]
        blades = _fixed(np.concatenate([left, right], 1), self._height)  # (reeds, 8, 2)
        thickness = max(1, round(0.014 * self._height))
        for number, (blade, color) in enumerate(zip(blades, self._reed_colors, strict=True)):
            cv2.fillPoly(picture, [blade], color, cv2.LINE_AA, FIXED_POINT)
            if number % 5 == 0:
                start, end = blade[2].tolist(), ((2 * blade[2] + blade[3]) // 3).tolist()
                cv2.line(picture, start, end, BULRUSH, thickness, cv2.LINE_AA, FIXED_POINT)

    # coordinates and noise

    def _grid(self, top: int, bottom: int) -> tuple[FloatArray, FloatArray]:
        """Coordinates y and x of the pixel centres in rows `top` to `bottom`, (rows, width) each, in frame heights."""
        y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5)) / np.float32(self._height)
        x = (np.arange(self._width, dtype=np.float32) + np.float32(0.5)) / np.float32(self._height)
        return np.repeat(y[:, None], self._width, 1), np.repeat(x[None], len(y), 0)

    def _noise(self, rows: int, columns: int, spot: tuple[float, float], octaves: int, wrap: bool = False) -> FloatArray:
        """Smooth noise (rows, columns), mostly within -1..1, similar at all frame sizes.

        spot: width and height of the largest spots. octaves: layers, each with spots half as large and half as strong.
        wrap: make the left and right ends continuous.
        """
        total = np.zeros((rows, columns), np.float32)
        for octave in range(octaves):
            across = max(2, round(columns / self._height / spot[0] * 2**octave))
            down = max(2, round(rows / self._height / spot[1] * 2**octave))
            cells = self._rng.standard_normal((down, across)).astype(np.float32)
            if wrap:  # pad each end with two cells of the other end
                margin = round(2 * columns / across)
                cells = np.hstack([cells[:, -2:], cells, cells[:, :2]])
            else:
                margin = 0
            spots = cv2.resize(cells, (columns + 2 * margin, rows), interpolation=cv2.INTER_CUBIC)
            total += spots[:, margin : margin + columns] * 0.5**octave
        return total * np.float32(0.5)


def _blend(target: Image, light: Image, shade: Image) -> None:
    """Set target to target * shade / 255 + light."""
    cv2.multiply(target, shade, target, 1 / 255)
    cv2.add(target, light, target)


def _mix(color: NDArray[Any], other: Color, weight: NDArray[Any]) -> NDArray[Any]:
    """Interpolate from a colour (..., 3) to another one by a weight (...), which is clipped to 0..1."""
    mixed: NDArray[Any] = color + (np.array(other, np.float32) - color) * np.clip(weight, 0, 1)[..., None]
    return mixed


def _scaled(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def _fixed(points: Points | NDArray[Any], scale: float) -> NDArray[np.int32]:
    """Pixel coordinates in OpenCV's fixed-point format, for drawing functions with `shift=FIXED_POINT`."""
    return np.asarray(np.round(np.asarray(points) * scale * 2**FIXED_POINT), np.int32)
