"""The IMAP probe against scripted servers: what is sent, what is not, and what is said about it."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest

from cgcore.mail.account import Security
from cgcore.mail.diagnosis.texts import build_verdict, verdict_texts
from cgcore.mail.probe import follow_up, probe_imap
from cgcore.mail.steps import Stage
from cgcore.runs import Status, Step
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS
from tests.servers.probing import ANA, deciding, imap_request, loopback_environment, shown_text, stages, step_of
from tests.servers.scripted import (
    CLOSE,
    HOLD,
    IMAP_CASES,
    ImapScript,
    ScriptedServer,
    StoppedClock,
    dripping,
    imap_server,
    obsolete_tls_context,
    rude_server,
)
from tests.servers.wire import Wire

FRIENDLY = IMAP_CASES["friendly"]
PASSWORD = USERS[ANA]
CONNECT = ["input", "dns", "tcp"]


def probe(
    server: ScriptedServer, certificates: Certificates, security: Security = Security.STARTTLS, **fields: object
) -> list[Step]:
    """Run a whole probe."""
    request = imap_request(server.port, security, **{"folder": "Sent", **fields})
    return list(probe_imap(request, loopback_environment(certificates)))


def commands(server: ScriptedServer) -> list[str]:
    """Return the commands a server has heard, without tags and arguments."""
    words = [line.split(b" ")[1:3] for line in server.lines if line[:4].isalpha() and b" " in line]
    return [b" ".join(pair if pair[0] == b"UID" else pair[:1]).decode() for pair in words]


class TestStages:
    """The order of a probe, and what it costs."""

    def test_starttls_passes_every_stage_in_order(self, certificates: Certificates) -> None:
        """From input to logout; capabilities are asked again inside TLS."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert stages(steps) == [
            *CONNECT, "greeting", "capability", "starttls", "tls", "capability_tls", "auth",
            "namespace", "list", "select", "append", "cleanup", "logout",
        ]  # fmt: skip
        assert {step.status for step in steps} == {Status.OK}
        assert server.plain_lines[1:] == [server.plain_lines[0].replace(b"0 CAPABILITY", b"1 STARTTLS")]

    def test_ssl_begins_with_tls_and_has_no_starttls(self, certificates: Certificates) -> None:
        """TLS comes before the greeting."""
        with imap_server(FRIENDLY, certificates.trusted, implicit_tls=True) as server:
            steps = probe(server, certificates, Security.SSL)

        assert stages(steps)[3:7] == ["tls", "greeting", "capability", "auth"]
        assert server.plain_lines == []

    def test_an_empty_folder_skips_the_trial(self, certificates: Certificates) -> None:
        """Folders are listed; nothing is opened or stored."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe(server, certificates, folder="")

        assert step_of(steps, Stage.LIST).details["recommended"] == "Sent"
        assert step_of(steps, Stage.APPEND).status is Status.SKIPPED
        assert deciding(steps) == ("", "")
        assert not server.heard("SELECT")
        assert server.messages == []

    def test_without_a_user_nobody_signs_in(self, certificates: Certificates) -> None:
        """The connection is proven, and that is all."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe(server, certificates, user="")

        assert stages(steps)[-2:] == ["capability_tls", "logout"]
        assert not server.heard("AUTHENTICATE")

    def test_capabilities_told_in_the_greeting_are_not_asked_for(self, certificates: Certificates) -> None:
        """One round trip less than imaplib makes."""
        script = replace(FRIENDLY, greeting=b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS] ready")
        with imap_server(script, certificates.trusted, implicit_tls=True) as server:
            steps = probe(server, certificates, Security.SSL)

        assert deciding(steps) == ("", "")
        assert not server.heard("CAPABILITY")

    @pytest.mark.parametrize("implicit", [True, False])
    def test_a_probe_makes_no_more_round_trips_than_bare_imaplib(
        self, certificates: Certificates, implicit: bool
    ) -> None:
        """The same commands, counted at the server."""
        context = ssl.create_default_context(cafile=certificates.ca_file)
        with imap_server(FRIENDLY, certificates.trusted, implicit_tls=implicit) as bare:
            if implicit:
                client = imaplib.IMAP4_SSL("localhost", bare.port, ssl_context=context)
            else:
                client = imaplib.IMAP4("localhost", bare.port)
                client.starttls(context)
            client.login(ANA, PASSWORD)
            client.namespace()
            client.list()
            client.select("Sent")
            client.append("Sent", "\\Seen", "", b"Subject: x\r\n\r\n")
            client.uid("STORE", "7", "+FLAGS", "(\\Deleted)")
            client.uid("EXPUNGE", "7")
            client.logout()
        with imap_server(FRIENDLY, certificates.trusted, implicit_tls=implicit) as server:
            steps = probe(server, certificates, Security.SSL if implicit else Security.STARTTLS)

        assert deciding(steps) == ("", "")
        assert server.segments <= bare.segments


