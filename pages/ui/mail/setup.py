"""«Configurar mi correo»: the button, its run, and what it has found, filled into the form."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cgcore.mail.discovery.discover import known_hints, suggest_address
from cgcore.mail.discovery.result import hint_texts
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run
from cgcore.texts import lookup
from cgcore.workbench.mail_setup import is_setup_of
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.admin import mail_servers
from pages.ui.cells import CellHead, CellState, state_of
from pages.ui.mail import by_hand, connection, test_cell
from pages.ui.mail.form import AccountForm
from pages.ui.mail.history import draw_history
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.runs import draw_run, follow_run
from pages.ui.texts import mail_account as texts

__all__ = ["draw", "take_over"]

_SHOWN = "mail_account_setup_shown"  # the run of this session whose outcome stands in the cell
_FILL = "mail_account_setup_fill"  # what it has found, until the next run of the page fills it in
_CONFIRMED = "mail_account_setup_confirmed"  # foreign hosts that the person has said yes to
_AGAIN = "mail_account_setup_again"
_ASKS_BY_HAND = ("nothing_proven", "no_mail_service")  # whose cure is to write the servers into the cells below


def take_over(form: AccountForm) -> None:
    """Fill in what the last run has found; before anything is drawn."""
    found: dict[str, Any] | None = st.session_state.pop(_FILL, None)
    if found is None:
        return
    if found["user"]:
        form.put("user", found["user"])
    for leg in Leg:
        if server := found[leg.value]:
            form.apply(leg, {name: server[name] for name in ("host", "security", "port")})
            form.mark_typed(leg)
    form.put("imap_pin", "")
    form.put("sent_folder", found["folder"])


def draw(page: MailPage, head: CellHead) -> None:
    """Draw the button, what the provider wants, and what the run of this session has come to."""
    takes_passwords = "oauth_only" not in known_hints(str(page.form.value("user") or ""))[1]
    clicked = st.button(
        texts.SETUP_RUN,
        key="mail_account_setup",
        icon=":material/auto_fix_high:",
        type="primary" if takes_passwords and not page.form.stored.draft.smtp.host else "secondary",
    )
    # One container that is always there: what comes and goes moves no field below.
    with st.container(gap="small"):
        _draw_hints(page)
        if page.tell_refusal(Cell.SETUP, "mail_account_setup_refused"):
            return
        if clicked or st.session_state.pop(_AGAIN, False):
            _run(page, head)
        run = page.workbench.mail_setup.find_last(page.actor)
        if run is None:
            return
        if run.is_running:
            # Of another tab, or of this one before it was loaded again: what it finds is offered, not filled in.
            _follow(page, run, head)
            st.rerun()
        if run.id == st.session_state.get(_SHOWN) or _is_left_over(page, run):
            _draw_outcome(page, run, head)
        draw_history(page, Leg.SMTP, Cell.SETUP, run)


def _run(page: MailPage, head: CellHead) -> None:
    confirmed = st.session_state.pop(_CONFIRMED, ())
    run = page.start(
        Cell.SETUP, lambda: page.workbench.mail_setup.start(page.actor, page.form.draft(), confirmed=confirmed)
    )
    run = _follow(page, run, head)
    if not run.is_running:
        _note_outcome(page, run)
    st.rerun()


def _follow(page: MailPage, run: Run, head: CellHead) -> Run:
    head.show(CellState.RUNNING)
    run = follow_run(page.workbench, page.actor, run)
    if not run.is_running:
        st.session_state[_SHOWN] = run.id
    return run


def _note_outcome(page: MailPage, run: Run) -> None:
    result = run.result
    if result is not None and (result["smtp"] or result["imap"]) and not result["questions"]:
        if is_setup_of(run, _typed(page)):
            _fill(result)
    elif run.verdict is not None and run.verdict.key in _ASKS_BY_HAND:
        by_hand.unfold()


def _fill(result: dict[str, Any]) -> None:
    st.session_state[_FILL] = dict(result)


def _typed(page: MailPage) -> str:
    return str(page.form.value("user") or "").strip()


def _is_left_over(page: MailPage, run: Run) -> bool:
    """Return whether ``run`` has found an account that nobody has stored: the page was closed meanwhile, perhaps."""
    is_of_it = not _typed(page) or is_setup_of(run, _typed(page))
    return is_of_it and state_of(run) is CellState.PASSED and not page.form.stored.draft.smtp.host


def _draw_hints(page: MailPage) -> None:
    """Say what the provider of the typed domain wants, from the own table: nobody is asked."""
    address = str(page.form.value("user") or "")
    provider, codes = known_hints(address)
    lines: list[str] = []
    if not page.form.stored.version and (kept := page.workbench.mail_presets.find(page.actor, address)):
        lines.append(f":material/domain: {texts.SETUP_KNOWN.format(domain=escape(kept.domain))}")
    for hint in hint_texts(codes, provider.id if provider else ""):
        link = f" [{escape(hint['link'])}]({hint['link']})" if hint["link"] else ""
        lines.append(f":material/info: {escape(hint['text'])}{link}")
    if lines:
        st.markdown("  \n".join(lines))
    if provider is not None and "oauth_only" in codes:
        connection.offer_instead(page, provider.id)
    if meant := suggest_address(address):
        label = texts.SETUP_USE_ADDRESS.format(address=escape(meant))
        st.button(label, key="mail_account_setup_suggestion", on_click=_use_address, args=(page.form, meant))


def _use_address(form: AccountForm, address: str) -> None:
    form.put("user", address)


def _draw_outcome(page: MailPage, run: Run, head: CellHead) -> None:
    result = run.result or {}
    state = state_of(run) if not _typed(page) or is_setup_of(run, _typed(page)) else CellState.STALE
    if state is CellState.STALE:
        head.show(state)
        draw_run(run, state, key="mail_account_setup")
        return
    for host in result.get("questions", ()):
        title, fix = (escape(text) for text in verdict_texts(run.cell, run.verdict)) if run.verdict else ("", "")
        st.warning(f"**{title}**  \n{fix}", icon=":material/help:")
        label = texts.SETUP_USE_HOST.format(host=escape(host))
        hosts = tuple(result["questions"])
        st.button(label, key="mail_account_setup_confirm", type="primary", on_click=_confirm, args=(hosts,))
        return
    head.show(state)
    if state is CellState.PASSED:
        st.markdown(f":green[:material/check_circle: {_done(result)}]")
        _draw_next(page, result)
    else:
        draw_run(run, state, key="mail_account_setup")
    if origins := _origins(result):
        with st.expander(texts.SETUP_ORIGIN, type="compact", key="mail_account_setup_origin"):
            st.markdown("\n".join(f"- {escape(line)}" for line in origins))


def _draw_next(page: MailPage, result: dict[str, Any]) -> None:
    """Offer what comes after a set-up that went well: to fill it in, to save it, the test mail, the company."""
    if not _stands(page, result):
        st.button(
            texts.SETUP_FILL,
            key="mail_account_setup_take",
            icon=":material/input:",
            type="primary",
            on_click=_fill,
            args=(result,),
        )
        return
    is_unsaved = bool(page.form.count_changed())
    if is_unsaved:
        st.caption(texts.SETUP_FILLED)
    with st.container(horizontal=True):
        if is_unsaved:
            page.bar.ask(texts.SETUP_SAVE, "mail_account_setup_save")
        st.button(texts.SETUP_TEST, key="mail_account_setup_test", icon=":material/send:", on_click=test_cell.ask)
    if not is_unsaved and page.actor.is_admin:
        _offer_to_company(page)


def _stands(page: MailPage, result: dict[str, Any]) -> bool:
    """Return whether the fields hold the servers that were found."""
    held = {Leg.SMTP: page.draft.smtp, Leg.IMAP: page.draft.imap}
    found = {leg: result[leg.value] for leg in Leg if result[leg.value]}
    return all(
        (held[leg].host.strip(), held[leg].port_number(leg)) == (each["host"], each["port"])
        for leg, each in found.items()
    )


def _offer_to_company(page: MailPage) -> None:
    """What an administrator has just set up may serve everybody of the domain, until it does."""
    presets = page.workbench.mail_presets
    if presets.find(page.actor, page.form.stored.draft.user) is None and not presets.find_problem(page.actor):
        st.caption(texts.SETUP_COMPANY)
        st.button(
            texts.SETUP_COMPANY_KEEP,
            key="mail_account_setup_company",
            icon=":material/domain_add:",
            on_click=mail_servers.keep,
            args=(page.workbench,),
        )


def _confirm(hosts: tuple[str, ...]) -> None:
    st.session_state[_CONFIRMED] = hosts
    st.session_state[_AGAIN] = True


def _done(result: dict[str, Any]) -> str:
    values = {"smtp": escape(result["smtp"]["host"]), "imap": escape(result["imap"]["host"])}
    if result["folder"]:
        return texts.SETUP_DONE.format(folder=escape(result["folder"]), **values)
    text = texts.SETUP_DONE_SERVER_COPY if result["folder_from"] == "server" else texts.SETUP_DONE_NO_COPY
    return text.format(**values)


def _origins(result: dict[str, Any]) -> list[str]:
    sources, labels = lookup("cgcore.mail", "discovery")["source"], texts["FIELD_LABELS"]
    lines = [
        texts.SETUP_ORIGIN_LINE.format(
            label=labels[f"{leg}_host"], value=f"{server['host']}:{server['port']}", source=sources[server["source"]]
        )
        for leg in Leg
        if (server := result.get(leg.value))
    ]
    if result.get("folder"):
        source = texts["SETUP_FOLDER_FROM"].get(result["folder_from"], "")
        lines.append(texts.SETUP_ORIGIN_FOLDER.format(value=result["folder"], source=source))
    return lines
