"""The CPU of this machine."""

import os
import platform
import subprocess
import sys
from pathlib import Path


def cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """Model name of the CPU, or its architecture if the system does not report a name."""
    if sys.platform == "darwin":
        done = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        return done.stdout.strip() or platform.machine()
    return _from_linux("model name") or platform.processor() or platform.machine()


def processor_flags() -> set[str]:
    """Instruction sets of the CPU, as `flags` in /proc/cpuinfo lists them; empty if there is no such list."""
    return set(_from_linux("flags").split())


def _from_linux(key: str) -> str:
    """The first value of a key in /proc/cpuinfo; empty if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