class TestBeforeEncryption:
    """The NO STARTTLS cases: a server, or somebody between, that lies in clear."""

    @pytest.mark.parametrize(
        ("case", "expected"),
        [
            ("starttls_stripped", ("starttls", "starttls_not_offered")),
            ("D_1", ("capability", "starttls_not_offered")),
            ("D_2", ("starttls", "starttls_not_offered")),
            ("O_1", ("starttls", "starttls_not_offered")),
            ("O_2", ("starttls", "starttls_not_offered")),
            ("O_3", ("starttls", "starttls_not_offered")),
            ("O_4", ("starttls", "starttls_not_offered")),
            ("P", ("greeting", "starttls_not_offered")),
            ("P_1", ("greeting", "starttls_not_offered")),
            ("P_3", ("greeting", "starttls_not_offered")),
        ],
    )
    def test_without_encryption_the_connection_ends(
        self, certificates: Certificates, case: str, expected: tuple[str, str]
    ) -> None:
        """No fall-back: neither user nor password leaves in clear."""
        with imap_server(case, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == expected
        assert {line.split(b" ")[1] for line in server.lines} <= {b"CAPABILITY", b"STARTTLS"}

    @pytest.mark.parametrize("case", ["B_1", "B_2", "B_2_before", "B_3", "tampering", "alert_before_tls"])
    def test_what_was_said_in_clear_is_neither_used_nor_shown(self, certificates: Certificates, case: str) -> None:
        """Injected answers, alerts and folders are dropped at the upgrade; the probe goes on with the real server."""
        with imap_server(case, certificates.trusted) as server:
            steps = probe(server, certificates)

        text = shown_text(steps)
        assert deciding(steps) == ("", "")
        assert "injected" not in text.lower()
        assert "900-123-123" not in text
        assert all(
            step.reply == "" for step in steps if step.stage in (Stage.GREETING, Stage.CAPABILITY, Stage.STARTTLS)
        )

    @pytest.mark.parametrize("case", ["L_1", "M_1", "referral_in_greeting"])
    def test_a_referral_is_neither_followed_nor_shown(self, certificates: Certificates, case: str) -> None:
        """The address of another server never reaches a screen."""
        with imap_server(case, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert "evil.example" not in shown_text(steps)
        assert server.connections == 1

    def test_a_refusal_in_clear_is_named_without_its_words(self, certificates: Certificates) -> None:
        """The words of a greeting before TLS may be an attacker's."""
        script = replace(FRIENDLY, greeting=b"* BYE call 900-123-123")
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert stages(steps)[-1] in ("greeting", "logout")
        assert steps[3].status is Status.ERROR
        assert "900" not in shown_text(steps)

    @pytest.mark.parametrize("case", ["self_signed", "unknown_root", "wrong_name", "expired", "missing_intermediate"])
    def test_a_bad_certificate_stops_before_any_credential(self, certificates: Certificates, case: str) -> None:
        """T_1 to T_4, in both ways of encrypting."""
        for implicit in (True, False):
            with imap_server(FRIENDLY, getattr(certificates, case), implicit_tls=implicit) as server:
                steps = probe(server, certificates, Security.SSL if implicit else Security.STARTTLS)

            assert steps[-1].stage is Stage.TLS
            assert steps[-1].status is Status.ERROR
            assert not server.heard("AUTHENTICATE")
            assert not server.heard("LOGIN")

    def test_a_server_with_obsolete_tls_only_is_named(self, certificates: Certificates) -> None:
        """The minimum is explained, never lowered."""
        context = obsolete_tls_context(certificates.trusted)
        with ScriptedServer(FRIENDLY, context=context, implicit_tls=True) as server:
            steps = probe(server, certificates, Security.SSL)

        assert deciding(steps) == ("tls", "tls_obsolete")
        assert server.lines == []


class TestSignIn:
    """One mechanism a try, two tries at most, and the password only where it may go."""

    def test_login_disabled_keeps_the_password_at_home(self, certificates: Certificates) -> None:
        """imaplib would send it all the same."""
        with imap_server("login_disabled", certificates.trusted) as server:
            steps = probe(server, certificates, Security.NONE)

        assert deciding(steps) == ("auth", "encryption_required")
        assert not server.heard("LOGIN ")
        assert not server.heard(PASSWORD)

    @pytest.mark.parametrize(("case", "key"), [("login_disabled", "auth_not_offered"), ("oauth_only", "oauth_only")])
    def test_a_server_that_takes_no_passwords_gets_none(self, certificates: Certificates, case: str, key: str) -> None:
        """Told from its capabilities, inside TLS too."""
        with imap_server(case, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == ("auth", key)
        assert "LOGOUT" in commands(server)
        assert not {"AUTHENTICATE", "LOGIN"} & set(commands(server))

    @pytest.mark.parametrize("case", ["friendly", "no_sasl_ir", "login_only"])
    @pytest.mark.parametrize("password", ["contraseña€", 'con "comillas" y \\barra', " delante", "abcd efgh ijkl mnop"])
    def test_odd_passwords_sign_in(self, certificates: Certificates, case: str, password: str) -> None:
        """In UTF-8 by PLAIN, quoted by LOGIN; in no output."""
        script = replace(IMAP_CASES[case], users={"josé@example.com": password})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates, user="josé@example.com", password=password)

        assert step_of(steps, Stage.AUTH).status is Status.OK
        assert step_of(steps, Stage.AUTH).details["mechanism"] == ("LOGIN" if case == "login_only" else "PLAIN")
        assert password not in shown_text(steps)

    def test_a_wrong_password_is_tried_once(self, certificates: Certificates) -> None:
        """The refusal is the server's own; nothing comes after it but the good-bye."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe(server, certificates, password="falsa")

        assert deciding(steps) == ("auth", "bad_credentials")
        assert step_of(steps, Stage.AUTH).reply == "NO [AUTHENTICATIONFAILED] Authentication failed."
        assert commands(server)[-2:] == ["AUTHENTICATE", "LOGOUT"]
        assert commands(server).count("AUTHENTICATE") == 1

    @pytest.mark.parametrize(("right", "patch"), [("ana", {"user": "ana"}), ("otra", {})])
    def test_the_other_form_of_the_user_name_is_tried_once(
        self, certificates: Certificates, right: str, patch: dict[str, str]
    ) -> None:
        """Where the provider is known for it (iCloud); only what worked becomes a patch."""
        with imap_server(replace(FRIENDLY, users={right: PASSWORD}), certificates.trusted) as server:
            steps = probe(server, certificates, provider="icloud")

        assert deciding(steps)[0] == "auth"
        assert step_of(steps, Stage.AUTH).patch == patch
        assert commands(server).count("AUTHENTICATE") == 2

    def test_a_command_not_understood_leads_to_the_second_and_last_try(self, certificates: Certificates) -> None:
        """BAD is no judgement on the password: LOGIN is tried."""
        script = replace(FRIENDLY, replies={"AUTHENTICATE": b"BAD no such mechanism"})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert step_of(steps, Stage.AUTH).details["mechanism"] == "LOGIN"
        assert deciding(steps) == ("", "")

    def test_letters_that_the_server_cannot_read_are_named(self, certificates: Certificates) -> None:
        """BAD to both, with letters beyond ASCII: that is the reason."""
        script = replace(FRIENDLY, replies={"AUTHENTICATE": b"BAD invalid", "LOGIN": b"BAD invalid"})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates, password="contraseña")

        assert deciding(steps) == ("auth", "credentials_charset")

    @pytest.mark.parametrize("case", ["friendly", "login_only"])
    def test_a_password_that_is_no_text_is_explained(self, certificates: Certificates, case: str) -> None:
        """Bytes that are no UTF-8 reach us as lone surrogates: no exception, and nothing of them is sent or shown."""
        with imap_server(case, certificates.trusted) as server:
            steps = probe(server, certificates, password="S3cr3t\udcff")

        assert deciding(steps) == ("auth", "credentials_charset")
        assert "S3cr3t" not in shown_text(steps)
        assert not {"AUTHENTICATE", "LOGIN"} & set(commands(server))

    @pytest.mark.parametrize(
        ("password", "code", "hint"),
        [
            ("abcd efgh ijkl mnop", "password_groups", "grupos de cuatro"),
            ("contraseña€", "password_letters", "letras como ñ"),
            ("lisa", "", ""),
        ],
    )
    def test_blanks_and_letters_in_a_refused_password_are_pointed_out(
        self, certificates: Certificates, password: str, code: str, hint: str
    ) -> None:
        """As the provider shows it, in groups of four; letters that servers read in different ways, as at SMTP."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe(server, certificates, password=password)

        assert deciding(steps) == ("auth", "bad_credentials")
        assert step_of(steps, Stage.AUTH).details.get("hint", "") == code
        assert hint in verdict_texts(build_verdict(steps, total_ms=0))[1]

    def test_a_second_challenge_does_not_get_the_password_again(self, certificates: Certificates) -> None:
        """A server that keeps asking gets «*»."""
        script = replace(IMAP_CASES["no_sasl_ir"], replies={"AUTHENTICATE": b"+ YWdhaW4="})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates, timeout=1.0)

        answers = [line for line in server.lines if b" " not in line]
        assert step_of(steps, Stage.AUTH).status is Status.ERROR
        assert len([line for line in answers if len(line) > 8]) == 1

    def test_an_answer_to_another_command_counts_for_nothing(self, certificates: Certificates) -> None:
        """A tag that was never sent does not sign anybody in."""
        script = replace(FRIENDLY, replies={"AUTHENTICATE": b"* OK x\r\nPPPP9 OK Logged in"})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == ("auth", "protocol_error")

    @pytest.mark.parametrize(
        ("words", "key"),
        [
            (b"NO [UNAVAILABLE] Temporary authentication failure.", "temporary_failure"),
            (b"NO [PRIVACYREQUIRED] Plaintext authentication disallowed", "encryption_required"),
            (b"NO [LIMIT] Too many connections", "too_many_connections"),
        ],
    )
    def test_a_refusal_is_read_by_its_code(self, certificates: Certificates, words: bytes, key: str) -> None:
        """Each has a key of its own, not «bad credentials»."""
        with imap_server(replace(FRIENDLY, replies={"AUTHENTICATE": words}), certificates.trusted) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == ("auth", key)

    def test_untagged_words_before_a_refusal_are_kept(self, certificates: Certificates) -> None:
        """Gmail says why in an untagged NO."""
        script = replace(
            FRIENDLY,
            untagged={"AUTHENTICATE": b"* NO [WEBALERT https://accounts.example/] Web login required.\r\n"},
            replies={"AUTHENTICATE": b"NO [ALERT] Invalid credentials (Failure)"},
        )
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == ("auth", "web_login_required")
        assert "Web login required" in step_of(steps, Stage.AUTH).reply


class TestFolder:
    """Missing, not selectable, read-only, full, too big: each its own verdict; one message in, the same one out."""

    def test_exactly_the_stored_message_is_removed(self, certificates: Certificates) -> None:
        """By the UID of APPENDUID; no bare EXPUNGE and no CLOSE, which take what a person has marked."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert step_of(steps, Stage.APPEND).details["uid"] == 7
        assert server.heard("UID STORE 7 +FLAGS.SILENT (\\Deleted)")
        assert server.heard("UID EXPUNGE 7")
        assert not {"EXPUNGE", "CLOSE"} & set(commands(server))
        assert len(server.messages) == 1

    def test_the_trial_is_small_seen_and_automatic(self, certificates: Certificates) -> None:
        """CRLF throughout, a Message-ID of its own, a date."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            probe(server, certificates)

        (stored,) = server.messages
        assert b'APPEND "Sent" (\\Seen) "' in stored
        assert b"Auto-Submitted: auto-generated\r\n" in stored
        assert b"Message-ID: <" in stored
        assert b"\n" not in stored.replace(b"\r\n", b"")
        assert len(stored) < 2000

    def test_without_uidplus_the_message_is_marked_and_stays(self, certificates: Certificates) -> None:
        """Found by its Message-ID; a warning, never a bare EXPUNGE."""
        with imap_server("no_uidplus", certificates.trusted) as server:
            steps = probe(server, certificates)

        step = step_of(steps, Stage.CLEANUP)
        assert (step.status, step.key) == (Status.WARNING, "")
        assert step.details["removed"] is False
        assert server.heard("UID SEARCH HEADER Message-ID")
        assert "EXPUNGE" not in commands(server)
        assert "UID EXPUNGE" not in commands(server)

    def test_when_two_messages_answer_to_the_search_none_is_touched(self, certificates: Certificates) -> None:
        """Better a message too many than somebody's message gone."""
        script = replace(IMAP_CASES["no_uidplus"], untagged={"UID SEARCH": b"* SEARCH 3 7\r\n"})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert step_of(steps, Stage.CLEANUP).status is Status.WARNING
        assert "UID STORE" not in commands(server)

    @pytest.mark.parametrize(
        ("words", "key"),
        [
            (b"NO [TRYCREATE] Mailbox doesn't exist", "folder_missing"),
            (b"NO [NOPERM] Permission denied", "folder_not_writable"),
            (b"NO [OVERQUOTA] Quota exceeded (mailbox for user is full)", "mailbox_full"),
            (b"NO [TOOBIG] Message too large", "message_too_big"),
        ],
    )
    def test_each_refusal_to_store_has_its_own_verdict(
        self, certificates: Certificates, words: bytes, key: str
    ) -> None:
        """And nothing is left to clean up."""
        with imap_server(replace(FRIENDLY, replies={"APPEND": words}), certificates.trusted) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == ("append", key)
        assert stages(steps)[-2:] == ["append", "logout"]
        assert "UID STORE" not in commands(server)

    @pytest.mark.parametrize("typed", ["Sent", "Facturas"])
    @pytest.mark.parametrize(
        "words",
        [
            b"NO Unable to open this mailbox.",
            b"NO [CANNOT] Character not allowed in mailbox name: '.'",
            b"NO Mailbox does not exist, or access denied",
            b"NO Permission denied",
        ],
    )
    def test_words_about_a_folder_are_read_against_what_list_showed(
        self, certificates: Certificates, words: bytes, typed: str
    ) -> None:
        """Courier says the same of a folder that is there and of one that is not: the first is forbidden."""
        with imap_server(replace(FRIENDLY, replies={"SELECT": words}), certificates.trusted) as server:
            steps = probe(server, certificates, folder=typed)

        assert deciding(steps) == ("select", "folder_not_writable" if typed == "Sent" else "folder_missing")
        assert step_of(steps, Stage.SELECT).patch == {}

    @pytest.mark.parametrize(
        ("words", "key"),
        [(b"NO [NOPERM] Permission denied", "folder_not_writable"), (b"NO [NONEXISTENT] Gone", "folder_missing")],
    )
    @pytest.mark.parametrize("typed", ["Sent", "Facturas"])
    def test_a_code_about_a_folder_needs_no_reading(
        self, certificates: Certificates, words: bytes, key: str, typed: str
    ) -> None:
        """RFC 5530: the server says which of the two it is."""
        with imap_server(replace(FRIENDLY, replies={"SELECT": words}), certificates.trusted) as server:
            steps = probe(server, certificates, folder=typed)

        assert deciding(steps) == ("select", key)

    def test_a_folder_of_another_person_is_never_the_cure(self, certificates: Certificates) -> None:
        """«Enviados» typed, and only a colleague has one: nothing is proposed, and nothing recommended."""
        script = replace(
            FRIENDLY,
            namespace=b'(("INBOX." ".")) (("user." ".")) (("" "."))',
            listing=(rb'() "." INBOX', rb'(\Sent) "." user.berta.Enviados', rb'() "." Enviados'),
            replies={"SELECT": b"NO [NONEXISTENT] Unknown Mailbox"},
        )
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates, folder="Sent")
        offer = step_of(steps, Stage.LIST).details

        assert deciding(steps) == ("select", "folder_missing")
        assert step_of(steps, Stage.SELECT).details["suggestion"] == ""
        assert step_of(steps, Stage.SELECT).details["can_create"] == "INBOX.Sent"
        assert (offer["recommended"], offer["candidates"], offer["reason"]) == ("", [], "none")
        assert not server.heard('SELECT "user.berta')

    def test_lines_that_end_without_a_carriage_return_are_read(self) -> None:
        """GNU mailutils ends its answer to AUTHENTICATE so."""
        script = replace(FRIENDLY, greeting=b"* OK mail.test ready")
        with ScriptedServer(_bare(script)) as server:
            steps = list(probe_imap(imap_request(server.port, Security.NONE, folder="Sent"), loopback_environment()))

        assert deciding(steps) == ("", "")
        assert len(server.messages) == 1

    def test_a_read_only_folder_is_not_written_to(self, certificates: Certificates) -> None:
        """SELECT says so."""
        with imap_server(
            replace(FRIENDLY, replies={"SELECT": b"OK [READ-ONLY] Selected"}), certificates.trusted
        ) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == ("select", "folder_not_writable")
        assert server.messages == []

    def test_a_folder_that_only_holds_folders_is_not_opened(self, certificates: Certificates) -> None:
        r"""\Noselect is known from the list."""
        script = replace(FRIENDLY, listing=(rb'(\Noselect) "/" Sent',))
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates)

        assert deciding(steps) == ("select", "folder_not_writable")
        assert step_of(steps, Stage.SELECT).details["reason"] == "noselect"
        assert "SELECT" not in commands(server)

    def test_nothing_is_created_unless_asked(self, certificates: Certificates) -> None:
        """TRYCREATE is an offer to the person."""
        script = replace(FRIENDLY, replies={"SELECT": b"NO [NONEXISTENT] no such mailbox"})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates, folder="Copias")

        assert deciding(steps) == ("select", "folder_missing")
        assert step_of(steps, Stage.SELECT).details["can_create"] == "Copias"
        assert not server.heard("CREATE")

    def test_a_folder_that_exists_already_counts_as_created(self, certificates: Certificates) -> None:
        """ALREADYEXISTS: LIST may hide what is there."""
        script = replace(FRIENDLY, replies={"CREATE": b"NO [ALREADYEXISTS] Mailbox already exists"})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates, folder="Copias", create_folder=True)

        assert deciding(steps) == ("", "")
        assert step_of(steps, Stage.CREATE).status is Status.OK

    def test_a_server_that_knows_no_return_options_is_asked_plainly(self, certificates: Certificates) -> None:
        """SPECIAL-USE announced, LIST … RETURN refused."""
        seen: list[bytes] = []

        class OnlyPlain(ImapScript):
            """Refuses what stands behind the pattern."""

        script = OnlyPlain(**{**FRIENDLY.__dict__, "replies": {"LIST": b"BAD syntax"}})
        with imap_server(script, certificates.trusted) as server:
            steps = probe(server, certificates)
            seen += [line for line in server.lines if b" LIST " in line]

        assert [line.split(b" ", 1)[1] for line in seen] == [b'LIST "" "*" RETURN (SPECIAL-USE)', b'LIST "" "*"']
        assert deciding(steps)[0] == "list"

    def test_where_the_provider_files_the_copy_itself_a_second_one_is_warned_of(
        self, certificates: Certificates
    ) -> None:
        """Gmail would show every message twice; the account works all the same."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe(server, certificates, provider="gmail")

        step = step_of(steps, Stage.APPEND)
        assert (step.status, step.key, step.patch) == (Status.WARNING, "duplicate_copy", {"folder": ""})
        assert step_of(steps, Stage.LIST).details["server_saves_copy"] is True
        assert step_of(steps, Stage.CLEANUP).details["removed"] is True

    def test_without_a_folder_nothing_is_opened(self, certificates: Certificates) -> None:
        """For the selection box."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            request = imap_request(server.port, folder="", create_folder=True)
            steps = list(probe_imap(request, loopback_environment(certificates)))

        names = [folder["name"] for folder in step_of(steps, Stage.LIST).details["folders"]]
        assert names == ["Sent", "INBOX", "Borradores"]
        assert not {"SELECT", "CREATE", "APPEND"} & set(commands(server))


