"""``python -m bench [NAME …]``: run the benchmarks and print one table; exit code 1 when a limit is not kept."""

from __future__ import annotations

import sys
from importlib import import_module

from bench.figures import Figure, as_figure

_MODULES = (
    "imports", "start", "probes", "rendering", "lists", "api", "reruns", "pages", "preview", "doctor", "replicas",
    "outbox", "memory",
)  # fmt: skip

_WIDTH = 60


def main(names: list[str]) -> int:
    """Run the benchmarks named, all of them without names; each is told when it is done."""
    kept = True
    for name in names or _MODULES:
        print(f"… {name}", file=sys.stderr, flush=True)
        for figure in map(as_figure, import_module(f"bench.{name}").run()):
            print(_line(figure), flush=True)
            kept = kept and figure.is_kept
    return 0 if kept else 1


def _line(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    limit = f"{sign} {figure.limit:g}" if figure.limit is not None else ""
    mark = "" if figure.is_kept else "  ← limit not kept"
    return f"{figure.name:<{_WIDTH}}  {figure.value:>10.2f}  {limit:<8} {figure.note}{mark}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
