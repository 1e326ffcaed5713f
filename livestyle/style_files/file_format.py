"""Read and write style files, body files and predictor files.

All are safetensors files, which contain tensors and text but no code. A style file contains the style's `rows`, (2, K), and
may contain the body as `body.NAME`, one tensor per parameter. A body file contains the `body.NAME` tensors only. A predictor
file contains the tensors that `livestyle.prediction.predictor.tensor_shapes` lists, and nothing else. The metadata has the name
of the architecture and the hash of the body that rows or predictor were trained on, by which that body is found in other files.
A style file may also contain `thumbnail`, a small JPEG of the style picture, as bytes (see thumbnail.py).

Reading takes two steps: `read_header` validates a file without reading its tensors; then `load_rows`, `load_body`,
`load_predictor` and `load_thumbnail_jpeg` read them. An importer of other programs' weights calls
`write_style_file(path, body, rows, info)`.
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
from livestyle.networks.architecture import Architecture
from livestyle.networks.body import Body
from livestyle.output_file import write_whole
from livestyle.prediction.predictor import Predictor, tensor_shapes

FORMAT = "livestyle-2"  # increase it when a network changes so that older weights would paint differently
EARLIER_FORMATS = ("livestyle-1",)
STYLE_SUFFIX = ".safetensors"
SIZE_CAP_BYTES = 64 * 2**20
HEADER_CAP_BYTES = 2 * 2**20  # the header is JSON, and parsing it takes many times its size in memory
BODY_PREFIX = "body."
THUMBNAIL_CAP_BYTES = 64 * 2**10
RESERVED_KEYS = ("format", "architecture", "body")  # of the metadata; all other keys are the info


@dataclass(frozen=True)
class StyleHeader:
    """The validated header of a style file, body file or predictor file. No tensor has been read yet."""

    path: Path
    architecture: str
    body_hash: str
    """The hash of the body, as in the metadata; `load_body` compares it with the parameters."""
    has_rows: bool
    """True for a style file, False for a body file or predictor file."""
    has_body: bool
    """True for a body file, and for a style file that includes its body."""
    info: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Metadata for people: picture, origin, licence, training settings as JSON. Not validated."""
    has_thumbnail: bool = False
    is_predictor: bool = False

    @property
    def name(self) -> str:
        """The style's name: the file name up to the first dot, so renaming the file renames the style."""
        return self.path.name.split(".")[0]


@dataclass(frozen=True, kw_only=True)
class PredictedStyle(StyleHeader):
    """A style that was predicted from a picture, for one body; `path` is the picture. It takes the place of a style file."""

    style_name: str
    """The stem of the picture's path, or the path if another style has that name."""
    rows: FloatArray = field(compare=False, repr=False)
    """(2, K) fp32."""

    @property
    def name(self) -> str:
        return self.style_name


def check_name(name: str) -> None:
    """Raise StyleError if a style cannot have this name.

    It must be usable as the first part of a file name, up to a dot, and in a blend such as `wave:.7,udnie:.3`.
    """
    fits = re.fullmatch(r"[^-\s.:,/\\<>\"|?*][^.:,/\\<>\"|?*]{0,99}", name)
    if not fits or name != name.strip() or not name.isprintable():
        raise StyleError(
            f"{name!r:.60} cannot be a name: use at most 100 characters, no dash or space at the start, no space at the end, no "
            "control characters, and none of . : , / \\ < > \" | ? *"
        )


def name_of_picture(picture: Path) -> str:
    """The name of a style that is made from a picture: that of its file, without characters that a name cannot have."""
    return re.sub(r"[^\w()+~ -]+", "_", picture.stem).strip("-_ ")[:100].strip() or "style"


def body_hash(parameters: Mapping[str, FloatArray]) -> str:
    """SHA-256 of the names and the half-precision values of a body's parameters, in alphabetical order of the names."""
    digest = hashlib.sha256()
    for name in sorted(parameters):
        digest.update(name.encode())
        digest.update(parameters[name].astype(np.float16).tobytes())
    return digest.hexdigest()


# reading


def read_header(path: Path) -> StyleHeader:
    """Read and validate a header: everything that can be checked without reading tensors (size, format, names, shapes, types).

    Raises StyleError; the message names the file and the problem.
    """
    _check_size(path)
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            shapes = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise StyleError(f"{path} is not a style file (safetensors); pickles and other formats are not supported") from error
    if metadata.get("format") in EARLIER_FORMATS:
        raise StyleError(f"{path} is for the networks of an earlier version of livestyle; train the style again")
    if metadata.get("format") != FORMAT:
        raise StyleError(f"{path} is safetensors, but not a livestyle style: the format in its metadata is not {FORMAT}")
    architecture = metadata.get("architecture", "")
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise StyleError(f"{path} is for the network {architecture!r:.40}; this version of livestyle has {known}")
    info = {key: value for key, value in metadata.items() if key not in RESERVED_KEYS}
    if "hidden.0.weight" in shapes:
        _check_expected(path, tensor_shapes(ARCHITECTURES[architecture].row_length), shapes, architecture)
        return StyleHeader(path, architecture, metadata.get("body", ""), False, False, info, is_predictor=True)
    has_rows, has_body, has_thumbnail = _check_shapes(path, ARCHITECTURES[architecture], shapes)
    return StyleHeader(path, architecture, metadata.get("body", ""), has_rows, has_body, info, has_thumbnail)


