"""What the numbers of a reply mean: enhanced, basic and IMAP codes at their stage, and missing capabilities.

Apart from the rules because these are the tables of standards, not wordings that somebody collected.
"""

from __future__ import annotations

import re

from cgcore.mail.diagnosis.reply import ParsedReply
from cgcore.mail.steps import Stage

__all__ = [
    "key_of_basic_code",
    "key_of_capabilities",
    "key_of_enhanced_code",
    "key_of_imap_code",
    "key_of_status",
]

# RFC 3463 and the IANA registry of RFC 5248, by subject and detail. x.7.0 and x.7.1 say nothing alone.
_ENHANCED: dict[str, str] = {
    **dict.fromkeys(("1.1", "1.2", "1.4", "1.6", "1.10", "2.1", "2.4", "4.4", "7.17", "7.18"), "recipient_unknown"),
    **dict.fromkeys(("1.3", "1.7"), "address_syntax"),
    **dict.fromkeys(("1.8", "7.27"), "sender_unknown"),
    **dict.fromkeys(("2.2",), "recipient_full"),
    **dict.fromkeys(("2.3", "3.4", "7.16"), "message_too_big"),
    **dict.fromkeys(("3.0", "3.1", "3.2", "3.5", "4.0", "4.1", "4.3", "4.5", "4.7", "7.19"), "temporary_failure"),
    **dict.fromkeys(("3.3", "3.6", "7.15", "7.30"), "option_not_supported"),
    **dict.fromkeys(("4.2",), "connection_dropped"),
    **dict.fromkeys(("5.0", "5.1", "5.2", "5.4", "5.5", "5.6"), "protocol_error"),
    **dict.fromkeys(("5.3",), "too_many_recipients"),
    **dict.fromkeys(("6.0", "6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.11", "7.7", "4.6"), "content_rejected"),
    **dict.fromkeys(("6.7", "6.8", "6.9", "6.10"), "smtputf8_required"),
    **dict.fromkeys(("7.2", "7.60"), "sender_not_allowed"),
    **dict.fromkeys(("7.4",), "auth_not_offered"),
    **dict.fromkeys(("7.5", "7.6"), "protocol_error"),
    **dict.fromkeys(("7.8",), "bad_credentials"),
    **dict.fromkeys(("7.9",), "app_password_required"),
    **dict.fromkeys(("7.10", "7.11"), "encryption_required"),
    **dict.fromkeys(("7.12",), "password_change_required"),
    **dict.fromkeys(("7.13",), "account_locked"),
    **dict.fromkeys(("7.20", "7.21", "7.22", "7.23", "7.24", "7.26", "7.29"), "sender_not_verified"),
    **dict.fromkeys(("7.25",), "ip_blocklisted"),
    **dict.fromkeys(("7.28", "1.90", "7.232", "7.233"), "sending_quota"),
    **dict.fromkeys(("7.57",), "auth_required"),
    **dict.fromkeys(("7.139",), "bad_credentials"),
    **dict.fromkeys(("7.64", "7.54"), "relay_denied"),
    **dict.fromkeys(("7.509", "7.515", "7.750"), "sender_not_verified"),
    **dict.fromkeys(("7.501", "7.502", "7.503", "7.705"), "account_locked"),
    **dict.fromkeys(("7.511", "7.513", "7.708"), "ip_blocklisted"),
    **dict.fromkeys(("7.512",), "content_rejected"),
}
# Where the same code means something else at a stage.
_ENHANCED_AT: dict[tuple[str, str], str] = {
    ("1.1", Stage.MAIL_FROM): "sender_unknown",
    ("1.2", Stage.MAIL_FROM): "sender_unknown",
    ("1.10", Stage.MAIL_FROM): "sender_unknown",
    ("1.0", Stage.MAIL_FROM): "sender_not_allowed",
    ("1.0", Stage.RCPT_TO): "recipient_unknown",
    ("2.0", Stage.RCPT_TO): "recipient_unknown",
    ("4.1", Stage.RCPT_TO): "recipient_unknown",
    ("2.1", Stage.MAIL_FROM): "account_locked",
    ("2.1", Stage.AUTH): "account_locked",
    ("2.2", Stage.MAIL_FROM): "mailbox_full",
    ("5.1", Stage.STARTTLS): "starttls_not_offered",
    ("5.1", Stage.AUTH): "auth_not_offered",
    ("5.2", Stage.AUTH): "protocol_error",
    ("5.4", Stage.AUTH): "auth_not_offered",
    ("5.4", Stage.MAIL_FROM): "option_not_supported",
    ("5.4", Stage.RCPT_TO): "option_not_supported",
    ("5.2", Stage.EHLO): "helo_rejected",
    ("5.4", Stage.EHLO): "helo_rejected",
    ("5.2", Stage.MAIL_FROM): "address_syntax",
    ("5.2", Stage.RCPT_TO): "address_syntax",
    ("7.3", Stage.AUTH): "bad_credentials",
    ("7.3", Stage.MAIL_FROM): "auth_required",
    ("7.3", Stage.RCPT_TO): "auth_required",
    ("7.8", Stage.MAIL_FROM): "auth_required",
    ("7.8", Stage.RCPT_TO): "auth_required",
    ("7.9", Stage.FINAL): "sender_not_verified",
    ("7.14", Stage.AUTH): "web_login_required",
}

