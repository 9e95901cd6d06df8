"""The OpenAPI 3.1 description: what FastAPI derives, with our words, our problems and our way to identify.

Apart from :mod:`cgcore.web.api.app`: loaded when somebody asks for the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from cgcore.language import current_language
from cgcore.texts import join, lookup, sentence
from cgcore.web.api.message_objects import MessageInput
from cgcore.web.api.middleware import PUBLIC_PATHS
from cgcore.web.api.objects import Problem
from cgcore.web.api.problems import PROBLEM_MEDIA_TYPE, TEXTS, ProblemCode, problem_title
from cgcore.web.api.scopes import declared_scope

__all__ = ["SERVER_PATH", "build_docs_page", "build_specification"]

SERVER_PATH = "/api/v1"

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def build_specification(app: FastAPI) -> dict[str, Any]:
    """Return the description of ``app`` in the language of the reader."""
    texts = lookup(TEXTS, "docs")
    document = get_openapi(
        title=texts["title"],
        version="1",
        openapi_version="3.1.0",
        description=texts["intro"],
        routes=app.routes,
        servers=[{"url": SERVER_PATH}],
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    for model in (Problem, MessageInput):
        # Problems are written, and messages read, by ourselves: FastAPI does not know them.
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        components["schemas"] |= {**schema.pop("$defs", {}), model.__name__: schema}
    _drop_others(components["schemas"])
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _describe(document["paths"][route.path][method.lower()], route)
    return document


def _drop_others(schemas: dict[str, Any]) -> None:
    # FastAPI's own error objects: no answer of ours has that shape.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _describe(operation: dict[str, Any], route: APIRoute) -> None:
    operation["summary"] = sentence(TEXTS, f"routes.{route.name}")
    operation.pop("description", None)
    if route.path in PUBLIC_PATHS:
        operation["security"] = []
    else:
        operation["security"] = [{name: []} for name in _SECURITY]
        scope = declared_scope(route)
        operation["x-scope"] = scope.value if scope else None
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "Idempotency-Key":
            pattern = {"type": "string", "pattern": "^[!-~]{1,200}$"}
            parameter.update(required=True, schema=pattern, description=sentence(TEXTS, "docs.idempotency_key"))
        if parameter["name"] == "If-Match":
            parameter.update(required=True, schema={"type": "string"}, description=sentence(TEXTS, "docs.if_match"))
    for status, answer in operation["responses"].items():
        if PROBLEM_MEDIA_TYPE in answer.get("content", {}):
            answer["description"] = "Problem"
            answer["content"].pop("application/json", None)
            answer["headers"] = _headers_of(status)


def _headers_of(status: str) -> dict[str, Any]:
    names = {"401": "WWW-Authenticate", "429": "Retry-After"}
    return {names[status]: {"schema": {"type": "string"}, "required": True}} if status in names else {}


Node = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #e2e8f0; --soft: #f6f8fa; --accent: #0b6bcb; }
@media (prefers-color-scheme: dark) { :root { --line: #334155; --soft: #1e293b; --accent: #60a5fa; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; }
section { border: 1px solid var(--line); border-radius: 8px; padding: 0 1rem 1rem; margin: 1rem 0; }
h3 { font-family: ui-monospace, monospace; font-size: 1rem; overflow-wrap: anywhere; }
code { background: var(--soft); border-radius: 4px; padding: 0 .25rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); padding: .25rem .5rem .25rem 0; }
a { color: var(--accent); }
"""


def build_docs_page(document: Node) -> str:
    """Return the page for the OpenAPI ``document``."""
    texts = lookup(TEXTS, "docs")
    parts = [
        f"<h1>{escape(texts['title'])}</h1>",
        *(f"<p>{escape(texts[name])}</p>" for name in ("intro", "versions", "limits")),
        f'<p><a href="openapi.json">{escape(texts["specification"])}</a> · <a href="/">{escape(texts["back"])}</a></p>',
        f"<h2>{escape(texts['routes'])}</h2>",
        *_operations(document),
        f"<h2>{escape(texts['objects'])}</h2>",
        *(_object(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
        f"<h2>{escape(texts['problems'])}</h2><p>{escape(texts['problems_intro'])}</p>",
        _problems(),
    ]
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"{meta}<title>{escape(texts['title'])}</title>"
    top = f'<!doctype html><html lang="{current_language()}"><head>{head}<style>{_STYLE}</style></head>'
    return f"{top}<body>{''.join(parts)}</body></html>"


def _operations(document: Node) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield _operation(method.upper(), path, operation)


def _operation(method: str, path: str, operation: Node) -> str:
    texts = lookup(TEXTS, "docs")
    scope = operation.get("x-scope")
    access = sentence(TEXTS, "docs.scope", scope=scope) if scope else texts["no_key"]
    parts = [f"<h3>{method} {escape(path)}</h3><p>{escape(operation['summary'])} <code>{escape(access)}</code></p>"]
    rows = [
        (
            f"<code>{escape(entry['name'])}</code>",
            _type(entry["schema"]),
            texts["required"] if entry["required"] else "",
        )
        for entry in operation.get("parameters", ())
    ]
    if rows:
        parts.append(_table((texts["parameters"], texts["type"], ""), rows))
    if body := operation.get("requestBody"):
        parts.append(f"<p>{escape(texts['body'])}: {_content(body)}</p>")
    parts.append(_table((texts["answers"], ""), _answers(operation["responses"])))
    return f'<section id="{escape(operation["operationId"])}">{"".join(parts)}</section>'


def _answers(responses: Node) -> list[tuple[str, str]]:
    """Return one row an answer; the problems share the last one."""
    problems = sorted(status for status, answer in responses.items() if PROBLEM_MEDIA_TYPE in answer.get("content", {}))
    rows = [(f"<code>{status}</code>", _content(responses[status])) for status in responses if status not in problems]
    return [*rows, (join(f"<code>{status}</code>" for status in problems), _content(responses[problems[0]]))]


def _object(name: str, schema: Node) -> str:
    texts = lookup(TEXTS, "docs")
    required = schema.get("required", ())
    rows = [
        (f"<code>{escape(field)}</code>", _type(entry), texts["required"] if field in required else "")
        for field, entry in schema.get("properties", {}).items()
    ]
    table = _table((texts["field"], texts["type"], ""), rows) if rows else f"<p>{_type(schema)}</p>"
    return f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{table}</section>'


def _problems() -> str:
    texts = lookup(TEXTS, "docs")
    rows = [
        (f"{code.status}", f'<code id="{code.value}">{code.value}</code>', escape(problem_title(code)))
        for code in sorted(ProblemCode, key=lambda code: code.status)
    ]
    return _table((texts["status"], texts["code"], texts["meaning"]), rows)


def _content(answer: Node) -> str:
    found = [
        f"{_type(entry.get('schema', {}))} <small>{escape(kind)}</small>"
        for kind, entry in answer.get("content", {}).items()
    ]
    return join(found)


def _type(schema: Node) -> str:
    """Return a schema in one line; objects are links."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " | ".join(_type(entry) for entry in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"[{_type(schema.get('items', {}))}]"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"{{…: {_type(schema['additionalProperties'])}}}"
    return f"<code>{escape(str(schema.get('format') or schema.get('type', 'any')))}</code>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
