"""The record of a conversation: its steps as they are made, free of secrets and fit to be shown, and as text."""

from __future__ import annotations

import base64
import json
import quopri
import re
import ssl
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from html import escape
from typing import Any, cast
from urllib.parse import quote, quote_plus

from cgcore.mail.diagnosis.diagnose import Diagnosis, build_diagnosis, diagnose_exception, diagnose_reply
from cgcore.mail.network.sockets import FloodError
from cgcore.mail.network.tls import alert_words, handshake_key
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step
from cgcore.vault.secret import Secret

__all__ = ["MAX_REPLY", "WARNING_KEYS", "OpenStage", "Scrubber", "Trace", "clean_reply", "format_transcript"]

#: Characters of a server's reply that are kept.
MAX_REPLY = 2048
_MAX_ITEMS = 500
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # terminal sequences, which would leave their tails behind
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_UNSHOWN = ("Cc", "Cf", "Cs")  # control, format (direction marks), lone surrogates
_HIDDEN = "[…]"
_SHORT = 4  # a secret shorter than this is replaced only as a whole word, or every text would be full of holes


def clean_reply(text: bytes | str) -> str:
    """Return a server's words without control and direction characters, lines kept, cut to :data:`MAX_REPLY`."""
    return _cut(_without_control(_decoded(text)))


def _decoded(text: bytes | str) -> str:
    head = text[: 4 * MAX_REPLY]
    return head.decode("utf-8", "replace") if isinstance(head, bytes) else head


def _cut(text: str) -> str:
    shown = text.strip("\n ")
    return shown if len(shown) <= MAX_REPLY else shown[: MAX_REPLY - 1] + "…"


def _without_control(text: str) -> str:
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if lines.isascii():  # nearly every reply
        return _CONTROL.sub("", lines)
    return "".join(sign for sign in lines if sign == "\n" or unicodedata.category(sign) not in _UNSHOWN)


def _base64_cores(data: bytes) -> Iterable[str]:
    """Yield the base64 digits that ``data`` always leaves, at each of the three ways it can lie inside longer data.

    So AUTH PLAIN, AUTH LOGIN and XOAUTH2 lines are found whatever stands before and behind the secret.
    """
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        start = (0, 2, 3)[offset]
        end = len(encoded) if (offset + len(data)) % 3 == 0 else len(encoded) - 1
        yield encoded[start:end]
        yield encoded[start:end].replace("+", "-").replace("/", "_")  # RFC 4648 §5


def _modified_utf7(text: str) -> str:
    """Return the form of RFC 3501 §5.1.3, in which a secret typed as a folder name would travel."""

    def shift(match: re.Match[str]) -> str:
        digits = base64.b64encode(match[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
        return f"&{digits}-"

    return re.sub(r"[^\x20-\x7e]+", shift, text.replace("&", "&-"))


def _forms(secret: str) -> Iterable[str]:
    for text in {secret, secret.strip(), "".join(secret.split())}:
        yield text
        if not _encodable(text):
            continue
        yield text.replace("\\", "\\\\").replace('"', '\\"')  # an IMAP quoted string
        yield quote(text, safe="")
        yield quote(text)
        yield quote_plus(text)
        for blanks in (False, True):
            yield quopri.encodestring(text.encode(), quotetabs=blanks).decode().replace("=\n", "")
        yield escape(text)
        yield _modified_utf7(text)
        yield json.dumps(text)[1:-1]
        for codec in ("utf-8", "latin-1", "utf-16-le"):
            try:
                data = text.encode(codec)
            except UnicodeEncodeError:
                continue
            yield data.decode("latin-1")
            if len(data) >= _SHORT:
                yield from _base64_cores(data)
                yield data.hex()


def _encodable(text: str) -> bool:
    """Whether ``text`` has no lone surrogate, as bytes that are no UTF-8 leave on the command line."""
    return all(not "\ud800" <= character <= "\udfff" for character in text)


class Scrubber:
    """Replaces secrets by «[…]»: as they are and in every form in which they travel or come back."""

    def __init__(self, secrets: Sequence[Secret | None]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret.reveal()) if form.strip()}
        self._forms = sorted(forms, key=len, reverse=True)
        self._lowered = {form.lower() for form in forms}

    def text(self, text: str) -> str:
        """Return ``text`` without any form of the secrets."""
        lowered = text.lower()
        if not any(form in lowered for form in self._lowered):
            return text  # nearly always: the pattern is built only where there is something to hide
        return self._pattern.sub(_HIDDEN, text)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        patterns = [
            re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)" for form in self._forms
        ]
        return re.compile("|".join(patterns), re.IGNORECASE)

    def value(self, value: Any) -> Any:
        """Return a JSON value with every string in it scrubbed and cut; the names in mappings are our own.

        Capabilities, folders and names in a certificate are a server's words too: of a flood only a part is kept.
        """
        if isinstance(value, str):
            text = self.text(value)
            if not text.isascii():  # bytes that were no UTF-8, as lone surrogates, cannot be printed
                text = text.encode("utf-8", "replace").decode()
            return _cut(text) if len(text) > MAX_REPLY else text
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in cast("dict[Any, Any]", value).items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in cast("Sequence[Any]", value)[:_MAX_ITEMS]]
        return value

    def reply(self, text: bytes | str) -> str:
        """Return a server's words scrubbed and cleaned as by :func:`clean_reply`.

        Scrubbed before and after the cleaning, since either can join what the other looks for, and cut last, so that
        no half of a secret is left at the cut.
        """
        return _cut(self.text(_without_control(self.text(_decoded(text)))))


