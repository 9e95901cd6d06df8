"""One message of the outbox: where it stands and why, its recipients and tries, and what can be done with it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, Literal

import streamlit as st

from cgcore.documents import DocumentType, info
from cgcore.errors import NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.diagnosis.texts import stage_label
from cgcore.mail.steps import Stage
from cgcore.outbox.message import Attempt, Message, Recipient
from cgcore.outbox.notices import Notice
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import CANCELLABLE, RESENDABLE, SKIPPABLE, UNSURE, CopyState, RecipientState, State
from cgcore.texts import join, sentence
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.describe import notice_texts, reason_texts, refusal_text, shown_state, state_text
from pages.ui.activity_table import result_word
from pages.ui.files import draw_download
from pages.ui.identity import dialog, while_logged_in
from pages.ui.markdown import escape
from pages.ui.moments import seconds_until, upcoming, when
from pages.ui.outbox.draft import PAGE
from pages.ui.texts import common
from pages.ui.texts import send_document as texts
from pages.ui.toasts import announce

__all__ = ["badge", "change", "draw_message", "message_title", "notice_line"]

_Color = Literal["gray", "blue", "green", "red", "orange"]
_LOOKS: dict[str, tuple[_Color, str]] = {
    State.QUEUED: ("blue", "schedule"),
    State.CLAIMED: ("blue", "progress_activity"),
    State.IN_FLIGHT: ("blue", "progress_activity"),
    State.SENT: ("green", "check_circle"),
    State.HELD: ("orange", "pause_circle"),
    State.FAILED: ("red", "error"),
    State.UNKNOWN: ("orange", "help"),
    State.CANCELLED: ("gray", "block"),
    "copy_pending": ("green", "check"),
    "copy_failed": ("orange", "folder_off"),
    "bounced": ("red", "undo"),
}


def message_title(message: Message) -> str:
    """Return what a message is called, escaped: its document and its customer."""
    kind = info(DocumentType(message.document_type)).noun
    document = texts.MESSAGE_TITLE.format(type=kind, series=message.series, number=message.number)
    return escape(f"{document} · {message.customer}" if message.customer else document)


def badge(state: str, words: str = "") -> str:
    """Return a state as Markdown: icon, colour and its word, or other ``words``."""
    color, icon = _LOOKS[state]
    return f":{color}-badge[:material/{icon}: {words or state_text(state)}]"


def draw_message(workbench: Workbench, actor: Actor, message: Message) -> None:
    """Draw a message as it stands, with its actions."""
    with st.container(border=True, key=f"cell_message_{message.id}"):
        st.markdown(f"**{message_title(message)}** {badge(shown_state(message))}")
        if message.subject:
            st.caption(escape(message.subject))
        if message.reason is not None:
            title, fix = reason_texts(message.reason)
            st.markdown(f"**{escape(title)}**  \n{escape(fix)}")
        st.markdown("\n".join(f"- {line}" for line in _story(message)))
        if message.recipients:
            st.markdown("\n".join(f"- {line}" for line in _recipients(message)))
        if message.attempts:
            with st.expander(texts.TRIES.format(count=len(message.attempts)), type="compact"):
                st.markdown("\n".join(f"- {_try(each)}" for each in message.attempts))
        _draw_actions(workbench, actor, message)


def _story(message: Message) -> Iterator[str]:
    yield texts.CREATED.format(moment=when(message.created))
    if message.resent_of:
        yield texts.RESENT
    if message.size:
        yield from _queue_line(message)
    if message.is_begun:
        yield _some_have_it(message)
    if message.state is State.SENT:
        yield _sent_line(message)
    elif message.state is State.CANCELLED:
        yield texts.CANCELLED.format(moment=when(message.changed))
    elif message.state is State.UNKNOWN:
        yield from _unknown_lines(message)
    yield from _copy_line(message)
    yield from map(notice_line, message.notices)


def _copy_line(message: Message) -> Iterator[str]:
    """Yield where its copy is; of an unsure one that lies there already nothing: that is an earlier transaction's."""
    folder = escape(message.copy_folder)
    if message.copy_state is CopyState.SKIPPED and message.state is not State.UNKNOWN:
        # It was looked for only where its fate was unknown: that it lies there is the proof.
        proven = message.looked and message.state is State.SENT and not _is_split(message)
        yield (texts.PROVEN if proven else texts.COPY_SKIPPED).format(**({"folder": folder} if folder else {}))
    elif message.copy_state is CopyState.STORED:
        yield common.COPY_STORED.format(folder=folder)
    elif message.copy_state is CopyState.PENDING:
        reason = {"reason": escape(result_word(message.copy_key))} if message.copy_key else {}
        yield texts.COPY_PENDING.format(folder=folder, **reason)
    elif message.copy_state is CopyState.FAILED:
        yield common.COPY_FAILED.format(reason=escape(result_word(message.copy_key)))


