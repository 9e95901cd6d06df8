"""Makes the steps of one probe: the stopwatch, the scrubbing, and what a diagnosis says about the step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cgcore.mail.channel import FloodError
from cgcore.mail.diagnosis import Diagnosis, build_diagnosis, diagnose_exception, diagnose_reply
from cgcore.mail.steps import Leg, Stage, Status, Step
from cgcore.mail.transcript import Scrubber
from cgcore.vault.secret import Secret

__all__ = ["WARNING_KEYS", "OpenStage", "Trace"]

#: Diagnoses of the other side's moment, not of the account: it works (facts §a).
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
        """Return the step of an exception. Its text is never shown: it may hold what was sent."""
        return self.fail(self.diagnose(error), **details)

    def diagnose(self, error: BaseException) -> Diagnosis:
        """Return what an exception means at this stage."""
        if isinstance(error, FloodError):
            return build_diagnosis("protocol_error", self.stage)
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
        self.scrubber = Scrubber(secrets)

    def begin(self, stage: Stage) -> OpenStage:
        """Start the stopwatch of a stage."""
        return OpenStage(self, stage)
