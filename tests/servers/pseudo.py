"""A second language made of the first: every sentence of it stands in ⟦ ⟧, so that what is not in it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from cgcore import language, texts

__all__ = ["LANGUAGE", "find_unmarked", "speak_pseudo"]

LANGUAGE = "xx"
_ACCENTED = re.compile(r"[áéíóúüñÁÉÍÓÚÜÑ¿¡«»]")
_MARKED = re.compile(r"⟦[^⟦⟧]*⟧")
_WORD = re.compile(r"[a-záéíóúüñ]{3,}", re.IGNORECASE)
# What holds no wordings: names that people type, values of sample documents.
_DATA = {"aliases", "key", "values"}
_COMMON = frozenset(
    """
    del las los una con para por que sin más hay está este esta tus sus como todo todos nada aún cada desde
    hasta guardar guardado guarda enviar envío correo mensaje servidor puerto seguridad cuenta clave contraseña
    usuario empresa asunto cuerpo firma plantilla predeterminada factura facturas pedidos presupuestos ventas
    compras otros probar prueba pruebas buscar cerrar cancelar editar nombre dirección actualizar correcto
    aviso ninguna elige escribe falta revisa espera repite comprueba vuelve debe puede tiene tienes hoy ayer
    hace ahora
    """.split()  # noqa: SIM905  read as words
)


def _mark(value: Any) -> Any:
    if isinstance(value, str):
        return f"⟦{value}⟧"
    if isinstance(value, list):
        return [_mark(item) for item in value]
    return {name: entry if name in _DATA else _mark(entry) for name, entry in value.items()}


def speak_pseudo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add the language ``xx`` while the test runs."""
    read = texts._read  # pyright: ignore[reportPrivateUsage]

    def reading(file: str, tongue: str) -> dict[str, Any] | None:
        spanish = read(file, "es")
        return spanish if tongue == "es" or spanish is None else _mark(spanish)

    monkeypatch.setattr(language, "known_languages", lambda: frozenset({"es", LANGUAGE}))
    monkeypatch.setattr(texts, "_read", reading)
    texts._catalogue.cache_clear()  # pyright: ignore[reportPrivateUsage]
    yield
    texts._catalogue.cache_clear()  # pyright: ignore[reportPrivateUsage]


def find_unmarked(words: str) -> str:
    """Return what of ``words`` reads as Spanish outside the marks, ``""`` for nothing."""
    # A customer's mail is in the words of the template; addresses and names of variables are no sentences.
    left = "" if re.match(r"(?i)<!doctype|<body[^>]*><iframe", words) else re.sub(r"\S+@\S+|`?\{\w+\}`?", "", words)
    left = left.replace(r"\u27e6", "⟦").replace(r"\u27e7", "⟧")  # as JSON writes them
    while (taken := _MARKED.sub(" ", left)) != left:
        left = taken
    left = re.sub(r"(?s)⟦[^⟧]*…\W*$", "", left)  # a preview that is cut
    found = [word for word in _WORD.findall(left) if word.lower() in _COMMON]
    return left.strip() if found or _ACCENTED.search(left) else ""
