"""The CPU of this machine."""

import os
import platform
import subprocess
import sys
from pathlib import Path


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """The CPU's model name; its architecture if the system does not give one."""
    if sys.platform == "darwin":
        done = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        return done.stdout.strip() or platform.machine()
    return _from_linux("model name") or platform.processor() or platform.machine()


def processor_flags() -> set[str]:
    """The CPU's instruction sets, as Linux names them; empty on other systems."""
    return set(_from_linux("flags").split())


def _from_linux(key: str) -> str:
    """The first value of a key in /proc/cpuinfo; empty if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
