"""How much memory is free, and how a frame of a given size is painted: whole, in strips, or not at all."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from livestyle.architecture import Architecture
from livestyle.errors import TooLargeError
from livestyle.frame import Image

CPU_MOST_BYTES = 2 * 2**30  # strips are hardly slower on a CPU, whose memory is wanted for other things too
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


def fits_whole(architecture: Architecture, frame: Image, count: int, free_bytes: int, most_bytes: int | None = None) -> bool:
    """Whether `count` frames of this size can be painted whole, else in strips, in the free memory.

    most_bytes: what may be used for that at all. Raises TooLargeError, with the --size that fits, before anything is allocated.
    """
    height, width = frame.shape[:2]
    pixels = height * width
    if architecture.bytes_per_pixel * pixels * count <= min(free_bytes, most_bytes or free_bytes):
        return True
    needed = architecture.strip_bytes_per_pixel * pixels
    if needed > free_bytes:
        factor = (free_bytes / needed) ** 0.5 * 0.95
        fits = f"{max(1, int(width * factor))}x{max(1, int(height * factor))}"
        raise TooLargeError(
            f"{width}x{height} needs about {needed / 2**30:.1f} GiB in the {architecture.name} network, "
            f"even in strips, and {free_bytes / 2**30:.1f} GiB are free; use --size {fits}"
        )
    return False


def strips_note(frame: Image) -> str:
    """For a person."""
    return f"{frame.shape[1]}x{frame.shape[0]} is painted in strips, to save memory"
