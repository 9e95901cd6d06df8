"""Starter layouts: what one click creates passes every rule."""

from __future__ import annotations

import pytest

from cgcore.documents import DocumentType
from cgcore.series.guards import check_default
from cgcore.series.series import Counter, Series, SeriesKind, check_draft
from cgcore.series.starters import STARTER_SETS, StarterLayout, StarterSet


@pytest.mark.parametrize("starter", STARTER_SETS, ids=lambda starter: starter.layout.value)
def test_a_starter_set_passes_every_rule(starter: StarterSet) -> None:
    """Neither a draft nor a default of it draws a single error or warning, and no type is left without default."""
    problems = [problem for draft in starter.series for problem in check_draft(draft, {}, year=2026)]
    made = {
        draft.code: Series(
            draft.code, draft.name, draft.kind, counters={kind: Counter() for kind in draft.next_numbers}
        )
        for draft in starter.series
    }
    findings = [
        finding
        for kind, code in starter.defaults.items()
        for finding in check_default(kind, code, made[code], year=2026)
    ]

    assert problems == []
    assert findings == []
    assert set(starter.defaults) == set(DocumentType)


def test_the_three_layouts_differ_and_each_has_a_rectificativa() -> None:
    """One entry a layout, and exactly one series of that kind in each."""
    assert [starter.layout for starter in STARTER_SETS] == list(StarterLayout)
    for starter in STARTER_SETS:
        assert [draft.kind for draft in starter.series].count(SeriesKind.CORRECTIVE) == 1
