"""Free main memory, in bytes."""

from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Folder where Linux mounts control groups, and the file that names the control groups of this process."""


def free_bytes(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Main memory that this process can still allocate: what the system has available, or less in a container.

    The limit of a container is that of the process's control group (cgroup, version 1 or 2), or of one of its ancestors.

    cgroups, own: see CGROUPS, OWN_CGROUPS; other paths are for tests.
    """
    return max(0, min([psutil.virtual_memory().available, *_group_free_bytes(cgroups, own)]))


def _group_free_bytes(cgroups: Path, own: Path) -> Iterator[int]:
    """Free bytes of every control group that has a limit, from the process's own one to the root."""
    try:
        lines = own.read_text().splitlines()
    except (OSError, ValueError):  # not Linux, or hidden
        return
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") > 1 else ("", "-", "")
        if controllers == "":  # version 2; if version 1 is mounted too, this one is elsewhere and has no memory controller
            root, limits = cgroups, ["memory.max", "memory.high"]
            usage, cached = "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limits = cgroups / "memory", ["memory.limit_in_bytes"]
            usage, cached = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # in a container the path may be that of the host, of which only the root is visible: skip missing folders
        names = [name for name in path.split("/") if name not in ("", "..")]
        for folder in (root.joinpath(*names[:depth]) for depth in range(len(names), -1, -1)):
            limit = min((number for name in limits if (number := _number(folder / name)) is not None), default=None)
            used = _number(folder / usage)
            if limit is not None and used is not None:
                # usage includes the cache of recently read files, which is freed when memory is needed
                yield limit - max(0, used - _statistic(folder / "memory.stat", cached))


def _number(file: Path) -> int | None:
    """The number in a control group's file; None if the file is missing or holds `max`."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _statistic(file: Path, name: str) -> int:
    """The number after a name in a control group's file memory.stat; 0 if the file or the name is missing."""
    try:
        pairs = (line.split() for line in file.read_text().splitlines())
        return next(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == name)
    except (OSError, ValueError, StopIteration):
        return 0
