"""Folder names, LIST rows, and which folder is the one for sent mail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.mail.imap.folders import (
    Folder,
    choose_sent,
    decode_folder,
    encode_folder,
    find_folder,
    full_name,
    is_sent_name,
    parse_folders,
    parse_namespaces,
    quote_string,
    rank_folders,
    suggest_folder,
)


def folders(*names: str, delimiter: str = "/", sent: str = "") -> tuple[Folder, ...]:
    """Return folders with these names, one of them flagged."""
    return tuple(
        Folder(name, encode_folder(name), delimiter, frozenset({"\\sent"} if name == sent else ())) for name in names
    )


class TestNamesOnTheWire:
    """Modified UTF-7 and quoting."""

    @pytest.mark.parametrize(
        ("name", "wire"),
        [
            ("Enviados", b"Enviados"),
            ("Año 2026 & más", b"A&APE-o 2026 &- m&AOE-s"),
            ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 §5.1.3
            ("Отправленные", b"&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"),
            ("🚀", b"&2D3egA-"),
        ],
    )
    def test_a_name_travels_in_modified_utf7_and_comes_back(self, name: str, wire: bytes) -> None:
        """Known samples, both ways."""

        assert encode_folder(name) == wire
        assert decode_folder(wire) == name

    @given(st.text(st.characters(codec="utf-16")))
    def test_every_name_survives_the_wire(self, name: str) -> None:
        """What is encoded is printable ASCII and decodes to itself."""
        wire = encode_folder(name)

        assert decode_folder(wire) == name
        assert all(0x20 <= byte <= 0x7E for byte in wire)

    @pytest.mark.parametrize(
        ("wire", "shown"),
        [("Año".encode(), "Año"), (b"A&APE", "A&APE"), (b"&AP-", "&AP-"), (b"&2D0-x", "&2D0-x"), (b"\xff", "\ufffd")],
    )
    def test_a_name_in_no_valid_encoding_is_still_shown(self, wire: bytes, shown: str) -> None:
        """UTF-8 is read as such; a broken shift stays as it stands."""

        assert decode_folder(wire) == shown

    def test_quoting_escapes_what_would_end_the_string(self) -> None:
        """Quotes and backslashes get a backslash."""

        assert quote_string(b'con "comillas" y \\') == b'"con \\"comillas\\" y \\\\"'

    @pytest.mark.parametrize("name", [b"a\rb", b"a\nb", b"a\0b", b"INBOX\r\nA1 DELETE Sent"])
    def test_a_line_end_is_never_quoted(self, name: bytes) -> None:
        """It would be a second command."""
        with pytest.raises(ValueError, match="control character"):
            quote_string(name)


class TestListRows:
    """What LIST and NAMESPACE say."""

    def test_rows_in_every_spelling_become_folders(self) -> None:
        """Atoms, quoted strings, escapes, literals, a missing delimiter, odd case."""
        found = parse_folders(
            [
                rb'(\HasNoChildren) "." inbox',
                rb'(\HasNoChildren \SENT) "." "INBOX.Elementos enviados"',
                rb'() NIL "A \"B\" \\ C"',
                (rb'(\Noselect) "/" {3}', b'x"y'),
                b"",
                b"nonsense",
            ]
        )

        assert [folder.name for folder in found] == ["INBOX", "INBOX.Elementos enviados", 'A "B" \\ C', 'x"y']
        assert [folder.use for folder in found] == ["", "sent", "", ""]
        assert found[1].path == ("INBOX", "Elementos enviados")
        assert found[2].path == ('A "B" \\ C',)
        assert not found[3].selectable

    def test_the_delimiter_may_be_a_backslash(self) -> None:
        """It comes escaped."""

        assert parse_folders([rb'() "\\" "A\\B"'])[0].path == ("A", "B")

    def test_a_folder_keeps_the_bytes_the_server_used(self) -> None:
        """A server with raw UTF-8 names gets its own bytes back, not our encoding of them."""
        (folder,) = parse_folders(['() "/" "Año"'.encode()])

        assert folder.name == "Año"
        assert folder.wire == "Año".encode()

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            (b'(("INBOX." ".")) NIL NIL', ("INBOX.", ".")),
            (b'(("" "/")) (("~" "/")) NIL', ("", "/")),
            (b'(("" NIL)) NIL NIL', ("", "")),
            (b"NIL NIL NIL", ("", "")),
        ],
    )
    def test_the_personal_namespace_is_read(self, row: bytes, expected: tuple[str, str]) -> None:
        """Prefix and delimiter (RFC 2342)."""

        found = parse_namespaces([row])

        assert (found.prefix, found.delimiter) == expected

    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("Enviados", "INBOX.Enviados"),
            ("INBOX.Enviados", "INBOX.Enviados"),
            ("INBOX/Enviados", "INBOX.Enviados"),
            ("inbox.Enviados", "INBOX.Enviados"),
            ("2026/Enviados", "INBOX.2026.Enviados"),
            ("inbox", "inbox"),
        ],
    )
    def test_a_name_without_the_prefix_gets_it(self, typed: str, expected: str) -> None:
        """Courier and Cyrus refuse folders outside ``INBOX.``."""

        assert full_name(typed, "INBOX.", ".") == expected

    @pytest.mark.parametrize(
        ("row", "ours", "foreign"),
        [
            (
                b'(("INBOX." ".")) (("user." ".")) (("" "."))',
                ["INBOX", "INBOX.Sent", "inbox.x"],
                ["user.berta.Sent", "Sent"],
            ),
            (b'(("" "/")) (("user/" "/")) NIL', ["Sent", "users/x"], ["user/berta/Sent", "user"]),
            (b'(("" "/")) NIL (("#shared/" "/")("Public Folders/" "/"))', ["Sent"], ["#shared/a", "Public Folders/b"]),
            (b'(("" ".")("#mh/" "/")) (("~" "/" "X-PARAM" ("a)" "b"))) NIL', ["Sent", "#mh/x"], ["~berta/Sent"]),
            (b"NIL NIL NIL", ["Sent"], []),
            (b"garbage ((", ["Sent"], []),
        ],
    )
    def test_a_folder_outside_the_personal_namespace_is_foreign(
        self, row: bytes, ours: list[str], foreign: list[str]
    ) -> None:
        """The longest prefix decides; INBOX is always one's own."""
        found = parse_namespaces([row])

        assert [name for name in [*ours, *foreign] if found.is_foreign(name)] == foreign

    def test_without_a_prefix_a_name_stays_as_it_is(self) -> None:
        """Nothing to add."""

        assert full_name("A.B/C", "", "/") == "A.B/C"

    def test_only_the_inbox_is_found_in_any_case(self) -> None:
        """Every other name is exact."""
        known = folders("INBOX", "Sent")

        assert find_folder(known, "inbox") == known[0]
        assert find_folder(known, "sent") is None


