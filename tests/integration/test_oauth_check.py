"""«Probar» of a client, against a real provider: known with its secret, or exactly not; nobody is connected by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cgcore.errors import NotAllowed, NotFound
from cgcore.identity.actor import Role
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.storage.database import open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.conftest import make_settings, place_database
from tests.servers.certificates import Certificates
from tests.servers.house import add_user
from tests.servers.openid import Fault, OpenIdProvider


@pytest.fixture
def house(tmp_path: Path, migrated_file: Path, certificates: Certificates) -> Iterator[Workbench]:
    """A workbench that reaches a provider on this machine."""
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))
    workbench = Workbench(settings, open_database(place_database(migrated_file, settings.data_dir / "cg.db")))
    yield workbench
    workbench.close()


@pytest.mark.parametrize(
    ("secret", "faults", "key"),
    [
        ("", {}, ""),
        ("no-es-este", {}, "oauth_client_wrong"),
        ("", {"/token": Fault(503, "no")}, "oauth_unreachable"),
        ("", {"/.well-known/openid-configuration": Fault(404, "no")}, "oauth_unreachable"),
    ],
)
def test_a_client_is_proven_without_connecting_anybody(
    house: Workbench, openid: OpenIdProvider, secret: str, faults: dict[str, Fault], key: str
) -> None:
    """Discovery is read, and a request that must fail fails for the right reason."""
    admin = add_user(house, "jefa", Role.ADMIN)
    given = Secret(secret or openid.client_secret)
    draft = ClientDraft(OAuthProvider.CUSTOM, openid.client_id, given, issuer=openid.url, name="Empresa", scope="mail")
    house.oauth.clients.save(admin, draft, version=0)
    openid.order(faults=faults)

    found = house.oauth.clients.check(admin, OAuthProvider.CUSTOM)

    assert found.key == key
    assert dict(found.values).get("provider", "Empresa") == "Empresa"
    assert given.reveal() not in repr(found)
    assert openid.client_secret not in repr(found)
    assert house.oauth.grants.connection(admin) is None


def test_only_an_administrator_asks_and_only_about_what_is_there(house: Workbench) -> None:
    """Nobody else, and nothing where no client is registered."""
    with pytest.raises(NotAllowed):
        house.oauth.clients.check(add_user(house, "ana"), OAuthProvider.GOOGLE)
    with pytest.raises(NotFound):
        house.oauth.clients.check(add_user(house, "jefa", Role.ADMIN), OAuthProvider.GOOGLE)
