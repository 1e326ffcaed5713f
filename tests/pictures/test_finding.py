"""Pictures are found in folders."""

from pathlib import Path

from livestyle.pictures.finding import find_pictures


def test_hidden_and_partial_files_and_other_formats_are_skipped(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "._a.png", "a.partial-2.png", "notes.txt", "sub/c.jpeg", "sub/d.heic", ".hidden/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub/circle").symlink_to(tmp_path)
    (tmp_path / "broken.png").symlink_to(tmp_path / "nosuch")
    assert [path.name for path in find_pictures([tmp_path])] == ["a.png", "b.JPG"]
    assert [path.name for path in find_pictures([tmp_path], recursive=True)] == ["a.png", "b.JPG", "c.jpeg", "d.heic"]
