"""A real Dovecot for the tests: own folder, free loopback ports, ends by itself."""

from __future__ import annotations

import grp
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from imaplib import IMAP4, ParseFlags
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.certificates import Certificate
from tests.servers.daemon import Daemon, free_ports, mail_owner, make_folder, remove
from tests.servers.tokens import TokenIssuer

__all__ = ["USERS", "Dovecot", "Layout", "dovecot_installed"]

# Every user has the password beside it; the odd ones are there to be odd.
USERS = {
    "ana@example.com": "correcto-Caballo.9",
    "vacia@example.com": "correcto-Caballo.9",
    "llena@example.com": "correcto-Caballo.9",
    "jos\u00e9@example.com": "contrase\u00f1a\u20ac",
    "comillas@example.com": ' con "comillas" y \\barra',
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How one Dovecot differs from the next.

    ``prefix`` is the namespace prefix (``INBOX.`` as on Courier and cPanel), ``sent`` the folder flagged ``\\Sent``
    (empty: none is), ``junk`` the one flagged ``\\Junk``, ``folders`` are made beside them at the first log-in,
    ``capability`` is a complete
    replacement of the capability line (empty: Dovecot's own), ``plain_login`` allows passwords outside TLS.
    ``mechanisms`` are those of SASL; with ``xoauth2`` or ``oauthbearer`` among them the server takes the tokens that
    :attr:`Dovecot.issuer` signs.
    """

    prefix: str = ""
    separator: str = "/"
    sent: str = "Sent"
    junk: str = ""
    folders: tuple[str, ...] = ("Borradores", "Papelera", "Bandeja de salida", "A\u00f1o 2026 & m\u00e1s")
    capability: str = ""
    plain_login: bool = True
    tls: bool = True
    mechanisms: str = "plain login"
    listen: str = "127.0.0.1"


def dovecot_installed() -> bool:
    """Return whether the Debian package is there."""
    return Path("/usr/sbin/dovecot").exists() and Path("/usr/lib/dovecot/imap").exists()


class Dovecot:
    """A running Dovecot with one certificate: ``port`` speaks plain and STARTTLS, ``tls_port`` TLS from the start.

    ``auth_socket`` is for the SASL of a Postfix; ``mail_dir(user)`` is the Maildir that IMAP shows.
    The mailbox of ``llena@example.com`` is over its quota; ``ana@example.com`` may read but not write «Solo lectura».
    """

    def __init__(
        self, certificate: Certificate | None, layout: Layout | None = None, issuer: TokenIssuer | None = None
    ) -> None:
        self.layout = layout or Layout()
        self.folder = make_folder("cg-dovecot-")
        self.owner = mail_owner()
        self.port, self.tls_port = free_ports(2)
        self.certificate = certificate
        self.auth_socket = self.folder / "auth" / "client"
        self.issuer = issuer or TokenIssuer()
        self._log = self.folder / "log"

    def mail_dir(self, user: str) -> Path:
        """Return the Maildir of ``user``."""
        return self.folder / "mail" / user

    def raw_messages(self, user: str, folder: str = "") -> list[bytes]:
        """Return the messages in ``folder`` as named on disk (modified UTF-7; empty: the inbox), oldest first."""
        files = [file for part in ("new", "cur") for file in (self.mail_dir(user) / folder / part).glob("*")]
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.name)]

    def wait_for_message(self, user: str, text: bytes, *, folder: str = "", patience: float = 15.0) -> bytes:
        """Return the first message that holds ``text``, once it has been delivered."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for raw in self.raw_messages(user, folder):
                if text in raw:
                    return raw
            time.sleep(0.02)
        raise AssertionError(f"no message with {text!r} reached {user}")

    def put(self, user: str, raw: bytes, folder: str = "INBOX") -> None:
        """Lay a message into a folder, unread, as if it had come in."""
        with self._signed_in(user) as client:
            client.append(f'"{folder}"', "", None, raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))

    def empty(self, user: str, *folders: str) -> None:
        """Remove every message of these folders."""
        with self._signed_in(user) as client:
            for folder in folders or ("INBOX",):
                if client.select(f'"{folder}"')[1] != [b"0"]:
                    client.store("1:*", "+FLAGS", "\\Deleted")
                    client.expunge()

    def flags(self, user: str, folder: str = "INBOX") -> list[set[str]]:
        """Return the flags of each message of a folder, without asking for anything that changes them."""
        with self._signed_in(user) as client:
            is_empty = client.select(f'"{folder}"', readonly=True)[1] == [b"0"]
            rows = [] if is_empty else client.fetch("1:*", "(FLAGS)")[1]
        return [{flag.decode() for flag in ParseFlags(row)} for row in rows if isinstance(row, bytes)]

    @contextmanager
    def _signed_in(self, user: str) -> Iterator[IMAP4]:
        with IMAP4("127.0.0.1", self.port, timeout=20) as client:
            client.login(user, USERS[user])
            yield client

    def log_text(self) -> str:
        """Return what the server wrote so far."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        self._prepare()
        self._daemon = Daemon(["/usr/sbin/dovecot", "-F", "-c", str(self.folder / "dovecot.conf")], self._log)
        self._daemon.wait_for([self.port, *([self.tls_port] if self.layout.tls else [])], self.layout.listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.stop()
        remove(self.folder)

    def _prepare(self) -> None:
        for name in ("run", "state", "auth", "mail", "acl"):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(0o755)
        for name in ("mail", "acl"):
            shutil.chown(self.folder / name, self.owner.pw_uid, self.owner.pw_gid)
        self._log.touch()
        self._log.chmod(0o666)
        lines = [f"{user}:{{PLAIN}}{password}::::::" for user, password in USERS.items()]
        lines = [line + ("userdb_quota_rule=*:bytes=1" if line.startswith("llena@") else "") for line in lines]
        (self.folder / "users").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.folder / "acl" / "global").write_text(
            f'"{self.layout.prefix}Solo lectura" owner lrs\n"{self.layout.prefix}Solo lectura" anyone lrs\n'
        )
        (self.folder / "dovecot.conf").write_text(self._configuration(), encoding="utf-8")

    def _configuration(self) -> str:
        own = os.geteuid() != 0
        user = self.owner.pw_name
        layout = self.layout
        return f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self._log}
{f"default_internal_user = {user}" if own else ""}
{f"default_internal_group = {grp.getgrgid(self.owner.pw_gid).gr_name}" if own else ""}
{f"default_login_user = {user}" if own else ""}
protocols = imap
listen = {layout.listen}
ssl = {"yes" if layout.tls else "no"}
{f"ssl_cert = <{self.certificate.chain}" if self.certificate else ""}
{f"ssl_key = <{self.certificate.key}" if self.certificate else ""}
disable_plaintext_auth = {"no" if layout.plain_login else "yes"}
login_trusted_networks =
auth_mechanisms = {layout.mechanisms}
{self._token_passdb()}
auth_username_chars =
auth_failure_delay = 0
{f"imap_capability = {layout.capability}" if layout.capability else ""}
first_valid_uid = 1
first_valid_gid = 1
mail_uid = {self.owner.pw_uid}
mail_gid = {self.owner.pw_gid}
mail_home = {self.folder}/mail/%u
mail_location = maildir:{self.folder}/mail/%u:LAYOUT=fs:INDEX=MEMORY
mail_plugins = quota acl
mail_max_userip_connections = 100
protocol imap {{
  mail_plugins = quota acl imap_quota imap_acl
}}
plugin {{
  acl = vfile:{self.folder}/acl/global:cache_secs=1
  quota = maildir
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {self.folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {self.folder}/users
  override_fields = uid={self.owner.pw_uid} gid={self.owner.pw_gid} home={self.folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  prefix = {layout.prefix}
  separator = {layout.separator}
{self._mailboxes()}
}}
service imap-login {{
  {"chroot =" if own else ""}
  process_min_avail = 1
  inet_listener imap {{
    port = {self.port}
  }}
  inet_listener imaps {{
    port = {self.tls_port if layout.tls else 0}
    ssl = yes
  }}
}}
service anvil {{
  {"chroot =" if own else ""}
  # no growing delay after wrong passwords
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  {"chroot =" if own else ""}
}}
service auth {{
  unix_listener {self.auth_socket} {{
    mode = 0666
  }}
}}
"""

    def _token_passdb(self) -> str:
        if "oauth" not in self.layout.mechanisms:
            return ""
        self.issuer.write_key(self.folder / "keys")
        (self.folder / "tokens.conf").write_text(
            "introspection_mode = local\n"
            f"local_validation_key_dict = fs:posix:prefix={self.folder}/keys/\n"
            f"username_attribute = email\nissuers = {self.issuer.url}\nscope = mail\n"
        )
        driver = f"driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {self.folder}/tokens.conf"
        return f"passdb {{\n  {driver}\n}}"

    def _mailboxes(self) -> str:
        flagged = {"\\Sent": self.layout.sent, "\\Junk": self.layout.junk}
        lines = [
            f'  mailbox "{name}" {{\n    auto = subscribe\n    special_use = {use}\n  }}'
            for use, name in flagged.items()
            if name
        ]
        lines += [
            f'  mailbox "{name}" {{\n    auto = subscribe\n  }}' for name in (*self.layout.folders, "Solo lectura")
        ]
        return "\n".join(lines)
