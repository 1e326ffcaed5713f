"""The stages that transform painted frames, in their order."""

from livestyle.streaming.comparison import compared
from livestyle.streaming.person import only
from livestyle.streaming.pipeline import Stage
from livestyle.streaming.smoothing import smoothing


def make_stages(smooth: float, part: str | None, compare: bool) -> list[Stage]:
    """The stages of a run. For the arguments see `VideoJob`. Raises LivestyleError for an unknown part."""
    return [*smoothing(smooth), *only(part), *([compared] if compare else [])]
