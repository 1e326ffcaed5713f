"""A moving test scene drawn by code: dusk over a lake, with something of all that painters like.

A soft sun, drifting clouds, hills with woods, a lit house, rippled water, a boat, birds, reeds in the wind. Every
picture depends on its time alone. What does not change is drawn once, larger than needed, and scaled down; a frame
then costs a few blends.
"""

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.frame import Frame, Image, StreamInfo

Floats = NDArray[np.float32]
Color = tuple[int, int, int]

# all lengths are in heights of the picture, all places from its top left corner
HORIZON = 0.58
SUN_HEIGHT, SUN_RADIUS = 0.40, 0.052
OVERSAMPLING = 3
SMALLEST = 16  # smaller pictures are scaled down from this

SKY = [(0.0, (38, 56, 112)), (0.22, (88, 92, 152)), (0.40, (188, 128, 150)), (0.52, (246, 168, 118)), (0.60, (255, 214, 148))]
CLOUD_LIGHT, CLOUD_SHADE = (255, 190, 150), (104, 88, 136)
SUNLIGHT = (255, 236, 190)
DEEP_WATER = (16, 38, 74)


class Layer:
    """A picture with transparency, (H, W): over(target) blends it onto (H, W, 3) uint8 RGB in place."""

    def __init__(self, color: Image, alpha: Floats) -> None:
        weight = np.clip(alpha, 0, 1)[..., None]
        self.light = (color * weight).astype(np.uint8)
        self.shade = np.repeat(((1 - weight) * 255).astype(np.uint8), 3, axis=2)

    def over(self, target: Image) -> None:
        blend(target, self.light, self.shade)


def blend(target: Image, light: Image, shade: Image) -> None:
    """target * shade + light, in place."""
    cv2.multiply(target, shade, dst=target, scale=1 / 255)
    cv2.add(target, light, dst=target)


class DemoScene:
    """Gives the scene at `rate` frames a second, as fast as it is asked, for `seconds` or without end."""

    def __init__(self, width: int, height: int, rate: Fraction | int = 30, seconds: float | None = None) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        rate = Fraction(rate)
        count = None if seconds is None else round(rate * Fraction(seconds))
        self.info = StreamInfo(width, height, rate, count, time_base=1 / rate)
        self._scene = Lake(max(width, SMALLEST), max(height, SMALLEST))
        self._next = 0

    def read(self) -> Frame | None:
        if self._next == self.info.frame_count:
            return None
        assert self.info.rate is not None
        pts_seconds = self._next / self.info.rate
        self._next += 1
        image = self._scene.draw(float(pts_seconds))
        if image.shape[:2] != (self.info.height, self.info.width):
            image = cv2.resize(image, (self.info.width, self.info.height), interpolation=cv2.INTER_AREA)
        return Frame(image, pts_seconds)

    def close(self) -> None:
        self.info = StreamInfo(self.info.width, self.info.height, self.info.rate, self._next, time_base=self.info.time_base)


