"""The one or two facts of a step that are worth a place in its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cgcore.mail.steps import Stage
from cgcore.runs import Step
from pages.ui.texts import steps as texts

__all__ = ["facts_of"]

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
    return [found[0], texts.MORE_ADDRESSES.format(count=len(found) - 1)]


def _tcp(details: Mapping[str, Any]) -> list[str]:
    facts = [details["address"]] if details.get("address") else []
    if details.get("dead"):
        facts.append(texts.DEAD_ADDRESSES.format(count=len(details["dead"])))
    return facts


def _tls(details: Mapping[str, Any]) -> list[str]:
    facts = [details["version"].replace("TLSv", "TLS ")] if details.get("version") else []
    until = (details.get("certificate") or {}).get("not_after", "")[:10]
    if until:
        facts.append(texts.CERTIFICATE_UNTIL.format(date="/".join(reversed(until.split("-")))))
    return facts


def _auth(details: Mapping[str, Any]) -> list[str]:
    return [details["mechanism"]] if details.get("mechanism") else []


def _list(details: Mapping[str, Any]) -> list[str]:
    folders = details.get("folders", ())
    facts = [texts.FOLDERS_ONE if len(folders) == 1 else texts.FOLDERS.format(count=len(folders))]
    if details.get("recommended"):
        facts.append(texts.SENT_IS.format(name=details["recommended"]))
    return facts


def _folder(details: Mapping[str, Any]) -> list[str]:
    return [f"«{details['folder']}»"] if details.get("folder") else []


def _final(details: Mapping[str, Any]) -> list[str]:
    return [texts.QUEUED_AS.format(queue_id=details["queue_id"])] if details.get("queue_id") else []


_FACTS: dict[str, _Facts] = {
    Stage.DNS: _dns,
    Stage.TCP: _tcp,
    Stage.TLS: _tls,
    Stage.AUTH: _auth,
    Stage.LIST: _list,
    Stage.SELECT: _folder,
    Stage.CREATE: _folder,
    Stage.APPEND: _folder,
    Stage.FINAL: _final,
}