_BASIC: dict[tuple[int, str], str] = {
    (421, Stage.FINAL): "temporary_failure",
    (432, Stage.AUTH): "password_change_required",
    (452, Stage.RCPT_TO): "too_many_recipients",
    (454, Stage.STARTTLS): "starttls_not_offered",
    (500, Stage.AUTH): "auth_not_offered",
    (502, Stage.AUTH): "auth_not_offered",
    (503, Stage.AUTH): "auth_not_offered",
    (504, Stage.AUTH): "auth_not_offered",
    (501, Stage.EHLO): "helo_rejected",
    (504, Stage.EHLO): "helo_rejected",
    (550, Stage.EHLO): "helo_rejected",
    (553, Stage.EHLO): "helo_rejected",
    (554, Stage.EHLO): "helo_rejected",
    (555, Stage.EHLO): "helo_rejected",
    (501, Stage.EHLO_TLS): "helo_rejected",
    (501, Stage.MAIL_FROM): "address_syntax",
    (501, Stage.RCPT_TO): "address_syntax",
    (504, Stage.MAIL_FROM): "option_not_supported",
    (504, Stage.RCPT_TO): "option_not_supported",
    (513, Stage.RCPT_TO): "address_syntax",
    (517, Stage.MAIL_FROM): "sender_unknown",
    (521, Stage.RCPT_TO): "recipient_unknown",
    (523, Stage.AUTH): "encryption_required",
    (525, Stage.AUTH): "account_locked",
    (530, Stage.AUTH): "encryption_required",
    (530, Stage.MAIL_FROM): "auth_required",
    (530, Stage.RCPT_TO): "auth_required",
    (530, Stage.DATA): "auth_required",
    (530, Stage.FINAL): "auth_required",
    (534, Stage.AUTH): "app_password_required",
    (535, Stage.AUTH): "bad_credentials",
    (535, Stage.MAIL_FROM): "auth_required",
    (535, Stage.RCPT_TO): "auth_required",
    (550, Stage.AUTH): "blocked_by_policy",
    (554, Stage.AUTH): "blocked_by_policy",
    (550, Stage.MAIL_FROM): "sender_not_allowed",
    (553, Stage.MAIL_FROM): "sender_not_allowed",
    (554, Stage.MAIL_FROM): "sender_not_allowed",
    (550, Stage.RCPT_TO): "recipient_unknown",
    (551, Stage.RCPT_TO): "relay_denied",
    (553, Stage.RCPT_TO): "address_syntax",
    (554, Stage.RCPT_TO): "recipient_unknown",
    (556, Stage.RCPT_TO): "recipient_unknown",
    (571, Stage.RCPT_TO): "relay_denied",
    (541, Stage.RCPT_TO): "recipient_unknown",
    (550, Stage.DATA): "content_rejected",
    (554, Stage.DATA): "recipient_unknown",
    (550, Stage.FINAL): "content_rejected",
    (541, Stage.FINAL): "content_rejected",
    (551, Stage.FINAL): "content_rejected",
    (553, Stage.FINAL): "sender_not_allowed",
    (554, Stage.FINAL): "content_rejected",
    (571, Stage.FINAL): "content_rejected",
    (552, Stage.MAIL_FROM): "message_too_big",
    (552, Stage.RCPT_TO): "recipient_full",
    (552, Stage.DATA): "message_too_big",
    (552, Stage.FINAL): "message_too_big",
}
# What a refusal means that says nothing else.
_REFUSED: dict[str, str] = {
    Stage.EHLO: "helo_rejected",
    Stage.AUTH: "bad_credentials",
    Stage.MAIL_FROM: "sender_not_allowed",
    Stage.RCPT_TO: "recipient_unknown",
    Stage.DATA: "content_rejected",
    Stage.FINAL: "content_rejected",
}
_BASIC_ANYWHERE: dict[int, str] = {
    **dict.fromkeys((421, 450, 451, 452, 454, 431, 441, 442, 447, 455, 471, 432), "temporary_failure"),
    **dict.fromkeys((500, 501, 502, 503, 504), "protocol_error"),
    **dict.fromkeys((530, 523, 538), "encryption_required"),
    **dict.fromkeys((525,), "account_locked"),
    **dict.fromkeys((533,), "smtputf8_required"),
    **dict.fromkeys((535, 534), "bad_credentials"),
    **dict.fromkeys((555,), "option_not_supported"),
    **dict.fromkeys((556,), "recipient_unknown"),
}