def _is_split(message: Message) -> bool:
    """Whether an earlier transaction had taken it for some: what lies in a folder proves nothing of a later one."""
    return any(each.part > 1 for each in message.recipients)


def _queue_line(message: Message) -> Iterator[str]:
    """Yield until when it waited for its first try, or until when it waits now."""
    waits = message.state is State.QUEUED and bool(seconds_until(message.due))
    if waits:
        told = texts.NEXT_TRY if message.tries else texts.QUEUED_UNTIL
        yield told.format(time=upcoming(message.due))
    elif message.attempts:
        yield texts.LEFT_QUEUE.format(moment=when(message.attempts[0].began))
    elif message.state in (State.QUEUED, State.CLAIMED):
        yield texts.QUEUED


def _sent_line(message: Message) -> str:
    moment = when(message.accepted)
    if not message.size:
        return texts.NOTED.format(moment=moment)
    taken = [each for each in message.attempts if not each.key and each.reply.startswith("2")]
    proven = message.copy_state is CopyState.SKIPPED or message.notices
    if not message.host or (message.attempts and not taken and not proven):
        return texts.RESOLVED.format(moment=moment)  # no server has said it: a person has
    code = taken[-1].reply[:3] if taken else ""
    told = " · ".join(filter(None, (code, escape(message.queue_id))))
    known = {"host": escape(message.host), "moment": moment, "id": told}
    return (texts.ACCEPTED_ID if told else texts.ACCEPTED).format(**known)


def _unknown_lines(message: Message) -> Iterator[str]:
    """Yield what a person decides by: when it left, for where and how much, and where it was looked for."""
    known: dict[str, Any] = {"size": message.size}
    if message.host:
        known["host"] = escape(message.host)
    # A try that was broken off with its process has left no line: those that there are tell of others.
    if message.attempts and len(message.attempts) == message.tries:
        known["moment"] = when(message.attempts[-1].began)
    yield texts.HANDED_OVER.format(**known)
    if message.looked and not _is_split(message):
        folder = {"folder": escape(message.copy_folder)} if message.copy_folder else {}
        yield texts.LOOKED_FOR.format(moment=when(message.looked), **folder)


def notice_line(notice: Notice) -> str:
    """Return, as Markdown, what came back: when, for whom, why, what to do, and the words of the server."""
    known = {"moment": when(notice.at), "address": escape(notice.address)}
    told = str(sentence("cgcore.outbox", f"notice.{notice.kind}", **known))
    title, fix = notice_texts(notice)
    why = " · ".join(filter(None, (title, fix, notice.reply)))
    return f"{told}  \n:small[:gray[{escape(why)}]]" if why else told


def _recipients(message: Message) -> Iterator[str]:
    for each in message.recipients:
        if not message.size:
            yield escape(each.address)
            continue
        known = {"address": escape(each.address), "kind": sentence("cgcore.outbox", f"kind.{each.kind}")}
        word = _recipient_word(message, each)
        told = texts.RECIPIENT.format(**known, **({"state": word} if word else {}))
        why = [escape(word) for word in (result_word(each.key) if each.key else "", each.reply) if word]
        yield f"{told}  \n:small[:gray[{' · '.join(why)}]]" if why else told


