"""Candidates of any host, port and mode, proven live side by side: what works, and what stands in the way."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from cgcore.mail.account import Security
from cgcore.mail.alternatives import Candidate, prove
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.request import ProbeEnvironment
from cgcore.mail.steps import Leg
from tests.servers.asking import loopback
from tests.servers.certificates import Certificates
from tests.servers.scripted import imap_server, rude_server, smtp_server


def _resolver(host: str, deadline: Deadline) -> Sequence[str]:
    del deadline
    if host == "no.test":
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    if host == "later.test":
        raise socket.gaierror(socket.EAI_AGAIN, "not now")
    return ["127.0.0.1"]


def test_each_candidate_gets_its_own_verdict_in_its_own_place(certificates: Certificates) -> None:
    """Both legs, several hosts, right and wrong modes at once; no name of a person and no credential is sent."""
    with (
        smtp_server("friendly", certificates.trusted) as submission,
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as smtps,
        imap_server("friendly", certificates.trusted, implicit_tls=True) as imaps,
        smtp_server("friendly", certificates.wrong_name, implicit_tls=True) as stranger,
        smtp_server("friendly", certificates.expired, implicit_tls=True) as expired,
        smtp_server("starttls_stripped") as stripped,
        rude_server("silence") as silent,
    ):
        wanted = [
            (Candidate(Leg.SMTP, "mail.test", submission.port, Security.STARTTLS), ""),
            (Candidate(Leg.SMTP, "mail.test", smtps.port, Security.SSL), ""),
            (Candidate(Leg.IMAP, "mail.test", imaps.port, Security.SSL), ""),
            (Candidate(Leg.SMTP, "mail.test", imaps.port, Security.SSL), "wrong_protocol"),
            (Candidate(Leg.SMTP, "mail.test", submission.port, Security.SSL), "ssl_on_starttls_port"),
            (Candidate(Leg.SMTP, "mail.test", stranger.port, Security.SSL), "cert_wrong_name"),
            (Candidate(Leg.SMTP, "mail.test", expired.port, Security.SSL), "cert_expired"),
            (Candidate(Leg.SMTP, "mail.test", stripped.port, Security.STARTTLS), "starttls_not_offered"),
            (Candidate(Leg.IMAP, "mail.test", silent.port, Security.SSL), "server_silent"),
            (Candidate(Leg.IMAP, "mail.test", 1, Security.SSL), "port_closed"),
            (Candidate(Leg.IMAP, "no.test", imaps.port, Security.SSL), "host_not_found"),
            (Candidate(Leg.IMAP, "later.test", imaps.port, Security.SSL), "dns_temporary"),
            (Candidate(Leg.IMAP, "mail..test", imaps.port, Security.SSL), "invalid_input"),
        ]
        deadline = Deadline.after(8)
        env = loopback(certificates, resolver=_resolver)
        proofs = prove([candidate for candidate, _ in wanted], env, deadline, patience=4.0)
        heard = [*submission.lines, *smtps.lines, *imaps.lines]

    assert [(proof.candidate, proof.key) for proof in proofs] == wanted
    assert [proof.works for proof in proofs] == [key == "" for _, key in wanted]
    assert "server7.hoster.example" in proofs[5].names
    assert not any(line.upper().startswith((b"AUTH", b"MAIL", b"A1 LOGIN")) for line in heard)
    assert not deadline.expired


def test_a_target_that_is_not_permitted_is_not_connected_to(certificates: Certificates) -> None:
    """The policy of the probes holds for candidates too."""
    with smtp_server("friendly", certificates.trusted) as server:
        candidate = Candidate(Leg.SMTP, "mail.test", server.port, Security.STARTTLS)
        (proof,) = prove([candidate], ProbeEnvironment(resolver=_resolver), Deadline.after(5))

    assert proof.key == "forbidden_target"
    assert server.connections == 0


@pytest.mark.parametrize("expired", [True, False])
def test_all_of_them_end_with_the_deadline(certificates: Certificates, expired: bool) -> None:
    """More candidates than are tried at once, none of which answers: no one waits for the others."""
    with rude_server("silence") as server:
        candidates = [Candidate(Leg.SMTP, f"mail{number}.test", server.port, Security.SSL) for number in range(40)]
        deadline = Deadline.after(0 if expired else 1.0)
        proofs = prove(candidates, loopback(certificates, resolver=_resolver), deadline)

    assert {proof.key for proof in proofs} == {"server_silent"}
    assert len(proofs) == 40
    assert server.connections <= (0 if expired else 40)
