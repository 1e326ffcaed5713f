"""Style files: a round trip keeps the values, and invalid files are refused."""

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from livestyle.errors import OutputError, StyleError
from livestyle.frame import FloatArray
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.style_files.file_format import (
    FORMAT,
    body_hash,
    check_name,
    load_body,
    load_rows,
    read_header,
    write_body_file,
    write_style_file,
)

Change = Callable[[dict[str, Tensor], dict[str, str]], object]


@pytest.fixture(scope="module")
def body() -> Body:
    rng = np.random.default_rng(0)
    lite = ARCHITECTURES["lite"]
    return Body(lite, {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in lite.parameters.items()})


def plain_rows() -> FloatArray:
    return np.stack([np.ones(512, np.float32), np.zeros(512, np.float32)])


@pytest.fixture
def good(body: Body, tmp_path: Path) -> Path:
    """A style file that includes its body."""
    path = tmp_path / "moss.lite.safetensors"
    write_style_file(path, body, plain_rows() * 1.5, {"origin": "a wood", "training": {"steps": 3}}, include_body=True)
    return path


def change(path: Path, how: Change) -> Path:
    """Rewrite the file with other tensors and metadata."""
    tensors = load_file(path)
    metadata = {"format": FORMAT, "architecture": "lite", "body": read_header(path).body_hash}
    how(tensors, metadata)
    save_file(tensors, path, metadata)
    return path


def read_all(path: Path) -> None:
    header = read_header(path)
    load_rows(header)
    load_body(header)


def refused(path: Path) -> str:
    """Read the file and return the error message, which must be one line that names the file."""
    with pytest.raises(StyleError) as caught:
        read_all(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


def test_round_trip_keeps_rows_body_and_info(good: Path, body: Body) -> None:
    header = read_header(good)
    assert (header.name, header.architecture, header.has_rows, header.has_body) == ("moss", "lite", True, True)
    assert header.info["origin"] == "a wood"
    assert json.loads(header.info["training"]) == {"steps": 3}
    assert np.array_equal(load_rows(header), plain_rows() * 1.5)
    loaded_body = load_body(header)
    assert loaded_body.architecture is body.architecture
    for name, value in body.parameters.items():
        assert np.array_equal(loaded_body.parameters[name], value.astype(np.float16).astype(np.float32)), name


def test_style_file_and_body_file_are_separate(tmp_path: Path, body: Body) -> None:
    write_style_file(tmp_path / "rows.safetensors", body, plain_rows(), {}, include_body=False)
    write_body_file(tmp_path / "body.safetensors", body, {})
    rows, alone = read_header(tmp_path / "rows.safetensors"), read_header(tmp_path / "body.safetensors")
    assert (rows.has_rows, rows.has_body, alone.has_rows, alone.has_body) == (True, False, False, True)
    assert rows.body_hash == alone.body_hash != ""
    assert rows.path.stat().st_size < 8192  # small enough to send by mail
    with pytest.raises(StyleError, match="body without a style"):
        load_rows(alone)


@pytest.mark.parametrize("name", ["moss", "my wave", "神奈川 wave", "a-b", "x" * 100])
def test_check_name_accepts(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "-a", "a.b", "a:b", "a,b", "../a", "a\\b", "a\nb", "a*", "x" * 101])
def test_check_name_refuses(name: str) -> None:
    with pytest.raises(StyleError, match="cannot be a name"):
        check_name(name)


def test_body_hash_depends_on_names_and_values_only(body: Body) -> None:
    state = {name: value.copy() for name, value in body.parameters.items()}
    first = body_hash(state)
    assert body_hash(dict(reversed(state.items()))) == first
    state[next(name for name in state if name.endswith(".bias"))][0] += 0.5
    assert body_hash(state) != first


def put(name: str, value: Tensor) -> Change:
    return lambda tensors, _metadata: tensors.update({name: value})


def tag(key: str, value: str) -> Change:
    return lambda _tensors, metadata: metadata.update({key: value})


BYTES = torch.ones(9, dtype=torch.uint8)
BAD: dict[str, tuple[Change, str]] = {
    "body changed": (lambda tensors, _: tensors["body.stem1.bias"].add_(1), "hash"),
    "another hash": (tag("body", "0" * 64), "hash"),
    "nan in the rows": (lambda tensors, _: tensors["rows"][0, 5].fill_(torch.nan), "rows contains values that are not finite"),
    "infinity in the body": (lambda tensors, _: tensors["body.up.weight"].view(-1)[7].fill_(torch.inf), "body.up.weight.*finite"),
    "rows too short": (put("rows", torch.ones(2, 511)), "rows is .2, 511. F32, not .2, 512."),
    "rows of one dimension": (put("rows", torch.ones(512)), "rows is"),
    "integers": (put("rows", torch.ones(2, 512, dtype=torch.int64)), "I64"),
    "double": (put("rows", torch.ones(2, 512, dtype=torch.float64)), "F64"),
    "wrong kernel": (put("body.up.weight", torch.ones(32, 32, 5, 5)), "body.up.weight"),
    "unknown parameter": (put("body.extra", torch.ones(1)), "body.extra.*does not have"),
    "a name like a path": (put("../../etc/passwd", torch.ones(1)), "does not have"),
    "missing parameter": (lambda tensors, _: tensors.pop("body.up.bias"), "lacks body.up.bias"),
    "no tensors": (lambda tensors, _: tensors.clear(), "lacks rows"),
    "another network": (tag("architecture", "huge"), "network 'huge'.*full, lite"),
    "the other network": (tag("architecture", "full"), "not"),
    "thumbnail too large": (put("thumbnail", torch.zeros(65537, dtype=torch.uint8)), "thumbnail is .65537,. U8"),
    "empty thumbnail": (put("thumbnail", torch.zeros(0, dtype=torch.uint8)), "thumbnail is .0,. U8"),
    "thumbnail of two dimensions": (put("thumbnail", torch.zeros(8, 8, dtype=torch.uint8)), "thumbnail is .8, 8. U8"),
    "thumbnail of floats": (put("thumbnail", torch.zeros(64)), "thumbnail is .64,. F32"),
    "a thumbnail alone": (lambda tensors, _: (tensors.clear(), tensors.update(thumbnail=BYTES)), "lacks rows"),
    "no format": (lambda _, metadata: metadata.pop("format"), "not a livestyle style"),
    "an earlier format": (tag("format", "livestyle-1"), "earlier version of livestyle; train the style again"),
    "a later format": (tag("format", "livestyle-9"), "not a livestyle style"),
}


