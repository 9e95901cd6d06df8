"""The sentences of a diagnosis, in the language of the person: silent about what is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, cast

from cgcore.language import current_language
from cgcore.mail import account_texts
from cgcore.mail.providers import find_provider
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step, Verdict, deciding_step
from cgcore.texts import fill, lookup

__all__ = [
    "build_verdict",
    "field_label",
    "leg_label",
    "provider_values",
    "sentences",
    "stage_label",
    "status_label",
    "trial_message",
    "user_form",
    "verdict_texts",
]

_BRACE = re.compile(r"\{(\w+)(?::\w+)?\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LONGEST_VALUE = 400


def _texts() -> Mapping[str, Any]:
    return lookup("cgcore.mail", "")


def sentences(key: str, leg: Leg | str, values: Mapping[str, object] | None = None) -> tuple[str, str]:
    """Return title and fix of a diagnosis key; an unknown key is a ``KeyError``.

    ``values`` are the names in braces of the text table; a value that is missing, ``None`` or blank is left out of
    the sentence. A list is joined («587 y 465»), a date is written day first, and codes (of a field, a scope, a kind of
    server, a switch at the provider, parts of a registration) become their words. The fix may be empty (``ok``).
    """
    if not values:
        return _without_values(key, _leg(leg), current_language())
    return _sentences(key, _leg(leg), values)


@lru_cache(maxsize=512)
def _without_values(key: str, leg: Leg, _language: str) -> tuple[str, str]:
    return _sentences(key, leg, {})


def _sentences(key: str, leg: Leg, values: Mapping[str, object]) -> tuple[str, str]:
    entry = _diagnosis(key, leg)
    known = _known(leg, values)
    title = _first_known(entry["title"], known)
    fix = (_first_known([part] if isinstance(part, str) else part, known) for part in entry["fix"])
    return title, " ".join(sentence for sentence in fix if sentence)


def build_verdict(steps: Iterable[Step], *, total_ms: int, **values: object) -> Verdict:
    """Return the verdict over a probe's steps: the first error, else the first warning, else ``ok``.

    ``total_ms`` is the time of the whole probe in milliseconds. Its values are those that the sentences of the key can
    name: of ``values`` (what the caller knows: ``host``, ``port``, ``user``, ``sender``, ``recipient``, ``folder``, and
    ``provider_id``, whose row of the provider table offers more) and of the deciding step, which wins.
    """
    kept = list(steps)
    step = deciding_step(kept)
    if step is None:
        last = kept[-1] if kept else None
        return Verdict("ok", str(last.stage) if last else "", total_ms, {"leg": str(last.leg) if last else "smtp"})
    told = {**_present(values), **_present({"reply": step.reply, "field": step.field}), **_present(step.details)}
    names = {*_names(_diagnosis(step.key, _leg(step.leg))), "hint", "problem", "provider_id"}
    if problem := told.get("problem"):
        names |= account_texts.names_in(str(problem))
    kept_values = {name: value for name, value in told.items() if name in names}
    return Verdict(step.key, str(step.stage), total_ms, {"leg": str(step.leg), **kept_values})


def verdict_texts(verdict: Verdict) -> tuple[str, str]:
    """Return title and fix of a verdict of :func:`build_verdict`; an unknown key is a ``KeyError``.

    What the provider's row offers fills in what this case has not told. ``hint`` names a sentence about just this
    try, which stands behind the fix; ``problem`` the field check that found the mistake.
    """
    values = verdict.values
    leg = _leg(str(values.get("leg", "")))
    offered = provider_values(str(values.get("provider_id", "")), verdict.key, leg)
    known = {**offered, **values}
    if problem := values.get("problem"):
        known["detail"] = account_texts.sentence(str(problem), **values)
    title, fix = sentences(verdict.key, leg, known)
    hint = account_texts.sentence(str(values["hint"])) if values.get("hint") else ""
    return title, " ".join(filter(None, (fix, hint)))


def provider_values(provider_id: str, key: str, leg: Leg | str) -> Mapping[str, object]:
    """Return what the provider table offers to the sentences of a key: name, user form, notes, link, steps.

    An unknown id, or ``""``, offers nothing.
    """
    provider = find_provider(provider_id) if provider_id else None
    if provider is None:
        return {}
    form = provider.imap_username_form if _leg(leg) is Leg.IMAP else ""
    return {
        "provider": provider.name,
        "user_form": user_form(form or provider.username_form, provider.fixed_username),
        "notes": provider.notes,
        "link": _texts()["link"].get(key, {}).get(provider_id),
        "steps": _texts()["steps"].get(key, {}).get(provider_id),
    }


def leg_label(leg: Leg | str) -> str:
    """Return what a leg is called on the screen."""
    return _label("leg", _leg(leg), "name")


def stage_label(stage: Stage | str) -> str:
    """Return what a stage is called on the screen."""
    return _label("stage", Stage(stage))


def status_label(status: Status | str) -> str:
    """Return what a step's status is called on the screen."""
    return _label("status", Status(status))


