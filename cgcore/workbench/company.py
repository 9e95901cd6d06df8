"""The company: everybody reads it (templates name it), administrators change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgcore.activity import Action, Change
from cgcore.company.company import MAX_LOGO_BYTES, Company, CompanyDraft, Logo, check_company, company_problem
from cgcore.errors import InvalidInput, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.storage import company as store

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context

__all__ = ["CompanySection", "prepare_logo"]


class CompanySection:
    """Use cases of the company."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, actor: Actor) -> Company:
        """Return the company; an empty one with version 0 when nothing is stored."""
        return self._context.recall(actor, "company", lambda session, _: store.load_company(session), whose="everybody")

    def save(self, actor: Actor, draft: CompanyDraft, version: int) -> Company:
        """Store ``draft``, read at ``version``; the tax number is stored in its compact form.

        Raises :class:`InvalidInput` with every wrong field, or :class:`StaleVersion` with what stands there now.
        """
        actor.require_admin()
        draft = draft.normalised()
        problems = list(check_company(draft))
        logo = None
        try:
            logo = prepare_logo(draft.logo) if draft.logo else None
        except InvalidInput as refused:
            problems.extend(refused.problems)
        if problems:
            raise InvalidInput(*problems)
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            return self._store(session, actor, draft, logo, version)

    def _store(self, session: Session, actor: Actor, draft: CompanyDraft, logo: Logo | None, version: int) -> Company:
        before = store.load_company(session)
        if before.version != version:
            raise StaleVersion(before.version, before.as_json())
        store.save_company(session, draft, logo, keep_logo=draft.logo is None)
        after = store.load_company(session)
        changed = [
            name for name in ("name", "tax_id", "address", "logo") if getattr(before, name) != getattr(after, name)
        ]
        self._context.activity.record(
            actor,
            Action.COMPANY_SAVED,
            after.name,
            changes=[Change(f"company.{name}") for name in changed],
            session=session,
        )
        return after


def prepare_logo(data: bytes) -> Logo:
    """Return the image of a file as mails carry it: PNG, JPEG or GIF, at most 1200 pixels wide, without place data.

    Raises :class:`InvalidInput` on ``logo`` for a file that is too heavy or no image (SVG is none: it can hold script).
    """
    from cgcore.templates.images import ImageFault, open_image, prepare

    if len(data) > MAX_LOGO_BYTES:
        raise InvalidInput(company_problem("logo", "logo_too_heavy"))
    opened = open_image(data)
    if isinstance(opened, ImageFault):
        raise InvalidInput(company_problem("logo", "logo_unreadable"))
    width, height = opened.shown(0, 0)
    prepared = prepare(data, width, height)
    if isinstance(prepared, ImageFault):
        raise InvalidInput(company_problem("logo", "logo_unreadable"))
    return Logo(prepared.type, width, height, prepared.data)
