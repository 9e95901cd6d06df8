"""Problem documents (RFC 9457): every refusal of the API is one, with a stable code and a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from starlette.responses import Response

from cgcore.errors import FieldProblem
from cgcore.texts import lookup, sentence, text

__all__ = [
    "PROBLEM_MEDIA_TYPE",
    "TEXTS",
    "ApiProblem",
    "ProblemCode",
    "field_problem",
    "problem_document",
    "problem_title",
]

PROBLEM_MEDIA_TYPE = "application/problem+json"
TEXTS = "cgcore.web.api"


class ProblemCode(StrEnum):
    """Every code the API answers with. A code never changes its meaning."""

    BAD_REQUEST = "bad_request"
    INVALID_JSON = "invalid_json"
    BODY_TOO_DEEP = "body_too_deep"
    KEY_IN_WRONG_PLACE = "key_in_wrong_place"
    UNAUTHORIZED = "unauthorized"
    SCOPE_MISSING = "scope_missing"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    STALE_VERSION = "stale_version"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID_INPUT = "invalid_input"
    PRECONDITION_REQUIRED = "precondition_required"
    TOO_MANY_REQUESTS = "too_many_requests"
    INTERNAL = "internal"
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_BUSY = "store_busy"
    STORE_FULL = "store_full"
    STORE_READ_ONLY = "store_read_only"
    VAULT_UNAVAILABLE = "vault_unavailable"
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    IDEMPOTENCY_KEY_FORM = "idempotency_key_form"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    STILL_STORING = "still_storing"
    UNSENDABLE = "unsendable"
    ACCOUNT_MISSING = "account_missing"
    NOT_CONNECTED = "not_connected"
    TOO_LATE = "too_late"
    NOT_SEARCHED = "not_searched"
    LOOKING = "looking"
    MESSAGE_TOO_LARGE = "message_too_large"
    BYTES_REMOVED = "bytes_removed"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_SERIES = "unknown_series"
    EMPTY_ATTACHMENT = "empty_attachment"
    TOO_MANY_RECIPIENTS = "too_many_recipients"

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return _STATUS[self]


_C = ProblemCode
_STATUS: dict[ProblemCode, int] = {
    **dict.fromkeys((_C.BAD_REQUEST, _C.INVALID_JSON, _C.BODY_TOO_DEEP, _C.KEY_IN_WRONG_PLACE), 400),
    _C.UNAUTHORIZED: 401,
    **dict.fromkeys((_C.SCOPE_MISSING, _C.NOT_ALLOWED), 403),
    _C.NOT_FOUND: 404,
    _C.METHOD_NOT_ALLOWED: 405,
    _C.STALE_VERSION: 412,
    _C.BODY_TOO_LARGE: 413,
    _C.UNSUPPORTED_MEDIA_TYPE: 415,
    _C.INVALID_INPUT: 422,
    _C.PRECONDITION_REQUIRED: 428,
    _C.TOO_MANY_REQUESTS: 429,
    _C.INTERNAL: 500,
    **dict.fromkeys((_C.STORE_UNAVAILABLE, _C.STORE_BUSY, _C.STORE_READ_ONLY, _C.VAULT_UNAVAILABLE), 503),
    **dict.fromkeys((_C.IDEMPOTENCY_KEY_MISSING, _C.IDEMPOTENCY_KEY_FORM), 400),
    **dict.fromkeys((_C.STILL_STORING, _C.ACCOUNT_MISSING, _C.NOT_CONNECTED, _C.TOO_LATE), 409),
    **dict.fromkeys((_C.NOT_SEARCHED, _C.LOOKING), 409),
    _C.BYTES_REMOVED: 410,
    _C.MESSAGE_TOO_LARGE: 413,
    **dict.fromkeys((_C.IDEMPOTENCY_KEY_REUSED, _C.UNSENDABLE, _C.UNKNOWN_TYPE, _C.UNKNOWN_SERIES), 422),
    **dict.fromkeys((_C.EMPTY_ATTACHMENT, _C.TOO_MANY_RECIPIENTS), 422),
    _C.STORE_FULL: 507,  # RFC 4918, 11.5
}


class ApiProblem(Exception):
    """A refusal on its way to the caller.

    ``errors`` name the wrong fields, ``headers`` go out with the answer, ``extra`` into the document; ``values``
    fill the braces of the sentence.
    """

    def __init__(
        self,
        code: ProblemCode,
        *,
        errors: Iterable[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> None:
        super().__init__(code.value)
        self.code = code
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        self.values = values

    def to_response(self) -> Response:
        """Return the answer: the problem document with its status and headers."""
        document = problem_document(self)
        body = json.dumps(document, ensure_ascii=False).encode()
        return Response(body, self.code.status, self.headers, media_type=PROBLEM_MEDIA_TYPE)


def problem_document(problem: ApiProblem) -> dict[str, Any]:
    """Return the members of the document (RFC 9457, section 3.1) and our own: ``code``, ``errors``."""
    document: dict[str, Any] = {
        "type": f"/api/v1/docs#{problem.code}",
        "title": problem_title(problem.code),
        "status": problem.code.status,
        "code": problem.code.value,
        "detail": sentence(TEXTS, f"details.{problem.code}", **problem.values),
        **problem.extra,
    }
    if problem.errors:
        document["errors"] = [
            {"field": error.field, "code": error.code, "message": error.message} for error in problem.errors
        ]
    return document


def problem_title(code: ProblemCode) -> str:
    """Return the short title of a code."""
    return sentence(TEXTS, f"titles.{code}")


def field_problem(field: str, code: str, values: Mapping[str, Any]) -> FieldProblem:
    """Return why a field was refused, by the validator's own ``code``; a code without sentence gets a general one."""
    known = code if code in lookup(TEXTS, "fields") else "other"
    return FieldProblem(field, code, text(TEXTS, f"fields.{known}", **values))
