"""Probes and sending against a real Dovecot and a real Postfix: every security mode, good and bad certificates."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
from typing import Any

import pytest

from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.probe import follow_up, probe_imap, probe_smtp, send_message
from cgcore.mail.request import Choice, ProbeRequest
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS, Dovecot, Layout
from tests.servers.fixtures import DovecotFactory
from tests.servers.house import add_user
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA, deciding, imap_request, loopback_environment, shown_text, stages, step_of

VACIA = "vacia@example.com"
FOLDER_STAGES = ["namespace", "list", "select", "append", "cleanup", "logout"]
STRANGE_NAMES = ("Enviados 2026", "Correo/Año & más", 'Con "comillas"', "Отправленные", "台北", "Sent.Items")

BAD_CERTIFICATES = [
    ("self_signed", "cert_self_signed"),
    ("expired", "cert_expired"),
    ("wrong_name", "cert_wrong_name"),
    ("unknown_root", "cert_untrusted_chain"),
    ("missing_intermediate", "cert_untrusted_chain"),
]


def port_of(server: Dovecot, security: Security) -> int:
    """Return the port that speaks a mode."""
    return server.tls_port if security.implicit else server.port


def probe(server: Dovecot, certificates: Certificates, security: Security, **fields: Any) -> list[Step]:
    """Run a whole probe of ana@example.com against ``server``."""
    neighbours = {Leg.IMAP: (Choice(server.tls_port, Security.SSL), Choice(server.port, Security.STARTTLS))}
    request = imap_request(fields.pop("port", 0) or port_of(server, security), security, **fields)
    return list(probe_imap(request, loopback_environment(certificates, neighbours=neighbours)))


@contextmanager
def mailbox(server: Dovecot, certificates: Certificates, user: str = ANA) -> Iterator[imaplib.IMAP4]:
    """Open a mailbox with bare imaplib, to look at what a probe left behind."""
    context = ssl.create_default_context(cafile=certificates.ca_file)
    with imaplib.IMAP4_SSL("localhost", server.tls_port, ssl_context=context) as client:
        client.login(user, USERS[user])
        yield client


def fetch_newest(server: Dovecot, certificates: Certificates, user: str, folder: str) -> EmailMessage:
    """Return the newest mail in a folder, fetched as a mail program does."""
    with mailbox(server, certificates, user) as client:
        _, counts = client.select(folder, readonly=True)
        _, rows = client.fetch(str(int(counts[0] or b"")), "(RFC822)")
    (row, *_) = rows
    assert isinstance(row, tuple)
    return message_from_bytes(row[1], policy=default_policy)


def text_of(mail: EmailMessage) -> str:
    """Return the plain part of a mail as it is read."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


