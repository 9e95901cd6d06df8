"""The diagnosis keys: legs and stages, the field to look at, whose fault it is, whether a retry helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from cgcore.mail.steps import Leg, Stage

__all__ = ["IMAP_STAGES", "SMTP_STAGES", "Diagnosis", "KeyFacts", "build_diagnosis", "diagnosis_keys", "key_facts"]

SMTP_STAGES: tuple[Stage, ...] = (
    *(Stage.DISCOVER, Stage.INPUT, Stage.DNS, Stage.TCP, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.TLS),
    *(Stage.EHLO_TLS,),
    *(Stage.AUTH, Stage.MAIL_FROM, Stage.RCPT_TO, Stage.DATA, Stage.FINAL, Stage.QUIT),
)
IMAP_STAGES: tuple[Stage, ...] = (
    *(Stage.DISCOVER, Stage.INPUT, Stage.DNS, Stage.TCP, Stage.GREETING, Stage.CAPABILITY, Stage.STARTTLS, Stage.TLS),
    *(Stage.CAPABILITY_TLS, Stage.AUTH, Stage.NAMESPACE, Stage.LIST, Stage.SELECT, Stage.CREATE, Stage.APPEND),
    Stage.ARRIVAL,
    *(Stage.CLEANUP, Stage.LOGOUT),
)

# key, SMTP stages, IMAP stages ("any": all; "a-b": from a to b; "": not this leg), fields, faults, retry.
# Field "*" is named by whoever finds the fault; where two fields stand, the first unless the stage tells.
_ROWS: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("host_not_found", "dns", "dns", "host", "user", "no"),
    ("dns_temporary", "dns", "dns", "none", "us", "later"),
    ("host_is_website", "input greeting", "input greeting", "host", "user", "no"),
    ("port_closed", "tcp", "tcp", "port", "user", "no"),
    ("port_filtered", "tcp", "tcp", "port", "us provider", "later"),
    ("ssl_on_starttls_port", "tls", "tls", "security", "user", "no"),
    ("starttls_on_ssl_port", "greeting starttls", "greeting starttls", "security", "user", "no"),
    ("starttls_not_offered", "greeting ehlo starttls", "greeting capability starttls", "security", "provider", "no"),
    ("wrong_protocol", "greeting", "greeting", "host", "user", "no"),
    ("server_silent", "any", "any", "port", "provider", "later"),
    ("connection_dropped", "greeting-data", "greeting-append", "none", "provider", "later"),
    ("protocol_error", "any", "any", "none", "us provider", "no"),
    ("cert_self_signed", "tls", "tls", "security", "provider", "no"),
    ("cert_wrong_name", "tls", "tls", "host", "user provider", "no"),
    ("cert_expired", "tls", "tls", "none", "provider", "no"),
    ("cert_not_yet_valid", "tls", "tls", "none", "provider", "no"),
    ("clock_wrong", "tls auth", "tls auth", "none", "us", "later"),
    ("cert_untrusted_chain", "tls", "tls", "none", "provider", "no"),
    ("cert_pin_changed", "", "tls", "security", "provider", "no"),
    ("tls_obsolete", "tls", "tls", "none", "provider", "no"),
    ("tls_intercepted", "tls", "tls", "none", "us", "no"),
    ("auth_not_offered", "ehlo auth", "capability auth", "port", "user", "no"),
    ("encryption_required", "auth mail_from rcpt_to", "capability auth", "security", "user", "no"),
    ("auth_required", "mail_from rcpt_to", "", "user", "user", "no"),
    ("oauth_only", "auth", "auth", "password", "provider", "no"),
    ("app_password_required", "auth", "auth", "password", "user", "no"),
    ("password_change_required", "auth", "auth", "password", "user", "no"),
    ("bad_credentials", "auth", "auth", "user password", "user", "no"),
    ("imap_disabled", "auth", "auth", "none", "user", "no"),
    ("imap_disabled_by_admin", "", "auth", "none", "admin", "no"),
    ("smtp_auth_disabled", "auth", "", "none", "admin", "no"),
    ("blocked_by_policy", "auth final", "auth select", "none", "admin", "no"),
    ("ip_not_allowed", "greeting auth rcpt_to", "greeting auth", "none", "provider", "no"),
    ("mailbox_not_connected", "auth", "auth list", "user", "admin", "no"),
    ("token_rejected", "auth", "auth", "none", "user", "no"),
    ("oauth_not_connected", "auth", "auth", "none", "user", "no"),
    ("oauth_expired", "auth", "auth", "none", "user", "no"),
    ("oauth_client_wrong", "auth", "auth", "none", "admin", "no"),
    ("oauth_needs_admin", "auth", "auth", "none", "admin", "no"),
    ("oauth_redirect", "auth", "auth", "none", "admin", "no"),
    ("oauth_interaction", "auth", "auth", "none", "user", "no"),
    ("oauth_denied", "auth", "auth", "none", "user", "no"),
    ("oauth_other_account", "auth", "auth", "user", "user", "no"),
    ("oauth_account_missing", "auth", "auth", "none", "admin", "no"),
    ("oauth_scope_missing", "auth", "auth", "none", "user", "no"),
    ("oauth_unreachable", "auth", "auth", "none", "provider", "later"),
    ("oauth_id_token", "auth", "auth", "none", "provider", "no"),
    ("vault_away", "auth", "auth", "none", "us", "later"),
    ("web_login_required", "auth", "auth", "none", "user", "no"),
    ("account_locked", "auth final", "auth", "user", "provider", "no"),
    ("too_many_attempts", "auth", "auth", "none", "user", "later"),
    ("too_many_connections", "greeting starttls auth mail_from", "greeting starttls auth", "none", "user", "later"),
    ("sender_not_allowed", "mail_from rcpt_to final", "", "sender", "user", "no"),
    ("sender_not_verified", "mail_from rcpt_to final", "", "sender", "user", "no"),
    ("sender_unknown", "mail_from rcpt_to", "", "sender", "user", "no"),
    ("relay_denied", "rcpt_to", "", "host", "user", "no"),
    ("recipient_unknown", "rcpt_to data final", "", "recipient", "user", "no"),
    ("recipient_full", "rcpt_to final", "", "recipient", "recipient", "later"),
    ("too_many_recipients", "rcpt_to", "", "recipient", "user", "later"),
    ("greylisted", "rcpt_to final", "", "none", "recipient", "later"),
    ("ip_blocklisted", "greeting mail_from rcpt_to final", "", "none", "us", "later"),
    ("sending_quota", "auth mail_from rcpt_to final", "", "none", "user", "later"),
    ("message_too_big", "mail_from final", "append", "message", "user", "no"),
    ("content_rejected", "final", "", "message", "user", "no"),
    ("option_not_supported", "mail_from rcpt_to", "", "read_receipt", "provider", "now"),
    ("helo_rejected", "ehlo mail_from rcpt_to", "", "none", "us", "now"),
    ("address_syntax", "input mail_from rcpt_to", "", "sender recipient", "user", "no"),
    ("smtputf8_required", "mail_from rcpt_to", "", "sender recipient", "provider", "no"),
    ("credentials_charset", "auth", "auth", "password", "user", "no"),
    ("folder_missing", "", "select append", "folder", "user", "no"),
    ("folder_not_writable", "", "select append", "folder", "user", "no"),
    ("mailbox_full", "final", "append", "none", "user", "later"),
    ("duplicate_copy", "", "append", "folder", "user", "no"),
    ("temporary_failure", "any", "any", "none", "provider", "later"),
    ("delivery_unknown", "final", "", "none", "provider", "never"),
    ("provider_incompatible", "input", "input", "host", "provider", "no"),
    ("microsoft_password_deadline", "input", "input", "password", "provider", "no"),
    ("forbidden_target", "input dns tcp", "input dns tcp", "host", "user", "no"),
    ("invalid_input", "input dns ehlo", "input dns", "*", "user", "no"),
    ("unclassified", "any", "any", "none", "provider", "no"),
    ("ok", "final", "create", "none", "", ""),
)


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What holds for a diagnosis key wherever it appears.

    ``fields`` and ``faults`` are in order of likelihood. ``retry``: ``no``, ``later``, ``now`` (we repeat at once in
    another way), ``never`` (only a person may decide). ``stages`` holds the stages of each leg it belongs to.
    """

    key: str
    fields: tuple[str, ...]
    faults: tuple[str, ...]
    retry: str
    stages: Mapping[Leg, tuple[Stage, ...]]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis key with the field it points at, whose fault it is and what a retry does, ready for a step."""

    key: str
    field: str = "none"
    fault: str = ""
    retry: str = ""


def _stages(words: str, order: tuple[Stage, ...]) -> tuple[Stage, ...]:
    if words == "any":
        return order
    if "-" in words:
        first, last = words.split("-")
        return order[order.index(Stage(first)) : order.index(Stage(last)) + 1]
    return tuple(Stage(word) for word in words.split())


@cache
def _catalogue() -> Mapping[str, KeyFacts]:
    facts: dict[str, KeyFacts] = {}
    for key, smtp, imap, fields, faults, retry in _ROWS:
        by_leg = {Leg.SMTP: _stages(smtp, SMTP_STAGES), Leg.IMAP: _stages(imap, IMAP_STAGES)}
        stages = {leg: places for leg, places in by_leg.items() if places}
        facts[key] = KeyFacts(key, tuple(fields.split()), tuple(faults.split()), retry, MappingProxyType(stages))
    return MappingProxyType(facts)


def diagnosis_keys() -> tuple[str, ...]:
    """Return every diagnosis key, in the order of the table; ``ok`` comes last."""
    return tuple(_catalogue())


def key_facts(key: str) -> KeyFacts:
    """Return what holds for ``key``; an unknown key is a ``KeyError``."""
    return _catalogue()[key]


def build_diagnosis(key: str, stage: Stage | str = "", *, field: str = "") -> Diagnosis:
    """Return the diagnosis of ``key`` at ``stage``; an unknown key is a ``KeyError``.

    ``field`` overrides the field of the table: ``invalid_input`` points at whatever field is wrong.
    """
    facts = key_facts(key)
    return Diagnosis(key, field or _field(facts, str(stage)), facts.faults[0] if facts.faults else "", facts.retry)


def _field(facts: KeyFacts, stage: str) -> str:
    if facts.fields == ("*",):
        return "host" if stage in (Stage.DNS, Stage.EHLO) else "none"
    if "recipient" in facts.fields and stage == Stage.RCPT_TO:
        return "recipient"
    return facts.fields[0]
