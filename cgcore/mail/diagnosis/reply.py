"""A server reply, taken apart: its codes, its status, its words in a form to match, and the facts that they tell."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from cgcore.mail.steps import Stage

__all__ = ["ParsedReply", "decoded", "normalised", "parse_reply", "plain", "reply_facts"]

_SMTP_LINE = re.compile(r"^\s*([2-5]\d\d)(?:[ -]|$)")
_ENHANCED = re.compile(r"(?<![\d.])#?([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
# A code in the middle of a text: only those that servers use, lest a port number pass for one.
_EMBEDDED = re.compile(r"(?:^|[\s:(\[\"'])(4(?:21|3[1-2]|4[1-9]|5[0-5]|71)|5(?:[0-5]\d|71))(?:[ -](?=\S)|, b?['\"])")
_TUPLE = re.compile(r"\(\s*(-?\d{1,3}), b?(['\"])(.*?)\2", re.DOTALL)
_IMAP_STATUS = re.compile(r"^\s*(?:\*|\+|[A-Za-z]{0,8}\d{1,8})?\s*(OK|NO|BAD|BYE|PREAUTH)\b", re.MULTILINE)
_IMAP_CODE = re.compile(r"\[([A-Z][A-Z0-9/_-]{2,})[^\]]*\]")
_IMAP_PREFIX = re.compile(r"^\s*(?:(?:\*|\+|[A-Za-z]{0,8}\d{1,8})\s+)?(?:OK|NO|BAD|BYE|PREAUTH)\b", re.MULTILINE)
_IMAPLIB_PREFIX = re.compile(r"^\s*\w+ command error: (NO|BAD) ")
_MORE = re.compile(
    r"\b(?:for|to (?:get|see|find)|more) ?(?:(?:more|further|an?) )?"
    r"(?:inf\w*|details|explanation|assistance|help)\b[^.]*|\blearn more\b[^.]*"
)
_CLASS = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception|error|abort|readonly|timeout|Disconnected))\s*(?=[:(]|$)")

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")  # of ASCII, but for what is space
_HEX_RUN = re.compile(r"(?:\\x[0-9a-f]{2}){2,}")
_LONGEST_TEXT = 2000

_URL = re.compile(r"\bhttps?://\S+", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>()\[\]:;,'\"`]+@[\w.-]*\w|<>")
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f:]*\b", re.IGNORECASE)
_HOST = re.compile(r"\b[a-zA-Z0-9][\w-]*(?:\.[a-zA-Z0-9][\w-]*)*\.[a-z]{2,}\b")
_LINE_CODE = re.compile(r"^\s*[1-5]\d\d(?:[ -]|$)")
_OWNED = re.compile(r"'s\b")
_NO_WORD = re.compile(r"[^\w\s.@%#~]|_")
_INNER_STOP = re.compile(r"(?<=\w)\.|\.(?=\w)")
_E_MAIL = re.compile(r"\be mail")
# In this order: what is marked is not read as another kind.
_MARKS = (
    ("://", _URL, " ~ "),
    ("@", _ADDRESS, " @ "),
    ("<>", _ADDRESS, " @ "),
    (".", _IP, " # "),
    (":", _IP, " # "),
    (".", _ENHANCED, " "),
    (".", _HOST, " % "),
)
_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)|[。!;]")


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What a reply says.

    ``code`` is the basic SMTP code, 0 when there is none; ``enhanced`` the code of RFC 3463 («5.7.8»); ``status`` and
    ``imap_code`` those of RFC 9051 («NO», «TRYCREATE»). ``exception`` is the class name in front of a library's text.
    ``raw`` is the text in lower case on one line; ``words`` besides without codes, accents and punctuation, with
    ``@`` for an address, ``%`` for a host, ``#`` for an IP address, ``~`` for a link and `` . `` between sentences.
    """

    code: int = 0
    enhanced: str = ""
    status: str = ""
    imap_code: str = ""
    exception: str = ""
    raw: str = ""
    words: str = ""


