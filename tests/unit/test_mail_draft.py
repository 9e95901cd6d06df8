"""The mail account as typed: ports, host names, pins, and every field check before a connection."""

from __future__ import annotations

import pytest

from cgcore.mail.account import (
    MailAccountDraft,
    Security,
    ServerDraft,
    check_account,
    check_pin,
    check_port,
    default_port,
    normal_pin,
)
from cgcore.mail.addresses import (
    check_host,
    clean_host,
    encode_host,
    is_address,
    is_disguised_address,
    needs_smtputf8,
    wire_address,
)
from cgcore.mail.steps import Leg
from cgcore.vault.secret import Secret


@pytest.mark.parametrize(
    ("leg", "security", "port"),
    [
        (Leg.SMTP, Security.SSL, 465),
        (Leg.SMTP, Security.STARTTLS, 587),
        (Leg.SMTP, Security.NONE, 25),
        (Leg.IMAP, Security.SSL, 993),
        (Leg.IMAP, Security.SSL_PINNED, 993),
        (Leg.IMAP, Security.STARTTLS, 143),
        (Leg.IMAP, Security.STARTTLS_PINNED, 143),
        (Leg.IMAP, Security.NONE, 143),
    ],
)
def test_each_security_mode_has_its_usual_port(leg: Leg, security: Security, port: int) -> None:
    """The default port follows protocol and security, and raises no warning with them."""
    assert default_port(leg, security) == port
    assert list(check_port(leg, port, security)) == []


def test_smtp_has_no_pinned_mode() -> None:
    """A certificate is pinned for IMAP only: there is no port for it at SMTP."""
    with pytest.raises(KeyError):
        default_port(Leg.SMTP, Security.SSL_PINNED)


def test_a_port_that_contradicts_the_security_warns_but_does_not_block() -> None:
    """465 with STARTTLS is most likely a slip, but some servers do it."""
    problems = list(check_port(Leg.SMTP, 465, Security.STARTTLS))

    assert [problem.code for problem in problems] == ["port_security"]
    assert problems[0].blocking is False
    assert "SSL" in problems[0].message


@pytest.mark.parametrize("port", [0, -1, 65536, None])
def test_a_number_that_is_no_port_blocks(port: int | None) -> None:
    """Ports are 1 to 65535."""
    assert [(found.code, found.blocking) for found in check_port(Leg.IMAP, port, Security.SSL)] == [
        ("port_range", True)
    ]


@pytest.mark.parametrize(("typed", "number"), [("", 587), (" 465 ", 465), ("٤٦٥", None), ("4 65", None), ("x", None)])
def test_the_typed_port_becomes_a_number_or_nothing(typed: str, number: int | None) -> None:
    """Empty means the default; digits of other scripts and blanks inside are no port."""
    assert ServerDraft(port=typed, security=Security.STARTTLS).port_number(Leg.SMTP) == number


@pytest.mark.parametrize(
    ("typed", "code", "clean"),
    [
        ("", "empty", ""),
        (" ", "empty", ""),
        ("mail.ejemplo.es ", "spaces", "mail.ejemplo.es"),
        ("mail\u00a0.ejemplo.es", "spaces", "mail.ejemplo.es"),
        ("\u200bmail.ejemplo.es", "spaces", "mail.ejemplo.es"),
        ("https://mail.ejemplo.es/webmail", "url", "mail.ejemplo.es"),
        ("mail.ejemplo.es/roundcube", "url", "mail.ejemplo.es"),
        ("mail.ejemplo.es:465", "port_in_host", "mail.ejemplo.es"),
        ("ana@ejemplo.es", "at_in_host", "smtp.ejemplo.es"),
        ("pop.ejemplo.es", "pop_host_smtp", "smtp.ejemplo.es"),
        ("pop3.ejemplo.es", "pop_host_smtp", "smtp.ejemplo.es"),
        ("mail..ejemplo.es", "double_dot", "mail.ejemplo.es"),
        ("mail.\r\nejemplo.es", "control_characters", ""),
        ("mail,ejemplo,es", "host_syntax", ""),
        ("-mail.ejemplo.es", "host_syntax", ""),
        ("a" * 64 + ".es", "host_syntax", ""),
        ("[mail.ejemplo.es", "host_syntax", ""),
    ],
)
def test_a_wrong_host_is_named_before_any_lookup(typed: str, code: str, clean: str) -> None:
    """Each usual slip has its own sentence, which holds the name that was most likely meant."""
    problems = list(check_host(typed, Leg.SMTP))

    assert [problem.code for problem in problems] == [code]
    assert clean in problems[0].message
    assert "{" not in problems[0].message


@pytest.mark.parametrize(
    "host", ["mail.ejemplo.es", "localhost", "correo.peña.es", "192.0.2.1", "[2001:db8::1]", "a_b.c.es"]
)
def test_a_good_host_has_no_problem(host: str) -> None:
    """Names, IDNA names and addresses pass."""
    assert list(check_host(host, Leg.IMAP)) == []


