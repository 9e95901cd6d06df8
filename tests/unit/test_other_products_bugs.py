"""The 23 faults of other products (docs/facts/mail.md, tests from other products' bugs): each has its test, by name.

What several chapters show already is named here, so that none is lost; what nothing else shows is tested below.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cgcore.mail.diagnosis.diagnose import diagnose_reply
from cgcore.mail.discovery.autoconfig import parse_autoconfig
from cgcore.mail.imap.folders import Folder, choose_sent

TESTS = Path(__file__).parents[1]
SHOWN: dict[int, tuple[str, ...]] = {
    1: (
        "integration/test_smtp_security.py: test_ssl_on_a_starttls_port_is_told_with_the_proven_cure",
        "integration/test_smtp_security.py: test_plain_talk_on_an_ssl_port_is_told_within_the_patience",
        "integration/test_smtp_probe.py: test_sign_in_only_inside_tls_proposes_starttls_once_it_worked",
        "integration/test_real_servers.py: test_ssl_on_the_starttls_port_gets_a_proven_patch",
        "integration/test_real_servers.py: test_clear_text_on_the_ssl_port_gets_a_proven_patch",
    ),
    2: ("integration/test_smtp_probe.py: test_sign_in_only_inside_tls_proposes_starttls_once_it_worked",),
    3: (
        "integration/test_smtp_probe.py: test_a_wrong_password_is_tried_once_and_named_as_such",
        "integration/test_real_servers.py: test_a_wrong_password_is_bad_credentials",
    ),
    4: ("integration/test_smtp_input.py: test_bad_input_is_a_step_and_nothing_is_connected",),
    5: (
        "integration/test_real_servers.py: test_a_typed_sent_leads_to_the_real_folder",
        "integration/test_real_servers.py: test_the_flag_is_recommended_whatever_the_name",
        "integration/test_real_servers.py: test_a_spanish_name_is_recognised_without_a_flag",
    ),
    6: (
        "unit/test_folders.py: test_drafts_trash_and_outbox_are_never_taken",
        "unit/test_other_products_bugs.py: test_case_6_no_other_folder_is_ever_taken_for_sent",
    ),
    7: (
        "unit/test_folders.py: test_every_name_survives_the_wire",
        "integration/test_real_servers.py: test_a_copy_is_stored_seen_and_readable",
    ),
    8: (
        "integration/test_imap_probe.py: test_each_refusal_to_store_has_its_own_verdict",
        "integration/test_real_servers.py: test_each_obstacle_has_its_own_verdict",
        "integration/test_real_servers.py: test_other_deleted_mail_is_left_alone",
    ),
    9: (
        "integration/test_smtp_probe.py: test_odd_passwords_arrive_as_they_are",
        "integration/test_imap_probe.py: test_odd_passwords_sign_in",
        "integration/test_imap_probe.py: test_blanks_and_letters_in_a_refused_password_are_pointed_out",
        "unit/test_transcript.py: test_no_form_of_the_secret_survives",
    ),
    10: (
        "integration/test_real_servers.py: test_each_bad_certificate_has_its_own_verdict_and_card",
        "integration/test_smtp_security.py: test_each_wrong_date_has_its_own_sentence",
        "integration/test_smtp_security.py: test_old_tls_is_explained_and_never_accepted",
    ),
    11: ("integration/test_real_servers.py: test_another_certificate_than_the_pinned_one_stops",),
    12: (
        "integration/test_sign_in.py: test_a_token_signs_in_and_stays_out_of_every_step",
        "integration/test_sign_in.py: test_a_refused_token_is_answered_read_and_not_tried_again",
    ),
    13: ("unit/test_other_products_bugs.py: test_case_13_one_code_of_microsoft_has_five_meanings",),
    14: ("integration/test_smtp_sending.py: test_a_refusal_after_data_is_reported_although_rcpt_was_fine",),
    15: ("integration/test_smtp_probe.py: test_greylisting_is_a_warning_because_the_account_works",),
    16: (
        "integration/test_smtp_rude.py: test_a_rude_server_is_named_within_the_deadline",
        "integration/test_smtp_rude.py: test_a_server_that_drips_later_does_not_stretch_the_deadline",
        "integration/test_imap_probe.py: test_a_flood_or_nonsense_ends_in_an_error_step",
    ),
    17: ("integration/test_smtp_input.py: test_a_dead_address_beside_a_live_one_is_a_note",),
    18: (
        "unit/test_discovery_parts.py: test_a_registrable_domain_is_known_by_the_list_and_not_by_dots",
        "unit/test_discovery_parts.py: test_an_exchanger_tells_the_provider",
        "unit/test_discovery_parts.py: test_srv_records_are_read_with_their_pitfalls",
        "unit/test_other_products_bugs.py: test_case_18_a_variable_without_its_last_sign_is_still_the_address",
        "integration/test_discovery.py: test_a_certificate_of_another_name_offers_that_name",
    ),
    19: (
        "integration/test_smtp_probe.py: test_a_user_that_is_no_address_is_no_sender",
        "integration/test_smtp_probe.py: "
        "test_the_other_form_of_the_user_name_is_tried_once_where_the_provider_is_known_for_it",
    ),
    20: (
        "integration/test_smtp_probe.py: test_sender_and_recipient_default_to_the_user",
        "integration/test_smtp_sending.py: test_a_message_without_a_sender_is_refused_before_the_connection",
    ),
    21: (
        "integration/test_smtp_security.py: test_a_certificate_for_another_name_of_the_same_server_is_proposed",
        "integration/test_smtp_input.py: test_a_target_inside_is_refused_uniformly",
        "integration/test_smtp_input.py: test_a_name_that_leads_inside_is_refused_and_resolved_once",
    ),
    22: (
        "integration/test_smtp_sending.py: test_a_message_goes_on_through_data_to_its_queue_id",
        "integration/test_mail_account_page.py: test_the_dialog_says_what_the_test_mail_proves_and_what_not",
    ),
    23: (
        "unit/test_providers.py: test_no_text_of_the_table_has_stray_spaces",
        "unit/test_providers.py: test_every_host_is_a_valid_name_once_its_placeholders_are_filled",
        "unit/test_providers.py: test_port_and_security_agree",
    ),
}


def test_each_case_of_the_sheet_has_its_tests() -> None:
    """None of the 23 is left out, and none is shown by a test that is gone."""
    assert list(SHOWN) == list(range(1, 24))
    for case, names in SHOWN.items():
        for name in names:
            path, _, test = name.partition(": ")
            nodes = ast.walk(ast.parse((TESTS / path).read_text("utf-8")))
            assert test in {each.name for each in nodes if isinstance(each, ast.FunctionDef)}, (case, name)


@pytest.mark.parametrize("name", ["Borradores", "Papelera", "Bandeja de salida", "Koš", "Papierkorb", "Outbox"])
def test_case_6_no_other_folder_is_ever_taken_for_sent(name: str) -> None:
    """Alone or beside the inbox: nothing is recommended."""
    folders = (Folder("INBOX", b"INBOX", "/", frozenset()), Folder(name, name.encode(), "/", frozenset()))

    assert choose_sent(folders).folder is None


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("basic authentication is disabled.", "oauth_only"),
        ("SmtpClientAuthentication is disabled for the Tenant.", "smtp_auth_disabled"),
        ("SmtpClientAuthentication is disabled for the Mailbox.", "smtp_auth_disabled"),
        ("user is locked by your organization's security defaults policy.", "blocked_by_policy"),
        ("the request did not meet the criteria to be authenticated successfully.", "blocked_by_policy"),
        ("the user credentials were incorrect.", "bad_credentials"),
        ("the user account is disabled.", "account_locked"),
    ],
)
def test_case_13_one_code_of_microsoft_has_five_meanings(said: str, key: str) -> None:
    """The words decide, never the number; who has signed in without a mailbox has a key of its own."""
    reply = f"535 5.7.139 Authentication unsuccessful, {said} [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]"
    connected = "NO User is authenticated but not connected."

    assert diagnose_reply("smtp", "auth", reply, provider="microsoft365").key == key
    assert diagnose_reply("imap", "list", connected, provider="microsoft365").key == "mailbox_not_connected"


def test_case_18_a_variable_without_its_last_sign_is_still_the_address() -> None:
    """«%EMAILADDRESS» stands so in documents of big providers."""
    document = (
        b"<clientConfig><emailProvider id='e.example'><incomingServer type='imap'><hostname>imap.e.example</hostname>"
        b"<port>993</port><socketType>SSL</socketType><username>%EMAILADDRESS</username></incomingServer>"
        b"</emailProvider></clientConfig>"
    )

    (found,) = parse_autoconfig(document, "e.example")

    assert (found.username_form, found.username) == ("address", "")
