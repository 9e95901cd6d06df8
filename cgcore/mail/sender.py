"""How mail of an account presents itself: its name, where answers go, a copy for oneself.

Apart from the account: whoever builds a message needs no servers and no password.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cgcore.errors import FieldProblem
from cgcore.mail import account_texts
from cgcore.mail.addresses import is_address
from cgcore.text_rules import MAX_MAIL, MAX_NAME, find_text_problem, trimmed

__all__ = ["SenderDraft", "check_sender"]


@dataclass(frozen=True, slots=True)
class SenderDraft:
    """How mail of the account presents itself: the ``name`` beside its address, where answers go, a copy for oneself.

    An empty ``name`` is that of the company or the person, an empty ``reply_to`` the address itself. ``copy_to_self``
    sends every document to that address too, in the envelope alone: no recipient sees it.
    """

    name: str = ""
    reply_to: str = ""
    copy_to_self: bool = False


def check_sender(sender: SenderDraft) -> Iterator[FieldProblem]:
    """Yield what is wrong with how mail presents itself: ``sender_name``, ``sender_reply_to``."""
    if problem := find_text_problem(sender.name, MAX_NAME):
        yield account_texts.text_problem("sender_name", problem, MAX_NAME)
    elif any(sign in sender.name for sign in "<>") or is_address(sender.name.strip()):
        # Mail programs show a name that looks like another address as an attempt to deceive.
        yield account_texts.problem("sender_name", "name_with_address")
    if problem := find_text_problem(sender.reply_to, MAX_MAIL):
        yield account_texts.text_problem("sender_reply_to", problem, MAX_MAIL)
    elif sender.reply_to != trimmed(sender.reply_to):
        yield account_texts.problem("sender_reply_to", "spaces", clean=trimmed(sender.reply_to))
    elif sender.reply_to and not is_address(sender.reply_to):
        yield account_texts.problem("sender_reply_to", "address_syntax", address=sender.reply_to)
