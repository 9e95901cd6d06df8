"""Passwords: the rules, the hashes, and what changing one takes with it."""

from __future__ import annotations

import unicodedata

import argon2
import pytest
from sqlmodel import Session

from cgcore.errors import InvalidInput, NotAllowed
from cgcore.identity.passwords import PasswordHasher, find_password_problem
from cgcore.identity.throttle import GRANT
from cgcore.identity.tokens import find_username_problem, hash_code, new_code, username_key
from cgcore.storage.tables import ApiKeyRow
from cgcore.texts import sentence
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import CodePurpose, IdentitySection
from tests.servers.identity import ADMIN, PASSWORD, CountingHasher, HandClock, add_user, set_clock


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("siete77", "password_too_short"),
        ("ocho8888x", ""),
        ("a" * 1025, "password_too_long"),
        ("ab" * 300 + "xyzñ€", ""),
        ("Contraseña123", "password_common"),
        ("12345678", "password_common"),
        ("abababab", "password_common"),
        ("  con  espacios  ", ""),
        ("😀🐎🔋📎🌊🪑🧵🍋", ""),
    ],
)
def test_length_and_fame_are_the_only_rules(password: str, problem: str) -> None:
    """Eight characters to 1024, none of the well-known; spaces and emoji are fine."""
    assert find_password_problem(Secret(password)) == problem


def test_the_user_name_is_no_password() -> None:
    """A guesser tries the name with a year behind it."""
    assert find_password_problem(Secret("marisol2026"), "Marisol") == "password_common"
    assert find_password_problem(Secret("marisol2026"), "ana") == ""


def test_every_problem_has_a_sentence() -> None:
    """A code without a Spanish sentence would break the page that shows it."""
    codes = ["password_too_short", "password_too_long", "password_common", "password_wrong", "last_admin"]
    codes += ["username_empty", "username_too_long", "username_characters", "username_taken", "mail_syntax"]

    assert all(sentence("cgcore.identity", code).endswith((".", "es")) for code in codes)


def test_a_password_typed_on_another_keyboard_is_the_same() -> None:
    """Composed and decomposed accents are one password (NFC); another accent is not."""
    hasher = PasswordHasher()
    stored = hasher.make_hash(Secret("contraseñísima"))

    assert hasher.check(stored, Secret(unicodedata.normalize("NFD", "contraseñísima"))).ok
    assert not hasher.check(stored, Secret("contrasenisima")).ok


@pytest.mark.usefixtures("full_password_cost")
def test_the_hash_is_argon2id_with_the_recommended_cost() -> None:
    """OWASP: m=19456 KiB, t=2, p=1 at least."""
    parameters = argon2.extract_parameters(PasswordHasher().make_hash(PASSWORD))

    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)


@pytest.mark.usefixtures("full_password_cost")
def test_a_hash_of_earlier_parameters_is_made_anew_at_log_in(workbench_on_each: Workbench) -> None:
    """After the log-in the stored hash has today's parameters and still opens with the same password."""
    add_user(workbench_on_each)
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD.reveal())
    _store_hash(workbench_on_each, weak)

    workbench_on_each.identity.sessions.log_in("ana", PASSWORD)

    stored = _load_hash(workbench_on_each)
    assert stored != weak
    assert argon2.extract_parameters(stored).memory_cost == 19456
    workbench_on_each.identity.sessions.log_in("ana", PASSWORD)


@pytest.mark.parametrize("username", ["ana", "nadie", "cerrada"])
def test_every_refused_log_in_costs_one_hash(workbench: Workbench, username: str) -> None:
    """Unknown, disabled and wrong password do the same work and give the same answer."""
    add_user(workbench)
    add_user(workbench, "cerrada")
    with workbench.database.session() as session:
        from cgcore.storage.identity import find_user_by_key, set_active

        closed = find_user_by_key(session, "cerrada")
        assert closed is not None
        set_active(session, closed.id or 0, active=False)
    hasher = CountingHasher()
    identity = IdentitySection(workbench.context, hasher=hasher)

    with pytest.raises(NotAllowed) as refused:
        identity.sessions.log_in(username, Secret("otra cosa larga") if username == "ana" else PASSWORD)

    assert hasher.checks == 1
    assert refused.value.code == "wrong_credentials"


