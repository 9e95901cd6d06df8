"""The daily watch of an account: what of two proofs and a look at DNS is worth telling; codes and values, no sentence.

Stands alone because it decides and asks nobody: the workbench proves, remembers and tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step
from cgcore.texts import sentence

__all__ = [
    "CERTIFICATE_DAYS",
    "DNS",
    "Memory",
    "Trouble",
    "certificate_end",
    "is_refusal",
    "judge_leg",
    "judge_records",
    "last_slot",
    "trouble_text",
]

CERTIFICATE_DAYS = 30
"""Before its end a certificate is told of: time for a provider to renew it."""

DNS = "dns"
"""The leg of a trouble that no mail server has told."""

_QUOTA_PERCENT = 90
_PATIENCE = 2  # looks in a row: a server that is away for one night is nobody's business
_CHANGE_SHOWN_DAYS = 7  # a record that was changed is told of for so long: it may have been meant


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is not as it should be, or not as it was.

    ``code`` is ``certificate_ends``, ``failed`` (with the diagnosis ``key``), ``quota`` or ``record_changed``; ``leg``
    is ``smtp``, ``imap`` or ``dns``. ``since`` is the day on which it was seen first.
    """

    code: str
    leg: str
    key: str = ""
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    since: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it the same trouble as that of the day before."""
        told = self.values.get("record", "") + self.values.get("now", "") if self.code == "record_changed" else ""
        return self.code, self.leg, self.key, told

    def to_json(self) -> dict[str, Any]:
        """Return the trouble as plain JSON values."""
        return {
            "code": self.code,
            "leg": self.leg,
            "key": self.key,
            "values": dict(self.values),
            "since": self.since,
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """What a look leaves for the next one, no secret: troubles, DNS records, and how often a leg was merely away.

    ``refused`` stands for the credential and servers that were refused (a fingerprint): it is not shown again.
    """

    troubles: Sequence[Trouble] = ()
    records: Mapping[str, str] | None = None
    away: Mapping[str, int] = field(default_factory=dict[str, int])
    refused: str = ""
    account: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the memory as it is stored."""
        return {
            "troubles": [trouble.to_json() for trouble in self.troubles],
            "records": None if self.records is None else dict(self.records),
            "away": dict(self.away),
            "refused": self.refused,
            "account": self.account,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Memory:
        """Return the memory that :meth:`to_json` wrote."""
        return replace(cls(**value), troubles=tuple(Trouble(**each) for each in value.get("troubles", ())))


def is_refusal(step: Step) -> bool:
    """Whether a server has said no to who signs in, and will say so again."""
    return step.stage == Stage.AUTH and step.status is Status.ERROR and step.retry not in ("later", "now")


def judge_leg(leg: Leg, host: str, steps: Sequence[Step], before: Memory, today: date) -> tuple[list[Trouble], int]:
    """Return what the proof of one leg tells, and for how many looks in a row it has been merely away."""
    failed = next((step for step in steps if step.status is Status.ERROR), None)
    away = before.away.get(leg.value, 0) + 1 if failed is not None and failed.retry in ("later", "now") else 0
    found: list[Trouble] = []
    if failed is not None and (not away or away >= _PATIENCE):
        found.append(Trouble("failed", leg.value, failed.key, {"host": host}))
    end = certificate_end(steps, today)
    if end is not None and not (failed is not None and failed.stage == Stage.TLS):
        found.append(Trouble("certificate_ends", leg.value, values={"host": host, "date": end.isoformat()}))
    found += _quota(leg, steps)
    return [_dated(trouble, before, today) for trouble in found], away


def judge_records(now: Mapping[str, str] | None, before: Memory, today: date) -> list[Trouble]:
    """Return which records are not as they were, those told of some days ago too; one that DNS kept back is as it was.

    A DKIM key that is added is how a provider changes keys: only one that goes, or becomes another, is told.
    """
    told = [
        trouble
        for trouble in before.troubles
        if trouble.code == "record_changed" and today - _day(trouble.since, today) < timedelta(_CHANGE_SHOWN_DAYS)
    ]
    if now is None or before.records is None:
        return told
    old = before.records
    changed = [
        name
        for name in sorted({*old, *now})
        if old.get(name) != now.get(name) and not (name.startswith("dkim ") and name not in old)
    ]
    fresh = [
        Trouble(
            "record_changed",
            DNS,
            values={
                "record": name.partition(" ")[0].upper(),
                "name": name.partition(" ")[2],
                "before": old.get(name, ""),
                "now": now.get(name, ""),
            },
            since=today.isoformat(),
        )
        for name in changed
    ]
    named = {trouble.values["name"] for trouble in fresh}
    return [*(trouble for trouble in told if trouble.values.get("name") not in named), *fresh]


def certificate_end(steps: Iterable[Step], today: date) -> date | None:
    """Return the last day of the certificate that was shown, where it lies within :data:`CERTIFICATE_DAYS`."""
    found: list[date] = []
    for step in steps:
        card: Mapping[str, Any] = step.details.get("certificate") or {}
        until = str(card.get("not_after", ""))[:10]
        if until and date.fromisoformat(until) <= today + timedelta(CERTIFICATE_DAYS):
            found.append(date.fromisoformat(until))
    return min(found, default=None)


def last_slot(user_id: int, now: datetime) -> datetime:
    """Return the newest moment at which an account was to be looked at: each night, at a time of its own."""
    slot = now.replace(hour=0, minute=0, second=0, microsecond=0) + _time_of_night(user_id)
    return slot if slot <= now else slot - timedelta(days=1)


def trouble_text(trouble: Trouble) -> str:
    """Return the sentence of a trouble."""
    if trouble.code == "failed":
        from cgcore.mail.diagnosis.texts import sentences

        title = sentences(trouble.key, Leg(trouble.leg), dict(trouble.values))[0]
        return sentence("cgcore.mail", f"watch.failed_{trouble.leg}", title=title)
    values: dict[str, object] = {**trouble.values}
    if "date" in values:
        values["date"] = date.fromisoformat(trouble.values["date"])
    gone = trouble.code == "record_changed" and not trouble.values.get("now")
    return sentence("cgcore.mail", f"watch.{'record_gone' if gone else trouble.code}", **values)


def _quota(leg: Leg, steps: Sequence[Step]) -> list[Trouble]:
    for step in steps:
        quota: Mapping[str, Sequence[int]] = step.details.get("quota") or {}
        full = [100 * used // limit for used, limit in quota.values()]
        if full and max(full) >= _QUOTA_PERCENT:
            return [Trouble("quota", leg.value, values={"percent": str(min(max(full), 100))})]
    return []


def _dated(trouble: Trouble, before: Memory, today: date) -> Trouble:
    known = next((one for one in before.troubles if one.identity == trouble.identity), None)
    return replace(trouble, since=known.since if known is not None else today.isoformat())


def _day(text: str, today: date) -> date:
    """Return a noted day; one that lies ahead was noted before the clock was set back, and counts as today."""
    return min(date.fromisoformat(text), today)


def _time_of_night(user_id: int) -> timedelta:
    """Return the account's own time between 0 and 5 o'clock (UTC)."""
    digest = hashlib.sha256(f"watch {user_id}".encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:4], "big") % (5 * 3600))
