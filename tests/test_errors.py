"""Passwords in messages are hidden."""

import pytest

from livestyle.errors import hide_passwords, hide_stream_key


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("rtsp://me:pw@host:554/a", "rtsp://me:***@host:554/a"),
        ("rtsp://me:p/w@x@host/a?b", "rtsp://me:***@host/a?b"),
        ("open http://:pw@host, then wait", "open http://:***@host, then wait"),
        ("http://h/v?user=me&Password=a%20b&size=1#top", "http://h/v?user=me&Password=***&size=1#top"),
        ("http://h:80/v?access_token=abc", "http://h:80/v?access_token=***"),
        ("http://h:80/v?size=1", "http://h:80/v?size=1"),
        ("a:b@c is no URL", "a:b@c is no URL"),
    ],
)
def test_hide_passwords(text: str, hidden: str) -> None:
    assert hide_passwords(text) == hidden


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("rtmp://live.twitch.tv/app/live_123_SECRET", "rtmp://live.twitch.tv/app/***"),
        ("RTMPS://me:pw@host:443/rtmp/x/FB-SECRET?a=SECRET/b", "RTMPS://me:***@host:443/rtmp/***"),
        ("rtmp://host/SECRET", "rtmp://host/***"),
        ("rtmp://host/app/", "rtmp://host/***"),
        ("rtmp://host", "rtmp://host"),
        ("srt://host:9?streamid=publish:SECRET&passphrase=SECRET&mode=caller", "srt://host:9?streamid=***&passphrase=***&mode=caller"),
        ("rtsp://me:pw@host/live", "rtsp://me:***@host/live"),
        ("folder/out.mp4", "folder/out.mp4"),
    ],
)
def test_hide_stream_key(url: str, hidden: str) -> None:
    assert hide_stream_key(url) == hidden
