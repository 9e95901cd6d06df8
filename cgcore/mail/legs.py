"""What the tests of both legs say together that neither says alone; a code, no sentence.

Stands alone because it compares two runs and asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cgcore.mail.steps import Stage
from cgcore.runs import Run, Status, Step, deciding_step
from cgcore.texts import sentence

__all__ = ["Inference", "compare_legs", "inference_text"]

_REFUSED = frozenset({"bad_credentials", "app_password_required", "unclassified", "auth_not_offered"})
_UNREACHED = frozenset({"port_filtered", "server_silent"})
_CLOSED = frozenset({"port_closed", "port_filtered", "server_silent", "imap_disabled"})
_ISSUERS = frozenset({"cert_untrusted_chain", "tls_intercepted"})


@dataclass(frozen=True, slots=True)
class Inference:
    """What follows from both tests: the code of its sentence, with what that names."""

    code: str
    values: Mapping[str, str] = field(default_factory=dict[str, str])


def inference_text(found: Inference) -> str:
    """Return the sentence of an inference."""
    return sentence("cgcore.mail", f"legs.{found.code}", **found.values)


def compare_legs(smtp: Run | None, imap: Run | None) -> Inference | None:
    """Return what the newest tests of both legs tell together, ``None`` where they tell nothing more.

    Both are of the same account and secret, as it stands now: for that the caller answers.
    """
    if smtp is None or imap is None or smtp.proves_nothing or imap.proves_nothing:
        return None
    out, back = _fault(smtp), _fault(imap)
    if out is None and back is None:
        return None
    return _of_secret(smtp, imap, out, back) or _of_way(out, back)


def _of_secret(smtp: Run, imap: Run, out: Step | None, back: Step | None) -> Inference | None:
    """What one secret has come to at two servers."""
    if _is_refused(out) and _is_refused(back):
        return Inference("both_refused")
    if _is_refused(out) and _has_signed_in(imap):
        return Inference("only_sending_refused")
    if _is_refused(back) and _has_signed_in(smtp):
        return Inference("only_mailbox_refused")
    return None


def _of_way(out: Step | None, back: Step | None) -> Inference | None:
    """What stands between us and the servers."""
    first, second = (step.key if step else "" for step in (out, back))
    if first in _UNREACHED and second in _UNREACHED:
        return Inference("both_unreached")
    issuers = {str(step.details.get("certificate", {}).get("issuer", "")) for step in (out, back) if step}
    if first in _ISSUERS and second in _ISSUERS and len(issuers) == 1 and (issuer := issuers.pop()):
        return Inference("both_intercepted", {"issuer": issuer})
    if first in _UNREACHED and back is None:
        return Inference("sending_blocked")
    return Inference("mailbox_closed") if second in _CLOSED and out is None else None


def _fault(run: Run) -> Step | None:
    step = deciding_step(run.steps)
    return step if step is not None and step.status is Status.ERROR else None


def _is_refused(step: Step | None) -> bool:
    return step is not None and step.stage == Stage.AUTH and step.key in _REFUSED


def _has_signed_in(run: Run) -> bool:
    return any(step.stage == Stage.AUTH and step.status is Status.OK for step in run.steps)
