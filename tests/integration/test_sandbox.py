"""The test mailbox as mail programs meet it: real clients, real sockets, TLS verified with its own authority."""

from __future__ import annotations

import base64
import imaplib
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from cgcore.errors import VaultError
from cgcore.sandbox import Sandbox, SandboxAccount, SandboxLimits
from cgcore.settings import Settings
from cgcore.vault import Vault
from cgcore.vault.records import FolderRecords

ADDRESS = "marta@tosma.example"


@pytest.fixture
def vault(settings: Settings) -> Vault:
    """A vault over a folder."""
    return Vault(settings, FolderRecords(settings.data_dir / "vault"))


@pytest.fixture
def sandbox(settings: Settings, vault: Vault) -> Iterator[Sandbox]:
    """A test mailbox, not started yet."""
    sandbox = Sandbox(settings.data_dir / "sandbox", vault)
    yield sandbox
    sandbox.stop()


def _context(account: SandboxAccount) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(account.ca_file))


def _smtp(account: SandboxAccount, *, implicit_tls: bool = False) -> smtplib.SMTP:
    if implicit_tls:
        return smtplib.SMTP_SSL(account.host, account.ports.smtp_ssl, context=_context(account), timeout=10)
    client = smtplib.SMTP(account.host, account.ports.smtp_starttls, timeout=10)
    client.starttls(context=_context(account))
    return client


def _imap(account: SandboxAccount, *, implicit_tls: bool = True) -> imaplib.IMAP4:
    if implicit_tls:
        return imaplib.IMAP4_SSL(account.host, account.ports.imap_ssl, ssl_context=_context(account), timeout=10)
    client = imaplib.IMAP4(account.host, account.ports.imap_starttls, timeout=10)
    client.starttls(_context(account))
    return client


def _message(subject: str = "Factura 7", body: str = "Hola") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = ADDRESS, "cliente@example.test", subject
    message.set_content(body)
    return message


def _send(account: SandboxAccount, message: EmailMessage, recipients: str | list[str] = "cliente@example.test") -> None:
    with _smtp(account) as client:
        client.login(account.user, account.password.reveal())
        client.send_message(message, to_addrs=recipients)


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["starttls", "ssl"])
def test_a_sent_message_lands_in_the_senders_own_inbox(sandbox: Sandbox, implicit_tls: bool) -> None:
    """Whoever it is addressed to, it is in the sender's inbox, by both modes, and in nobody else's."""
    account, other = sandbox.account_for(1, ADDRESS), sandbox.account_for(2, "luis@tosma.example")
    with _smtp(account, implicit_tls=implicit_tls) as client:
        client.login(account.user, account.password.reveal())
        refused = client.send_message(_message("Año ñ €"), to_addrs=["cliente@example.test", other.user])

    assert refused == {}
    assert [b"Factura" in m.raw or b"=?utf-8?" in m.raw for m in sandbox.messages(1)] == [True]
    assert b"Delivered-To: cliente@example.test\r\nDelivered-To: luis@tosma.example\r\n" in sandbox.messages(1)[0].raw
    assert sandbox.messages(2) == []


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["starttls", "ssl"])
def test_an_imap_client_reads_what_was_sent(sandbox: Sandbox, implicit_tls: bool) -> None:
    """The message is read back by IMAP in both modes, as it was stored."""
    account = sandbox.account_for(1, ADDRESS)
    _send(account, _message(body="Adjunto la factura.\r\n.\r\nUn saludo"))
    client = _imap(account, implicit_tls=implicit_tls)
    client.login(account.user, account.password.reveal())
    client.select("INBOX", readonly=True)
    _, fetched = client.fetch("1", "(UID BODY.PEEK[])")
    client.logout()

    answer = fetched[0]
    assert isinstance(answer, tuple)

    assert answer[1] == sandbox.messages(1)[0].raw
    assert b"\r\n.\r\nUn saludo" in answer[1]