def test_an_account_without_a_password_opens_with_none(workbench: Workbench) -> None:
    """An imported user has no hash; the empty password does not match it, and still costs one hash."""
    add_user(workbench)
    _store_hash(workbench, "")
    hasher = CountingHasher()

    with pytest.raises(NotAllowed):
        IdentitySection(workbench.context, hasher=hasher).sessions.log_in("ana", Secret(""))

    assert hasher.checks == 1


def test_user_names_are_one_in_any_case_and_width() -> None:
    """Look-alikes of one name cannot be two accounts; names with invisible characters are refused."""
    assert username_key(" ANA ") == username_key("ana") == username_key("ａｎａ")
    assert find_username_problem("ana\u200b") == "username_characters"
    assert find_username_problem("  ") == "username_empty"
    assert find_username_problem("Ana López") == ""


def test_changing_the_password_ends_the_other_log_ins_and_the_keys(workbench: Workbench) -> None:
    """The log-in that changed it goes on; the others, the API keys and a pending link are void at once."""
    user_id = add_user(workbench)
    here = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    there = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    _add_key(workbench, user_id)
    link = workbench.identity.accounts.issue_reset_link(ADMIN, "ana")
    told: list[str] = []
    workbench.identity.sessions.on_sessions_end(told.extend)

    workbench.identity.accounts.change_password(here, PASSWORD, Secret("otra bien larga"))

    assert workbench.identity.sessions.find_actor(here.session_hash) == here
    assert workbench.identity.sessions.find_actor(there.session_hash) is None
    assert told == [there.session_hash]
    assert _key_is_revoked(workbench)
    assert workbench.identity.accounts.find_reset_username(Secret(link.reveal().rsplit("/", 1)[1])) is None
    with pytest.raises(NotAllowed):
        workbench.identity.sessions.log_in("ana", PASSWORD)
    workbench.identity.sessions.log_in("ana", Secret("otra bien larga"))


def test_changing_the_password_asks_for_the_old_one(workbench: Workbench) -> None:
    """A wrong old password or a poor new one changes nothing."""
    add_user(workbench)
    actor = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    before = _load_hash(workbench)

    with pytest.raises(InvalidInput) as wrong_old:
        workbench.identity.accounts.change_password(actor, Secret("no es esta"), Secret("otra bien larga"))
    with pytest.raises(InvalidInput) as poor_new:
        workbench.identity.accounts.change_password(actor, PASSWORD, Secret("corta"))

    assert [(p.field, p.code) for p in wrong_old.value.problems] == [("old_password", "password_wrong")]
    assert [(p.field, p.code) for p in poor_new.value.problems] == [("new_password", "password_too_short")]
    assert _load_hash(workbench) == before


def test_a_reset_link_works_once(workbench: Workbench) -> None:
    """A poor password leaves the link good; after a good one it is used up and every log-in has ended."""
    add_user(workbench)
    actor = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    code = Secret(
        workbench.identity.accounts.issue_reset_link(ADMIN, "ana").reveal().removeprefix("/nueva-contrasena/")
    )

    with pytest.raises(InvalidInput):
        workbench.identity.accounts.reset_password(code, Secret("corta"))
    assert workbench.identity.accounts.find_reset_username(code) == "ana"
    workbench.identity.accounts.reset_password(code, Secret("recién puesta"))

    with pytest.raises(NotAllowed, match="link"):
        workbench.identity.accounts.reset_password(code, Secret("y otra distinta"))
    assert workbench.identity.sessions.find_actor(actor.session_hash) is None
    workbench.identity.sessions.log_in("ana", Secret("recién puesta"))


