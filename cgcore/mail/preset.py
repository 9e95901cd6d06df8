"""The company's own mail servers: kept once for its domain, and tried first for every address of it.

Stands alone: values and rules, which discovery, storage and the configuration file share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cgcore.mail.account import AuthKind, MailAccountDraft, Security, ServerDraft
from cgcore.mail.addresses import domain_of, encode_name, is_address
from cgcore.mail.network.public_suffix import is_own
from cgcore.mail.providers import find_provider_by_domain
from cgcore.mail.steps import Leg

__all__ = ["USERNAME_FORMS", "MailPreset", "choose_preset", "find_preset_problem", "preset_of"]

#: What of an address signs in: all of it, or what stands before the @.
USERNAME_FORMS = ("address", "local_part")


@dataclass(frozen=True, slots=True)
class MailPreset:
    """The servers of a domain (ASCII), encrypted both; and what of an address signs in."""

    domain: str
    smtp: ServerDraft
    imap: ServerDraft
    username_form: str = "address"

    def as_json(self) -> dict[str, Any]:
        """Return the preset as a configuration file holds it under its domain."""
        servers = ((Leg.SMTP, self.smtp), (Leg.IMAP, self.imap))
        return {
            **{
                leg.value: {"host": each.host, "port": each.port_number(leg), "security": each.security.value}
                for leg, each in servers
            },
            "username_form": self.username_form,
        }


def choose_preset(presets: Iterable[MailPreset], domain: str) -> MailPreset | None:
    """Return the preset for an ASCII domain: its own, else that of another name below the same registered one.

    What was registered is told by the public suffix list: ``ventas.empresa.com.es`` belongs to ``empresa.com.es``, and
    ``otra.com.es`` does not.
    """
    own = [preset for preset in presets if is_own(preset.domain, domain)]
    return min(own, key=lambda one: (one.domain != domain, len(one.domain), one.domain), default=None)


def find_preset_problem(draft: MailAccountDraft, address: str) -> str:
    """Return the code of what keeps an account from standing for its whole domain, ``""`` where nothing does.

    ``address`` is who it belongs to, where the user name is no address.
    """
    domain = _domain(draft, address)
    if draft.auth is not AuthKind.PASSWORD:
        return "preset_by_provider"
    if not domain:
        return "preset_no_domain"
    if find_provider_by_domain(domain) is not None:
        return "preset_public_domain"
    servers = (draft.smtp, draft.imap)
    if not all(server.host and server.security in (Security.SSL, Security.STARTTLS) for server in servers):
        return "preset_unsafe"
    return ""


def preset_of(draft: MailAccountDraft, address: str) -> MailPreset:
    """Return what an account without such a problem says of its domain."""
    form = "address" if is_address(draft.user) else "local_part"
    servers = [
        ServerDraft(server.host.strip(), server.port_number(leg) or "", server.security)
        for leg, server in ((Leg.SMTP, draft.smtp), (Leg.IMAP, draft.imap))
    ]
    return MailPreset(_domain(draft, address), servers[0], servers[1], form)


def _domain(draft: MailAccountDraft, address: str) -> str:
    """Return the domain of the account: of its user name, else of the address whose first part that is."""
    user = draft.user.strip()
    if not is_address(user):
        user = address.strip() if is_address(address) and address.strip().partition("@")[0] == user else ""
    try:
        return encode_name(domain_of(user)) if user else ""
    except UnicodeError:
        return ""
