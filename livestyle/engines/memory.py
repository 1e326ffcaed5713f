"""How much memory is free, and how a frame of a given size is painted: whole, in strips, or not at all."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from livestyle.architecture import Architecture
from livestyle.errors import TooLargeError
from livestyle.frame import Image, size_of

CPU_MOST_BYTES = 2 * 2**30  # strips are hardly slower on a CPU, whose memory is wanted for other things too
FP32_BYTES_PER_PIXEL = 40  # of photo and painting while they are mixed, or converted to and from NV12, whatever the precision
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def free_bytes(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Main memory that this process can still take: what the system has available, or less in a container.

    A container's limit is that of a control group (cgroup, version 1 or 2) which the process is in, or of one above it.

    cgroups: where control groups are mounted. own: the file that names the groups of this process.
    """
    return max(0, min([psutil.virtual_memory().available, *_group_free_bytes(cgroups, own)]))


def _group_free_bytes(cgroups: Path, own: Path) -> Iterator[int]:
    """Of every control group with a limit, from the one of this process to the root."""
    try:
        lines = own.read_text().splitlines()
    except (OSError, ValueError):  # not Linux, or hidden
        return
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") > 1 else ("", "-", "")
        if controllers == "":  # version 2; beside version 1 it is mounted elsewhere, and has no memory controller
            root, limits = cgroups, ["memory.max", "memory.high"]
            usage, cached = "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limits = cgroups / "memory", ["memory.limit_in_bytes"]
            usage, cached = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # in a container the path may be the host's, of which only the root is seen here: missing folders are passed over
        names = [name for name in path.split("/") if name not in ("", "..")]
        for folder in (root.joinpath(*names[:depth]) for depth in range(len(names), -1, -1)):
            limit = min((number for name in limits if (number := _number(folder / name)) is not None), default=None)
            used = _number(folder / usage)
            if limit is not None and used is not None:
                # the files that were read last are counted too, and make room when memory is wanted
                yield limit - max(0, used - _statistic(folder / "memory.stat", cached))


def _number(file: Path) -> int | None:
    """The number in a control group's file; None if there is none: no such file, or `max`."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _statistic(file: Path, name: str) -> int:
    """The number after a name in memory.stat; 0 if it is not there."""
    try:
        pairs = (line.split() for line in file.read_text().splitlines())
        return next(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == name)
    except (OSError, ValueError, StopIteration):
        return 0


def fits_whole(
    architecture: Architecture, frame: Image, count: int, free: int, most: int | None = None, precision: str = "float32"
) -> bool:
    """Whether `count` frames of this size can be painted whole, else one by one in strips, in `free` bytes of memory.

    most: the bytes that may be used for painting whole. precision: in which whole frames are painted; strips are in fp32.
    Raises TooLargeError, with the size that fits, before anything is allocated.
    """
    height, width = size_of(frame)
    pixels = height * width
    per_pixel = architecture.bytes_per_pixel
    if precision != "float32":
        per_pixel = per_pixel // 2 + FP32_BYTES_PER_PIXEL
    whole = per_pixel * pixels * count
    if whole <= (free if most is None else min(free, most)):
        return True
    needed = _strips_need(architecture, height, width)
    if needed > free:
        fits = _size_that_fits(architecture, height, width, free)
        raise TooLargeError(
            f"{width}x{height} needs about {_readable(needed)} in the {architecture.name} network, even in strips, "
            f"and {_readable(free)} are free" + (f"; {fits[0]}x{fits[1]} would fit" if fits else ""),
            fits,
        )
    return False


def _strips_need(architecture: Architecture, height: int, width: int) -> int:
    """Bytes to paint a picture of this size in strips: no more than whole, as small pictures are one strip."""
    pixels = height * width
    strips = architecture.strip_bytes_per_pixel * pixels + architecture.strip_bytes * max(4096, width) // 4096
    return min(strips, architecture.bytes_per_pixel * pixels)


def _size_that_fits(architecture: Architecture, height: int, width: int, free: int) -> tuple[int, int] | None:
    """The largest (width, height) of that shape, in steps of a fiftieth, that can be painted in strips; None if none can."""
    factor = 1.0
    while factor * max(height, width) > 1:
        factor *= 0.98
        fits = max(1, int(width * factor)), max(1, int(height * factor))
        if _strips_need(architecture, fits[1], fits[0]) <= free:
            return fits
    return None


def _readable(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"


def strips_note(frame: Image) -> str:
    """For a person."""
    height, width = size_of(frame)
    return f"{width}x{height} is painted in strips, to save memory"


class MainMemory:
    """Decides how frames are painted in main memory: once for a size, so that all frames of a video are painted alike.

    Asking how much is free takes half a millisecond, and while a network is at work it is less by what that network took.
    """

    def __init__(self, precision: str) -> None:
        self._precision = precision
        self._decided: dict[tuple[Architecture, tuple[int, ...], int], bool] = {}

    def fits_whole(self, architecture: Architecture, frame: Image, count: int) -> bool:
        """Whether so many frames of this size are painted whole, else in strips. Raises TooLargeError."""
        key = (architecture, frame.shape, count)
        whole = self._decided.get(key)
        if whole is None:
            whole = fits_whole(architecture, frame, count, free_bytes(), CPU_MOST_BYTES, self._precision)
            # a folder of pictures has many sizes; another dictionary, as other threads may read the old one
            self._decided = {old: known for old, known in self._decided.items() if old[1] == frame.shape} | {key: whole}
        return whole