def test_the_sent_folder_is_marked_and_takes_copies(sandbox: Sandbox) -> None:
    r"""LIST shows «Enviados» with ``\Sent``; a copy is appended, found and removed; the inbox stays."""
    account = sandbox.account_for(1, ADDRESS)
    client = _imap(account)
    client.login(account.user, account.password.reveal())
    _, folders = client.list()
    _, answer = client.append("Enviados", "(\\Seen)", "", b"Subject: copia\r\n\r\nx\r\n")
    client.select("Enviados")
    _, found = client.uid("SEARCH", "ALL")
    client.uid("STORE", found[0].decode(), "+FLAGS", "(\\Deleted)")
    client.uid("EXPUNGE", found[0].decode())
    _, left = client.uid("SEARCH", "ALL")
    client.logout()

    assert folders == [b'(\\HasNoChildren) "/" INBOX', b'(\\HasNoChildren \\Sent) "/" Enviados']
    assert b"APPENDUID" in answer[0]
    assert len(found[0].split()) == 1
    assert left == [b""]
    assert sandbox.messages(1) == []


def test_wrong_credentials_are_refused_by_both_servers(sandbox: Sandbox) -> None:
    """A wrong password, also one that is not ASCII, somebody else's and an unknown name: refused in so many words."""
    account, other = sandbox.account_for(1, ADDRESS), sandbox.account_for(2, "luis@tosma.example")
    tries = [(account.user, "wrong"), (account.user, "ñandú"), (account.user, other.password.reveal()), ("nobody", "x")]
    for user, password in tries:
        # smtplib encodes passwords in ASCII only, so the bytes are built here.
        with _smtp(account) as smtp:
            smtp.ehlo()
            code, _ = smtp.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
        imap = _imap(account)
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())  # noqa: B023
        imap.shutdown()

        assert code == 535


def test_nothing_is_taken_without_a_login_or_in_clear(sandbox: Sandbox) -> None:
    """Without a login no sender is taken; without TLS the SMTP server takes no login at all."""
    account = sandbox.account_for(1, ADDRESS)
    codes: list[int] = []
    for implicit_tls in (False, True):
        with _smtp(account, implicit_tls=implicit_tls) as client:
            client.ehlo()
            codes.append(client.mail(ADDRESS)[0])
    with smtplib.SMTP(account.host, account.ports.smtp_starttls, timeout=10) as plain:
        plain.ehlo()
        plain_code, _ = plain.docmd("AUTH", "PLAIN AHgAeA==")

    assert codes == [530, 530]
    assert plain_code == 530
    assert sandbox.messages(1) == []


def test_the_certificate_is_its_own_authoritys_and_nobody_elses(sandbox: Sandbox) -> None:
    """The default trust refuses it, the account's file accepts it, and the authority's key is in no file."""
    account = sandbox.account_for(1, ADDRESS)
    with pytest.raises(ssl.SSLCertVerificationError):
        smtplib.SMTP_SSL(account.host, account.ports.smtp_ssl, context=ssl.create_default_context(), timeout=10)
    with (
        socket.create_connection((account.host, account.ports.imap_ssl), timeout=10) as plain,
        _context(account).wrap_socket(plain, server_hostname=account.host) as secured,
    ):
        version = secured.version()
    files = b"".join(path.read_bytes() for path in account.ca_file.parent.iterdir())

    assert version == "TLSv1.3"
    assert b"BEGIN CERTIFICATE" in files
    assert b"PRIVATE KEY" not in files
    assert account.password.reveal().encode() not in files


def test_a_saved_account_outlives_a_restart(sandbox: Sandbox, settings: Settings, vault: Vault) -> None:
    """After a restart the same ports, password and authority serve; the messages are gone."""
    account = sandbox.account_for(1, ADDRESS)
    _send(account, _message())
    context = _context(account)
    sandbox.stop()
    again = Sandbox(settings.data_dir / "sandbox", vault)
    try:
        ports = again.start()
        client = smtplib.SMTP_SSL(account.host, account.ports.smtp_ssl, context=context, timeout=10)
        code, _ = client.login(account.user, account.password.reveal())
        client.quit()

        assert ports == account.ports
        assert code == 235
        assert again.messages(1) == []
        assert again.account_for(1, ADDRESS).password == account.password
    finally:
        again.stop()