def _check_size(path: Path) -> None:
    """Raise StyleError if the path is not a regular file, or the file or its header is too large to be a style file."""
    try:
        size = path.stat().st_size
    except ValueError:  # a NUL byte, or half a surrogate pair
        raise StyleError(f"cannot read the style file {str(path)!r}: not a valid file name") from None
    except OSError as error:
        raise StyleError(f"cannot read the style file {path}: {error.strerror}") from error
    if not path.is_file():  # a folder; or a pipe or device, from which reading may never end
        raise StyleError(f"{path} is not a file; name a style file (safetensors)")
    if size > SIZE_CAP_BYTES:
        raise StyleError(f"{path} has {size >> 20} MiB; a style file has at most {SIZE_CAP_BYTES >> 20}")
    try:
        with path.open("rb") as start:
            header_bytes = int.from_bytes(start.read(8), "little")
    except OSError as error:  # safetensors would report that the file does not exist
        raise StyleError(f"cannot read the style file {path}: {error.strerror}") from error
    if HEADER_CAP_BYTES < header_bytes < size:
        raise StyleError(f"{path} has a header of {header_bytes >> 20} MiB; a style file has at most {HEADER_CAP_BYTES >> 20}")


def _check_shapes(
    path: Path, architecture: Architecture, shapes: dict[str, tuple[tuple[int, ...], str]]
) -> tuple[bool, bool, bool]:
    """Check that no tensor is missing, unknown, or of a wrong shape or type, else raise StyleError.

    shapes: tensor name -> (shape, type). Returns whether the file has rows, a body, a thumbnail.
    """
    expected: dict[str, tuple[int, ...]] = {"rows": (2, architecture.row_length)}
    expected |= {BODY_PREFIX + name: shape for name, shape in architecture.parameters.items()}
    has_thumbnail = "thumbnail" in shapes
    shape, dtype = shapes.get("thumbnail", ((1,), "U8"))
    if len(shape) != 1 or not 0 < shape[0] <= THUMBNAIL_CAP_BYTES or dtype != "U8":
        raise StyleError(f"{path}: thumbnail is {shape} {dtype}, not (1 to {THUMBNAIL_CAP_BYTES},) U8")
    found = {name: shape_and_type for name, shape_and_type in shapes.items() if name != "thumbnail"}
    has_rows = "rows" in found
    has_body = len(found) - has_rows > 0
    needed = {name: shape for name, shape in expected.items() if name in found or (has_body and name != "rows")}
    _check_expected(path, needed or {"rows": expected["rows"]}, found, architecture.name)
    return has_rows, has_body, has_thumbnail


def _check_expected(
    path: Path, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[tuple[int, ...], str]], architecture: str
) -> None:
    """Raise StyleError if a tensor is missing, unknown, or of a wrong shape or type. found: name -> (shape, type)."""
    for name, (shape, dtype) in found.items():
        if name not in expected:
            raise StyleError(f"{path} contains {name!r:.60}, which {architecture} does not have")
        if shape != expected[name] or dtype not in ("F16", "F32"):
            raise StyleError(f"{path}: {name} is {shape} {dtype}, not {expected[name]} F16 or F32")
    for name in expected:
        if name not in found:
            raise StyleError(f"{path} lacks {name}")


def load_rows(header: StyleHeader) -> FloatArray:
    """Read a style's rows, (2, K) fp32; those of a predicted style are there already.

    Raises StyleError if the file is a body file or predictor file, or a value is not finite.
    """
    if isinstance(header, PredictedStyle):
        return header.rows
    if not header.has_rows:
        raise StyleError(f"{header.path} is {'a predictor' if header.is_predictor else 'a body'} without a style")
    return _load_floats(header, ["rows"])["rows"]


def load_body(header: StyleHeader) -> Body:
    """Read the body. Raises StyleError if the file has none, a value is not finite, or the values do not match the hash."""
    architecture = ARCHITECTURES[header.architecture]
    tensors = _load_floats(header, [BODY_PREFIX + name for name in architecture.parameters])
    parameters = {name.removeprefix(BODY_PREFIX): value for name, value in tensors.items()}
    if body_hash(parameters) != header.body_hash:
        raise StyleError(f"{header.path}: the body does not match its hash; the file is damaged")
    return Body(architecture, parameters)


