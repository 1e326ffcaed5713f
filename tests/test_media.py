"""Files that cannot be opened as videos, and the error messages for them."""

from pathlib import Path

import pytest
from clips import Clip

from livestyle.errors import InputError
from livestyle.media import open_media

PLAYLISTS = {
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile clip.ts\n",
    "list.mkv": "ffconcat version 1.0\nfile clip.ts\n",
    "dash.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_are_refused(make_clip: Clip, name: str, tmp_path: Path) -> None:
    make_clip("clip.ts")
    (tmp_path / name).write_text(PLAYLISTS[name])
    with pytest.raises(InputError, match="playlist"):
        open_media(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "No such file"),
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"Dear diary, today I saw a wave.\n" * 50, "text"),
        ("picture.mp4", b"\x89PNG\r\n\x1a\n" + bytes(100), "is a picture, not a video"),
        ("noise.mp4", bytes(range(256)) * 20, "not a video"),
    ],
)
def test_files_that_are_not_videos_are_described(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_media(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        open_media(tmp_path)
