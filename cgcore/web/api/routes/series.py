"""Series, and the caller's default ones."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from cgcore.documents import DocumentType
from cgcore.series.defaults import Defaults
from cgcore.web.api.objects import SeriesDefault, SeriesDefaultsChange, SeriesList, SeriesObject
from cgcore.web.api.requests import IfMatch, expected_version, version_tag
from cgcore.web.api.routes.base import TAGGED, Bench, build_router, problems
from cgcore.web.api.scopes import Reader, Writer

__all__ = ["router"]

router = build_router()


@router.get("/series")
def list_series(
    workbench: Bench,
    actor: Reader,
    cursor: Annotated[str, Query(max_length=60, pattern=r"^[^\x00]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SeriesList:
    """Every series, by code."""
    page = workbench.series.list(actor, cursor=cursor or None, limit=limit)
    items = [SeriesObject.model_validate(series.as_json()) for series in page["items"]]
    return SeriesList(items=items, next=page["next"])


@router.get("/series-defaults", responses=TAGGED)
def get_series_defaults(workbench: Bench, actor: Reader, response: Response) -> dict[str, SeriesDefault]:
    """The default series of each document type: the chosen one, the one that applies, and why."""
    return _shown(workbench.series.defaults.get(actor), response)


@router.put("/series-defaults", responses={**TAGGED, **problems(412, 413, 415, 428)})
def put_series_defaults(
    workbench: Bench, actor: Writer, response: Response, if_match: IfMatch, choices: SeriesDefaultsChange
) -> dict[str, SeriesDefault]:
    """Choose a series for the types named; null lets the company's apply again."""
    version = expected_version(if_match, workbench.series.defaults.get(actor).version)
    chosen = {DocumentType(code): series for code, series in choices.items()}
    return _shown(workbench.series.defaults.save(actor, chosen, version), response)


def _shown(defaults: Defaults, response: Response) -> dict[str, SeriesDefault]:
    response.headers["ETag"] = version_tag(defaults.version)
    return {code: SeriesDefault.model_validate(entry) for code, entry in defaults.as_json().items()}
