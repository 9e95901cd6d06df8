"""Texts that only pages show: ``<page>_<language>.toml`` here, one a page; ``common`` holds what several pages share.

``texts.TITLE`` is a wording, ``texts["PANELS"]`` a table of them, both read in the language of the person when they are
asked for. So nothing of them may be kept from an import on (tests/unit/test_languages.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from cgcore.texts import Text, Wording, text, wording, wordings

__all__ = [
    "Texts",
    "activity",
    "administration",
    "api_key",
    "common",
    "drafts",
    "identity",
    "mail_account",
    "oauth",
    "overview",
    "paging",
    "portable",
    "profile",
    "sandbox",
    "send_document",
    "sending_defaults",
    "series_defaults",
    "steps",
]


class Texts:
    """The file of one page."""

    def __init__(self, page: str) -> None:
        self._file = f"{__name__}:{page}"

    def __getattr__(self, name: str) -> Wording:
        """Return the wording ``name``; ``format`` fills its values in."""
        try:
            return wording(self._file, name)
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, table: str) -> Mapping[str, Wording]:
        """Return the wordings of a table by their code, in their order."""
        return wordings(self._file, table)

    def text(self, name: str, /, **values: object) -> Text:
        """Return the sentence ``name`` with its values, still to be made."""
        return text(self._file, name, **values)


activity = Texts("activity")
administration = Texts("administration")
api_key = Texts("api_key")
common = Texts("common")
drafts = Texts("drafts")
identity = Texts("identity")
mail_account = Texts("mail_account")
oauth = Texts("oauth")
overview = Texts("overview")
paging = Texts("paging")
portable = Texts("portable")
profile = Texts("profile")
sandbox = Texts("sandbox")
send_document = Texts("send_document")
sending_defaults = Texts("sending_defaults")
series_defaults = Texts("series_defaults")
steps = Texts("steps")
