"""The written form of a key, its digest and its states."""

from __future__ import annotations

import hmac
import re
import zlib
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.api_keys.calls import CallBuffer, CallRecord, fill_days
from cgcore.api_keys.form import ALPHABET, KEY_PATTERN, KeyParts, build_key, find_parts, new_parts
from cgcore.api_keys.record import (
    KEPT_CALLS,
    MAX_DEVICE,
    KeyRequest,
    KeyState,
    StoredKey,
    admit,
    build_payload,
    digest_secret,
    dump_scopes,
    key_state,
    parse_scopes,
)
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Role, Scope
from cgcore.vault.secret import Secret

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PEPPER = b"p" * 32
PARTS = KeyParts("0aB9zZ7x", Secret("0123456789ABCDEFGHIJKLMNOPQRSTUV"))
base62 = st.sampled_from(ALPHABET)


def stored(parts: KeyParts = PARTS, **changes: object) -> StoredKey:
    values: dict[str, object] = {
        "id": parts.id,
        "digest": digest_secret(parts.secret, PEPPER),
        "scopes": frozenset({Scope.READ}),
        "expires": None,
        "retires": None,
        "revoked": None,
        "last_used": None,
        "user_id": 7,
        "username": "ana",
        "full_name": "Ana",
        "mail": "",
        "role": Role.USER,
        "user_active": True,
    }
    return StoredKey(**{**values, **changes})  # type: ignore[arg-type]


def test_a_new_key_has_the_published_form() -> None:
    """48 characters, word characters only, and it is found again in its own text."""
    parts = new_parts()
    key = build_key(parts).reveal()

    assert re.fullmatch(KEY_PATTERN, key)
    assert re.fullmatch(r"\w+", key, re.ASCII)
    assert find_parts(key) == parts
    assert parts.secret.reveal() not in repr(parts)


def test_the_checksum_is_the_crc_32_of_everything_before_it() -> None:
    """The last six characters are the CRC-32 of ``cg_<id>_<secret>`` in base62, padded with 0."""
    key = build_key(PARTS).reveal()
    number = 0
    for digit in key[-6:]:
        number = number * 62 + ALPHABET.index(digit)

    assert number == zlib.crc32(key[:-6].encode("ascii"))
    assert ALPHABET == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@given(st.integers(0, 47), base62)
def test_one_wrong_character_is_found_without_the_database(position: int, wrong: str) -> None:
    """CRC-32 finds every change of one character."""
    key = build_key(PARTS).reveal()
    changed = key[:position] + wrong + key[position + 1 :]

    assert (find_parts(changed) is not None) == (changed == key)


@pytest.mark.parametrize("shape", ["{0:.47}", "{0}0", " {0}", "{0}\n", "Bearer {0}", ""])
def test_a_cut_or_padded_key_is_no_key(shape: str) -> None:
    """Nothing is trimmed or guessed."""
    assert find_parts(shape.format(build_key(PARTS).reveal())) is None


def test_only_the_right_secret_of_a_live_key_of_an_active_user_is_admitted() -> None:
    """Every other combination is the same ``None``."""
    wrong = KeyParts(PARTS.id, Secret("x" * 32))
    refused = [
        admit(PARTS, None, pepper=PEPPER, now=NOW),
        admit(wrong, stored(), pepper=PEPPER, now=NOW),
        admit(PARTS, stored(), pepper=b"other", now=NOW),
        admit(PARTS, stored(revoked=NOW), pepper=PEPPER, now=NOW),
        admit(PARTS, stored(expires=NOW), pepper=PEPPER, now=NOW),
        admit(PARTS, stored(retires=NOW), pepper=PEPPER, now=NOW),
        admit(PARTS, stored(user_active=False), pepper=PEPPER, now=NOW),
        admit(PARTS, stored(digest="0" * 64), pepper=PEPPER, now=NOW),
    ]
    actor = admit(PARTS, stored(expires=NOW + timedelta(seconds=1)), pepper=PEPPER, now=NOW, ip="192.0.2.1")

    assert refused == [None] * 8
    assert actor is not None
    assert (actor.user_id, actor.key_id, actor.scopes, actor.ip) == (7, PARTS.id, frozenset({Scope.READ}), "192.0.2.1")


