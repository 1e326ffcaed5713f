"""Figures of the server for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRAME_SECONDS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)  # upper limits of the histogram's buckets


class Metrics:
    """Counters and gauges of one server. viewers, peers: return the number of viewers, and of WebRTC connections, now."""

    def __init__(self, viewers: Callable[[], int], peers: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._gauge("livestyle_viewers", "Viewers that are connected.", viewers)
        self._gauge("livestyle_webrtc_connections", "WebRTC connections.", peers)
        self.frame_seconds = Histogram(
            "livestyle_frame_seconds",
            "Time from the arrival of a frame, or its capture by the server's source, until its painting is sent.",
            registry=self._registry,
            buckets=FRAME_SECONDS,
        )
        self.frame_bytes = self._counter("livestyle_sent_frame_bytes", "Bytes of the frames that were sent.")
        self.pictures = self._counter("livestyle_pictures", "Pictures that were painted.")
        self.styles = self._counter("livestyle_predicted_styles", "Paintings that became styles.")
        self.refused = self._counter("livestyle_refused_viewers", "Viewers that were refused or disconnected.", "reason")

    def _gauge(self, name: str, text: str, value: Callable[[], int]) -> None:
        Gauge(name, text, registry=self._registry).set_function(value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def text(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return generate_latest(self._registry)