class TestSecurityModes:
    """Every mode of the page against the certificate it is for."""

    @pytest.mark.parametrize("security", [Security.NONE, Security.SSL, Security.STARTTLS])
    def test_a_good_server_is_proven_in_every_mode(
        self, dovecot: Dovecot, certificates: Certificates, security: Security
    ) -> None:
        """From input to logout; the trial message is gone afterwards, and what was there is not."""
        before = dovecot.raw_messages(ANA, "Sent")
        steps = probe(dovecot, certificates, security, folder="Sent")

        assert deciding(steps) == ("", "")
        assert stages(steps)[-6:] == FOLDER_STAGES
        assert ("tls" in stages(steps)) is security.encrypted
        assert dovecot.raw_messages(ANA, "Sent") == before

    @pytest.mark.parametrize("security", [Security.SSL, Security.STARTTLS])
    @pytest.mark.parametrize(("name", "key"), BAD_CERTIFICATES)
    def test_each_bad_certificate_has_its_own_verdict_and_card(
        self, dovecot_with: DovecotFactory, certificates: Certificates, security: Security, name: str, key: str
    ) -> None:
        """Refused before any credential; the card shows what the server showed."""
        certificate = getattr(certificates, name)
        server = dovecot_with(certificate)
        steps = probe(server, certificates, security)

        assert deciding(steps) == ("tls", key)
        assert steps[-1].details["certificate"]["sha256"] == certificate.sha256
        assert f"user=<{ANA}>" not in server.log_text()

    @pytest.mark.parametrize("security", [Security.SSL_PINNED, Security.STARTTLS_PINNED])
    @pytest.mark.parametrize("name", ["self_signed", "expired_self_signed", "wrong_name"])
    def test_a_pinned_certificate_is_accepted_whatever_it_is(
        self, dovecot_with: DovecotFactory, certificates: Certificates, security: Security, name: str
    ) -> None:
        """Self-signed, expired, other name: the fingerprint is what counts, in any spelling."""
        certificate = getattr(certificates, name)
        digits = certificate.sha256.upper()
        pin = ":".join(digits[place : place + 2] for place in range(0, 64, 2))
        steps = probe(dovecot_with(certificate), certificates, security, pin=pin, folder="Sent")

        assert deciding(steps) == ("", "")
        assert step_of(steps, Stage.AUTH).status is Status.OK

    @pytest.mark.parametrize("security", [Security.SSL_PINNED, Security.STARTTLS_PINNED])
    def test_another_certificate_than_the_pinned_one_stops(
        self, dovecot_with: DovecotFactory, certificates: Certificates, security: Security
    ) -> None:
        """Even a better one: the pin says which, and no credential leaves."""
        server = dovecot_with(certificates.other_self_signed)
        steps = probe(server, certificates, security, pin=certificates.self_signed.sha256)

        assert deciding(steps) == ("tls", "cert_pin_changed")
        assert steps[-1].patch == {}
        assert steps[-1].details["certificate"]["sha256"] == certificates.other_self_signed.sha256
        assert f"user=<{ANA}>" not in server.log_text()

    @pytest.mark.parametrize("security", [Security.SSL_PINNED, Security.STARTTLS_PINNED])
    def test_without_a_pin_the_certificate_is_shown_to_be_confirmed(
        self, dovecot_with: DovecotFactory, certificates: Certificates, security: Security
    ) -> None:
        """The patch holds its fingerprint; confirming is the person's."""
        server = dovecot_with(certificates.self_signed)
        steps = probe(server, certificates, security)

        assert deciding(steps) == ("tls", "cert_self_signed")
        assert steps[-1].patch == {"security": security.value, "pin": certificates.self_signed.sha256}
        assert "localhost" in steps[-1].details["certificate"]["names"]

        confirmed = probe(server, certificates, security, pin=str(steps[-1].patch["pin"]))
        assert deciding(confirmed) == ("", "")

    def test_ssl_on_the_starttls_port_gets_a_proven_patch(self, dovecot: Dovecot, certificates: Certificates) -> None:
        """The mode that works on that port."""
        steps = probe(dovecot, certificates, Security.SSL, port=dovecot.port)

        assert deciding(steps) == ("tls", "ssl_on_starttls_port")
        assert steps[-1].patch == {"security": "starttls"}
        assert deciding(probe(dovecot, certificates, Security.STARTTLS, port=dovecot.port)) == ("", "")

    @pytest.mark.parametrize("security", [Security.STARTTLS, Security.NONE])
    def test_clear_text_on_the_ssl_port_gets_a_proven_patch(
        self, dovecot: Dovecot, certificates: Certificates, security: Security
    ) -> None:
        """The port waits for a ClientHello: silence is told from TLS."""
        steps = probe(dovecot, certificates, security, port=dovecot.tls_port)

        assert deciding(steps) == ("greeting", "starttls_on_ssl_port")
        assert steps[3].patch == {"security": "ssl"}

    def test_a_server_without_tls_is_not_spoken_to_in_clear(
        self, dovecot_with: DovecotFactory, certificates: Certificates
    ) -> None:
        """STARTTLS is required, never a wish."""
        server = dovecot_with(None, Layout(tls=False))
        steps = probe(server, certificates, Security.STARTTLS)

        assert deciding(steps) == ("starttls", "starttls_not_offered")
        assert f"user=<{ANA}>" not in server.log_text()

    def test_a_server_that_demands_encryption_gets_no_password_in_clear(
        self, dovecot_with: DovecotFactory, certificates: Certificates
    ) -> None:
        """LOGINDISABLED is honoured; STARTTLS on the same port is proven as the cure."""
        server = dovecot_with(certificates.trusted, Layout(plain_login=False, listen="127.0.0.2"))
        steps = probe(server, certificates, Security.NONE, host="127.0.0.2")

        assert deciding(steps) == ("auth", "encryption_required")
        assert step_of(steps, Stage.AUTH).patch == {"security": "starttls"}
        assert f"user=<{ANA}>" not in server.log_text()