def key_of_enhanced_code(reply: ParsedReply, stage: str) -> str:
    """Return the key of an enhanced status code at a stage, ``""`` when it says nothing (RFC 3463, RFC 5248)."""
    if not reply.enhanced or reply.enhanced[0] == "2" or (stage == Stage.STARTTLS and reply.code >= 454):
        return ""
    detail = reply.enhanced[2:]
    if reply.code == 530 and detail.startswith("5."):
        return ""
    if detail == "7.8" and reply.enhanced[0] == "4":
        return "temporary_failure"
    if detail.startswith("7.") and 606 <= int(detail[2:]) <= 649:
        return "ip_blocklisted"
    key = _ENHANCED_AT.get((detail, stage)) or _ENHANCED.get(detail, "")
    if detail == "5.4" and reply.code == 501 and stage in (Stage.MAIL_FROM, Stage.RCPT_TO):
        return "address_syntax"
    if reply.enhanced[0] == "4" and key in ("recipient_unknown", "content_rejected", "protocol_error"):
        return "temporary_failure"
    return key


def key_of_basic_code(reply: ParsedReply, stage: str) -> str:
    """Return the key of a basic SMTP code at a stage, ``""`` when it says nothing (RFC 5321, RFC 4954, RFC 3207)."""
    if stage == Stage.STARTTLS and (reply.code >= 500 or reply.code == 354 or reply.code == 454):
        return "starttls_not_offered"
    if stage == Stage.GREETING and reply.code >= 500:
        return "ip_blocklisted"
    return _BASIC.get((reply.code, stage)) or _BASIC_ANYWHERE.get(reply.code) or _key_of_class(reply.code, stage)


def _key_of_class(code: int, stage: str) -> str:
    """Return the key of a code that no standard knows, by its first digit and the stage."""
    if 400 <= code < 500:
        return "temporary_failure" if stage else ""
    return _REFUSED.get(stage, "") if code >= 510 else ""