class TestCopy:
    """Storing the copy of a sent message."""

    def test_the_copy_is_stored_as_it_is_and_stays(self, certificates: Certificates) -> None:
        """Line ends become CRLF; where it lies is told."""
        raw = b"Subject: hola\n\n" + "año\n".encode() * 3
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = list(follow_up(imap_request(server.port), loopback_environment(certificates), raw, "Año & más"))

        assert stages(steps)[-3:] == ["auth", "append", "logout"]
        assert step_of(steps, Stage.APPEND).details == {"folder": "Año & más", "uidvalidity": 1, "uid": 7}
        assert server.messages[0].endswith(raw.replace(b"\n", b"\r\n"))
        assert b'APPEND "A&APE-o &- m&AOE-s"' in server.messages[0]
        assert "UID STORE" not in commands(server)

    def test_a_large_copy_is_not_sent_before_the_server_agrees(self, certificates: Certificates) -> None:
        """Unasked only what is small (RFC 7888)."""
        script = replace(FRIENDLY, replies={"APPEND": b"NO [OVERQUOTA] full"})
        with imap_server(script, certificates.trusted) as server:
            list(follow_up(imap_request(server.port), loopback_environment(certificates), b"x" * 9000, "Sent"))

        assert any(line.endswith(b"{9000}") for line in server.lines)

    def test_a_copy_over_the_limit_is_not_sent_at_all(self, certificates: Certificates) -> None:
        """APPENDLIMIT is known beforehand (RFC 7889)."""
        script = replace(FRIENDLY, capabilities=(*FRIENDLY.capabilities, "APPENDLIMIT=1000000"))
        with imap_server(script, certificates.trusted) as server:
            raw = b"x" * 1_000_001
            steps = list(follow_up(imap_request(server.port), loopback_environment(certificates), raw, "Sent"))

        assert deciding(steps) == ("append", "message_too_big")
        assert step_of(steps, Stage.APPEND).details["limit_mb"] == 1
        assert server.messages == []