class TestSignIn:
    """User names and passwords as people have them."""

    @pytest.mark.parametrize("user", ["josé@example.com", "comillas@example.com"])
    @pytest.mark.parametrize("security", [Security.SSL, Security.NONE])
    def test_odd_credentials_sign_in(
        self, dovecot: Dovecot, certificates: Certificates, user: str, security: Security
    ) -> None:
        """UTF-8, quotes, a backslash, a leading blank."""
        steps = probe(dovecot, certificates, security, user=user, folder="Sent")

        assert deciding(steps) == ("", "")
        assert USERS[user] not in shown_text(steps)

    def test_a_wrong_password_is_bad_credentials(self, dovecot: Dovecot, certificates: Certificates) -> None:
        """And not a matter of the connection."""
        steps = probe(dovecot, certificates, Security.SSL, password="falsa-y-secreta")

        assert deciding(steps) == ("auth", "bad_credentials")
        assert stages(steps)[-1] == "logout"
        assert "falsa-y-secreta" not in shown_text(steps)


class TestFolders:
    """The folder for copies on a real server."""

    def test_the_flag_is_recommended_whatever_the_name(
        self, dovecot_with: DovecotFactory, certificates: Certificates
    ) -> None:
        r"""\Sent on «Correo del año», names decoded."""
        server = dovecot_with(certificates.trusted, Layout(sent="Correo del año"))
        offer = step_of(probe(server, certificates, Security.SSL), Stage.LIST).details

        assert (offer["recommended"], offer["reason"]) == ("Correo del año", "flag")
        assert offer["folders"][0]["name"] == "Correo del año"
        assert "Año 2026 & más" in [folder["name"] for folder in offer["folders"]]

    def test_a_spanish_name_is_recognised_without_a_flag(
        self, dovecot_with: DovecotFactory, certificates: Certificates
    ) -> None:
        """Among drafts, trash and outbox."""
        layout = Layout(sent="", folders=("Borradores", "Bandeja de salida", "Elementos enviados", "Papelera"))
        offer = step_of(
            probe(dovecot_with(certificates.trusted, layout), certificates, Security.SSL), Stage.LIST
        ).details

        assert (offer["recommended"], offer["reason"]) == ("Elementos enviados", "name")

    @pytest.mark.parametrize(
        ("layout", "expected"),
        [
            (Layout(prefix="INBOX.", separator="."), "INBOX.Sent"),
            (Layout(prefix="INBOX.", separator=".", sent="", folders=("Enviados",)), "INBOX.Enviados"),
            (Layout(sent="Elementos enviados"), "Elementos enviados"),
        ],
    )
    def test_a_typed_sent_leads_to_the_real_folder(
        self, dovecot_with: DovecotFactory, certificates: Certificates, layout: Layout, expected: str
    ) -> None:
        """Proposed after it has been opened; with it the probe goes through."""
        server = dovecot_with(certificates.trusted, layout)
        steps = probe(server, certificates, Security.SSL, folder="Sent")

        assert deciding(steps) == ("select", "folder_missing")
        assert step_of(steps, Stage.SELECT).patch == {"folder": expected}
        assert deciding(probe(server, certificates, Security.SSL, folder=expected)) == ("", "")

    @pytest.mark.parametrize("name", STRANGE_NAMES)
    def test_a_missing_folder_is_created_on_request_only(
        self, dovecot: Dovecot, certificates: Certificates, name: str
    ) -> None:
        """Blanks, accents, quotes, other alphabets; subscribed, and usable at once."""
        asked = probe(dovecot, certificates, Security.SSL, folder=name)
        created = probe(dovecot, certificates, Security.SSL, folder=name, create_folder=True)
        again = probe(dovecot, certificates, Security.SSL, folder=name)

        assert deciding(asked) == ("select", "folder_missing")
        assert deciding(created) == ("", "")
        assert step_of(created, Stage.CREATE).details["subscribed"] is True
        assert deciding(again) == ("", "")
        assert name in [folder["name"] for folder in step_of(again, Stage.LIST).details["folders"]]

    def test_a_folder_is_created_below_the_prefix(
        self, dovecot_with: DovecotFactory, certificates: Certificates
    ) -> None:
        """Outside ``INBOX.`` the server would refuse; where it lies now is the patch."""
        server = dovecot_with(certificates.trusted, Layout(prefix="INBOX.", separator="."))
        steps = probe(server, certificates, Security.SSL, folder="Copias", create_folder=True)

        assert deciding(steps) == ("", "")
        assert step_of(steps, Stage.CREATE).patch == {"folder": "INBOX.Copias"}

    def test_other_deleted_mail_is_left_alone(self, dovecot: Dovecot, certificates: Certificates) -> None:
        """Only our own message goes, not what somebody has marked as deleted."""
        with mailbox(dovecot, certificates, "vacia@example.com") as client:
            client.append("Sent", "\\Deleted", "", b"Subject: marcado\r\n\r\n")
        steps = probe(dovecot, certificates, Security.SSL, user="vacia@example.com", folder="Sent")

        assert step_of(steps, Stage.CLEANUP).details["removed"] is True
        assert [b"marcado" in raw for raw in dovecot.raw_messages("vacia@example.com", "Sent")] == [True]

    def test_without_uidplus_the_trial_stays_marked(
        self, dovecot_with: DovecotFactory, certificates: Certificates
    ) -> None:
        """A warning; found by its Message-ID."""
        server = dovecot_with(certificates.trusted, Layout(capability="IMAP4rev1 SASL-IR NAMESPACE"))
        steps = probe(server, certificates, Security.SSL, folder="Sent")

        assert step_of(steps, Stage.CLEANUP).status is Status.WARNING
        assert step_of(steps, Stage.CLEANUP).details["marked"] is True
        assert len(server.raw_messages(ANA, "Sent")) == 1

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"folder": "Solo lectura"}, ("append", "folder_not_writable")),
            ({"folder": "No está"}, ("select", "folder_missing")),
            ({"user": "llena@example.com", "folder": "Sent"}, ("append", "mailbox_full")),
        ],
    )
    def test_each_obstacle_has_its_own_verdict(
        self, dovecot: Dovecot, certificates: Certificates, fields: dict[str, str], expected: tuple[str, str]
    ) -> None:
        """No permission, missing, full."""

        assert deciding(probe(dovecot, certificates, Security.SSL, **fields)) == expected

    def test_a_copy_is_stored_seen_and_readable(self, dovecot: Dovecot, certificates: Certificates) -> None:
        """With the date of now and the bytes as they were."""
        raw = "Subject: Factura ñ\r\n\r\nAdjunto la factura.\r\n".encode()
        request = imap_request(dovecot.tls_port, Security.SSL, user="josé@example.com")
        steps = list(follow_up(request, loopback_environment(certificates), raw, "Año 2026 & más"))
        step = step_of(steps, Stage.APPEND)

        assert step.details["uid"] > 0
        (stored,) = dovecot.raw_messages("josé@example.com", "A&APE-o 2026 &- m&AOE-s")
        assert stored == raw or stored == raw.replace(b"\r\n", b"\n")


