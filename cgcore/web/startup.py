"""What production will not start with (``CG_PRODUCTION=1``).

Apart from :mod:`cgcore.web.assembly`: one list of refusals, read as a whole.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from cgcore.errors import VaultError
from cgcore.server_facts import ServerFacts
from cgcore.settings import Settings, find_unsafe
from cgcore.texts import sentence
from cgcore.vault.texts import problem_text

if TYPE_CHECKING:
    from cgcore.workbench import Workbench

__all__ = ["find_refusals", "list_server_problems"]


def find_refusals(workbench: Workbench, facts: ServerFacts) -> list[str]:
    """Return the Spanish sentences for which production does not start; none outside production."""
    if not workbench.settings.production:
        return []
    refusals = [sentence("cgcore", f"settings.{code}") for code in find_unsafe(workbench.settings)]
    refusals += [sentence("cgcore.web", f"unsafe_{code}") for code in list_server_problems(workbench.settings, facts)]
    try:
        # The key that signs identities: without the right master key nobody would get past the gate.
        workbench.vault.derive_key("gate")
    except VaultError as error:
        refusals.append(str(problem_text(error.code)))
    return refusals


def list_server_problems(settings: Settings, facts: ServerFacts) -> list[str]:
    """Return the codes of what is not safe about the server.

    Workers of one port are refused over a file of SQLite, which has one server.
    """
    found = {
        "no_tls": not (settings.secure or facts.tls) and not _is_loopback(facts.address),
        "cors_off": not facts.cors,
        "xsrf_off": not facts.xsrf,
        "workers": facts.workers > 1 and not settings.has_replicas,
    }
    return [code for code, is_so in found.items() if is_so]


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
