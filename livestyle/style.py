"""A style and the body it belongs to, and their files.

Both are safetensors files, which hold numbers and text and can run nothing. A style file holds
`rows` (2, K), and may bring its own body as `body.*`; a body file holds the `body.*` alone. The
metadata names the architecture and the body's hash, so that rows find the body they were trained on.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from livestyle.errors import OutputError, StyleError
from livestyle.network import NETWORKS, Transformer

FORMAT = "livestyle-1"
SIZE_CAP_BYTES = 64 * 2**20
BODY_PREFIX = "body."


@dataclass(frozen=True)
class Header:
    """What a file says of itself, read without reading its numbers."""

    path: Path
    architecture: str
    body_hash: str
    has_rows: bool
    has_body: bool
    info: dict[str, str] = field(default_factory=dict, compare=False)
    """Picture, origin, training settings ..."""

    @property
    def name(self) -> str:
        """A style is called what its file is called, up to the first dot: rename the file, rename the style."""
        return self.path.name.split(".")[0]


@dataclass(frozen=True)
class Style:
    """Rows (2, K) in fp32, and the hash of the body that they belong to."""

    name: str
    architecture: str
    body_hash: str
    rows: Tensor


def body_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and half-precision values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_header(path: Path) -> Header:
    """Check everything that can be checked before numbers are read: size, format, names, shapes, types.

    Raises StyleError that says what is wrong with the file.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise StyleError(f"cannot read the style file {path}: {error.strerror}") from error
    if not path.is_file():  # a folder, or a pipe or device, which would be read without end
        raise StyleError(f"{path} is not a file; name a style file (safetensors)")
    if size > SIZE_CAP_BYTES:
        raise StyleError(f"{path} has {size >> 20} MiB; a style file has at most {SIZE_CAP_BYTES >> 20}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            shapes = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise StyleError(f"{path} is not a style file (safetensors); pickles and other formats are not read") from error
    if metadata.get("format") != FORMAT:
        raise StyleError(f"{path} is safetensors, but not a livestyle style (its metadata does not say {FORMAT})")
    architecture = metadata.get("architecture", "")
    if architecture not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise StyleError(f"{path} is for the network {architecture!r:.40}; this livestyle knows {known}")
    with torch.device("meta"):
        network = NETWORKS[architecture]()
    expected = {"rows": (2, network.row_length)}
    expected |= {BODY_PREFIX + name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name, (shape, dtype) in shapes.items():
        if name not in expected:
            raise StyleError(f"{path} holds {name!r:.60}, which {architecture} does not have")
        if shape != expected[name] or dtype not in ("F16", "F32"):
            raise StyleError(f"{path}: {name} is {shape} {dtype}, not {expected[name]} F16 or F32")
    has_rows = "rows" in shapes
    has_body = len(shapes) - has_rows > 0
    missing = [name for name in expected if has_body and name != "rows" and name not in shapes]
    if missing or not (has_rows or has_body):
        raise StyleError(f"{path} lacks {(missing or ['rows'])[0]}")
    known_keys = ("format", "architecture", "body")
    info = {key: value for key, value in metadata.items() if key not in known_keys}
    return Header(path, architecture, metadata.get("body", ""), has_rows, has_body, info)


def _read_tensors(header: Header, names: list[str]) -> dict[str, Tensor]:
    try:
        with safe_open(header.path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in names}
    except (SafetensorError, OSError) as error:  # another file by now: the names were in its header
        raise StyleError(f"cannot read {header.path}: {error}") from error
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise StyleError(f"{header.path}: {name} holds numbers that are not finite; the file is broken")
    return tensors


def load_style(header: Header) -> Style:
    """Read the rows. Raises StyleError if they are not finite."""
    if not header.has_rows:
        raise StyleError(f"{header.path} is a body without a style")
    return Style(header.name, header.architecture, header.body_hash, _read_tensors(header, ["rows"])["rows"])


def load_body(header: Header) -> Transformer:
    """Read the body into its network, in evaluation mode. Raises StyleError if it is not what its hash says."""
    network = NETWORKS[header.architecture]()
    tensors = _read_tensors(header, [BODY_PREFIX + name for name in network.state_dict()])
    state = {name.removeprefix(BODY_PREFIX): value for name, value in tensors.items()}
    if body_hash(state) != header.body_hash:
        raise StyleError(f"{header.path}: the body does not match its hash; the file is broken")
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def write_atomically(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Write safetensors under a temporary name, then rename: the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # not save_file, which makes files that only their owner can read
        partial.write_bytes(serialize({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, metadata))
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    finally:
        with suppress(OSError):  # renamed, or never made
            partial.unlink()


def save(path: Path, network: Transformer, rows: Tensor | None, info: Mapping[str, object], with_body: bool) -> None:
    """Write a style file (rows, with or without the body) or a body file (rows None).

    The body is stored in half precision, and its hash is of those values.
    """
    body = {name: value.detach().cpu().half() for name, value in network.state_dict().items()}
    metadata = {"format": FORMAT, "architecture": network.architecture, "body": body_hash(body)}
    metadata |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in info.items()}
    tensors: dict[str, Tensor] = {}
    if rows is not None:
        tensors["rows"] = rows.float()
    if with_body:
        tensors |= {BODY_PREFIX + name: value for name, value in body.items()}
    write_atomically(tensors, metadata, path)
