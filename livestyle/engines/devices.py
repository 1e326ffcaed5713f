"""Device selection: from a device name to an engine. No other module chooses a device."""

import ctypes
import importlib.util
import sys

from livestyle.engines.base import Engine
from livestyle.errors import DeviceError

DEVICES = "auto, cpu, openvino, cuda, cuda:N or mps"


def choose_device(name: str) -> str:
    """Resolve a device name. `auto` is a GPU if there is one, else OpenVINO if it is installed, else PyTorch on the CPU.

    Raises DeviceError if the name is unknown or the device is not available. To look for a GPU, PyTorch is imported only if
    its driver is found, as the import takes seconds.
    """
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "openvino", "cuda", "mps") or (index and (kind != "cuda" or not index.isdecimal())):
        raise DeviceError(f"no device {name!r}; use {DEVICES}")
    if kind == "auto":
        if _gpus():
            return "cuda:0"
        return "mps" if _has_mps() else "openvino" if _has_openvino() else "cpu"
    if kind == "openvino" and not _has_openvino():
        raise DeviceError(f"device {name}: OpenVINO is not installed; pip install openvino, or use the device cpu")
    if kind == "mps" and not _has_mps():
        raise DeviceError("device mps: no Apple GPU found; use the device cpu")
    if kind == "cuda":
        count = _gpus()
        if not count:
            raise DeviceError(f"device {name}: no CUDA GPU found; use the device cpu, or install the NVIDIA driver")
        if int(index or 0) >= count:
            raise DeviceError(f"device {name}: this machine has cuda:0 to cuda:{count - 1}")
        return f"cuda:{int(index or 0)}"
    return kind


def _gpus() -> int:
    """Number of usable CUDA GPUs."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")  # the NVIDIA driver
    except OSError:
        return 0
    try:
        from livestyle.engines.cuda import gpu_count
    except ImportError:  # PyTorch is not installed
        return 0
    return gpu_count()


def _has_mps() -> bool:
    if sys.platform != "darwin":
        return False
    try:
        import torch
    except ImportError:
        return False
    return torch.backends.mps.is_available()


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def open_engine(device: str) -> Engine:
    """Open the engine of a device that `choose_device` returned. Raises DeviceError if PyTorch is needed but missing."""
    if device.startswith("cuda"):
        from livestyle.engines.cuda import CudaEngine

        return CudaEngine(device)
    if device == "openvino":
        from livestyle.engines.openvino import OpenVinoEngine

        return OpenVinoEngine()
    try:
        from livestyle.engines.cpu import CpuEngine, TorchEngine
    except ImportError as error:
        raise DeviceError(f"device {device}: PyTorch cannot be imported ({error}); pip install torch") from error
    return CpuEngine() if device == "cpu" else TorchEngine(device)