def _some_have_it(message: Message) -> str:
    have = sum(each.has_it for each in message.recipients)
    return str(texts.SOME_HAVE_IT.format(count=have, total=len(message.recipients)))


def _recipient_word(message: Message, each: Recipient) -> str:
    """Return what is known of a recipient in a word. Who was told nothing will not be told any more once it is over;
    of what a person calls sent nothing is known."""
    if each.state is not RecipientState.PENDING:
        return str(texts["RECIPIENT_STATES"][each.state])
    if message.state is State.SENT or each.key == UNSURE:
        return ""
    is_over = message.state in (State.FAILED, State.CANCELLED)
    return str(texts["RECIPIENT_STATES"][RecipientState.SKIPPED if is_over else each.state])


def _try(attempt: Attempt) -> str:
    stage = stage_label(attempt.stage) if attempt.stage in set(Stage) else attempt.stage
    result = result_word(attempt.key) if attempt.key else attempt.reply
    return escape(texts.TRY.format(moment=when(attempt.began), stage=stage, result=result))


def _draw_actions(workbench: Workbench, actor: Actor, message: Message) -> None:
    outbox, name = workbench.outbox, message.id
    with st.container(horizontal=True, vertical_alignment="center", key=f"{PAGE}_message_actions"):
        if message.state is State.UNKNOWN:
            _draw_doubt(workbench, actor, message)
        waits = message.state is State.QUEUED and seconds_until(message.due)
        if waits and st.button(texts.SEND_NOW, icon=":material/send:", key=f"{PAGE}_now_{name}"):
            change(outbox.send_now, actor, name)
        _draw_resend(workbench, actor, message)
        if message.is_begun:
            _draw_skip(workbench, actor, message)
        else:
            _draw_giving_up(workbench, actor, message)
        if message.size and message.bytes_removed is not None:
            st.caption(refusal_text("bytes_removed"))
        elif message.size:
            draw_download(
                texts.DOWNLOAD,
                lambda asking: outbox.read_whole(asking, name),
                file_name=texts.FILE_NAME.format(id=name),
                mime="message/rfc822",
                key=f"{PAGE}_eml_{name}",
            )


def _draw_giving_up(workbench: Workbench, actor: Actor, message: Message) -> None:
    """Draw what ends a message that nobody has."""
    if message.state in (State.HELD, State.FAILED) and st.button(
        texts.MARK_SENT, icon=":material/done_all:", key=f"{PAGE}_mark"
    ):
        _ask_to_mark(workbench, actor, message.id)
    if message.state in CANCELLABLE and st.button(texts.CANCEL, icon=":material/block:", key=f"{PAGE}_cancel"):
        change(workbench.outbox.cancel, actor, message.id)


def _draw_skip(workbench: Workbench, actor: Actor, message: Message) -> None:
    """Draw what ends a message that some have: the others do not get it."""
    if message.state in SKIPPABLE and st.button(texts.SKIP_REST, icon=":material/person_off:", key=f"{PAGE}_skip"):
        _ask_to_skip(workbench, actor, message)


def _draw_doubt(workbench: Workbench, actor: Actor, message: Message) -> None:
    """Draw what ends the doubt of an unsure message; the search only where there is something that it could prove."""
    if st.button(texts.HAS_LEFT, icon=":material/done_all:", key=f"{PAGE}_resolve"):
        change(workbench.outbox.resolve_sent, actor, message.id)
    searchable = bool(workbench.mail_account.get(actor).draft.imap.host) and not _is_split(message)
    if searchable and st.button(texts.LOOK_NOW, icon=":material/manage_search:", key=f"{PAGE}_look"):
        _look_now(workbench, actor, message.id)


def _draw_resend(workbench: Workbench, actor: Actor, message: Message) -> None:
    """Draw «Enviar otra vez»: the same message, or a new one where it has left."""
    if message.state is State.SENT and message.parts:
        if st.button(texts.RESEND, icon=":material/send:", key=f"{PAGE}_again"):
            _ask_to_send_again(workbench, actor, message.id, secrets.token_hex(16))
    elif (
        message.bytes_removed is None
        and message.state in RESENDABLE
        and st.button(
            texts.RESEND_REST if message.is_begun else texts.RESEND, icon=":material/send:", key=f"{PAGE}_resend"
        )
    ):
        if message.state is State.UNKNOWN:
            _ask_to_resend(workbench, actor, message.id)
        else:
            change(workbench.outbox.resend, actor, message.id)


