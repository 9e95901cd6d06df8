"""The output panel of a cell: the verdict of a run and its cure, then its steps in one line that opens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import streamlit as st

from cgcore.identity.actor import Actor
from cgcore.mail.arrival import arrival_text
from cgcore.mail.diagnosis.texts import leg_label, stage_label
from cgcore.mail.steps import Stage
from cgcore.mail.transcript import format_transcript
from cgcore.runs import INTERRUPTED, Run, Status, Step
from cgcore.workbench import Workbench
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.cells import CellState
from pages.ui.clicks import give_way
from pages.ui.files import draw_download
from pages.ui.markdown import escape
from pages.ui.moments import duration, when
from pages.ui.texts import common as texts
from pages.ui.texts import steps as step_texts
from pages.ui.toasts import announce

__all__ = [
    "announce_sent",
    "copy_sentence",
    "draw_run",
    "draw_sent",
    "draw_steps",
    "draw_verdict",
    "facts_of",
    "follow",
    "follow_run",
    "is_sent",
    "sent_sentence",
    "status_line",
]

_Facts = Callable[[Mapping[str, Any]], list[str]]


def facts_of(step: Step) -> list[str]:
    """Return the facts of ``step``, most useful first; not escaped."""
    if step.key:
        return []
    return _FACTS.get(step.stage, lambda _details: [])(step.details)


def _dns(details: Mapping[str, Any]) -> list[str]:
    found = [*details.get("a", ()), *details.get("aaaa", ())]
    if len(found) <= 1:
        return found
    return [found[0], step_texts.MORE_ADDRESSES.format(count=len(found) - 1)]


def _discover(details: Mapping[str, Any]) -> list[str]:
    return [f"{details['host']}:{details['port']}"] if details.get("host") else []


def _tcp(details: Mapping[str, Any]) -> list[str]:
    facts = [details["address"]] if details.get("address") else []
    if details.get("dead"):
        facts.append(step_texts.DEAD_ADDRESSES.format(count=len(details["dead"])))
    return facts


def _tls(details: Mapping[str, Any]) -> list[str]:
    facts = [details["version"].replace("TLSv", "TLS ")] if details.get("version") else []
    until = (details.get("certificate") or {}).get("not_after", "")[:10]
    if until:
        facts.append(step_texts.CERTIFICATE_UNTIL.format(date=until))
    return facts


def _auth(details: Mapping[str, Any]) -> list[str]:
    return [details["mechanism"]] if details.get("mechanism") else []


def _list(details: Mapping[str, Any]) -> list[str]:
    folders = details.get("folders", ())
    facts = [step_texts.FOLDERS.format(count=len(folders))]
    if details.get("recommended"):
        facts.append(step_texts.SENT_IS.format(name=details["recommended"]))
    return facts


def _folder(details: Mapping[str, Any]) -> list[str]:
    return [f"«{details['folder']}»"] if details.get("folder") else []


def _arrival(details: Mapping[str, Any]) -> list[str]:
    return [arrival_text(details)] if details.get("code") else []


def _final(details: Mapping[str, Any]) -> list[str]:
    return [step_texts.QUEUED_AS.format(queue_id=details["queue_id"])] if details.get("queue_id") else []


_FACTS: dict[str, _Facts] = {
    Stage.DISCOVER: _discover,
    Stage.DNS: _dns,
    Stage.TCP: _tcp,
    Stage.TLS: _tls,
    Stage.AUTH: _auth,
    Stage.LIST: _list,
    Stage.SELECT: _folder,
    Stage.CREATE: _folder,
    Stage.APPEND: _folder,
    Stage.ARRIVAL: _arrival,
    Stage.FINAL: _final,
}


_ICONS = {
    Status.OK: ":material/check_circle:",
    Status.WARNING: ":material/warning:",
    Status.ERROR: ":material/error:",
    Status.SKIPPED: ":material/remove:",
}
# Less than an eye tells apart; a server next door has answered everything by then, and is drawn once.
_GATHER_S = 0.05
_COLOURS = {Status.WARNING: "orange", Status.ERROR: "red"}


def draw_steps(steps: Sequence[Step]) -> None:
    """Draw the steps of a run as one list: its parts, or what has come of it up to now."""
    st.markdown(_listed(steps))


def _listed(steps: Sequence[Step]) -> str:
    """Return, as Markdown, a line a step with its facts, its time and the server's words; each leg under its name."""
    legs = list(dict.fromkeys(step.leg for step in steps))
    parts = ["  \n".join(_listed_step(step) for step in steps if step.leg == leg) for leg in legs]
    if len(legs) > 1:
        parts = [f"**{leg_label(leg)}**\n\n{part}" for leg, part in zip(legs, parts, strict=True)]
    return "\n\n".join(parts)


def _listed_step(step: Step) -> str:
    parts = [stage_label(step.stage), *facts_of(step), duration(step.ms)]
    label = status_line(escape(" · ".join(parts)), step.status)
    said = " ".join(step.reply.split())
    # Their words as code, so that nothing in them is read as Markdown: fenced by more ticks than they hold.
    fence = "`" * (max((len(ticks) for ticks in re.findall("`+", said)), default=0) + 1)
    words = f" {fence} {said} {fence}" if said else ""
    return f"{label}{words}"


def status_line(label: str, status: Status) -> str:
    """Return, as Markdown, a line of a list of results; ``label`` is Markdown."""
    line, colour = f"{_ICONS[status]} {label}", _COLOURS.get(status)
    return f":{colour}[{line}]" if colour else line


