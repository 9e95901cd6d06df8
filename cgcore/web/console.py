"""What the process says where it was started: where to go, and the code of the first use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cgcore.errors import InvalidInput
from cgcore.vault.secret import Secret
from cgcore.web.texts import text

if TYPE_CHECKING:
    from cgcore.workbench import Workbench

__all__ = ["announce_code", "open_first_use", "say"]


def open_first_use(workbench: Workbench, address: str) -> None:
    """At start: create the administrator that the settings name, else print the code that creates one by hand."""
    identity = workbench.identity
    try:
        if identity.create_configured_admin():
            say(text("console_admin_created", username=workbench.settings.admin_user))
    except InvalidInput as refused:
        say(text("console_admin_refused", reason=" ".join(problem.message for problem in refused.problems)))
    if identity.first_use_needed():
        announce_code(identity.issue_first_use_code(), address)
    else:
        say(text("console_ready", address=address))


def announce_code(code: Secret, address: str) -> None:
    """Print the code and where it is typed in."""
    say(text("console_first_use", address=address, code=code.reveal()))


def say(words: str) -> None:
    """Write to standard output, at once, also where it is a file."""
    sys.stdout.write(words)
    sys.stdout.flush()
