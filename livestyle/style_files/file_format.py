"""A style and the body it belongs to, and their files.

Both are safetensors files, which hold numbers and text and can run nothing. A style file holds
`rows` (2, K), and may bring its own body as `body.*`; a body file holds the `body.*` alone. The
metadata names the architecture and the body's hash, so that rows find the body they were trained on.
Either may hold `thumbnail`, a small JPEG of the style picture, as bytes.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from livestyle.errors import OutputError, StyleError
from livestyle.frame import FloatArray
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.output_file import write_whole

FORMAT = "livestyle-1"
SIZE_CAP_BYTES = 64 * 2**20
HEADER_CAP_BYTES = 2 * 2**20  # JSON, which takes many times its size to read
BODY_PREFIX = "body."
THUMBNAIL_CAP_BYTES = 64 * 2**10



@dataclass(frozen=True)
class Header:
    """What a file says of itself, read without reading its numbers."""

    path: Path
    architecture: str
    body_hash: str
    has_rows: bool
    has_body: bool
    info: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Picture, origin, licence, training settings ..."""
    has_thumbnail: bool = False

    @property
    def name(self) -> str:
        """A style is called what its file is called, up to the first dot: rename the file, rename the style."""
        return self.path.name.split(".")[0]


@dataclass(frozen=True, eq=False)
class Style:
    """Rows (2, K) in fp32, and the hash of the body that they belong to. Equal to itself alone."""

    name: str
    architecture: str
    body_hash: str
    rows: FloatArray = field(repr=False)


def check_name(name: str) -> None:
    """A style's name is a file's name up to the first dot, and blends are written wave:.7,udnie:.3. Raises StyleError."""
    fits = re.fullmatch(r"[^-\s.:,/\\<>\"|?*][^.:,/\\<>\"|?*]{0,99}", name)
    if not fits or name != name.strip() or not name.isprintable():
        raise StyleError(f"{name!r:.60} cannot be a name: no dot, colon, comma, slash or control character, and no dash in front")


def body_hash(parameters: Mapping[str, FloatArray]) -> str:
    """SHA-256 over names and half-precision values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(parameters):
        digest.update(name.encode())
        digest.update(parameters[name].astype(np.float16).tobytes())
    return digest.hexdigest()


def read_header(path: Path) -> Header:
    """Check everything that can be checked before numbers are read: size, format, names, shapes, types.

    Raises StyleError that says what is wrong with the file.
    """
    try:
        size = path.stat().st_size
    except ValueError:  # a NUL byte, or half a surrogate pair
        raise StyleError(f"cannot read the style file {str(path)!r}: that is no file's name") from None
    except OSError as error:
        raise StyleError(f"cannot read the style file {path}: {error.strerror}") from error
    if not path.is_file():  # a folder, or a pipe or device, which would be read without end
        raise StyleError(f"{path} is not a file; name a style file (safetensors)")
    if size > SIZE_CAP_BYTES:
        raise StyleError(f"{path} has {size >> 20} MiB; a style file has at most {SIZE_CAP_BYTES >> 20}")
    try:
        with path.open("rb") as start:
            header_bytes = int.from_bytes(start.read(8), "little")
    except OSError as error:  # of which safetensors would say that the file is not there
        raise StyleError(f"cannot read the style file {path}: {error.strerror}") from error
    if HEADER_CAP_BYTES < header_bytes < size:
        raise StyleError(f"{path} says {header_bytes >> 20} MiB of itself; a style file at most {HEADER_CAP_BYTES >> 20}")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            shapes = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise StyleError(f"{path} is not a style file (safetensors); pickles and other formats are not read") from error
    if metadata.get("format") != FORMAT:
        raise StyleError(f"{path} is safetensors, but not a livestyle style (its metadata does not say {FORMAT})")
    architecture = metadata.get("architecture", "")
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise StyleError(f"{path} is for the network {architecture!r:.40}; this livestyle knows {known}")
    network = ARCHITECTURES[architecture]
    expected: dict[str, tuple[int, ...]] = {"rows": (2, network.row_length)}
    expected |= {BODY_PREFIX + name: shape for name, shape in network.parameters.items()}
    thumbnail_shape, thumbnail_dtype = shapes.pop("thumbnail", ((1,), "U8"))
    if len(thumbnail_shape) != 1 or not 0 < thumbnail_shape[0] <= THUMBNAIL_CAP_BYTES or thumbnail_dtype != "U8":
        raise StyleError(f"{path}: thumbnail is {thumbnail_shape} {thumbnail_dtype}, not (1 to {THUMBNAIL_CAP_BYTES},) U8")
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
    return Header(path, architecture, metadata.get("body", ""), has_rows, has_body, info, "thumbnail" in slices)


def _read_tensors(header: Header, names: list[str]) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(header.path, framework="np") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:  # another file by now: the names were in its header
        raise StyleError(f"cannot read {header.path}: {error}") from error


def _read_floats(header: Header, names: list[str]) -> dict[str, FloatArray]:
    tensors = {name: value.astype(np.float32) for name, value in _read_tensors(header, names).items()}
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise StyleError(f"{header.path}: {name} holds numbers that are not finite; the file is broken")
    return tensors


def load_style(header: Header) -> Style:
    """Read the rows. Raises StyleError if they are not finite."""
    if not header.has_rows:
        raise StyleError(f"{header.path} is a body without a style")
    return Style(header.name, header.architecture, header.body_hash, _read_floats(header, ["rows"])["rows"])


def load_body(header: Header) -> Body:
    """Read the body. Raises StyleError if it is not what its hash says."""
    architecture = ARCHITECTURES[header.architecture]
    tensors = _read_floats(header, [BODY_PREFIX + name for name in architecture.parameters])
    parameters = {name.removeprefix(BODY_PREFIX): value for name, value in tensors.items()}
    if body_hash(parameters) != header.body_hash:
        raise StyleError(f"{header.path}: the body does not match its hash; the file is broken")
    return Body(architecture, parameters)


def load_thumbnail(header: Header) -> bytes | None:
    """The style picture's small copy, a JPEG that nobody has looked at yet (see thumbnail.py); None if there is none."""
    return _read_tensors(header, ["thumbnail"])["thumbnail"].tobytes() if header.has_thumbnail else None


def write_tensors(tensors: Mapping[str, NDArray[Any]], metadata: dict[str, str], path: Path) -> None:
    """Write safetensors: the file is there complete, or not at all. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # not save_file, which makes files that only their owner can read; and it writes memory as it lies, whatever its strides
        data = serialize({name: np.ascontiguousarray(value) for name, value in tensors.items()}, metadata)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    write_whole(path, data)


def save(
    path: Path, body: Body, rows: FloatArray | None, info: Mapping[str, object], with_body: bool, thumbnail: bytes | None = None
) -> None:
    """Write a style file (rows, with or without the body) or a body file (rows None).

    The body is stored in half precision, and its hash is of those values. thumbnail: see thumbnail.py.
    """
    metadata = {"format": FORMAT, "architecture": body.architecture.name, "body": body_hash(body.parameters)}
    metadata |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in info.items()}
    tensors: dict[str, NDArray[Any]] = {}
    if rows is not None:
        tensors["rows"] = rows.astype(np.float32)
    if with_body:
        tensors |= {BODY_PREFIX + name: value.astype(np.float16) for name, value in body.parameters.items()}
    if thumbnail is not None:
        tensors["thumbnail"] = np.frombuffer(thumbnail, np.uint8)
    write_tensors(tensors, metadata, path)
