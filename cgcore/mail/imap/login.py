"""Signing in to an IMAP server: which mechanism, whether the password may leave at all, and what a refusal means."""

from __future__ import annotations

from dataclasses import replace

from cgcore.mail.account import Security
from cgcore.mail.connection import Connection
from cgcore.mail.imap.client import ImapClient, ImapReply, Outcome, capability_names, refused
from cgcore.mail.imap.folders import quote_string
from cgcore.mail.sign_in import other_user_form, with_password_note
from cgcore.mail.steps import Stage, Step
from cgcore.mail.transcript import OpenStage
from cgcore.vault.secret import Secret

__all__ = ["ImapLogin"]

_WRONG = ("bad_credentials", "app_password_required")  # the second where the provider's plain refusal means that too
_OAUTH = frozenset({"AUTH=XOAUTH2", "AUTH=OAUTHBEARER"})


class ImapLogin:
    """One sign-in with user and password of a request.

    At most two tries: the second one by the older command when the first was not understood, or with the other form
    of the user name that the provider is known for. What that form proves is a patch, the step stays an error.
    ``capabilities`` are those before, and after :meth:`run` the ones that the server tells whoever has signed in.
    """

    def __init__(self, connection: Connection, client: ImapClient, capabilities: frozenset[str]) -> None:
        self._connection = connection
        self._client = client
        self._user = connection.request.user
        self._password = connection.request.password or Secret("")
        self.capabilities = capabilities

    def run(self) -> Step:
        """Sign in and return the auth step."""
        stage = self._connection.trace.begin(Stage.AUTH)
        if self._client.preauthenticated:
            return stage.skipped(preauthenticated=True)
        obstacle = self._obstacle(stage)
        if obstacle is not None:
            return obstacle
        mechanism = "PLAIN" if "AUTH=PLAIN" in self.capabilities else "LOGIN"
        try:
            return self._sign_in(stage, mechanism)
        except UnicodeEncodeError:  # bytes that were no UTF-8; the error itself holds the password
            return stage.fail("credentials_charset", mechanism=mechanism)

    def _sign_in(self, stage: OpenStage, mechanism: str) -> Step:
        reply = self._try(mechanism, self._user)
        if reply.outcome is Outcome.BAD and mechanism == "PLAIN" and "LOGINDISABLED" not in self.capabilities:
            # Not judged, only not understood: once more, by the older command.
            mechanism, reply = "LOGIN", self._try("LOGIN", self._user)
            return self._outcome(stage, reply, mechanism)
        step = self._outcome(stage, reply, mechanism)
        if step.key in _WRONG and (form := other_user_form(self._connection.request)):
            return replace(step, patch={"user": form}) if self._try(mechanism, form).ok else step
        return step

    def _obstacle(self, stage: OpenStage) -> Step | None:
        """Return the step that keeps the password at home: the server has said that it may not be sent."""
        capabilities = self.capabilities
        if not self._connection.request.security.encrypted and "LOGINDISABLED" in capabilities:
            patch = self._connection.proof.patch_for(same_port=[Security.STARTTLS])
            return stage.fail("encryption_required", patch=patch)
        if "AUTH=PLAIN" in capabilities or "LOGINDISABLED" not in capabilities:
            return None
        return stage.fail("oauth_only" if capabilities & _OAUTH else "auth_not_offered")

    def _try(self, mechanism: str, user_name: str) -> ImapReply:
        user = user_name.encode()
        password = self._password.reveal().encode()
        if mechanism == "PLAIN":
            message = b"\0%s\0%s" % (user, password)  # RFC 4616; UTF-8 whatever the letters
            return self._client.authenticate("PLAIN", message, at_once="SASL-IR" in self.capabilities)
        return self._client.command("LOGIN", quote_string(user), quote_string(password))

    def _outcome(self, stage: OpenStage, reply: ImapReply, mechanism: str) -> Step:
        if reply.ok:
            self.capabilities = capability_names(reply.lines("CAPABILITY")) or self.capabilities
            return stage.ok(reply.words, mechanism=mechanism)
        step = refused(stage, reply, mechanism=mechanism)
        if step.key == "token_rejected":
            # Microsoft's «AUTHENTICATE failed.» is about a token only where one was sent; passwords it takes never.
            return stage.fail("oauth_only", reply.words, mechanism=mechanism)
        letters = self._user + self._password.reveal()
        if reply.outcome is Outcome.BAD and not letters.isascii():
            return stage.fail("credentials_charset", reply.words, mechanism=mechanism)
        return with_password_note(step, self._password)