def load_predictor(header: StyleHeader) -> Predictor:
    """Read a predictor. Raises StyleError if a value is not finite, or a scale is not above 0."""
    tensors = _load_floats(header, list(tensor_shapes(ARCHITECTURES[header.architecture].row_length)))
    if not (tensors["scale"] > 0).all():
        raise StyleError(f"{header.path}: scale contains values that are not above 0; the file is damaged")
    return Predictor(tensors)


def load_thumbnail_jpeg(header: StyleHeader) -> bytes | None:
    """Read the thumbnail's bytes, not validated; None if there is none. Use `thumbnail.load_thumbnail` to decode them."""
    return _load_tensors(header, ["thumbnail"])["thumbnail"].tobytes() if header.has_thumbnail else None


def _load_tensors(header: StyleHeader, names: list[str]) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(header.path, framework="np") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:  # the file has changed since its header was read
        raise StyleError(f"cannot read {header.path}: {error}") from error


def _load_floats(header: StyleHeader, names: list[str]) -> dict[str, FloatArray]:
    tensors = {name: value.astype(np.float32) for name, value in _load_tensors(header, names).items()}
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise StyleError(f"{header.path}: {name} contains values that are not finite; the file is damaged")
    return tensors


# writing


def write_style_file(
    path: Path,
    body: Body,
    rows: FloatArray,
    info: Mapping[str, object],
    *,
    include_body: bool = True,
    thumbnail: bytes | None = None,
) -> None:
    """Write a style file, completely or not at all.

    body: stored in half precision if include_body is true; otherwise only its hash is stored, and the body must be in another
    file that the gallery finds.
    rows: (2, K), finite. info: metadata for people (picture, origin, licence, training); values that are not text are stored
    as JSON. thumbnail: as `thumbnail.make_thumbnail` returns it.
    Raises StyleError if the rows or the body's parameters do not fit the architecture, or do not fit half precision;
    OutputError if the file cannot be written.
    """
    architecture = body.architecture
    _check_values(path, {"rows": rows}, {"rows": (2, architecture.row_length)})
    tensors: dict[str, NDArray[Any]] = {"rows": rows.astype(np.float32)}
    if include_body:
        tensors |= _body_tensors(path, body)
    if thumbnail is not None:
        tensors["thumbnail"] = np.frombuffer(thumbnail, np.uint8)
    write_safetensors(path, tensors, _metadata(body, info))


def write_body_file(path: Path, body: Body, info: Mapping[str, object]) -> None:
    """Write a body file, in half precision, for style files without a body. info and errors are as for `write_style_file`."""
    write_safetensors(path, _body_tensors(path, body), _metadata(body, info))


def write_predictor_file(path: Path, body: Body, tensors: Mapping[str, FloatArray], info: Mapping[str, object]) -> None:
    """Write a predictor file for a body, in half precision. tensors: as `tensor_shapes` of livestyle.prediction lists them.

    info and errors are as for `write_style_file`.
    """
    with np.errstate(over="ignore"):  # reported by _check_values
        halves = {name: value.astype(np.float16) for name, value in tensors.items()}
    _check_values(path, halves, tensor_shapes(body.architecture.row_length))
    write_safetensors(path, halves, _metadata(body, info))


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write a safetensors file, completely or not at all. Creates missing folders. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # not save_file, whose files only their owner can read; serialize ignores strides, hence the contiguous copies
        data = serialize({name: np.ascontiguousarray(value) for name, value in tensors.items()}, metadata)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    write_whole(path, data)


def _metadata(body: Body, info: Mapping[str, object]) -> dict[str, str]:
    metadata = {"format": FORMAT, "architecture": body.architecture.name, "body": body_hash(body.parameters)}
    return metadata | {key: value if isinstance(value, str) else json.dumps(value) for key, value in info.items()}


def _body_tensors(path: Path, body: Body) -> dict[str, NDArray[Any]]:
    with np.errstate(over="ignore"):  # reported by _check_values
        halves = {name: value.astype(np.float16) for name, value in body.parameters.items()}
    _check_values(path, halves, body.architecture.parameters)
    return {BODY_PREFIX + name: value for name, value in halves.items()}


def _check_values(path: Path, values: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise StyleError for values of a file that `read_header` or the load functions would refuse. shapes: the expected ones."""
    if wrong := sorted(values.keys() ^ shapes.keys()):
        raise StyleError(f"cannot write {path}: {wrong[0]} is {'missing' if wrong[0] in shapes else 'unknown'}")
    for name, value in values.items():
        if value.shape != shapes[name]:
            raise StyleError(f"cannot write {path}: {name} is {value.shape}, not {shapes[name]}")
        if not np.isfinite(value).all():
            raise StyleError(f"cannot write {path}: {name} contains values that are not finite, or too large for half precision")
