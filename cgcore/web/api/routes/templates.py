"""Document types, their templates, the signature, and rendering."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import Path, Response

from cgcore.documents import DOCUMENT_TYPES, DocumentType, types_with_template
from cgcore.identity.actor import Scope
from cgcore.templates.render import RenderRequest as TemplateRequest
from cgcore.templates.stored import StoredSignature, StoredTemplate
from cgcore.web.api.objects import (
    DocumentTypeObject,
    Rendered,
    RenderRequest,
    Signature,
    SignatureInput,
    Template,
    TemplateInput,
)
from cgcore.web.api.problems import ApiProblem, ProblemCode
from cgcore.web.api.requests import IfMatch, expected_version, version_tag
from cgcore.web.api.routes.base import TAGGED, Bench, RenderTurn, build_router, problems
from cgcore.web.api.scopes import Reader, Writer, needs

__all__ = ["router"]

router = build_router()

_CODES = {entry.code.value: entry.code for entry in types_with_template()}
_GUARDED = {**TAGGED, **problems(412, 413, 415, 428)}

# Read as a text: an unknown type is a resource that does not exist, not a wrong field.
TypeInPath = Annotated[str, Path(alias="type", json_schema_extra={"enum": list(_CODES)})]


@router.get("/document-types", dependencies=[needs(Scope.READ)])
def list_document_types() -> list[DocumentTypeObject]:
    """Every document type."""
    return [
        DocumentTypeObject(code=entry.code.value, name=entry.noun, group=entry.group.label, template=entry.has_template)
        for entry in DOCUMENT_TYPES
    ]


@router.get("/templates/{type}", responses={**TAGGED, **problems(404)})
def get_template(workbench: Bench, actor: Reader, response: Response, document_type: TypeInPath) -> Template:
    """Subject and body of a type; version 0 is the built-in default."""
    return _shown(workbench.templates.get(actor, _type(document_type)), response)


@router.put("/templates/{type}", responses={**_GUARDED, **problems(404)})
def put_template(
    workbench: Bench,
    actor: Writer,
    response: Response,
    if_match: IfMatch,
    document_type: TypeInPath,
    template: TemplateInput,
) -> Template:
    """Store subject and body of a type."""
    kind = _type(document_type)
    version = expected_version(if_match, workbench.templates.get(actor, kind).version)
    saved = workbench.templates.save(actor, kind, template.subject, template.body, version=version)
    return _shown(saved, response)


@router.post("/templates/{type}/render", responses=problems(404, 413, 415))
async def render_template(
    workbench: Bench, actor: Reader, document_type: TypeInPath, request: RenderRequest, turn: RenderTurn
) -> Rendered:
    """The message as it would leave, with its checks."""
    kind, parts = _type(document_type), TemplateRequest(**request.model_dump(exclude_unset=True))

    def render() -> Rendered:
        return Rendered.model_validate(workbench.templates.render(actor, kind, parts).to_dict())

    return await to_thread.run_sync(render, limiter=turn)


@router.get("/signature", responses=TAGGED)
def get_signature(workbench: Bench, actor: Reader, response: Response) -> Signature:
    """The signature below every body."""
    return _shown_signature(workbench.templates.get_signature(actor), response)


@router.put("/signature", responses=_GUARDED)
def put_signature(
    workbench: Bench, actor: Writer, response: Response, if_match: IfMatch, signature: SignatureInput
) -> Signature:
    """Store the signature."""
    version = expected_version(if_match, workbench.templates.get_signature(actor).version)
    return _shown_signature(workbench.templates.save_signature(actor, signature.html, version=version), response)


def _shown(template: StoredTemplate, response: Response) -> Template:
    response.headers["ETag"] = version_tag(template.version)
    return Template(subject=template.subject, body=template.body, version=template.version)


def _shown_signature(signature: StoredSignature, response: Response) -> Signature:
    response.headers["ETag"] = version_tag(signature.version)
    return Signature(html=signature.html, version=signature.version)


def _type(code: str) -> DocumentType:
    if code not in _CODES:
        raise ApiProblem(ProblemCode.NOT_FOUND)
    return _CODES[code]
