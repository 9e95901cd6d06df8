"""What is in the way of a connection to PostgreSQL that has just failed, found by a look of our own.

The driver tells it in words alone, of the language and the version of its library; on the wire it is a name that is
unknown, a silence, or a code. Alone, because nothing of it is needed while the database answers.
"""

from __future__ import annotations

import socket
import struct

from sqlalchemy.engine import URL

__all__ = ["find_obstacle"]

_LOOK_S = 3.0
_PORT = 5432
# PostgreSQL, «Message Formats»: StartupMessage (protocol 3.0) and SSLRequest.
_PROTOCOL, _SSL_REQUEST = 0x0003_0000, struct.pack("!ii", 8, 80877103)
_TLS_MODES = ("require", "verify-ca", "verify-full")
_CODES = {"53": "storage_busy", "57P": "storage_away"}


def find_obstacle(url: URL) -> str:
    """Return the code of what is in the way; ``storage_open`` where that cannot be told. Takes three seconds at most.

    The password is not sent, and the name of the user only where the connection itself would go without TLS.
    """
    host, port = url.host or "", url.port or _PORT
    if not host or host.startswith("/") or "," in host:  # a socket of this machine, or a choice of servers
        return "storage_open"
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "storage_no_host"
    needs_tls = url.query.get("sslmode") in _TLS_MODES
    try:
        with socket.create_connection((host, port), _LOOK_S) as connection:
            connection.settimeout(_LOOK_S)
            connection.sendall(_SSL_REQUEST if needs_tls else _greeting(url))
            answer = connection.recv(4096)
    except TimeoutError:
        return "storage_silent"
    except ConnectionRefusedError:
        return "storage_refused"
    except ConnectionResetError:
        return "storage_no_postgres"
    except OSError:  # no way there
        return "storage_silent"
    return _judge_tls(answer) if needs_tls else _judge(answer)


def _greeting(url: URL) -> bytes:
    words = ["user", url.username or "", "database", url.database or url.username or "", ""]
    body = struct.pack("!i", _PROTOCOL) + "\0".join(words).encode("utf-8", "replace") + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def _judge_tls(answer: bytes) -> str:
    return {b"S": "storage_login", b"N": "storage_no_tls"}.get(answer, "storage_no_postgres")


def _judge(answer: bytes) -> str:
    kind, size = answer[:1], int.from_bytes(answer[1:5], "big")
    # No message of a log-in is that long: another program says something that begins with the same letter.
    if kind not in (b"E", b"R") or not 4 < size < 30_000:
        return "storage_no_postgres"
    fields = answer[5:].split(b"\0") if kind == b"E" else []
    state = next((field[1:].decode("ascii", "replace") for field in fields if field.startswith(b"C")), "")
    return next((code for start, code in _CODES.items() if state.startswith(start)), "storage_login")
