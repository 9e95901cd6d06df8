"""Texts of «Series por defecto»."""

from __future__ import annotations

from cgcore.series.defaults import Reason

TITLE = "Series por defecto"
SUBTITLE = "La serie que se propone al crear cada documento. Cambiarla no renumera nada ni toca documentos ya hechos."
SUBTITLE_OTHER = "Las series por defecto de {name}. Cambiarlas no renumera nada ni toca documentos ya hechos."
SOMEBODY_ELSE = "otro usuario"
SUBTITLE_ALL = "Las series por defecto de la empresa: valen para quien no elija otra. Cambiarlas no renumera nada."

TARGET = "Usar como predeterminada"
TARGET_ME = "para mí"
TARGET_OTHER = "para otro usuario"
TARGET_ALL = "para todos"
OTHER_USER = "Usuario"
OTHER_USER_SEARCH = "Buscar usuario"
OTHER_USER_NONE = "No hay más usuarios. Añádelos en Administración."

SEARCH = "Buscar serie"
SEARCH_HELP = "Hay muchas series: escribe parte del código o del nombre y las listas se acortan."

COMPANY_OPTION = "(la de la empresa: {code})"
COMPANY_OPTION_NONE = "(la de la empresa: ninguna)"
NO_DEFAULT_OPTION = "(ninguna)"
FORBIDDEN_OPTION = "{code} · no se puede usar"

REASONS = {
    Reason.USER: "elegida por ti",
    Reason.COMPANY: "la de la empresa",
    Reason.ONLY_ONE: "la única disponible",
    Reason.NONE: "ninguna serie",
}
REASON_OTHER = "elegida por {name}"
EFFECTIVE = "**{code}** · {reason}"
NEXT_NUMBER = "próximo número **{number}**"
SUBJECT = "Asunto: {subject}"
TO_TEMPLATE = "Plantilla"
STATE_OK = "Correcto"
STATE_ERROR = "Error"
STATE_WARNING = "Aviso"
STATE_NONE = "Sin serie"
SEVERAL_NUMBERS = "El próximo número es orientativo: otra persona puede emitir antes."

EMPTY_TITLE = "Aún no hay series"
EMPTY_ADMIN = "Créalas en Administración: hay juegos listos para empezar con un clic."
EMPTY_USER = "Las crea una persona que administra. Después podrás elegir aquí las tuyas."
GO_TO_ADMIN = "Ir a Administración"

EVERYBODY_TITLE = "¿Poner estas series para todos?"
EVERYBODY_EXPLANATION = "Estas personas tienen su propia elección y la perderán:"
EVERYBODY_ROW = "{name}: {kind} usa {code}"
EVERYBODY_MORE = "y {count} más"
EVERYBODY_CONFIRM = "Poner para todos"
EVERYBODY_KEEP = "Guardar sin quitar las suyas"
CLEAR_OWN = "Quitar las elecciones propias"
CLEAR_OWN_HELP = "Todos pasan a usar las series de la empresa en los tipos que la tienen."

CHECK_TITLE = "Comprobar las series guardadas"
CHECK_RUN = "Comprobar"
CHECK_EXPLANATION = "Revisa cada tipo de documento con todas las reglas. No cambia nada."
CHECK_ROW_OK = "{kind}: {code}"
CHECK_ERROR = " · no se puede usar"
CHECK_WARNING = " · con aviso"
CHECK_ROW_NONE = "{kind}: sin serie"