def _look_now(workbench: Workbench, actor: Actor, name: str) -> None:
    """Look for an unsure message while its person waits, and say what came of it."""

    def look(actor: Actor, name: str) -> Message:
        with st.spinner(texts.LOOKING):
            found = workbench.outbox.look_for(actor, name)
        if found.state is State.UNKNOWN:
            announce(texts.STILL_UNSURE, icon=":material/manage_search:")
        else:
            # Some were not in the transaction that was found: they get it now.
            announce(texts.FOUND if found.state is State.SENT else texts.FOUND_REST)
        return found

    change(look, actor, name)


@dialog(lambda: texts.RESEND_TITLE)
@while_logged_in
def _ask_to_resend(workbench: Workbench, actor: Actor, name: str) -> None:
    """Say that it may arrive twice, then send it again."""
    st.markdown(texts.RESEND_RISK)
    with st.container(horizontal=True):
        if st.button(texts.RESEND_CONFIRM, type="primary", icon=":material/send:", key=f"{PAGE}_resend_confirm"):
            change(workbench.outbox.resend, actor, name)
        if st.button(common.CANCEL, key=f"{PAGE}_resend_cancel"):
            st.rerun()


@dialog(lambda: texts.RESEND_TITLE)
@while_logged_in
def _ask_to_send_again(workbench: Workbench, actor: Actor, name: str, key: str) -> None:
    """Say what goes, then send a new message; two clicks of one dialog are one message."""
    st.markdown(texts.AGAIN_EXPLAINED)
    with st.container(horizontal=True):
        if st.button(texts.RESEND, type="primary", icon=":material/send:", key=f"{PAGE}_again_confirm"):
            delay_s = workbench.outbox.preferences.get(actor).undo_s
            change(
                lambda actor, name: workbench.by_hand.send_again(actor, name, key, delay_s=delay_s),
                actor,
                name,
                done=texts.SENT_AGAIN,
            )
        if st.button(common.CANCEL, key=f"{PAGE}_again_cancel"):
            st.rerun()


@dialog(lambda: texts.MARK_SENT)
@while_logged_in
def _ask_to_mark(workbench: Workbench, actor: Actor, name: str) -> None:
    """Say that no mail leaves, then note it."""
    st.markdown(texts.MARK_EXPLAINED)
    with st.container(horizontal=True):
        if st.button(texts.MARK_SENT, type="primary", icon=":material/done_all:", key=f"{PAGE}_mark_confirm"):
            change(workbench.by_hand.mark_sent, actor, name)
        if st.button(common.CANCEL, key=f"{PAGE}_mark_cancel"):
            st.rerun()


@dialog(lambda: texts.SKIP_REST)
@while_logged_in
def _ask_to_skip(workbench: Workbench, actor: Actor, message: Message) -> None:
    """Say who does not get it, then end the message."""
    left = [each.address for each in message.recipients if not each.has_it and each.key != UNSURE]
    st.markdown(escape(texts.SKIP_EXPLAINED.format(have=_some_have_it(message), addresses=join(left))))
    with st.container(horizontal=True):
        if st.button(texts.SKIP_REST, type="primary", icon=":material/person_off:", key=f"{PAGE}_skip_confirm"):
            change(workbench.outbox.skip_rest, actor, message.id)
        if st.button(common.CANCEL, key=f"{PAGE}_skip_cancel"):
            st.rerun()


def change(act: Callable[[Actor, str], Message], actor: Actor, name: str, *, done: str = "") -> None:
    """Change a message and run the page again; where it stands elsewhere by now, say so."""
    try:
        act(actor, name)
    except (OutboxRefused, NotFound) as refused:
        announce(refusal_text("too_late" if isinstance(refused, NotFound) else refused.code), icon=":material/error:")
    else:
        if done:
            announce(done)
    st.rerun()
