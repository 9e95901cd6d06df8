"""What response codes and bare statuses of IMAP mean where the words say nothing, by stage."""

from __future__ import annotations

from cgcore.mail.rules.reply import Reply
from cgcore.mail.steps import Stage

__all__ = ["key_of_imap_code", "key_of_status"]

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


def key_of_imap_code(reply: Reply, stage: str) -> str:
    """Return the key of an IMAP response code at a stage, ``""`` when it says nothing (RFC 9051, RFC 5530)."""
    if reply.imap_code == "READ-ONLY" and stage == Stage.AUTH:
        return ""
    if reply.imap_code == "CANNOT" and stage == Stage.AUTH:
        return "blocked_by_policy"
    if reply.imap_code == "LIMIT" and stage not in ("", Stage.GREETING, Stage.STARTTLS, Stage.AUTH):
        return "temporary_failure"
    return _IMAP.get(reply.imap_code, "")


def key_of_status(reply: Reply, stage: str) -> str:
    """Return the key of a bare IMAP status at a stage, ``""`` when it says nothing."""
    if reply.status == "BYE":
        return "connection_dropped"
    return _STATUS.get((reply.status, stage)) or ("protocol_error" if reply.status == "BAD" else "")
