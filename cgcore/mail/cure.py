"""The proven way out that goes with a refusal: looked for only once the server has said no."""

from __future__ import annotations

from dataclasses import replace

from cgcore.mail.account import Security
from cgcore.mail.connection import Connection
from cgcore.mail.steps import Step

__all__ = ["with_cure"]


def with_cure(step: Step, connection: Connection) -> Step:
    """Return ``step`` with a patch where a refusal demands encryption and STARTTLS has just worked on this port."""
    if step.key != "encryption_required" or step.patch or connection.request.security.encrypted:
        return step
    return replace(step, patch=connection.proof.patch_for(same_port=[Security.STARTTLS]))