class TestSentFolder:
    """Flag first, then names, never a guess."""

    def test_the_flag_beats_every_name(self) -> None:
        """A server that flags «Archivados» means it."""
        choice = choose_sent(folders("Sent", "Archivados", sent="Archivados"))

        assert choice.folder is not None
        assert (choice.folder.name, choice.reason) == ("Archivados", "flag")

    @pytest.mark.parametrize(
        "name", ["Elementos enviados", "ÉLÉMENTS  ENVOYÉS", "INBOX/enviados", "Wysłane", "보낸편지함"]
    )
    def test_a_single_known_name_is_taken(self, name: str) -> None:
        """Whatever its case, accents and place in the tree."""
        choice = choose_sent(folders("INBOX", "Borradores", name))

        assert choice.folder is not None
        assert (choice.folder.name, choice.reason) == (name, "name")

    def test_of_several_known_names_none_is_guessed(self) -> None:
        """A person is asked; both are offered."""
        choice = choose_sent(folders("Enviados", "Sent Items"))

        assert choice.folder is None
        assert choice.reason == "ambiguous"
        assert [folder.name for folder in choice.candidates] == ["Enviados", "Sent Items"]

    @pytest.mark.parametrize(
        "name",
        ["Borradores", "Papelera", "Plantillas", "Bandeja de salida", "Outbox", "Postausgang", "Papierkorb", "Koš"],
    )
    def test_drafts_trash_and_outbox_are_never_taken(self, name: str) -> None:
        """Other programs have (Mailspring)."""

        assert not is_sent_name(name)
        assert choose_sent(folders("INBOX", name)).reason == "none"

    def test_a_known_name_with_another_use_is_not_taken(self) -> None:
        """A folder «Enviados» that the server calls its trash is the trash."""
        trash = Folder("Enviados", b"Enviados", "/", frozenset({"\\trash"}))

        assert choose_sent([trash]).folder is None

    def test_folders_are_offered_best_first(self) -> None:
        """Flag, names, the rest by name, what it can hardly be last."""
        ranked = rank_folders(folders("Papelera", "INBOX", "Árbol", "Sent", "Copias", sent="Copias"))

        assert [folder.name for folder in ranked] == ["Copias", "Sent", "Árbol", "INBOX", "Papelera"]

    @pytest.mark.parametrize(
        ("typed", "known", "expected"),
        [
            ("Sent", folders("INBOX", "INBOX.Sent", delimiter="."), "INBOX.Sent"),
            ("Sent", folders("INBOX", "INBOX.Enviados", delimiter="."), "INBOX.Enviados"),
            ("Sent", folders("INBOX", "Elementos enviados", sent="Elementos enviados"), "Elementos enviados"),
            ("INBOX/Sent", folders("INBOX", "INBOX.Sent", delimiter="."), "INBOX.Sent"),
            ("enviados", folders("Enviados"), "Enviados"),
            ("Facturas", folders("Clientes/Facturas", "Sent"), "Clientes/Facturas"),
            ("A&APE-o &- m&AOE-s", folders("Sent", "Año & más"), "Año & más"),
        ],
    )
    def test_a_missing_name_gets_a_proposal(self, typed: str, known: tuple[Folder, ...], expected: str) -> None:
        """The same name elsewhere, else the folder for sent mail (FreeScout #3316)."""
        proposal = suggest_folder(typed, known)

        assert proposal is not None
        assert proposal.name == expected

    def test_what_belongs_to_others_is_never_proposed_and_makes_nothing_ambiguous(self) -> None:
        """A colleague's folder of the same name is none of ours."""
        others = tuple(
            replace(folder, foreign=True)
            for folder in folders("user.berta.Enviados", delimiter=".", sent="user.berta.Enviados")
        )
        alone = (*folders("INBOX", delimiter="."), *others)
        mine = (*folders("INBOX", "INBOX.Enviados", delimiter="."), *others)
        found = suggest_folder("Enviados", mine, "INBOX.")

        assert suggest_folder("Enviados", alone, "INBOX.") is None
        assert choose_sent(alone).reason == "none"
        assert found is not None
        assert found.name == "INBOX.Enviados"
        assert choose_sent(mine).folder == found
        assert rank_folders(mine)[-1] == others[0]

    @pytest.mark.parametrize(
        ("typed", "known", "expected"),
        [
            ("Enviados/2026", folders("Clientes.2026", delimiter="."), ""),
            (
                "Enviados/2026",
                folders("INBOX.Enviados.2026", "INBOX.Clientes.2026", delimiter="."),
                "INBOX.Enviados.2026",
            ),
            ("INBOX.Enviados", folders("Enviados", "Clientes/Enviados"), "Enviados"),
            ("INBOX/2026/Enviados", folders("2026/Enviados", "2025/Enviados"), "2026/Enviados"),
        ],
    )
    def test_a_path_is_compared_whole(self, typed: str, known: tuple[Folder, ...], expected: str) -> None:
        """Not by its last element; the personal prefix and INBOX stand for each other."""
        proposal = suggest_folder(typed, known, "INBOX." if known[0].name.startswith("INBOX") else "")

        assert (proposal.name if proposal else "") == expected

    def test_between_two_equal_places_nothing_is_proposed(self) -> None:
        """Two folders with the same last element are a question for a person."""

        assert suggest_folder("Facturas", folders("A/Facturas", "B/Facturas")) is None
