"""How much main memory is free."""

from collections.abc import Iterator
from pathlib import Path

import psutil

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