SMTP_MODES: Sequence[tuple[Security, str]] = (
    (Security.NONE, "port"),
    (Security.STARTTLS, "submission_port"),
    (Security.SSL, "tls_port"),
)


def smtp_request(postfix: Postfix, security: Security, port: str, **fields: object) -> ProbeRequest:
    """Return a request of ana@example.com to the Postfix."""
    request = imap_request(getattr(postfix, port), security, **fields)
    return replace(request, leg=Leg.SMTP)


class TestPostfix:
    """The outgoing leg against the real thing."""

    @pytest.mark.parametrize(("security", "port"), SMTP_MODES)
    def test_every_mode_is_proven_and_sends_nothing(
        self, postfix: Postfix, certificates: Certificates, security: Security, port: str
    ) -> None:
        """Up to RCPT TO, then the good-bye."""
        steps = list(probe_smtp(smtp_request(postfix, security, port), loopback_environment(certificates)))

        assert deciding(steps) == ("", "")
        assert stages(steps)[-4:] == ["auth", "mail_from", "rcpt_to", "quit"]
        assert "queued as" not in shown_text(steps)

    @pytest.mark.parametrize("security", [Security.SSL, Security.STARTTLS])
    @pytest.mark.parametrize(("name", "key"), BAD_CERTIFICATES)
    def test_each_bad_certificate_has_its_own_verdict_and_card(
        self, postfix: Postfix, certificates: Certificates, security: Security, name: str, key: str
    ) -> None:
        """Refused before any credential, as with Dovecot; the card shows what the server showed."""
        certificate = getattr(certificates, name)
        request = replace(imap_request(postfix.doors[certificate][security], security), leg=Leg.SMTP)
        steps = list(probe_smtp(request, loopback_environment(certificates)))

        assert deciding(steps) == ("tls", key)
        assert step_of(steps, Stage.TLS).details["certificate"]["sha256"] == certificate.sha256
        assert {"auth", "mail_from"}.isdisjoint(stages(steps))

    @pytest.mark.parametrize(("security", "port"), SMTP_MODES)
    def test_a_sent_message_is_read_back_by_imap(
        self, postfix: Postfix, dovecot: Dovecot, certificates: Certificates, security: Security, port: str
    ) -> None:
        """Through Postfix into the Dovecot mailbox, accents and dots unharmed."""
        message = EmailMessage()
        message["From"], message["To"] = ANA, "vacia@example.com"
        message["Subject"] = f"Factura por {port}"
        message.set_content(".una línea con punto\nAño\n")
        request = smtp_request(postfix, security, port, rcpt_to="vacia@example.com")
        steps = list(send_message(message, request, loopback_environment(certificates)))
        raw = dovecot.wait_for_message("vacia@example.com", f"Factura por {port}".encode())

        assert deciding(steps) == ("", "")
        assert step_of(steps, Stage.FINAL).details["queue_id"]
        assert raw.count(b"\n.una l") == 1

    def test_the_test_mail_and_its_copy_are_fetched_by_imap(
        self, postfix: Postfix, dovecot: Dovecot, private_authority: Certificates, workbench: Workbench
    ) -> None:
        """«Envío de Prueba» as it arrives and as it was filed: one and the same mail, marked, its Spanish unharmed."""
        actor = replace(add_user(workbench, "ana"), full_name="Ana Núñez · Electricidad")
        draft = MailAccountDraft(
            user=ANA,
            password=Secret(USERS[ANA]),
            smtp=ServerDraft("localhost", postfix.submission_port, Security.STARTTLS),
            imap=ServerDraft("localhost", dovecot.tls_port, Security.SSL),
            sent_folder="Año 2026 & más",
        )
        *_, run = workbench.runs.follow(actor, workbench.mail_runs.start_test_mail(actor, draft, VACIA))
        copy = fetch_newest(dovecot, private_authority, ANA, '"A&APE-o 2026 &- m&AOE-s"')
        dovecot.wait_for_message(VACIA, str(copy["Message-ID"]).encode())
        arrived = fetch_newest(dovecot, private_authority, VACIA, "INBOX")

        assert run.result is not None
        assert (run.result["sent"], run.result["copy"]) == (True, "stored")
        assert str(run.result["queue_id"]) in str(arrived["Received"])
        for mail in (arrived, copy):
            assert mail["Auto-Submitted"] == "auto-generated"
            assert mail["Subject"] == "Correo de prueba de Cloud Gestion"
            assert mail["From"] == f"Ana Núñez · Electricidad <{ANA}>"
            assert "ha llegado a su destino. No hace falta que respondas." in text_of(mail)
            assert "Si lo estás leyendo" in text_of(mail)
        assert arrived["Message-ID"] == copy["Message-ID"]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"rcpt_to": "nadie@example.com"}, ("rcpt_to", "recipient_unknown")),
            ({"mail_from": "vacia@example.com"}, ("rcpt_to", "sender_not_allowed")),
            ({"password": "falsa"}, ("auth", "bad_credentials")),
        ],
    )
    def test_each_refusal_has_its_own_verdict(
        self, postfix: Postfix, certificates: Certificates, fields: dict[str, str], expected: tuple[str, str]
    ) -> None:
        """In Postfix's own words."""
        request = smtp_request(postfix, Security.STARTTLS, "submission_port", **fields)

        assert deciding(probe_smtp(request, loopback_environment(certificates))) == expected

    @pytest.mark.parametrize(
        ("recipient", "key"), [("espera@example.com", "greylisted"), ("rebosa@example.com", "recipient_full")]
    )
    def test_a_recipient_who_cannot_now_is_only_a_warning(
        self, postfix: Postfix, certificates: Certificates, recipient: str, key: str
    ) -> None:
        """The account works."""
        request = smtp_request(postfix, Security.STARTTLS, "submission_port", rcpt_to=recipient)
        steps = list(probe_smtp(request, loopback_environment(certificates)))

        assert deciding(steps) == ("", "")
        assert (step_of(steps, Stage.RCPT_TO).status, step_of(steps, Stage.RCPT_TO).key) == (Status.WARNING, key)

    def test_without_signing_in_the_server_says_what_is_missing(
        self, postfix: Postfix, certificates: Certificates
    ) -> None:
        """Relaying to strangers is denied; the password would be the cure."""
        request = smtp_request(postfix, Security.NONE, "port", user="", mail_from=ANA, rcpt_to="x@otro.example")
        steps = list(probe_smtp(replace(request, credential=Password(Secret(""))), loopback_environment(certificates)))

        assert deciding(steps) == ("rcpt_to", "relay_denied")
        assert "auth" not in stages(steps)