def parse_reply(protocol: str, text: str) -> ParsedReply:
    """Take a reply apart. ``protocol`` is ``smtp``, ``imap`` or ``library``; any text is taken, none raises."""
    text = (_last_exception(text) if protocol == "library" else text)[:_LONGEST_TEXT]
    if protocol == "library":
        text = _HEX_RUN.sub(lambda run: decoded(bytes.fromhex(run[0].replace("\\x", ""))), text)
    exception = _first(_CLASS, text) if protocol == "library" else ""
    code, said = _smtp_code(protocol, text.removeprefix(exception) if exception else text)
    imap = "" if code else _first(_IMAP_STATUS, text) or _first(_IMAPLIB_PREFIX, said)
    return ParsedReply(
        code=code,
        enhanced=_first(_ENHANCED, _IP.sub(" ", said)),
        status=imap,
        imap_code=_imap_code(said) if protocol != "smtp" else "",
        exception=exception,
        raw=" ".join(plain(text).lower().split()),
        words=normalised(_without_imap_codes(said) if protocol != "smtp" else said),
    )


def decoded(said: object) -> str:
    """Return the text of a reply's bytes: UTF-8, else the Chinese code when it looks like it, else Latin-1."""
    if not isinstance(said, bytes | bytearray):
        return str(said)
    try:
        return said.decode("utf-8")
    except UnicodeDecodeError:
        encoding = "gb18030" if re.search(rb"[\xa1-\xf7][\xa1-\xfe]{3}", said) else "latin-1"
        return said.decode(encoding, errors="replace")


def plain(text: str) -> str:
    """Return the text without accents and control characters, quotes plain, full-width forms narrow."""
    if text.isascii():
        return _UNPRINTABLE.sub(" ", text)
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    kept = "".join(char for char in decomposed if not unicodedata.combining(char))
    composed = unicodedata.normalize("NFC", kept).translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
    return "".join(char if char.isprintable() or char.isspace() else " " for char in composed)


def normalised(text: str) -> str:
    """Return the words of a reply as :class:`ParsedReply` describes them."""
    text = plain(text).replace("\\n", "\n").replace("\\r", " ")
    text = "\n".join(_LINE_CODE.sub("", line) for line in text.splitlines())
    # Each is looked for only where its sign stands: most replies have few of them.
    for sign, pattern, mark in _MARKS:
        if sign in text:
            text = pattern.sub(mark, text)
    text = _SENTENCE_END.sub(" . ", text.lower().replace("n't", "nt"))
    text = _NO_WORD.sub(" ", _OWNED.sub("", text) if "'" in text else text)
    text = _INNER_STOP.sub(" ", text) if "." in text else text
    text = _E_MAIL.sub("email", " ".join(text.split()))
    return " ".join(_MORE.sub(" ", text).split())