# RFC 9051 §7.1, RFC 5530 and its kin.
_IMAP: dict[str, str] = {
    **dict.fromkeys(("AUTHENTICATIONFAILED", "AUTH"), "bad_credentials"),
    **dict.fromkeys(("AUTHORIZATIONFAILED",), "mailbox_not_connected"),
    **dict.fromkeys(("EXPIRED",), "password_change_required"),
    **dict.fromkeys(("CONTACTADMIN",), "account_locked"),
    **dict.fromkeys(("PRIVACYREQUIRED", "LOGINDISABLED"), "encryption_required"),
    **dict.fromkeys(
        ("UNAVAILABLE", "INUSE", "SERVERBUG", "THROTTLED", "IN-USE", "SYS/TEMP", "TEMPFAIL"), "temporary_failure"
    ),
    **dict.fromkeys(("LOGIN-DELAY", "CORRUPTION", "METADATA", "NOUPDATE", "EXPUNGEISSUED"), "temporary_failure"),
    **dict.fromkeys(("LIMIT",), "too_many_connections"),
    **dict.fromkeys(("WEBALERT",), "web_login_required"),
    **dict.fromkeys(("TRYCREATE", "NONEXISTENT"), "folder_missing"),
    **dict.fromkeys(("NOPERM", "CANNOT", "READ-ONLY", "HASCHILDREN", "SYS/PERM"), "folder_not_writable"),
    **dict.fromkeys(("OVERQUOTA",), "mailbox_full"),
    **dict.fromkeys(("TOOBIG", "APPENDLIMIT"), "message_too_big"),
    **dict.fromkeys(
        ("CLIENTBUG", "BADCHARSET", "PARSE", "UNKNOWN-CTE", "BADURL", "NOTSAVED", "TOOMANY"), "protocol_error"
    ),
    **dict.fromkeys(("ALREADYEXISTS",), "ok"),
}
_STATUS: dict[tuple[str, str], str] = {
    ("NO", Stage.STARTTLS): "starttls_not_offered",
    ("BAD", Stage.STARTTLS): "starttls_not_offered",
    ("NO", Stage.AUTH): "bad_credentials",
    ("NO", Stage.SELECT): "folder_missing",
    ("NO", Stage.APPEND): "folder_not_writable",
    ("NO", Stage.CREATE): "folder_not_writable",
    ("BYE", Stage.AUTH): "connection_dropped",
}


def key_of_imap_code(reply: ParsedReply, stage: str) -> str:
    """Return the key of an IMAP response code at a stage, ``""`` when it says nothing (RFC 9051, RFC 5530)."""
    if reply.imap_code == "READ-ONLY" and stage == Stage.AUTH:
        return ""
    if reply.imap_code == "CANNOT" and stage == Stage.AUTH:
        return "blocked_by_policy"
    if reply.imap_code == "LIMIT" and stage not in ("", Stage.GREETING, Stage.STARTTLS, Stage.AUTH):
        return "temporary_failure"
    return _IMAP.get(reply.imap_code, "")


def key_of_status(reply: ParsedReply, stage: str) -> str:
    """Return the key of a bare IMAP status at a stage, ``""`` when it says nothing."""
    if reply.status == "BYE":
        return "connection_dropped"
    return _STATUS.get((reply.status, stage)) or ("protocol_error" if reply.status == "BAD" else "")


_TOKEN_ONLY = frozenset({"XOAUTH2", "OAUTHBEARER"})


def key_of_capabilities(text: str, stage: str) -> str:
    """Return the key of what an answer to EHLO lacks, ``""`` when it lacks nothing or is no such answer (RFC 4954).

    Before encryption nothing is missing as long as STARTTLS is offered: signing in comes after it.
    """
    lines = [re.sub(r"^250[ -]", "", line).strip().upper() for line in text.splitlines()]
    if len(lines) < 2 or stage not in (Stage.EHLO, Stage.EHLO_TLS, Stage.STARTTLS):
        return ""
    if stage == Stage.STARTTLS:
        return "" if "STARTTLS" in lines else "starttls_not_offered"
    if stage == Stage.EHLO and "STARTTLS" in lines:
        return ""
    offered = {word for line in lines if line.startswith(("AUTH ", "AUTH=")) for word in line[5:].split()}
    if not offered:
        return "auth_not_offered"
    return "oauth_only" if offered <= _TOKEN_ONLY else ""
