"""The fixed sentences of the test mail."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["ProofTexts", "load_test_mail"]


@dataclass(frozen=True, slots=True)
class ProofTexts:
    """What the test mail says."""

    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    read_receipt: str


@cache
def load_test_mail() -> ProofTexts:
    """Return the texts of the test mail."""
    values = tomllib.loads(files("cgcore.mail").joinpath("message_texts_es.toml").read_text("utf-8"))["test_mail"]
    return ProofTexts(
        subject=values["subject"],
        greeting=values["greeting"],
        paragraphs=tuple(values["paragraphs"]),
        read_receipt=values["read_receipt"],
    )