def _last_exception(text: str) -> str:
    """Return what a traceback ends with, other text as it is."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line[:1].isalpha() and _CLASS.match(line)]
    return "\n".join(lines[starts[-1] :]) if "Traceback (most recent call last)" in text and starts else text


def _smtp_code(protocol: str, text: str) -> tuple[int, str]:
    """Return the basic code and what the server said with it."""
    if protocol == "library":
        if found := _TUPLE.search(text):
            code = int(found[1])
            return (code if 200 <= code < 600 else 0), found[3].replace("\\r", " ").replace("\\n", "\n")
        found = _EMBEDDED.search(text)
        return (int(found[1]), text[found.start() :].lstrip(" :([\"'")) if found else (0, text.lstrip(" :("))
    found = _SMTP_LINE.match(text)
    return (int(found[1]) if found else 0), text


def _without_imap_codes(text: str) -> str:
    text = _IMAP_PREFIX.sub("", _IMAPLIB_PREFIX.sub("", text))
    return re.sub(r"\bb(?=['\"])", "", _IMAP_CODE.sub(" ", text))


def _imap_code(text: str) -> str:
    codes = [code for code in _IMAP_CODE.findall(text) if code != "ALERT"]
    return codes[0] if codes else ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


_MAIL_ADDRESS = re.compile(r"<?([^\s<>()\[\]:;,'\"`]+@[\w-]+(?:\.[\w-]+)+)>?")
# Microsoft's number of an error at its sign-in, and what its support finds the case by.
_AADSTS = re.compile(r"\b(AADSTS\d{4,8})\b")
_TRACE = re.compile(r"\bTrace ID: ([0-9a-f-]{8,40})\b")
_IPV4 = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
_LIST = re.compile(
    r"\b((?:[\w-]+\.)*(?:[\w-]*(?:spamhaus|spamcop|barracuda|sorbs|uceprotect|abuseat|dnsbl|rbl)[\w-]*)(?:\.[\w-]+)+)"
)
_WAIT = re.compile(r"\b(\d{1,5}) ?(seconds?|secs?|minutes?|mins?|hours?)\b", re.IGNORECASE)
_SCOPE = re.compile(r"disabled for the (tenant|mailbox)", re.IGNORECASE)
_FOLDER = re.compile(r"(?:exist|mailbox|folder|found)s?: *\"?([^\"\r\n]{1,80}?)\"?(?: \(Failure\))?\s*$", re.IGNORECASE)
_OWNER = re.compile(r"not owned by user (\S+)", re.IGNORECASE)
_CERTIFIED = re.compile(r"not valid for '([^']+)'")
_HOST_PORT = re.compile(r"\b((?:[\w-]+\.)+[a-z]{2,}|\d{1,3}(?:\.\d{1,3}){3}):\d{2,5}\b", re.IGNORECASE)
_ANNOUNCES_HOST = (
    *("enotfound", "eai_again", r"resolv\w*", "lookup", "host", "hostname", "server", "servidor", "equipo"),
    *("to", "for", "at", "from", "con", "a", "mit"),
)
_NAMED_HOST = re.compile(
    r"\b(?:" + "|".join(_ANNOUNCES_HOST) + r")[ :=(]{1,3}['\"\u00ab<\[]?((?:[\w-]+\.)+[a-z]{2,})\b", re.IGNORECASE
)
_PORT = re.compile(r"(?:\b(?:[\w-]+\.)+\w+:|\bport[ :=]{1,2}|\bpuerto[ :=]{1,2})(\d{2,5})\b", re.IGNORECASE)
_SIZE = re.compile(r"\b(\d{1,9}) ?(mb|mib|kb|kib|k|m)\b", re.IGNORECASE)
_UNITS = {"m": 1, "k": 1024}
_COUNT = re.compile(
    r"\b(\d{1,4})\b(?! ?(?:min|sec|hour))(?=[^\d]*$|[^.]{0,40}(?:recipient|rcpt|destinat|per |max|limit|empf))",
    re.IGNORECASE,
)
_DAY = re.compile(
    r"(?:expir|not ?after|caduc|venc|valid)[^\n]{0,60}?(?:\b(\d{4}-\d\d-\d\d)"
    r"|\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2})(?: [\d:]{8})? (\d{4}))",
    re.IGNORECASE,
)
_ALTNAMES = re.compile(
    r"(?:altnames?: |is only valid for |valid for names? |issued (?:to|for) |doesn't match either of |DNS:)"
    r"([^\n]{3,200})",
    re.IGNORECASE,
)
_MINUTES = {"s": 1 / 60, "m": 1, "h": 60}


def reply_facts(key: str, stage: Stage | str, text: str) -> Mapping[str, object]:
    """Return the values that the text of a diagnosis offers to its sentences, under their names; often none.

    Server words are no authority: what the caller knows itself comes first.
    """
    found = {name: value for name, read in _BY_KEY.get(key, {}).items() if (value := read(text))}
    if key == "address_syntax" and stage in (Stage.MAIL_FROM, Stage.RCPT_TO):
        found["address"] = _group(_MAIL_ADDRESS)(text)
    return found


def _group(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        match = pattern.search(text)
        return match[1] if match else ""

    return read


def _host(text: str) -> str:
    """Return the server that a library's text names: beside a port, or behind a word that announces it."""
    for pattern in (_HOST_PORT, _NAMED_HOST):
        for match in pattern.finditer(_URL.sub(" ", text)):
            if not re.match(
                r"(?:socket|ssl|smtplib|imaplib|builtins|java|javax|system|net|com\.sun)\.", match[1], re.IGNORECASE
            ):
                return match[1].lower()
    return ""


