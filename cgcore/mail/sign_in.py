"""Signing in: credentials, what SASL says with them, which mechanism is tried, in which order, and what is refused.

The same for both legs: :class:`SmtpClient` and :class:`ImapClient` are a :class:`Conversation`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from cgcore.mail.account import AccessToken, Credential, Password
from cgcore.mail.addresses import domain_of, is_address
from cgcore.mail.request import TokenRefused
from cgcore.mail.steps import Leg
from cgcore.runs import Step
from cgcore.text_rules import visible
from cgcore.vault.secret import Secret

if TYPE_CHECKING:
    from cgcore.mail.connection import Connection
    from cgcore.mail.request import ProbeRequest
    from cgcore.mail.transcript import OpenStage

__all__ = [
    "AccessToken",
    "Answer",
    "Conversation",
    "Credential",
    "Exchange",
    "Password",
    "SignIn",
    "build_exchange",
    "cram_md5",
    "decode_challenge",
    "login",
    "mechanisms_to_try",
    "oauthbearer",
    "other_user_form",
    "plain",
    "with_password_note",
    "xoauth2",
]


class Answer(Protocol):
    """How a server ended one exchange."""

    @property
    def accepted(self) -> bool:
        """Whether somebody is signed in now."""
        ...

    @property
    def mechanism_refused(self) -> bool:
        """Whether nothing was judged: the mechanism is not taken here, although it was offered."""
        ...

    @property
    def credential_refused(self) -> bool:
        """Whether the server judged, and said a plain no: ``535``, ``NO``."""
        ...

    @property
    def words(self) -> bytes:
        """What the server said, as it may be shown."""
        ...

    def refusal(self, stage: OpenStage, **details: Any) -> Step:
        """Return the step of an answer that is not :attr:`accepted`."""
        ...


class Conversation(Protocol):
    """An open connection on which somebody may sign in. What cuts it may be raised: ``OSError``, ``EOFError``."""

    @property
    def mechanisms(self) -> Sequence[str]:
        """The SASL mechanisms that the server announces, in capitals."""
        ...

    @property
    def login_command(self) -> bool:
        """Whether there is a command of its own for a password, which nobody announces (IMAP's LOGIN)."""
        ...

    @property
    def sign_in_needs_tls(self) -> bool:
        """Whether the server has said that nobody signs in before the encryption."""
        ...

    def authenticate(self, exchange: Exchange) -> Answer:
        """Carry one exchange out and return how it ended."""
        ...


# ---- What is said: pure functions, before base64


def plain(user: str, password: str) -> bytes:
    r"""Return the message of PLAIN (RFC 4616): ``\0user\0password``, UTF-8 whatever the letters."""
    return f"\0{user}\0{password}".encode()


def login(user: str, password: str) -> tuple[bytes, bytes]:
    """Return the two answers of LOGIN (draft-murchison-sasl-login), each to a prompt of its own."""
    return user.encode(), password.encode()


def cram_md5(user: str, password: str, challenge: bytes) -> bytes:
    """Return the answer of CRAM-MD5 (RFC 2195) to a challenge: the user and the keyed digest, in hexadecimal."""
    return f"{user} {hmac.new(password.encode(), challenge, 'md5').hexdigest()}".encode()


def xoauth2(user: str, token: str) -> bytes:
    r"""Return the message of XOAUTH2 (Google, Microsoft): ``user=…\1auth=Bearer …\1\1``."""
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


def oauthbearer(user: str, token: str, host: str, port: int) -> bytes:
    r"""Return the message of OAUTHBEARER (RFC 7628 §3.1): ``n,a=…,\1host=…\1port=…\1auth=Bearer …\1\1``."""
    name = user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 §4
    return f"n,a={name},\1host={host}\1port={port}\1auth=Bearer {token}\1\1".encode()


class Exchange:
    """One run of one mechanism (RFC 4422 §3): what we open with, and what we answer to each challenge.

    ``opening`` is what may travel with the command; it is ``None`` where the server speaks first. A client that sends
    it so calls :meth:`opened`; else it is the answer to the first challenge. ``bearer`` marks a token: thousands of
    characters, for which a command line has no room. ``refusal`` holds what the server told in its last challenge
    about a token that it refused (``status``, ``scope``).
    """

    def __init__(
        self,
        mechanism: str,
        answers: Sequence[Callable[[bytes], bytes]],
        *,
        opens: bool = False,
        after: bytes | None = None,
    ) -> None:
        self.mechanism = mechanism
        self.bearer = after is not None
        self.refusal: Mapping[str, str] = {}
        self.opening = answers[0](b"") if opens else None
        self._answers = list(answers)
        self._after = after

    def opened(self) -> None:
        """Note that the opening has been sent."""
        del self._answers[0]

    def answer(self, challenge: bytes) -> bytes | None:
        """Return the answer to a challenge, ``None`` to cancel: a password goes out once.

        A token that is refused is told by one challenge more, and the server waits for an answer before it gives its
        verdict: an empty one for XOAUTH2, a single 0x01 for OAUTHBEARER (RFC 7628 §3.2.3). Cancelled with ``*``, its
        verdict would be about the cancelling.
        """
        if self._answers:
            return self._answers.pop(0)(challenge)
        if self._after is not None:
            self.refusal = _told(challenge) or self.refusal
        return self._after


def build_exchange(mechanism: str, user: str, credential: Credential, *, host: str, port: int) -> Exchange:
    """Return the exchange of one of :func:`mechanisms_to_try`; ``host`` and ``port`` are the server's as typed."""
    secret = credential.secret.reveal()
    if mechanism == "PLAIN":
        return Exchange(mechanism, [lambda _: plain(user, secret)], opens=True)
    if mechanism == "LOGIN":
        name, password = login(user, secret)
        return Exchange(mechanism, [lambda _: name, lambda _: password])
    if mechanism == "CRAM-MD5":
        return Exchange(mechanism, [lambda challenge: cram_md5(user, secret, challenge)])
    if mechanism == "XOAUTH2":
        return Exchange(mechanism, [lambda _: xoauth2(user, secret)], opens=True, after=b"")
    return Exchange(mechanism, [lambda _: oauthbearer(user, secret, host, port)], opens=True, after=b"\1")


def _told(challenge: bytes) -> Mapping[str, str]:
    """Return the plain values of the JSON with which a server refuses a token, ``{}`` when it is none."""
    try:
        said: object = json.loads(challenge)
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    values = cast("Mapping[object, object]", said)
    return {
        name: str(values[name]) for name in ("status", "schemes", "scope") if isinstance(values.get(name), str | int)
    }


def decode_challenge(text: bytes) -> bytes:
    """Return a challenge without its base64; what is none is empty."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


# ---- What is tried, and in which order

#: XOAUTH2 first: Microsoft knows nothing else, Gmail is strict about the form of the other.
_FOR_TOKENS = ("XOAUTH2", "OAUTHBEARER")
_FOR_PASSWORDS = ("PLAIN", "LOGIN", "CRAM-MD5")

_WRONG = frozenset({"bad_credentials", "app_password_required"})  # the second where a provider's plain no means that


def mechanisms_to_try(credential: Credential, announced: Sequence[str], *, login_command: bool = False) -> list[str]:
    """Return the mechanisms that go with a credential, best first; never more than two of them are tried."""
    if isinstance(credential, AccessToken):
        return [name for name in _FOR_TOKENS if name in announced]
    found = [name for name in _FOR_PASSWORDS if name in announced]
    if login_command and "LOGIN" not in found:
        # Unannounced it is a makeshift: behind PLAIN, but behind what the server does announce as well.
        found.append("LOGIN")
    return found


class SignIn:
    """One sign-in with the user and the credential of a request: one mechanism a try, two tries at most.

    A second try is made where the first one said nothing about the credential (mechanism not taken), with the other
    form of the user name that the provider is known for, or by an announced LOGIN after a plain no to PLAIN; never
    after words about rate or attempts. What the other form of the name proves is a patch: the step stays an error.
    """

    def __init__(self, connection: Connection, conversation: Conversation) -> None:
        self._connection = connection
        self._conversation = conversation
        self._request = connection.request
        self._credential: Credential = connection.request.credential or Password(Secret(""))

    def run(self, stage: OpenStage) -> Step:
        """Sign in and return the auth step. Nothing secret leaves before the encryption that was asked for."""
        request, channel = self._request, self._connection.channel
        if request.security.encrypted and not (channel is not None and channel.encrypted):
            return stage.fail("encryption_required")  # cannot happen; the secret stays here if it does
        conversation, tokens = self._conversation, request.tokens
        if tokens is not None:
            if not request.security.encrypted:
                return stage.fail("encryption_required", patch=self._connection.proof.starttls_patch())
            try:
                self._credential = self._kept(tokens.take())
            except TokenRefused as refused:
                return stage.fail(refused.key, **refused.details)
        names = mechanisms_to_try(self._credential, conversation.mechanisms, login_command=conversation.login_command)
        if not names or (conversation.sign_in_needs_tls and not request.security.encrypted):
            return self._not_offered(stage)
        try:
            step = self._run(stage, names)
            return self._with_another_token(stage, names, step) if step.key == "token_rejected" else step
        except UnicodeError:  # bytes that were no UTF-8; the error itself holds the secret
            return stage.fail("credentials_charset", mechanism=names[0])

    def _kept(self, token: AccessToken) -> AccessToken:
        self._connection.trace.hide(token.secret)
        return token

    def _with_another_token(self, stage: OpenStage, names: Sequence[str], step: Step) -> Step:
        """Renew a token that was refused, and try once more; a server never says why, so what we know says it.

        A server that hangs up instead of hearing a second try leaves the first answer standing.
        """
        tokens, refused = self._request.tokens, self._credential
        if tokens is None or not isinstance(refused, AccessToken):
            return step
        try:
            self._credential = self._kept(tokens.renew(refused))
            step = self._run(stage, names)
        except TokenRefused as failure:
            return stage.fail(failure.key, **failure.details)
        except (OSError, EOFError):
            return step
        if step.key != "token_rejected":
            return step
        key, details = tokens.explain()
        return replace(step, key=key or step.key, details={**step.details, **details})

    def _run(self, stage: OpenStage, names: Sequence[str]) -> Step:
        answer, step = self._try(stage, names[0], self._request.user)
        if answer.accepted or self._request.watch:
            return step
        if (answer.mechanism_refused or step.key == "auth_not_offered") and len(names) > 1:
            return self._try(stage, names[1], self._request.user)[1]
        if step.key in _WRONG and (form := other_user_form(self._request)):
            second = self._again(stage, names[0], form)
            step = replace(step, patch={"user": form}) if second is not None else step
        elif step.key in _WRONG and answer.credential_refused and self._announces_login_too(names):
            return self._again(stage, "LOGIN", self._request.user) or self._noted(step)
        return self._noted(step)

    def _announces_login_too(self, names: Sequence[str]) -> bool:
        return names[0] == "PLAIN" and "LOGIN" in self._conversation.mechanisms

    def _noted(self, step: Step) -> Step:
        step = self._connection.with_cure(step)
        return with_password_note(step, self._credential) if not step.patch else step

    def _again(self, stage: OpenStage, mechanism: str, user: str) -> Step | None:
        """Return the step of a second try that was accepted, else ``None``: then the first one counts."""
        try:
            answer, step = self._try(stage, mechanism, user)
        except (OSError, EOFError):
            return None
        return step if answer.accepted else None

    def _try(self, stage: OpenStage, mechanism: str, user: str) -> tuple[Answer, Step]:
        request = self._request
        exchange = build_exchange(mechanism, user, self._credential, host=request.host, port=request.port)
        length = {"message_length": len(exchange.opening)} if exchange.bearer and exchange.opening else {}
        answer = self._conversation.authenticate(exchange)
        details: dict[str, Any] = {"mechanism": mechanism, **length}
        if exchange.refusal:
            details["refusal"] = exchange.refusal
        if answer.accepted:
            return answer, stage.ok(answer.words, **details)
        return answer, self._judged(stage, answer, details)

    def _judged(self, stage: OpenStage, answer: Answer, details: Mapping[str, Any]) -> Step:
        step = answer.refusal(stage, **details)
        if isinstance(self._credential, AccessToken):
            # The server never says why: expired, revoked, another scope and another user look alike.
            refused = step.key in _WRONG or step.key == "unclassified" or "refusal" in details
            return stage.fail("token_rejected", answer.words, **details) if refused else step
        if step.key == "token_rejected":
            # Microsoft's «AUTHENTICATE failed.» is about a token only where one was sent; passwords it takes never.
            return stage.fail("oauth_only", answer.words, **details)
        letters = self._request.user + self._credential.secret.reveal()
        if answer.mechanism_refused and not letters.isascii() and step.key == "protocol_error":
            return stage.fail("credentials_charset", answer.words, **details)
        return step

    def _not_offered(self, stage: OpenStage) -> Step:
        """Return the step that keeps the secret at home: nothing that it could be used with is offered here."""
        request, proof = self._request, self._connection.proof
        offered = list(self._conversation.mechanisms)
        if self._conversation.sign_in_needs_tls and not request.security.encrypted:
            return stage.fail("encryption_required", patch=proof.starttls_patch())
        if isinstance(self._credential, Password) and set(_FOR_TOKENS) & set(offered):
            return stage.fail("oauth_only", mechanisms=offered)
        patch = proof.patch_for() if request.security.encrypted else proof.starttls_patch()
        return stage.fail("auth_not_offered", patch=patch, mechanisms=offered)


# ---- What a person may have typed otherwise


def other_user_form(request: ProbeRequest) -> str:
    """Return the form of the user name worth one more try, ``""`` when there is none.

    Only where the provider is known to want the form that was not typed: guessing would spend log-in attempts.
    """
    from cgcore.mail.providers import find_provider

    provider = find_provider(request.provider) if request.provider else None
    if provider is None:
        return ""
    form = provider.imap_username_form if request.leg is Leg.IMAP else ""
    form = form or provider.username_form
    if form == "local_part" and is_address(request.user):
        return request.user.rpartition("@")[0]
    domain = domain_of(request.mail_from)
    if form == "address" and domain and "@" not in request.user and "\\" not in request.user:
        return f"{request.user}@{domain}"
    return ""


_GROUPS = re.compile(r"\w{4}(?:\s\w{4}){3}")  # how providers show a password of sixteen letters


def with_password_note(step: Step, credential: Credential | None) -> Step:
    """Return a refused sign-in with ``details.hint`` where blanks or letters of the password may be the cause.

    The note is the code of a sentence and holds nothing of the password. No blank is taken away from it.
    """
    if step.key not in _WRONG or not isinstance(credential, Password):
        return step
    code = _blanks(credential.secret.reveal())
    return replace(step, details={**step.details, "hint": code}) if code else step


def _blanks(text: str) -> str:
    if _GROUPS.fullmatch(text.strip()):
        return "password_groups"
    if text != text.strip():
        return "password_outer_spaces"
    if visible(text) != text.replace(" ", ""):
        return "password_invisible"
    return "" if text.isascii() else "password_letters"
