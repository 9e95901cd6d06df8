"""The two forms of a user name: the whole address, or what stands before the @."""

from __future__ import annotations

from cgcore.mail.address import domain_of, is_address
from cgcore.mail.request import ProbeRequest
from cgcore.mail.steps import Leg

__all__ = ["other_user_form"]


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
