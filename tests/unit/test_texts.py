"""The Spanish sentences: whatever is known, what shows reads well."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from cgcore.language import write_list
from cgcore.mail.diagnosis.catalogue import diagnosis_keys, key_facts
from cgcore.mail.diagnosis.texts import (
    build_verdict,
    field_label,
    leg_label,
    provider_values,
    sentences,
    stage_label,
    status_label,
    user_form,
    verdict_texts,
)
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step

ROOT = Path(__file__).parents[2]
TEXTS = tomllib.loads((ROOT / "cgcore/mail/texts_es.toml").read_text("utf-8"))
TABLE = {row["key"]: row for row in tomllib.loads((ROOT / "tests/data/diagnosis_table.toml").read_text("utf-8"))["row"]}

VALUES: dict[str, object] = {
    "host": "mail.empresa.example",
    "suggestion": "smtp.empresa.example",
    "port": 587,
    "working_ports": [465, 587],
    "server_kind": "POP3",
    "ip": "203.0.113.7",
    "cert_names": ["a.example", "b.example"],
    "date": date(2026, 11, 2),
    "issuer": "Acme Firewall",
    "provider": "Gmail",
    "link": "https://proveedor.example/claves",
    "user_form": "la dirección completa",
    "steps": "Ajustes, IMAP.",
    "scope": "buzón",
    "minutes": 5,
    "sender": "ventas@empresa.example",
    "user": "maria@empresa.example",
    "recipient": "cliente@externo.example",
    "limit": 100,
    "list_name": "zen.lista.example",
    "limit_mb": 25,
    "reason": "adjunto prohibido",
    "name": "[192.0.2.4]",
    "address": "maria@@empresa",
    "folder": "Enviados",
    "notes": "Hace falta un programa puente.",
    "field": "host",
    "detail": "Sobran espacios.",
    "reply": "550 no",
    "code": "AADSTS700082",
    "trace": "00aa00aa-bb11-cc22-dd33-44ee44ee44ee",
    "connected": "ana@empresa.example",
    "testing_days": 7,
    "switch": "Permitir flujos de cliente público",
    "parts": "el ID de cliente",
    "ahead": 5,
    "behind": 5,
}
ALWAYS = {"starttls_label", "ssl_port", "usual_ports"}


def test_every_key_has_sentences_and_every_sentence_a_key() -> None:
    """Nothing is without words, and no words are without a use."""
    assert set(TEXTS["diagnosis"]) == set(diagnosis_keys())


@pytest.mark.parametrize("key", TABLE)
def test_the_fullest_wording_is_the_agreed_one_letter_by_letter(key: str) -> None:
    """Title and fix, with all values known, are those of the table."""
    entry = TEXTS["diagnosis"][key]
    fix = " ".join(part if isinstance(part, str) else part[0] for part in entry["fix"])

    assert entry["title"][0] == TABLE[key]["title"]
    assert fix == TABLE[key]["fix"].replace("–", "")


def test_every_value_in_braces_is_tried_here() -> None:
    """A new value must join the test of missing values."""
    names = set(re.findall(r"\{(\w+)(?::\w+)?\}", str(TEXTS["diagnosis"])))

    assert names == set(VALUES) | ALWAYS


def known_sets() -> list[dict[str, object]]:
    return (
        [{}, VALUES]
        + [{n: v for n, v in VALUES.items() if n != left} for left in VALUES]
        + [{n: v} for n, v in VALUES.items()]
    )


@pytest.mark.parametrize("key", TABLE)
@pytest.mark.parametrize("leg", list(Leg))
def test_whatever_is_known_the_sentences_read_well(key: str, leg: Leg) -> None:
    """With no value, all, all but one or one: no brace, no empty quotes, no doubled space or point, whole sentences."""
    for values in known_sets():
        title, fix = sentences(key, leg, values)
        for text in (title, fix):
            assert not re.search(r"[{}]|«\s*»|  |\.\.|\(\s*\)| [.,;:!?]|^\s|\s$|None", text), text
        assert title
        assert title[0].isupper() or title[0] == "«" or title.split()[0] in map(str, _flat(VALUES))
        assert not title.endswith(".")
        assert fix == "" or fix[-1] in ".»?)", fix
        assert fix or key == "ok"


def _flat(values: dict[str, object]) -> list[object]:
    return [item for value in values.values() for item in (value if isinstance(value, list) else [value])]


def test_blank_values_are_left_out_like_missing_ones() -> None:
    """None, empty text, blanks and empty lists are no values."""
    for blank in (None, "", "  ", [], "\u200b"):
        assert sentences("host_not_found", "smtp", {"host": blank}) == sentences("host_not_found", "smtp", {})


def test_values_are_written_as_a_person_would() -> None:
    """Lists are joined, dates are Spanish, one minute is singular, a full stop is not doubled."""
    assert "465 y 587" in sentences("port_closed", "smtp", VALUES)[1]
    assert sentences("cert_expired", "smtp", VALUES)[0].endswith("caducó el 02/11/2026")
    assert "Espera 1 minuto." in sentences("too_many_attempts", "smtp", {"minutes": 1})[1]
    assert "IMAP." in sentences("imap_disabled", "imap", VALUES)[1]
    assert "«Servidor Entrante (IMAP)»" in sentences("invalid_input", "imap", VALUES)[0]


def test_a_value_cannot_bring_braces_lines_or_length_of_its_own() -> None:
    """What a server says is filled in once, on one line, cut."""
    title, _ = sentences(
        "host_not_found", "smtp", {"host": "{suggestion}\n\x1b[2J" + "x" * 900, "suggestion": "secreto"}
    )

    assert "secreto" not in title
    assert "\n" not in title
    assert "\x1b" not in title
    assert len(title) < 450


def test_each_leg_has_its_words() -> None:
    """STARTTLS is called TLS on the outgoing side, and ports are those of the leg."""
    assert "TLS (STARTTLS)" in sentences("encryption_required", "smtp")[1]
    assert "TLS (STARTTLS)" not in sentences("encryption_required", "imap")[1]
    assert "993" in sentences("starttls_not_offered", "imap")[1]
    assert "465" in sentences("starttls_not_offered", "smtp")[1]
    assert "587" not in sentences("auth_not_offered", "imap")[1]


def test_every_stage_status_leg_and_field_has_a_name() -> None:
    """Nothing on the screen is a code."""
    assert all(stage_label(stage) for stage in Stage)
    assert all(status_label(status) for status in Status)
    assert all(leg_label(leg) for leg in Leg)
    for key in diagnosis_keys():
        for leg in key_facts(key).stages:
            for field in key_facts(key).fields:
                assert field in ("none", "*") or field_label(field, leg), (key, field, leg)


def test_a_provider_offers_its_name_its_user_form_and_where_to_go() -> None:
    """The table of providers fills what the probe does not know."""
    known = provider_values("gmail", "app_password_required", "smtp")

    assert sentences("app_password_required", "smtp", known)[0].startswith("Gmail pide")
    assert "https://" in sentences("app_password_required", "smtp", known)[1]
    assert provider_values("nobody", "app_password_required", "smtp") == {}
    assert user_form("fixed", "apikey") == "apikey"
    assert user_form("any") == ""


def step(stage: Stage, status: Status, key: str = "", **details: object) -> Step:
    return Step(Leg.SMTP, stage, status, key=key, details=details)


def test_the_verdict_is_that_of_the_first_error_filled_from_its_details() -> None:
    """A later error and an earlier warning do not decide; details beat what the caller knows."""
    steps = [
        step(Stage.TCP, Status.WARNING, "port_filtered"),
        step(Stage.AUTH, Status.ERROR, "too_many_attempts", minutes=5),
        step(Stage.QUIT, Status.ERROR, "connection_dropped"),
    ]

    found = build_verdict(steps, total_ms=42, host="mail.empresa.example", minutes=90)

    assert (found.key, found.stage, found.ms) == ("too_many_attempts", "auth", 42)
    assert found.values == {"leg": "smtp", "minutes": 5}
    assert "5 minutos" in verdict_texts(found)[1]


def test_without_a_fault_the_verdict_is_ok_at_the_last_stage() -> None:
    """All fine, and nothing at all, both are ok."""
    found = build_verdict([step(Stage.TCP, Status.OK), step(Stage.QUIT, Status.OK)], total_ms=7)
    line = found.as_line(*verdict_texts(found))

    assert line == {"verdict": "ok", "stage": "quit", "ms": 7, "title": "Correcto", "fix": ""}
    assert build_verdict([], total_ms=0).key == "ok"


def test_the_verdict_takes_the_provider_by_its_id() -> None:
    """Name, link and user form come from the table."""
    found = build_verdict([step(Stage.AUTH, Status.ERROR, "bad_credentials")], total_ms=1, provider_id="gmail")

    assert "la dirección completa" in verdict_texts(found)[1]


@pytest.mark.parametrize(
    ("parts", "both", "either"),
    [
        (("Fecha", "Importe"), "Fecha e Importe", "Fecha o Importe"),
        (("Ana", "Luis", "Íñigo"), "Ana, Luis e Íñigo", "Ana, Luis o Íñigo"),
        (("Cobre", "hierro"), "Cobre y hierro", "Cobre o hierro"),
        (("Padre", "«hijo»"), "Padre e «hijo»", "Padre o «hijo»"),
        (("Plata", "oro"), "Plata y oro", "Plata u oro"),
        (("7", "8"), "7 y 8", "7 u 8"),
        (("10", "11"), "10 y 11", "10 u 11"),
        (("100", "110"), "100 y 110", "100 o 110"),
        (("oro",), "oro", "oro"),
    ],
)
def test_the_last_of_a_list_is_joined_as_it_is_spoken(parts: tuple[str, ...], both: str, either: str) -> None:
    """«y» before the sound i, and «o» before the sound o, are spoken otherwise; in Spanish alone."""
    assert write_list(parts, "es") == both
    assert write_list(parts, "es", either=True) == either
    assert write_list(("now", "inside"), "en").endswith("and inside")