@pytest.mark.parametrize("case", BAD)
def test_error_names_the_wrong_tensor_or_metadata(case: str, good: Path) -> None:
    how, words = BAD[case]
    assert re.search(words, refused(change(good, how)))


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"rows": [1.0]}))


def write_checkpoint(path: Path) -> None:
    torch.save({"rows": torch.ones(2, 512)}, path)


def write_foreign(path: Path) -> None:
    save_file({"model.weight": torch.ones(3, 3)}, path, {"format": "pt"})


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def declare_long_header(path: Path) -> None:
    """Write a header length that is beyond the end of the file."""
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [
        write_pickle,
        write_checkpoint,
        write_foreign,
        cut,
        declare_long_header,
        make_folder,
        Path.unlink,
        lambda path: path.write_text("not a style\n"),
        lambda path: path.write_bytes(b""),
    ],
    ids=["pickle", ".pth", "foreign safetensors", "truncated", "long header", "folder", "missing", "text", "empty"],
)
def test_other_files_are_refused(spoil: Callable[[Path], object], good: Path) -> None:
    spoil(good)
    refused(good)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_reading_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "is not a file" in refused(tmp_path / "pipe.safetensors")


def test_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.safetensors"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)  # sparse; reading it would report that it is not safetensors
    assert "65 MiB" in refused(path)


def test_file_that_changes_after_its_header_was_read_is_refused(good: Path) -> None:
    header = read_header(good)
    cut(good)
    with pytest.raises(StyleError):
        load_rows(header)
    write_foreign(good)
    with pytest.raises(StyleError):
        load_body(header)


def test_writing_leaves_one_file_with_default_permissions(good: Path, body: Body) -> None:
    before = good.read_bytes()
    write_style_file(good, body, plain_rows(), {}, include_body=False)
    assert good.read_bytes() != before
    assert list(good.parent.iterdir()) == [good]
    assert good.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_writing_into_a_path_below_a_file_fails(good: Path, body: Body) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_body_file(good / "moss.safetensors", body, {})
    assert list(good.parent.iterdir()) == [good]


def test_writing_over_a_folder_fails(tmp_path: Path, body: Body) -> None:
    (tmp_path / "moss.safetensors").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_body_file(tmp_path / "moss.safetensors", body, {})
    assert [path.name for path in tmp_path.iterdir()] == ["moss.safetensors"]


def test_full_disk_leaves_the_old_file(good: Path, body: Body) -> None:
    resource = pytest.importorskip("resource")
    before = good.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the write stops in the middle, with an error
    try:
        with pytest.raises(OutputError, match="cannot write"):
            write_style_file(good, body, plain_rows(), {}, include_body=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_header_of_megabytes_is_refused(body: Body, tmp_path: Path) -> None:
    path = tmp_path / "long.lite.safetensors"
    write_style_file(path, body, plain_rows(), {"training": "[" * 3 * 2**20}, include_body=True)
    with pytest.raises(StyleError, match="has a header of 3 MiB; a style file has at most 2"):
        read_header(path)


def without(parameters: dict[str, FloatArray], name: str) -> dict[str, FloatArray]:
    return {key: value for key, value in parameters.items() if key != name}


@pytest.mark.parametrize(
    ("change_body", "message"),
    [
        (lambda body: without(body, "up.bias"), "up.bias is missing"),
        (lambda body: body | {"extra": np.ones(1, np.float32)}, "extra is unknown"),
        (lambda body: body | {"up.bias": np.ones(3, np.float32)}, "up.bias is .3,., not .32,."),
        (lambda body: body | {"up.bias": np.full(32, 7e4, np.float32)}, "up.bias contains values .* too large for half"),
    ],
)
def test_a_body_that_could_not_be_read_is_not_written(
    change_body: Callable[[dict[str, FloatArray]], dict[str, FloatArray]], message: str, tmp_path: Path, body: Body
) -> None:
    """An importer learns of an invalid body when it writes the file."""
    path = tmp_path / "moss.safetensors"
    with pytest.raises(StyleError, match=message):
        write_style_file(path, Body(body.architecture, change_body(body.parameters)), plain_rows(), {})
    with pytest.raises(StyleError, match=r"rows is .512,., not .2, 512."):
        write_style_file(path, body, plain_rows()[0], {})
    with pytest.raises(StyleError, match="rows contains values that are not finite"):
        write_style_file(path, body, plain_rows() * np.float32("nan"), {})
    assert not path.exists()