def format_transcript(steps: Iterable[Step]) -> str:
    """Return the steps as plain text, one block a step: stage, time, outcome, and the server's words indented."""
    blocks: list[str] = []
    for step in steps:
        blocks.append(
            f"{step.leg} {step.stage} · {step.status} · {step.ms} ms" + (f" · {step.key}" if step.key else "")
        )
        blocks += [f"    < {line}" for line in step.reply.splitlines()]
        blocks += [f"    {name}: {_flat(value)}" for name, value in step.details.items() if value not in ("", {}, [])]
        blocks += [f"    + {name}: {_flat(value)}" for name, value in step.patch.items()]
    return "\n".join(blocks) + "\n"


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


#: Diagnoses of the other side's moment, not of the account: it works (docs/facts/mail.md, 1).
WARNING_KEYS = frozenset({"greylisted", "recipient_full", "option_not_supported", "microsoft_password_deadline"})


class OpenStage:
    """A stage that has begun; exactly one of its methods ends it and returns its step."""

    def __init__(self, trace: Trace, stage: Stage) -> None:
        self._trace = trace
        self._started = trace.clock()
        self.stage = stage

    def ok(self, reply: bytes | str = "", **details: Any) -> Step:
        """Return the step of a stage that went well."""
        return self._step(Status.OK, reply, details=details)

    def note(self, reply: bytes | str = "", **details: Any) -> Step:
        """Return a warning that decides nothing: it has no key, and the verdict stays what it was."""
        return self._step(Status.WARNING, reply, details=details)

    def skipped(self, **details: Any) -> Step:
        """Return the step of a stage that there was no reason to pass."""
        return self._step(Status.SKIPPED, details=details)

    def fail(
        self,
        diagnosis: Diagnosis | str,
        reply: bytes | str = "",
        *,
        field: str = "",
        patch: Mapping[str, Any] | None = None,
        **details: Any,
    ) -> Step:
        """Return the step of a diagnosis: a warning for :data:`WARNING_KEYS`, else an error."""
        if isinstance(diagnosis, str):
            diagnosis = build_diagnosis(diagnosis, self.stage, field=field)
        status = Status.WARNING if diagnosis.key in WARNING_KEYS else Status.ERROR
        return self._step(status, reply, diagnosis=diagnosis, patch=patch or {}, details=details)

    def refused(self, reply: bytes | str, **details: Any) -> Step:
        """Return the step of a reply that says no: what it means is looked up."""
        words = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
        diagnosis = diagnose_reply(self._trace.leg, self.stage, words, provider=self._trace.provider)
        if diagnosis.key == "ok":  # good news, but not the reply that belongs here
            diagnosis = build_diagnosis("protocol_error", self.stage)
        return self.fail(diagnosis, reply, **details)

    def broken(self, error: BaseException, **details: Any) -> Step:
        """Return the step of an exception. Its text is never shown: it may hold what was sent.

        A TLS alert is the other side's word, and is told: what it means is for a person to read.
        """
        return self.fail(self.diagnose(error), alert_words(error), **details)

    def diagnose(self, error: BaseException) -> Diagnosis:
        """Return what an exception means at this stage."""
        if isinstance(error, FloodError):
            return build_diagnosis("protocol_error", self.stage)
        if alert_words(error) and (key := handshake_key(cast(ssl.SSLError, error))):
            return build_diagnosis(key, self.stage)
        if alert_words(error):
            return build_diagnosis("unclassified", self.stage)
        if isinstance(error, TimeoutError) and self.stage not in (Stage.DNS, Stage.TCP):
            return build_diagnosis("server_silent", self.stage)
        return diagnose_exception(error, self._trace.leg, self.stage, provider=self._trace.provider)

    def _step(
        self,
        status: Status,
        reply: bytes | str = "",
        *,
        diagnosis: Diagnosis | None = None,
        patch: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Step:
        scrubber = self._trace.scrubber
        return Step(
            leg=self._trace.leg,
            stage=self.stage,
            status=status,
            ms=round((self._trace.clock() - self._started) * 1000),
            reply=scrubber.reply(reply) if reply else "",
            key=diagnosis.key if diagnosis else "",
            field=diagnosis.field if diagnosis else "none",
            fault=diagnosis.fault if diagnosis else "",
            retry=diagnosis.retry if diagnosis else "",
            patch=dict(patch or {}),
            details=scrubber.value(dict(details or {})),
        )


class Trace:
    """What all steps of one leg have in common. ``secrets`` appear in no step, in whatever form they come back."""

    def __init__(
        self,
        leg: Leg,
        *,
        secrets: Sequence[Secret | None] = (),
        provider: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leg = leg
        self.provider = provider
        self.clock = clock
        self._secrets = list(secrets)
        self.scrubber = Scrubber(secrets)

    def hide(self, secret: Secret) -> None:
        """Let one secret more appear in no step, the one that is open now included."""
        self._secrets.append(secret)
        self.scrubber = Scrubber(self._secrets)

    def begin(self, stage: Stage) -> OpenStage:
        """Start the stopwatch of a stage."""
        return OpenStage(self, stage)
