"""The address of one type's tab: ``/valores-por-defecto?tipo=quote``."""

from __future__ import annotations

import streamlit as st

from cgcore.documents import DocumentType, types_with_template

__all__ = ["find_tab", "type_parameters"]

_TYPE = "tipo"


def type_parameters(document_type: DocumentType) -> dict[str, str]:
    """Return the parameters of a link to the template of ``document_type``."""
    return {_TYPE: document_type.value}


def find_tab() -> str | None:
    """Return the tab that the address asks for, None where it names no type with a template."""
    asked = st.query_params.get(_TYPE)
    return next((entry.tab for entry in types_with_template() if entry.code.value == asked), None)
