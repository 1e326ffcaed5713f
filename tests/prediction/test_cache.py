"""The cache of predicted rows."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livestyle.prediction import cache
from livestyle.prediction.cache import cache_key, read_rows, write_rows

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
KEY = cache_key(b"picture", b"predictor")


def test_rows_are_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "new/folder"
    assert read_rows(folder, KEY, 3) is None
    write_rows(folder, KEY, ROWS)
    found = read_rows(folder, KEY, 3)
    assert found is not None
    assert np.array_equal(found, ROWS)
    assert [path.suffix for path in folder.iterdir()] == [cache.SUFFIX]


def test_key_depends_on_picture_and_predictor() -> None:
    others = [cache_key(b"picture", b"other"), cache_key(b"other", b"predictor"), cache_key(b"picturepred", b"ictor")]
    assert len({KEY, *others}) == 4


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:40] + b"\1" + data[41:]])
def test_damaged_files_are_ignored(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    write_rows(tmp_path, KEY, ROWS)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert read_rows(tmp_path, KEY, 3) is None
    write_rows(tmp_path, KEY, ROWS)
    assert read_rows(tmp_path, KEY, 3) is not None


def test_rows_of_another_length_or_not_finite_are_ignored(tmp_path: Path) -> None:
    write_rows(tmp_path, KEY, ROWS)
    assert read_rows(tmp_path, KEY, 4) is None
    write_rows(tmp_path, KEY, np.full_like(ROWS, np.inf))
    assert read_rows(tmp_path, KEY, 3) is None


def test_oldest_files_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 2)
    keys = [cache_key(bytes([number]), b"") for number in range(3)]
    for age, key in enumerate(keys):
        write_rows(tmp_path, key, ROWS)
        if age < 2:
            os.utime(tmp_path / f"{key}{cache.SUFFIX}", (age, age))
    assert [read_rows(tmp_path, key, 3) is None for key in keys] == [True, False, False]


def test_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    write_rows(tmp_path / "file", KEY, ROWS)
    write_rows(None, KEY, ROWS)
    assert read_rows(tmp_path / "file", KEY, 3) is read_rows(None, KEY, 3) is None