def test_every_key_costs_one_digest_and_one_comparison_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, wrong or right: nobody learns from the time which ids exist, nor how much of a secret was right."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr("cgcore.api_keys.record.hmac.compare_digest", spy)
    for found in (None, stored(), stored(digest="0" * 64), stored(revoked=NOW)):
        admit(PARTS, found, pepper=PEPPER, now=NOW)

    assert compared == [(64, 64)] * 4


def test_a_replaced_key_is_heard_until_it_retires() -> None:
    """Expiry and revocation win over the grace of a replaced key."""
    later = NOW + timedelta(hours=1)

    assert key_state(NOW, revoked=None, expires=None, retires=None) is KeyState.ACTIVE
    assert key_state(NOW, revoked=None, expires=None, retires=later) is KeyState.RETIRING
    assert key_state(later, revoked=None, expires=None, retires=later) is KeyState.REVOKED
    assert key_state(NOW, revoked=None, expires=NOW, retires=later) is KeyState.EXPIRED
    assert key_state(NOW, revoked=NOW, expires=None, retires=later) is KeyState.REVOKED


@given(st.sets(st.sampled_from(Scope)))
def test_scopes_are_read_as_they_were_written(scopes: set[Scope]) -> None:
    """Written in one order, whatever the order of the set."""
    assert parse_scopes(dump_scopes(frozenset(scopes))) == scopes


def test_every_wrong_field_of_a_request_is_named() -> None:
    """Three mistakes, three problems, each with a sentence."""
    with pytest.raises(InvalidInput) as caught:
        KeyRequest.checked(" \u200b\n", [], NOW, now=NOW)

    assert [(found.field, found.code) for found in caught.value.problems] == [
        ("device", "empty_device"),
        ("scopes", "no_scopes"),
        ("expires", "past_expiry"),
    ]
    assert all(found.message.endswith(".") for found in caught.value.problems)


def test_a_device_name_is_one_tidy_line() -> None:
    """Line breaks and doubled blanks fall away; a name that is too long is refused, not cut."""
    request = KeyRequest.checked("  Móvil\n de  Ana\t", [Scope.READ], None, now=NOW)

    assert request.device == "Móvil de Ana"
    with pytest.raises(InvalidInput):
        KeyRequest.checked("x" * (MAX_DEVICE + 1), [Scope.READ], None, now=NOW)


def test_the_buffer_keeps_the_last_calls_and_counts_them_all() -> None:
    """Thirty calls leave twenty records and the number thirty, once."""
    buffer = CallBuffer()
    for number in range(30):
        buffer.add("k", CallRecord(NOW, "GET", f"/{number}", 200, 1))
    taken = buffer.take()["k"]

    assert [call.path for call in taken.last] == [f"/{number}" for number in range(30 - KEPT_CALLS, 30)]
    assert taken.days == {date(2026, 11, 24): 30}
    assert buffer.take() == {}


def test_days_without_calls_are_zero() -> None:
    """The chart has every day, the oldest first."""
    days = fill_days({date(2026, 11, 23): 4}, today=date(2026, 11, 24), days=3)

    assert [(entry.day.day, entry.calls) for entry in days] == [(22, 0), (23, 4), (24, 0)]


def test_the_payload_of_a_pairing_is_hidden_like_the_code_in_it() -> None:
    """It names the API and the code, and shows neither in a log."""
    payload = build_payload("https://ejemplo.es/api/v1", Secret("AB-CD"))

    assert payload.reveal() == "cloud-gestion:pair?api=https%3A%2F%2Fejemplo.es%2Fapi%2Fv1&code=AB-CD"
    assert "AB-CD" not in f"{payload} {payload!r}"