def follow(workbench: Workbench, actor: Actor, *runs: Run, gather: float = 0.0) -> Iterator[Run]:
    """Follow ``runs`` as :meth:`RunSection.follow` does; another run of the page that is asked for ends it."""
    return workbench.runs.follow(actor, *runs, gather=gather, idle=give_way)


def follow_run(workbench: Workbench, actor: Actor, run: Run) -> Run:
    """Draw the steps of ``run`` as they arrive and return it when it has ended (or no news came for a minute).

    They make way then: the verdict stands first.
    """
    last, live = run, st.empty()
    with st.spinner(CellState.RUNNING.label, show_time=True):
        for last in follow(workbench, actor, run, gather=_GATHER_S):
            live.markdown(_listed(_shown(last)))
    live.empty()
    return last


def draw_run(
    run: Run | None, state: CellState, *, key: str, after_verdict: Callable[[Run], None] | None = None
) -> None:
    """Draw a stored run: verdict and cure, then steps with time and moment, folded where it passed; transcript.

    ``after_verdict`` draws what the cell offers under the verdict (a proven cure).
    """
    if run is None:
        st.caption(f":material/hourglass_empty: {texts.NOT_RUN_YET}")
        return
    # The name by which the companion script finds what a click has come to.
    with st.container(key=f"{key}_verdict", gap="small"):
        if state is CellState.STALE:
            st.warning(texts.STALE_RESULT, icon=":material/sync_problem:")
        draw_verdict(run)
        if after_verdict is not None:
            after_verdict(run)
    moment = " · ".join([when(run.started), texts.RUN_NUMBER.format(number=run.number)])
    with st.container(gap="xxsmall"):
        if shown := _shown(run):
            _draw_folded(run, shown, f"{key}_{run.number}")
        else:
            moment = f"{duration(run.duration_ms)} · {moment}"
        st.caption(moment)
        if run.steps:
            _draw_transcript(run, key)


def _draw_folded(run: Run, shown: Sequence[Step], key: str) -> None:
    """Draw the steps in one line, open where it failed: at the failing step, with those before it in a line."""
    failing = next((at for at, step in enumerate(shown) if step.status is Status.ERROR), None)
    if failing is None:
        head = texts.STEPS.format(count=len(shown))
    else:
        head = texts.FAILED_AT.format(number=failing + 1, stage=stage_label(shown[failing].stage))
    before = shown[: failing or 0]
    with st.expander(f"{head} · {duration(run.duration_ms)}", type="compact", expanded=run.failed, key=f"{key}_steps"):
        if before:
            with st.expander(texts.STEPS_BEFORE.format(count=len(before)), type="compact", key=f"{key}_before"):
                draw_steps(before)
        draw_steps(shown[len(before) :])


def draw_verdict(run: Run) -> None:
    """Draw what the run means and what to do; a success says so in one quiet line."""
    if run.verdict is None:
        return
    title, fix = (escape(text) for text in verdict_texts(run.cell, run.verdict))
    if run.verdict.key == INTERRUPTED:
        st.warning(fix, title=title, icon=CellState.INTERRUPTED.icon)
    elif run.failed:
        st.error(fix or title, title=title if fix else None, icon=":material/error:")
    elif run.verdict.key != "ok":
        st.warning(fix or title, title=title if fix else None, icon=":material/warning:")


def _shown(run: Run) -> list[Step]:
    """Leave out the steps that were skipped without a reason worth telling."""
    return [step for step in run.steps if step.status is not Status.SKIPPED]


def _draw_transcript(run: Run, key: str) -> None:
    with st.expander(texts.TRANSCRIPT, type="compact", icon=":material/terminal:", key=f"{key}_transcript"):
        transcript = format_transcript(run.steps)
        st.code(transcript, language=None, wrap_lines=True)
        draw_download(
            texts.DOWNLOAD_TRANSCRIPT,
            lambda _: transcript,
            file_name=f"transcripcion-{run.cell}-{run.number}.txt",
            mime="text/plain",
            key=f"{key}_download",
        )
        st.caption(texts.TRANSCRIPT_NOTE)


def is_sent(run: Run) -> bool:
    """Return whether the server has taken the message."""
    return bool((run.result or {}).get("sent"))


def sent_sentence(run: Run) -> str:
    """Return, as Markdown, for whom the server has taken the message, that it has not, or what cut it short."""
    if run.verdict is not None and run.proves_nothing:
        return f":orange[:material/help: {escape(verdict_texts(run.cell, run.verdict)[0])}]"
    if not is_sent(run):
        return f":red[:material/error: {texts.MAIL_NOT_SENT}]"
    recipient = escape(str((run.result or {})["recipient"]))
    return f":green[:material/check_circle: {texts.MAIL_SENT.format(recipient=recipient)}]"


def copy_sentence(run: Run) -> str:
    """Return where the copy is, or why there is none."""
    result = run.result or {}
    if result.get("copy") == "stored":
        return texts.COPY_STORED.format(folder=escape(str(result["folder"])))
    if result.get("copy") == "failed" and run.verdict is not None:
        return texts.COPY_FAILED.format(reason=escape(verdict_texts(run.cell, run.verdict)[0]))
    return texts.COPY_NONE


def draw_sent(run: Run) -> None:
    """Draw both under the steps; of a message that has not left, the verdict says why."""
    if is_sent(run):
        st.markdown(sent_sentence(run))
        st.caption(copy_sentence(run))


def announce_sent(run: Run) -> None:
    """Say it where the button is, with the cell out of sight."""
    announce(sent_sentence(run), icon=None)