def test_a_host_with_spanish_letters_is_encoded() -> None:
    """IDNA gives the name that the resolver understands."""
    assert encode_host("correo.peña.es") == "correo.xn--pea-8ma.es"
    assert encode_host("[2001:db8::1]") == "2001:db8::1"
    assert encode_host("Faß.de") == "xn--fa-hia.de"
    assert encode_host("_dmarc.Ejemplo.es") == "_dmarc.ejemplo.es"
    assert encode_host("a_b.peña.es") == "a_b.xn--pea-8ma.es"
    assert encode_host("mail。ejemplo．es") == "mail.ejemplo.es"
    for wrong in ("mail..es", "a" * 64 + ".es", "ñ_b.es", "☃.es", ""):
        with pytest.raises(UnicodeError):
            encode_host(wrong)


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0x7f000001", "1.2.3.4.5", "127.1."])
def test_an_address_in_disguise_is_seen(host: str) -> None:
    """Decimal, octal, hexadecimal and shortened forms all reach an address behind the guard's back."""
    assert is_disguised_address(host)
    assert not is_disguised_address("mail.ejemplo.es")
    assert not is_disguised_address("127.0.0.1")


def test_cleaning_a_host_takes_everything_off_at_once() -> None:
    """Scheme, user, port, path, blanks and doubled dots fall away together."""
    assert clean_host(" https://ana@Mail..Ejemplo.es:443/correo?x=1 ") == "mail.ejemplo.es"


@pytest.mark.parametrize(
    "address",
    ["ana@ejemplo.es", "ana+facturas@sub.ejemplo.es", "peña@ejemplo.es", "ana@peña.es", "a.b-c_d@e-f.es"],
)
def test_a_plain_address_passes(address: str) -> None:
    """One address, one domain."""
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ana",
        "ana@",
        "@ejemplo.es",
        "ana@ejemplo",
        "ana@@ejemplo.es",
        "ana ejemplo@ejemplo.es",
        "Ana <ana@ejemplo.es>",
        "<ana@ejemplo.es>",
        '"ana"@ejemplo.es',
        "ana@ejemplo.es, eva@ejemplo.es",
        "b@x.es> NOTIFY=NEVER <c@x.es",
        "ana@ejemplo.es\r\nRCPT TO:<x@y.es>",
        "ana\n@ejemplo.es",
        "ana\u2028@ejemplo.es",
        "ana\u200b@ejemplo.es",
        ".ana@ejemplo.es",
        "ana..eva@ejemplo.es",
        "ana@-ejemplo.es",
        "ana@ejemplo..es",
        "ana@[127.0.0.1]",
        "a" * 65 + "@ejemplo.es",
        "ana@" + "a" * 64 + ".es",
        "ana\udcff@ejemplo.es",
        "ana@ejemplo\udcff.es",
    ],
)
def test_what_is_no_plain_address_is_refused(address: str) -> None:
    """Names, lists, quotes, parameters and line breaks never reach a command."""
    assert not is_address(address)


def test_only_the_local_part_asks_for_smtputf8() -> None:
    """A domain with ñ travels in its ASCII form."""
    assert wire_address("ana@peña.es") == "ana@xn--pea-8ma.es"
    assert not needs_smtputf8("ana@peña.es")
    assert needs_smtputf8("peña@ejemplo.es")


def test_a_pin_may_hold_colons() -> None:
    """What browsers and openssl show is taken."""
    pin = ":".join(["AB"] * 32)

    assert check_pin(pin)
    assert normal_pin(pin) == "ab" * 32
    assert not check_pin("ab" * 31)
    assert not check_pin("zz" * 32)


def test_the_ampersand_in_a_password_blocks_and_is_not_repeated() -> None:
    """The suite's rule: a clear error, and the password in no sentence."""
    draft = MailAccountDraft(
        user="ana@ejemplo.es", password=Secret("Se&creta9"), smtp=ServerDraft("a.es"), imap=ServerDraft("b.es", "143")
    )
    problems = check_account(draft)

    assert [(found.field, found.code, found.blocking) for found in problems] == [("password", "ampersand", True)]
    assert "Se&creta9" not in problems[0].message


def test_an_empty_account_may_be_stored_and_a_broken_one_not() -> None:
    """What is merely missing does not block; a line break does."""
    empty = check_account(MailAccountDraft())
    broken = check_account(MailAccountDraft(user="ana\r\n@ejemplo.es", sent_folder="a\nb"))

    assert not any(found.blocking for found in empty)
    assert {found.field for found in empty} == {"user", "smtp_host", "imap_host"}
    assert {found.field for found in broken if found.blocking} == {"user", "sent_folder"}


def test_the_fields_of_both_servers_are_told_apart() -> None:
    """Each problem stands beside its own field."""
    draft = MailAccountDraft(
        user="ana@ejemplo.es",
        smtp=ServerDraft("mail..es", "0", Security.SSL_PINNED),
        imap=ServerDraft("pop.es.es", "x", Security.SSL_PINNED, "abc"),
    )

    assert {found.field for found in check_account(draft) if found.blocking} == {
        *("smtp_host", "smtp_port", "smtp_security", "imap_host", "imap_port", "imap_pin")
    }
