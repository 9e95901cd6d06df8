"""Rendering speed: messages a second of one core's time, with a cached template and with compiling it each time."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.figures import Figure
from cgcore.documents import DocumentType
from cgcore.templates.compile import CompiledTemplate, TemplateSource, compile_template
from cgcore.templates.render import render
from cgcore.templates.stored import default_source

__all__ = ["run"]

_CACHED_AT_LEAST = 2000.0
_COMPILED_AT_LEAST = 200.0
_PREVIEW_AT_MOST_S = 0.3
_FOR_S = 1.0
_TYPE = DocumentType.SALES_INVOICE


def run() -> list[Figure]:
    """Return two rates (more is better) and one time (less is better)."""
    source = default_source(_TYPE)
    compiled = compile_template(_TYPE, source)
    long_body = "<p>Estimado {cliente}, <strong>línea</strong> con <em>formato</em> y {numero}.</p>" * 620
    long_source = TemplateSource(source.subject, long_body, source.signature)
    compile_rate = _rate(lambda n: render(_TYPE, source, {"numero": str(n)}))
    return [
        Figure("render, cached template (messages/s)", _rate(_fill(compiled)), _CACHED_AT_LEAST, at_least=True),
        Figure("render, compile included (messages/s)", compile_rate, _COMPILED_AT_LEAST, at_least=True),
        Figure("render, 50 KB body (s)", 1 / _rate(lambda _n: render(_TYPE, long_source, {})), _PREVIEW_AT_MOST_S),
    ]


def _fill(compiled: CompiledTemplate) -> Callable[[int], object]:
    return lambda n: compiled.fill({"numero": str(n)})


def _rate(work: Callable[[int], object]) -> float:
    work(0)
    started = time.process_time()
    count = 0
    while time.process_time() - started < _FOR_S:
        count += 1
        work(count)
    return count / (time.process_time() - started)