def test_a_taken_port_is_replaced(sandbox: Sandbox, settings: Settings, vault: Vault) -> None:
    """When another program has one of the ports, the sandbox starts on another one and says so."""
    ports = sandbox.start()
    sandbox.stop()
    with socket.create_server(("127.0.0.1", ports.smtp_ssl)):
        again = Sandbox(settings.data_dir / "sandbox", vault)
        moved = again.start()
        again.stop()

    assert moved.smtp_ssl != ports.smtp_ssl
    assert moved.imap_ssl == ports.imap_ssl


def test_a_second_process_takes_no_port_away(sandbox: Sandbox, settings: Settings, vault: Vault) -> None:
    """While one serves the accounts of a folder, another one is refused, and the ports stay as they were."""
    ports = sandbox.start()
    second = Sandbox(settings.data_dir / "sandbox", vault)
    with pytest.raises(VaultError) as refused:
        second.start()

    assert refused.value.code == "sandbox_elsewhere"
    assert second.last_ports == ports

    sandbox.stop()

    assert second.start() == ports
    second.stop()


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path, vault: Vault) -> None:
    """It says what cannot be had, and leaves no thread and no lock behind."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VaultError) as refused:
        Sandbox(tmp_path / "file" / "sandbox", vault).start()

    assert refused.value.code == "sandbox_unavailable"


def test_two_users_with_one_address_have_two_accounts(sandbox: Sandbox) -> None:
    """The second gets a name of their own; a user without an address gets one that is nobody's."""
    first, second, third = (sandbox.account_for(n, address) for n, address in ((1, ADDRESS), (2, ADDRESS), (3, "")))
    _send(second, _message("del segundo"))

    assert (first.user, second.user) == (ADDRESS, "marta+2@tosma.example")
    assert third.user.endswith("@pruebas.example")
    assert len({account.password.reveal() for account in (first, second, third)}) == 3
    assert [len(sandbox.messages(user)) for user in (1, 2, 3)] == [0, 1, 0]


def test_a_new_address_leads_to_the_same_inbox(sandbox: Sandbox) -> None:
    """After the user's address changed, the old name and the new one both work, on the same folders."""
    old = sandbox.account_for(1, ADDRESS)
    new = sandbox.account_for(1, "marta.nueva@tosma.example")
    _send(old, _message("con el viejo"))
    _send(new, _message("con el nuevo"))

    assert new.user == "marta.nueva@tosma.example"
    assert len(sandbox.messages(1)) == 2


def test_a_number_that_goes_to_somebody_else_takes_no_login_along(sandbox: Sandbox, vault: Vault) -> None:
    """After a restored database its next user has the number of a lost one: the lost one's password opens nothing."""
    lost = sandbox.account_for(7, ADDRESS, owner="marta")
    same = sandbox.account_for(7, ADDRESS, owner="marta")
    new = sandbox.account_for(7, "luis@tosma.example", owner="luis")

    assert same.password == lost.password
    assert new.password != lost.password
    for account in (lost, replace(new, password=lost.password)):
        with pytest.raises(smtplib.SMTPAuthenticationError), _smtp(account) as client:
            client.login(account.user, account.password.reveal())
    assert vault.get("sandbox/7", bond={"owner": "luis"}) == new.password


def test_a_password_that_nobody_owned_yet_stays(sandbox: Sandbox, vault: Vault) -> None:
    """One of an earlier version is its user's from the next use on."""
    before = sandbox.account_for(7, ADDRESS)
    after = sandbox.account_for(7, ADDRESS, owner="marta")

    assert after.password == before.password
    assert vault.get("sandbox/7", bond={"owner": "marta"}) == before.password