class Lake:
    """The scene. draw(seconds) -> (height, width, 3) uint8 RGB, never the same array."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._horizon = round(height * HORIZON)
        self._sun = (0.60 * width / height, SUN_HEIGHT)
        self._rng = np.random.default_rng(7)
        self._sky = self._draw_sky()
        self._clouds = [self._draw_clouds(0.0, 0.56, 0.30), self._draw_clouds(0.20, 0.34, 0.12)]
        self._cloud_speeds = (0.022, 0.012)  # heights a second
        self._land = self._draw_land()
        self._bank = self._draw_bank()
        self._boat = self._draw_boat()
        self._reeds = self._place_reeds()
        self._prepare_water()

    def draw(self, seconds: float) -> Image:
        picture = np.empty((self._height, self._width, 3), np.uint8)
        above = picture[: self._horizon]
        above[:] = self._sky
        for (light, shade), speed in zip(self._clouds, self._cloud_speeds, strict=True):
            rows = above[: light.shape[0]]
            blend(rows, self._drifted(light, seconds * speed), self._drifted(shade, seconds * speed))
        self._draw_birds(above, seconds)
        self._land.over(above)
        self._draw_smoke(above, seconds)
        self._draw_water(picture, seconds)
        self._draw_boats(picture, seconds)
        self._bank.over(picture)
        self._draw_reeds(picture, seconds)
        return picture

    # the sky

    def _draw_sky(self) -> Image:
        y, x = self._grid(self._horizon, 1)
        heights, colors = zip(*SKY, strict=True)
        sky = np.stack([np.interp(y, heights, channel) for channel in np.transpose(colors)], axis=-1)  # (H, W, 3)
        distance = np.hypot(x - self._sun[0], (y - self._sun[1]) * 1.15)
        glow = 0.75 * np.exp(-((distance / 0.16) ** 2)) + 0.45 * np.exp(-distance / 0.32)
        sky += (np.array(SUNLIGHT) - sky) * np.clip(glow, 0, 1)[..., None]
        disc = np.clip((SUN_RADIUS - distance) * self._height + 0.5, 0, 1)
        sky += (np.array((255, 250, 226)) - sky) * disc[..., None]
        return np.clip(sky, 0, 255).astype(np.uint8)

    def _draw_clouds(self, top: float, bottom: float, size: float) -> tuple[Image, Image]:
        """Light and shade, twice as wide as the picture, their ends meeting; rows from the top."""
        rows, columns = max(1, round(bottom * self._height)), 2 * self._width
        y = (np.arange(rows, dtype=np.float32) + 0.5)[:, None] / self._height
        noise = self._noise(rows, columns, (size * 1.6, size * 0.42), octaves=5, wrap=True)
        noise += 0.35 * self._noise(rows, columns, (size * 5, size), octaves=2, wrap=True)
        fade = np.clip((y - top) / 0.10, 0, 1) * np.clip((bottom - y) / 0.14, 0, 1)
        density = np.clip((noise - 0.10) * 1.9, 0, 1) * fade
        below = cv2.GaussianBlur(np.roll(noise, -max(1, round(0.02 * self._height)), axis=0), (0, 0), 0.012 * self._height + 0.3)
        lit = np.clip(0.45 + (noise - below) * 2.2 + (y - 0.22) * 1.1, 0, 1)[..., None]  # from the sun below
        color = np.array(CLOUD_SHADE) + (np.array(CLOUD_LIGHT) - np.array(CLOUD_SHADE)) * lit
        layer = Layer(np.clip(color, 0, 255).astype(np.uint8), (density * 0.92).astype(np.float32))
        # one picture width more, so that every window into it is whole
        return tuple(np.ascontiguousarray(np.hstack([part, part[:, : self._width + 1]])) for part in (layer.light, layer.shade))  # type: ignore[return-value]

    def _drifted(self, strip: Image, distance: float) -> Image:
        """The window into a strip, so many heights on, to a fraction of a pixel."""
        offset = (distance * self._height) % (2 * self._width)
        start = int(offset)
        window = strip[:, start : start + self._width + 1]
        shift = np.array([[1, 0, start - offset], [0, 1, 0]], np.float32)
        return np.asarray(cv2.warpAffine(window, shift, (self._width, len(strip)), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    def _draw_birds(self, picture: Image, seconds: float) -> None:
        aspect = self._width / self._height
        for number in range(7):
            row = (number + 1) // 2 * (1 if number % 2 else -1)  # the flock is a wedge
            x = (0.10 + seconds * 0.035 - abs(row) * 0.045) % (aspect + 0.4) - 0.2 + 0.004 * np.sin(seconds + number)
            y = 0.20 + row * 0.021 + 0.012 * np.sin(seconds * 0.5) + 0.003 * np.sin(seconds * 1.7 + number * 2)
            lift = 0.011 * np.sin(seconds * 6.5 + number * 1.3) - 0.004
            wing = 0.017
            points = [(x - wing, y - lift), (x - wing * 0.45, y - lift * 0.9 - 0.003), (x, y), (x + wing * 0.45, y - lift * 0.9 - 0.003)]
            self._polyline(picture, [*points, (x + wing, y - lift)], 0.0042, (44, 36, 58))

    # the land

    def _draw_land(self) -> Layer:
        """Hills, woods and the house, as far down as the horizon."""
        scale = OVERSAMPLING
        rows, columns = self._horizon * scale, self._width * scale
        y, x = self._grid(self._horizon, scale)
        color = np.zeros((rows, columns, 3), np.float32)
        alpha = np.zeros((rows, columns), np.float32)
        aspect = self._width / self._height
        ridges = (  # where the top is, how high, wave length, roughness, haze colour, foot colour
            (0.485, 0.060, 0.90, 0.020, (142, 112, 150), (224, 158, 146)),
            (0.520, 0.045, 0.60, 0.016, (98, 88, 128), (176, 126, 136)),
            (0.548, 0.030, 0.45, 0.022, (54, 66, 88), (104, 92, 104)),
        )
        for top, rise, length, rough, peak, foot in ridges:
            line = self._noise(1, columns, (length, 1), 3)[0] * rise + self._noise(1, columns, (length / 14, 1), 3)[0] * rough
            ridge = top - line[None]
            inside = y > ridge
            depth = np.clip((y - ridge) / 0.09, 0, 1)[..., None]
            texture = self._noise(rows, columns, (0.022, 0.012), 3)[..., None] * 20
            shade = np.array(peak) + (np.array(foot) - np.array(peak)) * depth + texture
            shade += np.array((70, 36, 6)) * np.exp(-(((x - self._sun[0]) / 0.28) ** 2))[..., None] * (1 - 0.4 * depth)
            color[inside] = shade[inside]
            alpha[inside] = 1
        # the headland on the left, with a meadow, woods and the house
        reach = 0.40 * aspect
        shape = np.clip(1 - x / reach, 0, None) ** 0.62 * 0.17 + self._noise(1, columns, (0.10, 1), 3) * 0.006
        ridge = HORIZON + 0.012 - shape
        inside = (y > ridge) & (x < reach)
        light = np.clip((y - ridge) / 0.12, 0, 1)[..., None]
        grass = np.array((128, 122, 58)) + (np.array((44, 66, 44)) - np.array((128, 122, 58))) * light
        grass = grass + self._noise(rows, columns, (0.030, 0.008), 4)[..., None] * np.array((46, 40, 20))
        color[inside] = grass[inside]
        alpha[inside] = 1
        canvas = np.clip(color, 0, 255).astype(np.uint8)
        for place in np.sort(self._rng.uniform(-0.02, 0.31, 34)):
            if not 0.135 < place / 0.34 * 0.34 < 0.245:  # the house is to be seen
                base = float(np.interp(place * aspect / 1.78, x[0], ridge[0])) + self._rng.uniform(0.0, 0.03)
                self._tree(canvas, alpha, place * aspect / 1.78, base, self._rng.uniform(0.05, 0.10))
        self._house(canvas, alpha, 0.19 * aspect / 1.78, float(np.interp(0.19 * aspect / 1.78, x[0], ridge[0])) + 0.022)
        return Layer(self._smaller(canvas, scale), self._smaller(alpha, scale))

    def _tree(self, canvas: Image, alpha: Floats, x: float, base: float, height: float) -> None:
        """A crown of leaves, darker at the bottom, warm where the sun falls on it."""
        for _ in range(70):
            side, up = self._rng.normal(0, 0.30), self._rng.uniform(0.12, 1)
            point = (x + side * height * (1.15 - 0.75 * up) * 0.7, base - up * height)
            warm = 0.55 * up + 0.5 * side + self._rng.uniform(-0.15, 0.25)
            shade = np.array((22, 40, 36)) + (np.array((176, 134, 62)) - np.array((22, 40, 36))) * np.clip(warm, 0, 1)
            self._disc(canvas, point, height * self._rng.uniform(0.04, 0.10), shade)
            self._disc(alpha, point, height * 0.06, 1.0)

    def _house(self, canvas: Image, alpha: Floats, x: float, base: float) -> None:
        w, h = 0.085, 0.052
        wall, side = (226, 206, 186), (150, 122, 124)
        self._place_of_chimney = (x + 0.018, base - h - 0.050)
        parts: list[tuple[list[tuple[float, float]], Color]] = [
            ([(x, base), (x + w * 0.62, base), (x + w * 0.62, base - h), (x, base - h)], side),
            ([(x + w * 0.62, base), (x + w, base), (x + w, base - h), (x + w * 0.81, base - h - 0.036), (x + w * 0.62, base - h)], wall),
            ([(x + 0.012, base - h), (x + 0.024, base - h), (x + 0.024, base - h - 0.050), (x + 0.012, base - h - 0.050)], (112, 70, 62)),
            ([(x - 0.006, base - h), (x + w * 0.62, base - h), (x + w * 0.81, base - h - 0.038), (x + 0.012, base - h - 0.038)], (158, 62, 48)),
        ]
        glow: list[tuple[float, float]] = [(0.10, 0.36), (0.36, 0.36), (0.74, 0.44)]
        for left, low in glow:
            window = [(x + w * left, base - h * low), (x + w * (left + 0.13), base - h * low)]
            parts.append(([*window, (window[1][0], base - h * (low + 0.34)), (window[0][0], base - h * (low + 0.34))], (255, 222, 120)))
        for points, shade in parts:
            self._polygon(canvas, points, shade)
            self._polygon(alpha, points, 1.0)

    def _draw_smoke(self, picture: Image, seconds: float) -> None:
        x0, y0 = self._place_of_chimney
        for number in range(9):
            age = (seconds / 7 + number / 9) % 1
            x = x0 + 0.10 * age**1.5 + 0.010 * np.sin(seconds * 0.9 + number * 2.1) * age
            y, radius = y0 - 0.17 * age, 0.008 + 0.030 * age
            reach = radius * 1.6
            left, right = (int(np.clip((x + side * reach) * self._height, 0, self._width)) for side in (-1, 1))
            top, bottom = (int(np.clip((y + side * reach) * self._height, 0, self._horizon)) for side in (-1, 1))
            if left < right and top < bottom:
                across = (np.arange(left, right, dtype=np.float32) + 0.5) / self._height - x
                down = (np.arange(top, bottom, dtype=np.float32) + 0.5) / self._height - y
                alpha = 0.42 * (1 - age) * np.exp(-(down[:, None] ** 2 + across**2) / (0.4 * radius**2))[..., None]
                part = picture[top:bottom, left:right]
                part[:] = part + (np.array((206, 178, 184)) - part) * alpha

    # the water

    def _prepare_water(self) -> None:
        rows = self._height - self._horizon
        y = (np.arange(rows, dtype=np.float32) + 0.5)[:, None] / max(1, rows)  # 0 far, 1 near
        x = ((np.arange(self._width, dtype=np.float32) + 0.5) / self._height)[None]
        far = 1 / (y + 0.10)
        wander = self._noise(rows, self._width, (0.22, 0.05), 3)
        self._phases = (
            (far * 21 + x * 5 + wander * 5).astype(np.float32),
            (far * 34 - x * 9 * (0.4 + y) + wander * 9 + 2).astype(np.float32),
            (far * 12 + x * 16 / far + wander * 3).astype(np.float32),
        )
        mirrored = self._horizon - 1 - y * rows * 0.92
        self._mirror = np.broadcast_to(mirrored, (rows, self._width)).astype(np.float32)
        self._columns = np.broadcast_to(np.arange(self._width, dtype=np.float32), (rows, self._width)).copy()
        self._swell = ((0.004 + 0.040 * y) * self._height * 0.5).astype(np.float32)  # of the reflection, pixels
        column = np.exp(-(((x - self._sun[0]) / (0.045 + 0.16 * y)) ** 2))
        self._glitter = (255 * (0.10 + 1.1 * column) * np.clip(1.15 - 0.45 * y, 0, 1)).astype(np.float32)
        depth = (0.16 + 0.50 * y**0.8)[..., None] * np.ones((1, self._width, 1), np.float32)
        self._depth = Layer(np.full((rows, self._width, 3), DEEP_WATER, np.uint8), depth[..., 0])

    def _draw_water(self, picture: Image, seconds: float) -> None:
        """The land and sky upside down, wavering, with the sun on the ripples."""
        one, two, three = (
            np.sin(phase + np.float32(seconds * speed)) for phase, speed in zip(self._phases, (1.9, -1.5, 1.1), strict=True)
        )
        slope = one + 0.7 * two + 0.6 * three
        water = picture[self._horizon :]
        rows = np.clip(self._mirror + slope * self._swell, 0, self._horizon - 1)
        cv2.remap(picture[: self._horizon], self._columns + 0.35 * slope * self._swell, rows, cv2.INTER_LINEAR, water, cv2.BORDER_REFLECT)
        self._depth.over(water)
        sparkle = np.clip((slope - 0.95) * 0.9, 0, 1) * self._glitter
        light = cv2.merge([sparkle, sparkle * 0.80, sparkle * 0.52])
        cv2.add(water, np.clip(light, 0, 255).astype(np.uint8), dst=water)

    def _draw_boat(self) -> tuple[Image, Floats]:
        """(side, side, 3) and its alpha; the water line is at 0.8 of the height."""
        side = max(8, round(0.30 * self._height)) * OVERSAMPLING
        canvas, alpha = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.float32)
        parts = (
            ([(0.50, 0.06), (0.515, 0.06), (0.52, 0.76), (0.495, 0.76)], (92, 60, 44)),  # mast
            ([(0.53, 0.10), (0.56, 0.30), (0.84, 0.66), (0.53, 0.68)], (246, 232, 208)),  # main sail
            ([(0.53, 0.40), (0.66, 0.47), (0.84, 0.66), (0.53, 0.68)], (224, 190, 168)),
            ([(0.485, 0.12), (0.47, 0.40), (0.22, 0.67), (0.485, 0.66)], (206, 74, 52)),  # jib
            ([(0.485, 0.44), (0.40, 0.51), (0.22, 0.67), (0.485, 0.66)], (168, 48, 44)),
            ([(0.14, 0.71), (0.90, 0.71), (0.80, 0.82), (0.24, 0.82)], (58, 36, 40)),  # hull
            ([(0.14, 0.71), (0.90, 0.71), (0.885, 0.735), (0.155, 0.735)], (232, 206, 170)),
        )
        for points, shade in parts:
            outline = (np.array(points) * side * 16).astype(np.int32)
            cv2.fillPoly(canvas, [outline], shade, cv2.LINE_AA, 4)
            cv2.fillPoly(alpha, [outline], 1.0, cv2.LINE_8, 4)
        for x, y, size, shade in ((0.36, 0.665, 0.028, (238, 196, 160)), (0.36, 0.70, 0.036, (60, 84, 120))):  # the sailor
            cv2.circle(canvas, (round(x * side), round(y * side)), round(size * side), shade, -1, cv2.LINE_AA)
            cv2.circle(alpha, (round(x * side), round(y * side)), round(size * side), 1.0, -1)
        return self._smaller(canvas, OVERSAMPLING), self._smaller(alpha, OVERSAMPLING)

    def _draw_boats(self, picture: Image, seconds: float) -> None:
        aspect = self._width / self._height
        for size, speed, start, line in ((0.42, 0.012, 0.86, 0.615), (1.0, 0.045, 0.42, 0.735)):  # a far one and a near one
            x = (start * aspect + seconds * speed + 0.3) % (aspect + 0.6) - 0.3
            y = line + 0.004 * size * np.sin(seconds * 1.5 + start)
            tilt = 0.045 * np.sin(seconds * 1.1 + start * 3)
            self._stamp(picture, x, y, size, tilt, seconds)

    def _stamp(self, picture: Image, x: float, y: float, size: float, tilt: float, seconds: float) -> None:
        """The boat, its water line at (x, y), and below it its reflection."""
        color, alpha = self._boat
        side = len(alpha)
        reach = max(4, round(side * size))
        left, line = x * self._height - reach / 2, y * self._height
        x0, x1 = max(0, int(left) - 2), min(self._width, int(left) + reach + 3)
        if x0 >= x1:
            return
        for upright in (False, True):
            y0, y1 = (int(line - 0.9 * reach), int(line + 0.1 * reach)) if upright else (int(line), int(line + 0.72 * reach))
            y0, y1 = max(0, y0), min(self._height, y1)
            if y0 >= y1:
                continue
            rows = np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5 - np.float32(line)
            columns = np.arange(x0, x1, dtype=np.float32)[None] + 0.5 - np.float32(left + reach / 2)
            if upright:
                u, v, strength = columns - tilt * rows, rows + tilt * columns, np.float32(1)
            else:
                wave = np.sin(rows / reach * 46 - seconds * 3.2) * (0.012 + 0.05 * rows / reach) * reach
                u, v = columns + wave + tilt * rows, -rows * 1.25
                strength = (0.62 * np.clip(1.1 - 1.5 * rows / reach, 0, 1)).astype(np.float32)
            u, v = np.broadcast_arrays(u, v)
            u = (u / size + side / 2 - 0.5).astype(np.float32)
            v = (v / size + side * 0.80 - 0.5).astype(np.float32)
            seen = cv2.remap(color, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            weight = cv2.remap(alpha, u, v, cv2.INTER_LINEAR, borderValue=0) * strength
            part = picture[y0:y1, x0:x1]
            part[:] = part + (seen * (1.0 if upright else 0.72) - part) * weight[..., None]

    # the foreground

    def _draw_bank(self) -> Layer:
        scale = OVERSAMPLING
        y, x = self._grid(self._height, scale)
        aspect = self._width / self._height
        edge = self._noise(1, x.shape[1], (0.16, 1), 4)[0][None] * 0.022
        right = 0.985 - 0.20 * np.clip((x - 0.62 * aspect) / (0.38 * aspect), 0, 1) ** 1.3 - edge
        left = 0.99 - 0.12 * np.clip(1 - x / (0.34 * aspect), 0, 1) ** 1.4 - edge
        ridge = np.minimum(right, left)
        light = np.clip((y - ridge) / 0.10, 0, 1)[..., None]
        texture = self._noise(*y.shape, (0.035, 0.012), 4)[..., None]
        earth = np.array((112, 92, 52)) + (np.array((26, 34, 30)) - np.array((112, 92, 52))) * light + texture * np.array((52, 44, 24))
        return Layer(
            self._smaller(np.clip(earth, 0, 255).astype(np.uint8), scale), self._smaller((y > ridge).astype(np.float32), scale)
        )

    def _place_reeds(self) -> list[tuple[float, float, float, float, Color]]:
        """Of each: x, y of its foot, height, lean, colour. The far ones first."""
        aspect = self._width / self._height
        reeds = []
        for _ in range(74):
            near = self._rng.uniform(0, 1)
            on_right = self._rng.uniform() < 0.62
            x = aspect * (1 - 0.30 * self._rng.uniform() ** 1.4 if on_right else 0.20 * self._rng.uniform() ** 1.6)
            tint = np.array((42, 62, 40)) + (np.array((176, 146, 62)) - np.array((42, 62, 40))) * self._rng.uniform() ** 1.7
            height = self._rng.uniform(0.10, 0.26) * (0.75 + 0.5 * near) * (1.25 if on_right else 0.8)
            red, green, blue = (tint * (0.72 + 0.28 * near)).astype(int).tolist()
            reeds.append((x, 0.92 + 0.11 * near, height, self._rng.uniform(-0.05, 0.05), (red, green, blue)))
        return sorted(reeds, key=lambda reed: reed[1])

    def _draw_reeds(self, picture: Image, seconds: float) -> None:
        for number, (x, y, height, lean, color) in enumerate(self._reeds):
            gust = np.sin(seconds * 1.3 - x * 2.5) * 0.6 + np.sin(seconds * 2.3 + number) * 0.25
            bend = (lean + 0.16 * height * gust) * np.array([0, 0.07, 0.28, 0.62, 1.0])
            points = [(x + b, y - height * up) for b, up in zip(bend, (0, 0.25, 0.5, 0.75, 0.98), strict=True)]
            self._polyline(picture, points[:4], 0.0075, color)
            self._polyline(picture, points[2:], 0.0045, color)
            if number % 5 == 0:  # a bulrush
                self._polyline(picture, points[3:], 0.016, (96, 58, 36))

    # brushes

    def _grid(self, rows: int, scale: int) -> tuple[Floats, Floats]:
        """y, x of the pixels' middles: (rows * scale, width * scale) each."""
        y = (np.arange(rows * scale, dtype=np.float32) + 0.5) / (self._height * scale)
        x = (np.arange(self._width * scale, dtype=np.float32) + 0.5) / (self._height * scale)
        grid_x, grid_y = np.meshgrid(x, y)
        return grid_y, grid_x

    def _noise(self, rows: int, columns: int, size: tuple[float, float], octaves: int, wrap: bool = False) -> Floats:
        """(rows, columns) of soft noise, mostly within -1..1; size: (width, height) of its largest spots."""
        total = np.zeros((rows, columns), np.float32)
        # columns cover the picture's width, whatever their number
        width = (2 if wrap else 1) * self._width / self._height
        for octave in range(octaves):
            cells_x = max(2, round(width / size[0] * 2**octave))
            cells_y = max(2, round(rows / columns * width / size[1] * 2**octave))
            cells = self._rng.standard_normal((cells_y, cells_x)).astype(np.float32)
            if wrap:
                cells = np.hstack([cells[:, -2:], cells, cells[:, :2]])
            margin = round(2 * columns / cells_x) if wrap else 0
            spots = cv2.resize(cells, (columns + 2 * margin, rows), interpolation=cv2.INTER_CUBIC)
            total += spots[:, margin : margin + columns] * 0.5**octave
        return total * 0.5

    def _smaller(self, canvas: NDArray[np.generic], scale: int) -> "NDArray[np.generic]":
        size = (canvas.shape[1] // scale, canvas.shape[0] // scale)
        return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA))  # type: ignore[call-overload]

    def _polygon(self, canvas: NDArray[np.generic], points: list[tuple[float, float]], color: object) -> None:
        """On an oversampled canvas."""
        outline = (np.array(points) * self._height * OVERSAMPLING * 16).astype(np.int32)
        cv2.fillPoly(canvas, [outline], color, cv2.LINE_8, 4)  # type: ignore[call-overload]

    def _disc(self, canvas: NDArray[np.generic], point: tuple[float, float], radius: float, color: object) -> None:
        """On an oversampled canvas."""
        scale = self._height * OVERSAMPLING * 16
        x, y, r = (round(value * scale) for value in (*point, radius))
        cv2.circle(canvas, (x, y), r, color, -1, cv2.LINE_8, 4)  # type: ignore[call-overload]

    def _polyline(self, picture: Image, points: list[tuple[float, float]], width: float, color: Color) -> None:
        """On the picture itself, smooth."""
        line = (np.array(points) * self._height * 16).astype(np.int32)
        cv2.polylines(picture, [line], False, color, max(1, round(width * self._height)), cv2.LINE_AA, 4)
