"""Default series of a configuration file: judged like anybody's, but for what the file's own installation flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlmodel import Session

from cgcore.documents import DocumentType
from cgcore.portable.problems import portable_sentence, refuse_with
from cgcore.series.guards import check_default
from cgcore.storage import series as series_store

__all__ = ["list_changes", "note_orphans"]

# A default outlives a series that is switched off, loses the type or is deleted: flagged, and never replaced. So it
# outlives an export too. Any other guard that refuses is refused here as well.
_ORPHANED = 1


def list_changes(
    stored: Mapping[DocumentType, str], wanted: Mapping[DocumentType, str]
) -> dict[DocumentType, str | None]:
    """Return what of ``stored`` becomes something else; None: that choice goes."""
    return {kind: wanted.get(kind) for kind in {*stored, *wanted} if wanted.get(kind) != stored.get(kind)}


def note_orphans(
    session: Session, changed: Mapping[DocumentType, str | None], place: str, *, year: int
) -> Iterable[str]:
    """Yield a sentence for each new default that comes as an orphan, or raise the refusal of a forbidden one.

    ``place`` is that of the defaults in the file.
    """
    for kind, code in changed.items():
        if code is None:
            continue
        series = series_store.load_series(session, [code]).get(code)
        for finding in check_default(kind, code, series, year=year):
            if finding.blocks and finding.rule != _ORPHANED:
                raise refuse_with(f"{place}.{kind.value}", finding.message)
            if finding.blocks:
                yield portable_sentence("orphan_kept", lugar=f"{place}.{kind.value}", motivo=finding.message)
