"""«¿Qué cambió?»: what is different between a test that passed and one of the same cell that fails.

Stands alone because it compares two stored runs and asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Run, Status, Step

__all__ = ["Difference", "changed_findings", "changed_setup", "kept_settings", "proved_more", "what_changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was: its code, and both values where they can be shown."""

    code: str
    before: str = ""
    now: str = ""


def kept_settings(draft: MailAccountDraft, leg: Leg) -> dict[str, Any]:
    """Return what a run keeps of the settings that it tested: no secret."""
    server = draft.smtp if leg is Leg.SMTP else draft.imap
    settings = {
        "user": draft.login(leg),
        "host": server.host.strip(),
        "port": str(server.port).strip(),
        "security": server.security.value,
    }
    return {**settings, "folder": draft.sent_folder} if leg is Leg.IMAP else settings


def what_changed(before: Run, now: Run) -> list[Difference]:
    """Return what is different, the person's own settings first; empty where nothing that is kept tells.

    Equal settings under another fingerprint: another password. An earlier version kept no settings; then only what
    the steps tell is compared.
    """
    old, new = _settings(before), _settings(now)
    found = [
        Difference(name, str(old.get(name, "")), str(new[name]))
        for name in new
        if old and str(old.get(name, "")) != str(new[name])
    ]
    if old and new and not found and before.fingerprint != now.fingerprint:
        found.append(Difference("password"))
    for code, stage, name in (("address", "tcp", "address"), ("tls", "tls", "version")):
        found += _of_step(code, _detail(before, stage, name), _detail(now, stage, name))
    found += _of_step("certificate", _fingerprint(before), _fingerprint(now))
    return found


def changed_setup(before: Run, now: Run) -> list[Difference]:
    """Return what two runs of «Configurar mi correo» have not found alike: user, servers, folder for copies."""
    old, new = before.result or {}, now.result or {}
    values = [("user", str(old.get("user") or ""), str(new.get("user") or ""))]
    values += [(f"found_{leg}", _place(old.get(leg.value)), _place(new.get(leg.value))) for leg in Leg]
    values.append(("folder", str(old.get("folder") or ""), str(new.get("folder") or "")))
    return [Difference(code, was, is_now) for code, was, is_now in values if was != is_now]


def _place(server: Mapping[str, Any] | None) -> str:
    return f"{server['host']}:{server['port']}" if server else ""


def changed_findings(before: Run, now: Run) -> list[tuple[Step, Step]]:
    """Return what two looks at a domain have not found alike: the step of each, subject by subject."""
    old = {step.stage: step for step in before.steps}
    pairs = [(old[step.stage], step) for step in now.steps if step.stage in old]
    return [(was, is_now) for was, is_now in pairs if _finding(was) != _finding(is_now)]


def _finding(step: Step) -> tuple[object, object]:
    return step.details.get("code"), step.details.get("values")


def proved_more(run: Run, server: ServerDraft) -> bool:
    """Whether in ``run`` the same host spoke TLS, and with a certificate that was verified where one is pinned now."""
    settings = _settings(run)
    if str(settings.get("host", "")).lower() != server.host.strip().lower() or not settings:
        return False
    was = Security(settings["security"])
    spoke = any(step.stage == Stage.TLS and step.status is Status.OK for step in run.steps)
    return spoke and (not was.pinned if server.security.pinned else True)


def _settings(run: Run) -> Mapping[str, Any]:
    return (run.result or {}).get("settings", {})


def _of_step(code: str, before: str, now: str) -> list[Difference]:
    return [Difference(code, before, now)] if before and now and before != now else []


def _detail(run: Run, stage: str, name: str) -> str:
    return next((str(step.details.get(name, "")) for step in run.steps if step.stage == stage), "")


def _fingerprint(run: Run) -> str:
    cards: list[Mapping[str, Any]] = [step.details.get("certificate") or {} for step in run.steps]
    return next((str(card["sha256"])[:16].upper() for card in cards if card.get("sha256")), "")
