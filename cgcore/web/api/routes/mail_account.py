"""The caller's mail account and its probe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import Response
from starlette.responses import StreamingResponse

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor, Scope
from cgcore.mail.account import AuthKind, MailAccountDraft, account_to_json, check_account
from cgcore.mail.steps import Leg
from cgcore.mail.watch import trouble_text
from cgcore.runs import Cell, Run
from cgcore.web.api.mail_objects import (
    BounceSearch,
    BounceSearchInput,
    MailAccount,
    MailAccountChange,
    MailAccountInput,
    MailWatch,
    MailWatchInput,
    Probe,
    build_draft,
    in_api_words,
    merge,
)
from cgcore.web.api.problems import ApiProblem, ProblemCode
from cgcore.web.api.requests import IfMatch, expected_version, version_tag
from cgcore.web.api.routes.base import TAGGED, Bench, build_router, problems
from cgcore.web.api.scopes import Reader, Sender, Writer
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.describe import notice_json
from cgcore.workbench.verdicts import verdict_texts

__all__ = ["router"]

NDJSON = "application/x-ndjson"

router = build_router()
_GUARDED = {**TAGGED, **problems(409, 412, 413, 415, 428)}


@router.get("/mail-account", responses=TAGGED)
def get_mail_account(workbench: Bench, actor: Reader, response: Response) -> MailAccount:
    """The stored account without its password; version 0 when nothing is stored."""
    return _shown(workbench.mail_account.to_json(workbench.mail_account.get(actor)), response)


@router.put("/mail-account", responses=_GUARDED)
def put_mail_account(
    workbench: Bench, actor: Writer, response: Response, if_match: IfMatch, account: MailAccountInput
) -> MailAccount:
    """Store a whole account."""
    stored = account_to_json(workbench.mail_account.get(actor).draft)
    auth = account.auth or (stored["auth"] if account.password is None else AuthKind.PASSWORD.value)
    given = account.model_dump(exclude_none=True, exclude={"password"})
    stays = {name: given.get(name, stored[name]) for name in ("sender", "logins")}
    draft = build_draft({**given, "auth": auth, **stays}, account.password)
    return _save(workbench, actor, draft, if_match, response)


@router.patch("/mail-account", responses=_GUARDED)
def patch_mail_account(
    workbench: Bench, actor: Writer, response: Response, if_match: IfMatch, change: MailAccountChange
) -> MailAccount:
    """Store what changes of the account."""
    return _save(workbench, actor, _changed(workbench, actor, change), if_match, response)


@router.get("/mail-account/watch")
def get_mail_watch(workbench: Bench, actor: Reader) -> MailWatch:
    """What the daily watch of the account has to tell."""
    return _watch(workbench, actor)


@router.put("/mail-account/watch", responses=problems(413, 415))
def put_mail_watch(workbench: Bench, actor: Writer, wanted: MailWatchInput) -> MailWatch:
    """Switch the daily watch on or off; switched on it knows nothing of before."""
    workbench.mail_watch.switch(actor, enabled=wanted.enabled)
    return _watch(workbench, actor)


@router.post(
    "/mail-account/probe",
    responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}, **problems(413, 415)},
    response_class=StreamingResponse,
)
def probe_mail_account(workbench: Bench, actor: Sender, probe: Probe) -> StreamingResponse:
    """Prove one leg: one line a step as it happens, the verdict last."""
    draft = _changed(workbench, actor, probe)
    try:
        run = _start(workbench, actor, Leg(probe.leg), draft)
    except InvalidInput as error:
        raise in_api_words(error) from None
    return StreamingResponse(_lines(workbench, actor, run), media_type=NDJSON)


@router.get("/mail-account/bounces")
def get_bounce_search(workbench: Bench, actor: Reader) -> BounceSearch:
    """Whether the inbox is searched for what came back, and what names no message."""
    return _search(workbench, actor)


@router.put("/mail-account/bounces", responses=problems(413, 415))
def put_bounce_search(workbench: Bench, actor: Writer, wanted: BounceSearchInput) -> BounceSearch:
    """Begin to search the inbox, or end it."""
    workbench.bounces.switch(actor, active=wanted.enabled)
    return _search(workbench, actor)


def _search(workbench: Workbench, actor: Actor) -> BounceSearch:
    search = workbench.bounces.get(actor)
    may_see = Scope.SEND in actor.scopes
    unassigned = [notice_json(each) for each in workbench.bounces.list_unassigned(actor)] if may_see else []
    told = {"enabled": search.active, "looked": search.looked, "key": search.key, "unassigned": unassigned}
    return BounceSearch.model_validate(told)


def _watch(workbench: Workbench, actor: Actor) -> MailWatch:
    view = workbench.mail_watch.get(actor)
    troubles = [{**trouble.to_json(), "text": trouble_text(trouble)} for trouble in view.troubles]
    looked = view.looked.isoformat() if view.looked else None
    return MailWatch.model_validate({"enabled": view.enabled, "looked": looked, "troubles": troubles})


def _start(workbench: Workbench, actor: Actor, leg: Leg, draft: MailAccountDraft) -> Run:
    section = workbench.mail_runs
    run = section.start_probe(actor, leg, draft)
    if run.fingerprint == section.fingerprint(actor, Cell(leg.value), draft):
        return run
    # Joined a run of other settings (the page's): its verdict is no answer here, so ours starts when it has ended.
    for _ in workbench.runs.follow(actor, run):
        pass
    return section.start_probe(actor, leg, draft)


def _changed(workbench: Workbench, actor: Actor, change: MailAccountChange) -> MailAccountDraft:
    section = workbench.mail_account
    return build_draft(merge(section.to_json(section.get(actor)), change), change.password)


def _save(
    workbench: Workbench, actor: Actor, draft: MailAccountDraft, if_match: str, response: Response
) -> MailAccount:
    section = workbench.mail_account
    try:
        _refuse_wrong(draft)
        stored = section.get(actor)
        version = expected_version(if_match, stored.version)
        if draft.auth not in (AuthKind.PASSWORD, stored.draft.auth):
            _require_connected(workbench, actor, draft)
        return _shown(section.to_json(section.save(actor, draft, version=version)), response)
    except InvalidInput as error:
        raise in_api_words(error) from None


def _require_connected(workbench: Workbench, actor: Actor, draft: MailAccountDraft) -> None:
    found = workbench.oauth.grants.connection(actor)
    if found is None or found.provider != draft.auth or not found.is_for(draft) or not found.works:
        raise ApiProblem(ProblemCode.NOT_CONNECTED)


def _refuse_wrong(draft: MailAccountDraft) -> None:
    # Before the version: what can never be stored is said first, whoever has saved meanwhile.
    if found_wrong := [found for found in check_account(draft) if found.blocking]:
        raise InvalidInput(*found_wrong)


def _shown(account: Mapping[str, Any], response: Response) -> MailAccount:
    response.headers["ETag"] = version_tag(account["version"])
    return MailAccount.model_validate(account)


def _lines(workbench: Workbench, actor: Actor, run: Run) -> Iterator[str]:
    written = 0
    for now in workbench.runs.follow(actor, run):
        for step in now.steps[written:]:
            yield _line(step.to_json())
        written = len(now.steps)
        if now.verdict is not None:
            yield _line(now.verdict.as_line(*verdict_texts(now.cell, now.verdict)))


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
