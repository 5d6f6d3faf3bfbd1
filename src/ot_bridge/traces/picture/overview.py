"""The strip above a waterfall: by time bucket, never by span (seeing.md 4.1). Pure."""

from __future__ import annotations

from typing import NamedTuple

from ot_bridge.traces.picture.bars import WIDTH, Window
from ot_bridge.traces.picture.picture import Picture

__all__ = ["BUCKETS", "Overview", "overview"]

BUCKETS = 250
_HEIGHT = 30


class Overview(NamedTuple):
    """What is drawn.

    Attributes:
        running: the path of how many spans run, the most in each bucket.
        most: the most that ran at once.
        failed: the path of when something failed.
        path: who the request waited for: places, widths and services.
        window: the part that the waterfall shows, None for all.
    """

    running: str
    most: int
    failed: str
    path: list[tuple[float, float, str]]
    window: tuple[float, float] | None


def overview(picture: Picture, window: Window) -> Overview:
    """Measure the strip; it always shows the whole trace."""
    whole = Window(picture.start_ns, picture.start_ns + picture.duration_ns)
    changes = [0] * (BUCKETS + 1)
    for span in picture.trace.spans:
        changes[_bucket(whole, span.start_ns)] += 1
        changes[min(_bucket(whole, span.end_ns) + 1, BUCKETS)] -= 1
    counts, running = list[int](), 0
    for change in changes[:BUCKETS]:
        running += change
        counts.append(running)
    most, step = max(*counts, 1), WIDTH // BUCKETS
    steps = "".join(f"V{round(_HEIGHT - count * (_HEIGHT - 4) / most)}h{step}" for count in counts)
    failed = sorted({_bucket(whole, mark.time_ns) for mark in picture.reading.errors.values()})
    return Overview(
        f"M0 {_HEIGHT}{steps}V{_HEIGHT}z",
        most,
        "".join(f"M{one * step + step // 2} 0v{_HEIGHT}" for one in failed),
        _path(picture, whole),
        None if window == whole else (round(whole.x(window.start_ns), 1), round(whole.x(window.end_ns), 1)),
    )


def _bucket(whole: Window, time_ns: int) -> int:
    return min(BUCKETS - 1, max(0, int(whole.x(time_ns) * BUCKETS / WIDTH)))


def _path(picture: Picture, whole: Window) -> list[tuple[float, float, str]]:
    """Join neighbours of one service; what is shorter than a bucket goes to the one before it."""
    found = list[tuple[float, float, str]]()
    for section in picture.reading.path.sections:
        left, right = whole.x(section.start_ns), whole.x(section.end_ns)
        service = picture.trace.spans[section.span].service
        if found and (found[-1][2] == service or right - left < WIDTH / BUCKETS):
            found[-1] = (found[-1][0], right, found[-1][2])
        else:
            found.append((left, right, service))
    return [(round(left, 1), round(max(right - left, 0.5), 1), service) for left, right, service in found]
