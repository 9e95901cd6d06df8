"""A real Postfix for the tests: own folders, free loopback ports, signs in and delivers through a test Dovecot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cgcore.mail.account import Security
from tests.servers.certificates import Certificate
from tests.servers.daemon import Daemon, free_ports, make_folder, remove
from tests.servers.dovecot import USERS, Dovecot

__all__ = ["DOMAIN", "SHARED", "Postfix", "postfix_installed"]

DOMAIN = "example.com"

#: A mailbox without a log-in of its own; the first of the users may send in its name.
SHARED = f"ventas@{DOMAIN}"
_MASTER = "/usr/lib/postfix/sbin/master"

_QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mail.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
biff = no
smtp_dns_support_level = disabled
default_transport = discard:nothing leaves the test server
transport_maps = texthash:{folder}/transports
message_size_limit = {size_limit}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = texthash:{folder}/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_chain_files = {key} {chain}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth}
smtpd_sasl_auth_enable = yes
smtpd_tls_auth_only = no
smtpd_sender_login_maps = texthash:{folder}/owners
smtpd_sender_restrictions = reject_authenticated_sender_login_mismatch
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access texthash:{folder}/recipients
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 100
smtpd_client_connection_count_limit = 0
"""

_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{submission_port} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
returned unix - n n - - pipe flags= user=nobody argv={folder}/no-such-user
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

# Two more doors that show a certificate of their own.
_DOORS = """
127.0.0.1:{starttls} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_chain_files={key},{chain}
127.0.0.1:{ssl} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_tls_chain_files={key},{chain}
"""


def postfix_installed() -> bool:
    """Return whether the Debian package is there and may be used: Postfix needs root to change its user."""
    return Path(_MASTER).exists() and os.geteuid() == 0


class Postfix:
    """A running Postfix: ``port`` takes STARTTLS or none, ``submission_port`` demands it, ``tls_port`` starts with TLS.

    Accounts and certificate are those of ``dovecot``, whose Maildirs receive the mail for ``example.com``. A user may
    send as their own address only. ``espera@example.com`` is greylisted, ``rebosa@example.com`` is full.
    What is addressed to other domains is accepted after signing in and thrown away; to ``rebota.example`` it comes back
    to whoever sent it. ``doors`` has two more ports for
    each certificate of ``shown_too``, by security.
    """

    def __init__(
        self, dovecot: Dovecot, *, shown_too: Sequence[Certificate] = (), size_limit: int = 10_240_000
    ) -> None:
        assert dovecot.certificate is not None, "this Dovecot has no certificate to share"
        self._dovecot = dovecot
        self._size_limit = size_limit
        self.folder = make_folder("cg-postfix-")
        self.port, self.submission_port, self.tls_port, *others = free_ports(3 + 2 * len(shown_too))
        self.doors = {
            certificate: {Security.STARTTLS: starttls, Security.SSL: ssl}
            for certificate, starttls, ssl in zip(shown_too, others[::2], others[1::2], strict=True)
        }

    def log_text(self) -> str:
        """Return what the server wrote so far."""
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self._prepare()
        self._daemon = Daemon([_MASTER, "-d", "-c", str(self.folder / "etc")], self.folder / "log")
        self._daemon.wait_for([self.port, self.submission_port, self.tls_port])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.stop()
        remove(self.folder)

    def _prepare(self) -> None:
        for name in ("etc", "queue", "queue/pid", "data"):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(0o755)
        shutil.chown(self.folder / "data", "postfix", "postfix")
        for name in _QUEUES:
            self._queue(name, "postfix", 0o700)
        self._queue("public", "postdrop", 0o710)
        self._queue("maildrop", "postdrop", 0o730)
        (self.folder / "log").touch()
        addresses = [user for user in USERS if user.isascii()]
        self._table("mailboxes", [f"{address} {address}/" for address in (*addresses, SHARED)])
        self._table("transports", ["rebota.example returned:"])
        self._table("owners", [*(f"{address} {address}" for address in addresses), f"{SHARED} {next(iter(USERS))}"])
        self._table(
            "recipients",
            [
                f"espera@{DOMAIN} 450 4.2.0 Greylisted, please try again in 300 seconds",
                f"rebosa@{DOMAIN} 452 4.2.2 The mailbox of the recipient is full",
            ],
        )
        certificate = self._dovecot.certificate
        assert certificate is not None
        (self.folder / "etc" / "main.cf").write_text(
            _MAIN.format(
                folder=self.folder,
                domain=DOMAIN,
                size_limit=self._size_limit,
                mail=self._dovecot.folder / "mail",
                uid=self._dovecot.owner.pw_uid,
                gid=self._dovecot.owner.pw_gid,
                key=certificate.key,
                chain=certificate.chain,
                auth=self._dovecot.auth_socket,
            )
        )
        (self.folder / "no-such-user").write_text("#!/bin/sh\nexit 67\n")  # EX_NOUSER of sysexits.h
        (self.folder / "no-such-user").chmod(0o755)
        services = _SERVICES.format(
            folder=self.folder, port=self.port, submission_port=self.submission_port, tls_port=self.tls_port
        )
        doors = [
            _DOORS.format(
                starttls=ports[Security.STARTTLS], ssl=ports[Security.SSL], key=certificate.key, chain=certificate.chain
            )
            for certificate, ports in self.doors.items()
        ]
        (self.folder / "etc" / "master.cf").write_text(services + "".join(doors))

    def _queue(self, name: str, group: str, mode: int) -> None:
        folder = self.folder / "queue" / name
        folder.mkdir()
        folder.chmod(mode)
        shutil.chown(folder, "postfix", group)

    def _table(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
