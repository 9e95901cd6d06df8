"""``If-Match`` as clients and proxies write it: which lists hold our tag, in which of its forms."""

from __future__ import annotations

import pytest

from cgcore.web.api.requests import matches

FORMS = [
    '"1"',
    'W/"1"',
    '"1-gzip"',
    'W/"1-gzip"',
    '"1-br"',
    '"1--gzip"',
    '"1;gzip"',
    '"1:zstd"',
    '"1-df"',
    '"1-x-gzip"',
]
LISTS = ['"9", {}', '{} ,"9"', ",, {},", '"a,b",{}', "\t{}\t", '"9",W/"8",, {}']


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("around", ["{}", *LISTS])
def test_our_tag_is_known_in_the_form_that_a_proxy_gives_it(form: str, around: str) -> None:
    """Weak, or with the coding behind it, alone or in a list; it is the tag of this version and of no other."""
    given = around.format(form)

    assert matches(given, '"1"')
    assert not matches(given, '"11"')
    assert not matches(given, '"2"')


OTHERS = ['"11"', '"1-other"', '"gzip-1"', '"1-gzip-2"', '"9"', '""']
NO_LISTS = ["1", '1"', '"1', "'1'", "W/1", 'w/"1"', '"1" "1"', '"1";x', 'x"1"', '*, "1"', '"1", *', "**", "", ","]


@pytest.mark.parametrize("given", [*OTHERS, *NO_LISTS])
def test_what_is_no_list_of_tags_or_holds_another_matches_nothing(given: str) -> None:
    """A near one, one that is not in quotes, and what only looks like a list (RFC 9110, 13.1.1)."""
    assert not matches(given, '"1"')


def test_a_star_stands_for_whatever_is_there() -> None:
    """Alone, with space around it."""
    assert matches("*", '"1"')
    assert matches(" *\t", '"1"')
