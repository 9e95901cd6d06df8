"""The auth stage of SMTP: one mechanism a try, two tries at most, never in clear unless that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgcore.mail.account import Security
from cgcore.mail.connection import Connection, with_cure
from cgcore.mail.sign_in import other_user_form, with_password_note
from cgcore.mail.smtp.client import SmtpClient, SmtpReply
from cgcore.mail.steps import Step
from cgcore.mail.transcript import OpenStage

__all__ = ["sign_in"]

_OAUTH = frozenset({"XOAUTH2", "OAUTHBEARER"})
_SIGNED_IN = 235
# RFC 4954 §6 and RFC 5248: the mechanism is not taken here, though it was offered.
_OTHER_MECHANISM = frozenset({504})


def sign_in(connection: Connection, client: SmtpClient, stage: OpenStage) -> Step:
    """Sign in and return the auth step.

    PLAIN is taken before LOGIN. A second try is made only where the first one said nothing about the password
    (mechanism not taken), or with the other form of the user name that the provider is known for; never after a reply
    about rate or attempts. What the second form proves is a patch, the step stays an error.
    """
    if connection.request.security.encrypted and not (connection.channel and connection.channel.encrypted):
        return stage.fail("encryption_required")  # cannot happen; the password stays here if it does
    mechanisms = [name for name in ("PLAIN", "LOGIN") if name in client.mechanisms]
    if not mechanisms:
        return _not_offered(connection, client, stage)
    mechanism = mechanisms[0]
    user = connection.request.user
    reply = _try(connection, client, mechanism, user)
    if reply.code in _OTHER_MECHANISM and len(mechanisms) > 1:
        mechanism = mechanisms[1]
        reply = _try(connection, client, mechanism, user)
        return _outcome(reply, stage, mechanism)
    step = with_cure(_outcome(reply, stage, mechanism), connection)
    if step.key != "bad_credentials":
        return with_password_note(step, connection.request.password)
    return _second_form(connection, client, stage, mechanism, reply) or with_password_note(
        step, connection.request.password
    )


def _try(connection: Connection, client: SmtpClient, mechanism: str, user: str) -> SmtpReply:
    secret = connection.request.password
    password = secret.reveal() if secret is not None else ""
    if mechanism == "PLAIN":
        return client.sign_in_plain(user, password)
    return client.sign_in_login(user, password)


def _outcome(reply: SmtpReply, stage: OpenStage, mechanism: str) -> Step:
    if reply.code == _SIGNED_IN:
        return stage.ok(reply.text, mechanism=mechanism)
    if reply.code == -1:
        return stage.fail("protocol_error", reply.text, mechanism=mechanism)
    return stage.refused(reply.text, mechanism=mechanism)


def _second_form(
    connection: Connection, client: SmtpClient, stage: OpenStage, mechanism: str, first: SmtpReply
) -> Step | None:
    request = connection.request
    user = other_user_form(request)
    if not user:
        return None
    try:
        second = _try(connection, client, mechanism, user)
    except (OSError, EOFError):
        return None
    if second.code != _SIGNED_IN:
        return None
    return stage.refused(first.text, mechanism=mechanism, patch={"user": user})


def _not_offered(connection: Connection, client: SmtpClient, stage: OpenStage) -> Step:
    offered = client.mechanisms
    if _OAUTH & set(offered):
        return stage.fail("oauth_only", mechanisms=list(offered))
    patch: Mapping[str, Any] = {}
    if not connection.request.security.encrypted:
        patch = connection.proof.patch_for(same_port=[Security.STARTTLS])
        if client.has_extn("starttls"):
            return stage.fail("encryption_required", patch=patch)
    else:
        patch = connection.proof.patch_for()
    return stage.fail("auth_not_offered", patch=patch, mechanisms=list(offered))
