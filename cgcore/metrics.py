"""Numbers about this process, in the text format that Prometheus reads (exposition format 0.0.4).

Counted in memory and nowhere else: no name of a person, address or path is a label.
"""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["CONTENT_TYPE", "Family", "Metrics", "Sample", "write_families"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, Mapping[str, str], float]
"""The name of a value, its labels, and itself."""

Labels = tuple[tuple[str, str], ...]
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HELP = {
    "cg_requests_total": "Answered HTTP requests by kind and status.",
    "cg_request_seconds": "How long answers took until their head was sent, by kind.",
    "cg_runs_total": "Ended runs of cells by cell and verdict.",
}


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its kind (``counter``, ``gauge`` or ``histogram``), and a value for each name and set of labels."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample] = ()


class Metrics:
    """Counts from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._times: dict[tuple[str, Labels], tuple[list[int], list[float]]] = {}

    def count(self, name: str, **labels: str) -> None:
        """Count one more."""
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += 1

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Note how long one took."""
        with self._lock:
            key = name, tuple(sorted(labels.items()))
            buckets, total = self._times.setdefault(key, ([0] * (len(_BOUNDS) + 1), [0.0]))
            buckets[bisect.bisect_left(_BOUNDS, seconds)] += 1
            total[0] += seconds

    def list_families(self) -> Iterator[Family]:
        """Return what was counted by now."""
        with self._lock:
            counts = dict(self._counts)
            times = {key: (list(buckets), total[0]) for key, (buckets, total) in self._times.items()}
        for name in sorted({name for name, _ in counts}):
            samples = [(name, dict(labels), float(value)) for (each, labels), value in counts.items() if each == name]
            yield Family(name, "counter", _HELP.get(name, ""), samples)
        for name in sorted({name for name, _ in times}):
            lines = [
                line
                for (each, labels), (buckets, total) in times.items()
                if each == name
                for line in _list_buckets(name, dict(labels), buckets, total)
            ]
            yield Family(name, "histogram", _HELP.get(name, ""), lines)


def write_families(families: Iterable[Family]) -> str:
    """Return the text of ``families``."""
    lines: list[str] = []
    for family in families:
        # In a help text a quotation mark stands for itself.
        told = family.help.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {family.name} {told}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{name}{_write_labels(labels)} {value:.15g}" for name, labels, value in family.samples]
    return "\n".join([*lines, ""])


def _list_buckets(name: str, labels: dict[str, str], buckets: list[int], total: float) -> Iterator[Sample]:
    below = 0
    for bound, count in zip((*map(str, _BOUNDS), "+Inf"), buckets, strict=True):
        below += count
        yield f"{name}_bucket", {**labels, "le": bound}, float(below)
    yield f"{name}_sum", labels, total
    yield f"{name}_count", labels, float(below)


def _write_labels(labels: Mapping[str, str]) -> str:
    escaped = {
        name: text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, text in labels.items()
    }
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped.items()) + "}" if labels else ""