class TestRudeServers:
    """Silence, floods, early ends, nonsense: an end within the deadline, a key, no exception."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("silence", ("greeting", "server_silent")),
            ("imap_drip", ("greeting", "server_silent")),
            ("close_at_once", ("greeting", "connection_dropped")),
            ("imap_close_after_banner", ("capability", "connection_dropped")),
            ("imap_megabyte_line", ("greeting", "protocol_error")),
            ("http_speaks_first", ("greeting", "host_is_website")),
            ("pop3", ("greeting", "wrong_protocol")),
            ("smtp", ("greeting", "wrong_protocol")),
            ("ssh", ("greeting", "wrong_protocol")),
        ],
    )
    def test_a_server_without_manners_is_named(
        self, certificates: Certificates, name: str, expected: tuple[str, str]
    ) -> None:
        """Nothing of the account is sent to it."""
        with rude_server(name) as server:
            steps = probe(server, certificates, Security.NONE, timeout=2.0)

        assert deciding(steps) == expected
        assert not server.heard(ANA)
        assert len(shown_text(steps)) < 20_000

    @pytest.mark.parametrize("name", ["imap_ten_megabytes", "imap_invalid_utf8", "bye"])
    def test_a_flood_or_nonsense_ends_in_an_error_step(self, certificates: Certificates, name: str) -> None:
        """Whatever it is, it is data."""
        with rude_server(name) as server:
            steps = probe(server, certificates, Security.NONE, timeout=2.0)

        assert deciding(steps)[0] == "greeting"
        assert "\x1b" not in shown_text(steps)
        assert not server.heard(ANA)

    @pytest.mark.parametrize("stage", ["CAPABILITY", "AUTHENTICATE", "LIST", "SELECT", "APPEND", "UID STORE", "LOGOUT"])
    @pytest.mark.parametrize("what", [CLOSE, HOLD, b"* nonsense without a tag", b"* BYE shutting down"])
    def test_an_end_in_the_middle_is_a_step(self, certificates: Certificates, stage: str, what: bytes) -> None:
        """At any command: closed, silent, nonsense, BYE."""
        script = replace(FRIENDLY, replies={stage: what})
        with imap_server(script, certificates.trusted, implicit_tls=True) as server:
            steps = probe(server, certificates, Security.SSL, timeout=1.5)

        assert len(steps) == len({step.stage for step in steps})
        assert PASSWORD not in shown_text(steps)
        if stage not in ("UID STORE", "LOGOUT"):
            assert deciding(steps)[1] not in ("", "unclassified")

    @pytest.mark.parametrize(
        "reply", [b"* OK wait a moment " * 20, b"* OK wait a moment\r\n" * 20], ids=["line", "lines"]
    )
    @pytest.mark.parametrize(
        ("command", "stage"),
        [
            ("CAPABILITY", "capability"),
            ("STARTTLS", "starttls"),
            ("LOGIN", "auth"),
            ("LIST", "list"),
            ("SELECT", "select"),
            ("APPEND", "append"),
        ],
    )
    def test_a_server_that_drips_later_does_not_stretch_the_deadline(
        self, command: str, stage: str, reply: bytes
    ) -> None:
        """A byte a second is an answer each time and never the end of one: one deadline is over all of them."""
        clock = StoppedClock()
        script = dripping(replace(IMAP_CASES["login_only"], replies={command: reply}), reply, clock)
        security = Security.STARTTLS if command == "STARTTLS" else Security.NONE
        with ScriptedServer(script) as server:
            request = imap_request(server.port, security, folder="Sent", timeout=15.0)
            steps = list(probe_imap(request, loopback_environment(clock=clock)))
            left = server.wait_for_goodbye()

        assert deciding(steps) == (stage, "server_silent")
        assert left

    def test_a_line_end_in_a_field_reaches_no_socket(self, certificates: Certificates) -> None:
        """CR, LF and NUL are refused as input: imaplib would send a second command (CVE-2025-15366)."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            for field in ("folder", "user", "password"):
                for end in ("\r\n", "\n", "\0"):
                    steps = probe(server, certificates, Security.STARTTLS, **{field: f"x{end}A1 DELETE INBOX"})

                    assert deciding(steps) == ("input", "invalid_input")

        assert server.connections == 0

    def test_a_closed_generator_closes_the_connection(self, certificates: Certificates) -> None:
        """A probe that is given up leaves nothing open."""
        with imap_server(FRIENDLY, certificates.trusted) as server:
            steps = probe_imap(imap_request(server.port), loopback_environment(certificates))
            while next(steps).stage is not Stage.AUTH:
                pass
            steps.close()  # type: ignore[attr-defined]

            assert server.wait_for_goodbye()


def _bare(script: ImapScript) -> Callable[[Wire], None]:
    """Return the script with every line end a bare LF."""

    def play(wire: Wire) -> None:
        say = wire.send
        wire.send = lambda data: say(data.replace(b"\r\n", b"\n"))
        script(wire)

    return play