def field_label(field: str, leg: Leg | str) -> str:
    """Return the label of a step's field on the account page, ``""`` for ``none`` and for what is no field."""
    return str(_texts()["field"][_leg(leg)].get(field, ""))


def trial_message() -> tuple[str, str]:
    """Return subject and text of the message that proves the folder for copies."""
    return _label("trial_message", "subject"), _label("trial_message", "text")


def user_form(form: str, fixed_username: str = "") -> str:
    """Return the value ``user_form`` of the sentences from a provider's ``username_form``; ``""`` when any will do."""
    text = str(_texts()["user_form"].get(form, ""))
    return text.replace("{fixed_username}", fixed_username)


def _label(*path: str) -> str:
    entry: Any = _texts()
    for name in path:
        entry = entry[name]
    return str(entry)


def _leg(leg: Leg | str) -> Leg:
    return Leg.IMAP if leg == Leg.IMAP else Leg.SMTP


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if _tidy(value)}


def _diagnosis(key: str, leg: Leg) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = _texts()["diagnosis"][key]
    return {**entry, **entry.get(leg.value, {})}


def _names(entry: Mapping[str, Any]) -> set[str]:
    """Return the values that the sentences of a diagnosis may name."""
    wordings = [*entry["title"], *(part for part in entry["fix"] if isinstance(part, str))]
    wordings += [wording for part in entry["fix"] if not isinstance(part, str) for wording in part]
    return {name for wording in wordings for name in _BRACE.findall(wording)}


def _known(leg: Leg, values: Mapping[str, object]) -> dict[str, object]:
    given = {name: kept for name, value in values.items() if (kept := _tidy(value))}
    if label := field_label(str(given.get("field", "")), leg):
        given["field"] = label
    if given.get("field") == "none":
        del given["field"]
    for name in ("scope", "server_kind", "switch", "parts"):
        if name in given:
            given[name] = str(_texts()[name].get(given[name], given[name]))
    if "date" in given:
        given["date"] = _day(given["date"])
    return {**_texts()["leg"][leg], **given}


def _day(value: object) -> object:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _tidy(value: object) -> object:
    """Return a value as a sentence may show it: text on one line, without control characters, cut when very long."""
    if value is None or isinstance(value, Mapping):
        return ""
    if isinstance(value, float):
        return float(f"{value:.3g}")
    if isinstance(value, int | date):
        return value if not isinstance(value, bool) else str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [kept for item in cast("Iterable[object]", value) if (kept := _tidy(item))]
    text = " ".join(_CONTROL.sub(" ", str(value)).split())
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1].rstrip() + "…"


def _first_known(wordings: list[str], known: Mapping[str, object]) -> str:
    """Return the first wording whose values are all known, filled in; ``""`` when there is none."""
    return fill(wordings, known, or_else="")