def _minutes(text: str) -> int:
    """Return how many minutes the server asks to wait, 0 when it does not say."""
    match = _WAIT.search(text)
    return ceil(int(match[1]) * _MINUTES[match[2][0].lower()]) if match else 0


def _scope(text: str) -> str:
    match = _SCOPE.search(text)
    return match[1].lower() if match else ""


def _megabytes(text: str) -> str:
    """Return the limit of a message's size that the text names, in MB; ``""`` when it names none."""
    if match := _SIZE.search(text):
        return f"{int(match[1]) / _UNITS[match[2][:1].lower()]:.3g}"
    sizes = [int(found) for found in re.findall(r"\b\d{6,10}\b", text)]
    return f"{min(sizes) / 2**20:.3g}" if sizes else ""


def _expiry(text: str) -> str:
    """Return the day, in ISO form, on which a certificate ended, where the text names one."""
    match = _DAY.search(text)
    if not match:
        return ""
    if match[1]:
        return match[1]
    month = "janfebmaraprmayjunjulaugsepoctnovdec".index(match[2].lower()) // 3 + 1
    return f"{match[4]}-{month:02}-{int(match[3]):02}"


def _cert_names(text: str) -> list[str]:
    """Return the names that the text says the certificate bears."""
    match = _ALTNAMES.search(text)
    return re.findall(r"(?:\*\.)?(?:[\w-]+\.)+[a-z]{2,}", match[1], re.IGNORECASE) if match else []


_PLACE: Mapping[str, Callable[[str], object]] = {"host": _host, "port": _group(_PORT)}
_SIGN_IN_KEYS = (
    *("oauth_expired", "oauth_client_wrong", "oauth_needs_admin", "oauth_redirect", "oauth_interaction"),
    *("oauth_denied", "oauth_other_account", "oauth_account_missing", "oauth_scope_missing"),
)
_BY_KEY: Mapping[str, Mapping[str, Callable[[str], object]]] = {
    **dict.fromkeys(
        (
            "host_not_found",
            "port_closed",
            "port_filtered",
            "server_silent",
            "connection_dropped",
            "wrong_protocol",
            "host_is_website",
            "ssl_on_starttls_port",
            "starttls_on_ssl_port",
            "starttls_not_offered",
            "cert_self_signed",
            "cert_untrusted_chain",
            "tls_obsolete",
        ),
        _PLACE,
    ),
    "cert_expired": {**_PLACE, "date": _expiry},
    "message_too_big": {"limit_mb": _megabytes},
    "too_many_recipients": {"limit": _group(_COUNT)},
    "ip_blocklisted": {"ip": _group(_IPV4), "list_name": _group(_LIST)},
    "ip_not_allowed": {"ip": _group(_IPV4)},
    "too_many_attempts": {"minutes": _minutes},
    "temporary_failure": {"minutes": _minutes},
    "smtp_auth_disabled": {"scope": _scope},
    **{key: {"code": _group(_AADSTS), "trace": _group(_TRACE)} for key in _SIGN_IN_KEYS},
    "sender_not_allowed": {"sender": _group(_MAIL_ADDRESS), "user": _group(_OWNER)},
    "sender_not_verified": {"sender": _group(_MAIL_ADDRESS)},
    "sender_unknown": {"sender": _group(_MAIL_ADDRESS)},
    "recipient_unknown": {"recipient": _group(_MAIL_ADDRESS)},
    "folder_missing": {"folder": _group(_FOLDER)},
    "cert_wrong_name": {"host": lambda text: _group(_CERTIFIED)(text) or _host(text), "cert_names": _cert_names},
    "unclassified": {"reply": str},
}