def test_the_newest_is_first_and_the_oldest_dropped(settings: Settings, vault: Vault) -> None:
    """Beyond the number an account keeps, the oldest go; clearing takes the rest."""
    sandbox = Sandbox(settings.data_dir / "sandbox", vault, limits=SandboxLimits(account_messages=3))
    try:
        account = sandbox.account_for(1, ADDRESS)
        for number in range(5):
            _send(account, _message(f"número {number}", f"cuerpo {number}"))
        bodies = [message.raw.split(b"cuerpo ")[1][:1] for message in sandbox.messages(1)]

        assert bodies == [b"4", b"3", b"2"]
        assert sandbox.clear(1) == 3
        assert sandbox.messages(1) == []
    finally:
        sandbox.stop()


def test_an_account_keeps_no_more_bytes_than_allowed(settings: Settings, vault: Vault) -> None:
    """Large messages push out older ones; one that is too large for a message is refused by the server."""
    limits = SandboxLimits(message_bytes=20_000, account_bytes=30_000)
    sandbox = Sandbox(settings.data_dir / "sandbox", vault, limits=limits)
    try:
        account = sandbox.account_for(1, ADDRESS)
        for _ in range(3):
            _send(account, _message(body="x" * 70 + "\n" + ("y" * 70 + "\n") * 180))
        with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError)) as refused:
            _send(account, _message(body=("z" * 70 + "\n") * 400))

        assert len(sandbox.messages(1)) == 2
        assert refused.value.smtp_code == 552
    finally:
        sandbox.stop()


def test_clients_at_the_same_time_all_arrive(sandbox: Sandbox) -> None:
    """Eight clients that send five messages each: forty arrive."""
    account = sandbox.account_for(1, ADDRESS)

    def send(client: int) -> None:
        for number in range(5):
            _send(account, _message(f"{client}-{number}"))

    threads = [threading.Thread(target=send, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    subjects = {message.raw.split(b"Subject: ")[1].split(b"\r\n")[0] for message in sandbox.messages(1)}

    assert len(subjects) == 40


def test_starting_twice_is_one_server_and_stopping_leaves_no_thread(sandbox: Sandbox) -> None:
    """A second start returns the same ports; after stop nothing listens and no thread remains."""
    before = {thread.name for thread in threading.enumerate()}
    ports = sandbox.start()

    assert sandbox.start() == ports
    assert sandbox.is_running

    sandbox.stop()
    sandbox.stop()

    assert {thread.name for thread in threading.enumerate()} <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports.smtp_ssl), timeout=5)


def test_clients_that_misbehave_are_no_errors_of_ours(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Plain text to the TLS ports, a cut connection, bytes that are no text: no word in the log, and it serves on."""
    account = sandbox.account_for(1, ADDRESS)
    for port in account.ports:
        for junk in (b"EHLO x\r\n", b"\xff\xfe\r\n", b""):
            with socket.create_connection((account.host, port), timeout=5) as client:
                client.sendall(junk)
    _send(account, _message())

    assert len(sandbox.messages(1)) == 1
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_it_listens_on_loopback_only(sandbox: Sandbox) -> None:
    """Every listening socket of its ports is bound to 127.0.0.1."""
    ports = {f"{port:04X}" for port in sandbox.start()}
    table = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    local = {fields[1].split(":")[0] for fields in table if fields[3] == "0A" and fields[1].split(":")[1] in ports}

    assert local == {"0100007F"}


def test_importing_it_loads_no_mail_server() -> None:
    """What the workbench imports does not pull in aiosmtpd, pymap or cryptography."""
    script = (
        "import sys, cgcore.workbench.sandbox;"
        "print([name for name in ('aiosmtpd', 'pymap', 'cryptography', 'keyring') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root)

    assert done.stdout.strip() == "[]"