def test_a_grant_is_for_one_action_of_one_log_in_once(workbench_on_each: Workbench) -> None:
    """Another action, another log-in, a second time: refused; a transaction that fails leaves it good."""
    identity, database = workbench_on_each.identity, workbench_on_each.database
    add_user(workbench_on_each)
    actor = identity.sessions.log_in("ana", PASSWORD).actor
    elsewhere = identity.sessions.log_in("ana", PASSWORD).actor
    grant = identity.codes.issue_grant(actor, "issue_key", PASSWORD)

    def _consume_and_fail(session: Session) -> float:
        identity.codes.consume_grant(session, actor, grant, "issue_key")
        return 1 / 0

    for who, action in ((actor, "delete_user"), (elsewhere, "issue_key")):
        with pytest.raises(NotAllowed), database.session() as session:
            identity.codes.consume_grant(session, who, grant, action)
    with pytest.raises(ZeroDivisionError), database.session() as session:
        _consume_and_fail(session)
    with database.session() as session:
        identity.codes.consume_grant(session, actor, grant, "issue_key")

    with pytest.raises(NotAllowed), database.session() as session:
        identity.codes.consume_grant(session, actor, grant, "issue_key")


def test_a_grant_lasts_five_minutes(workbench_on_each: Workbench) -> None:
    """Afterwards the password has to be asked again."""
    clock = HandClock()
    set_clock(workbench_on_each, clock)
    add_user(workbench_on_each)
    actor = workbench_on_each.identity.sessions.log_in("ana", PASSWORD).actor
    grant = workbench_on_each.identity.codes.issue_grant(actor, "issue_key", PASSWORD)

    clock.move(seconds=GRANT.total_seconds())

    with pytest.raises(NotAllowed), workbench_on_each.database.session() as session:
        workbench_on_each.identity.codes.consume_grant(session, actor, grant, "issue_key")


def test_a_code_of_one_purpose_is_unknown_to_the_others(workbench_on_each: Workbench) -> None:
    """A pairing code is no reset link, and works once however it is written."""
    identity, database = workbench_on_each.identity, workbench_on_each.database
    user_id = add_user(workbench_on_each)
    code = identity.codes.issue_code(CodePurpose.PAIRING, user_id, GRANT)

    with pytest.raises(NotAllowed), database.session() as session:
        identity.codes.consume_code(session, CodePurpose.PASSWORD_RESET, code)
    with database.session() as session:
        owner = identity.codes.consume_code(session, CodePurpose.PAIRING, Secret(f" {code.reveal().lower()} "))

    assert owner == user_id
    with pytest.raises(NotAllowed), database.session() as session:
        identity.codes.consume_code(session, CodePurpose.PAIRING, code)


def test_a_code_survives_being_copied_by_hand() -> None:
    """Spaces for dashes and look-alike letters are the same code; another character is not."""
    code = new_code()
    by_hand = code.reveal().replace("-", " ").replace("0", "O").replace("1", "l")

    assert hash_code(Secret(by_hand)) == hash_code(code)
    assert hash_code(Secret(by_hand + "2")) != hash_code(code)


def _store_hash(workbench: Workbench, password_hash: str) -> None:
    from cgcore.storage.identity import find_user_by_key

    with workbench.database.session() as session:
        user = find_user_by_key(session, "ana")
        assert user is not None
        user.password_hash = password_hash


def _load_hash(workbench: Workbench) -> str:
    from cgcore.storage.identity import find_user_by_key

    with workbench.database.session() as session:
        user = find_user_by_key(session, "ana")
        assert user is not None
        return user.password_hash


def _add_key(workbench: Workbench, user_id: int) -> None:
    with workbench.database.session() as session:
        session.add(ApiKeyRow(id="k1", user_id=user_id, digest="d", last4="abcd"))


def _key_is_revoked(workbench: Workbench) -> bool:
    with workbench.database.session() as session:
        row = session.get(ApiKeyRow, "k1")
        return row is not None and row.revoked is not None
