"""The legs and stages of a probe of the mail account; a step and its status are those of :mod:`cgcore.runs`."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Leg", "Stage"]


class Leg(StrEnum):
    """Which half of the mail account a step belongs to."""

    SMTP = "smtp"
    IMAP = "imap"


class Stage(StrEnum):
    """The stages of a probe, both legs, in the order in which each leg passes them."""

    DISCOVER = "discover"
    INPUT = "input"
    DNS = "dns"
    TCP = "tcp"
    GREETING = "greeting"
    EHLO = "ehlo"
    CAPABILITY = "capability"
    STARTTLS = "starttls"
    TLS = "tls"
    EHLO_TLS = "ehlo_tls"
    CAPABILITY_TLS = "capability_tls"
    AUTH = "auth"
    MAIL_FROM = "mail_from"
    RCPT_TO = "rcpt_to"
    DATA = "data"
    FINAL = "final"
    QUIT = "quit"
    NAMESPACE = "namespace"
    LIST = "list"
    SELECT = "select"
    CREATE = "create"
    APPEND = "append"
    ARRIVAL = "arrival"
    CLEANUP = "cleanup"
    LOGOUT = "logout"
