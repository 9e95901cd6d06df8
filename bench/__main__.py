"""``python -m bench [NAME …]``: run the benchmarks and print one table; exit code 1 when a limit is not kept."""

from __future__ import annotations

import sys
from importlib import import_module

from bench.figures import Figure, as_figure

_MODULES = (
    "imports", "start", "probes", "rendering", "lists", "api", "reruns", "pages", "preview", "doctor", "replicas",
)  # fmt: skip


def main(names: list[str]) -> int:
    """Run the benchmarks named, all of them without names."""
    figures: list[Figure] = []
    for name in names or _MODULES:
        print(f"… {name}", file=sys.stderr, flush=True)
        figures += [as_figure(row) for row in import_module(f"bench.{name}").run()]
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        sign = "≥" if figure.at_least else "≤"
        limit = f"{sign} {figure.limit:g}" if figure.limit is not None else ""
        mark = "" if figure.is_kept else "  ← limit not kept"
        print(f"{figure.name:<{width}}  {figure.value:>10.2f}  {limit:<8} {figure.note}{mark}")
    return 0 if all(figure.is_kept for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
