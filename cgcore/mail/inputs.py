"""The input stage: what is wrong with a request, found before any name is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cgcore.errors import FieldProblem
from cgcore.mail.account import check_folder, check_password, check_pin, check_port
from cgcore.mail.account_texts import problem
from cgcore.mail.address import is_address
from cgcore.mail.hosts import check_host, clean_host, is_disguised_address
from cgcore.mail.request import ProbeRequest
from cgcore.mail.steps import Leg, Step
from cgcore.mail.trace import OpenStage

__all__ = ["input_step", "request_problems"]


def request_problems(request: ProbeRequest) -> Iterator[FieldProblem]:
    """Yield every problem of a request; the fields are those of a step (``host``, ``port``, ``sender`` …)."""
    yield from check_host(request.host, request.leg)
    yield from check_port(request.leg, request.port, request.security)
    if request.security.pinned and request.leg is Leg.SMTP:
        yield problem("security", "pinned_smtp")
    if request.pin and not check_pin(request.pin):
        yield problem("security", "pin_format")
    if _has_control(request.user):
        yield problem("user", "control_characters")
    # A password with & is refused by the page (a rule of the suite), not by the wire: here only what breaks a command.
    yield from (found for found in check_password(request.password) if found.code == "control_characters")
    if request.user and not request.password:
        yield problem("password", "empty")
    yield from check_folder(request.folder)
    for name, address in (("sender", request.mail_from), ("recipient", request.rcpt_to)):
        if address and not is_address(address):
            yield problem(name, "address_syntax", address=address)


def input_step(request: ProbeRequest, stage: OpenStage) -> Step:
    """Return the step of the input stage: the first obstacle, else a warning, else ok."""
    if is_disguised_address(request.host.strip()):
        return stage.fail("forbidden_target")
    found = list(request_problems(request))
    for trouble in found:
        if trouble.blocking:
            return _obstacle(request, trouble, stage)
    if found:
        return stage.note(detail=found[0].message, field=found[0].field)
    return stage.ok()


def _obstacle(request: ProbeRequest, trouble: FieldProblem, stage: OpenStage) -> Step:
    if trouble.code == "address_syntax":
        address = request.mail_from if trouble.field == "sender" else request.rcpt_to
        return stage.fail("address_syntax", field=trouble.field, address=address)
    return stage.fail("invalid_input", field=trouble.field, patch=_cleaned(request, trouble), detail=trouble.message)


def _cleaned(request: ProbeRequest, trouble: FieldProblem) -> Mapping[str, Any]:
    if trouble.code not in ("spaces", "url", "port_in_host", "double_dot"):
        return {}
    clean = clean_host(request.host)
    return {"host": clean} if clean and not list(check_host(clean, request.leg)) else {}


def _has_control(text: str) -> bool:
    """Whether a text cannot travel: control characters, or the lone surrogates of bytes that are no UTF-8."""
    return any(ord(sign) < 32 or ord(sign) == 127 or "\ud800" <= sign <= "\udfff" for sign in text)
