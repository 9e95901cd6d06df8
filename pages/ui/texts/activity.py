"""Texts of «Actividad»."""

from __future__ import annotations

from cgcore.activity import Action

TITLE = "Actividad"
SUBTITLE_ALL = "Quién cambió, probó, generó y envió qué, y cuándo. No se puede borrar ni cambiar."
SUBTITLE_OWN = "Lo que has cambiado, probado, generado y enviado. No se puede borrar ni cambiar."
SEARCH = "Buscar"
SEARCH_PLACEHOLDER = "objeto, detalle, usuario o dirección"
ACTION = "Acción"
ANY_ACTION = "Cualquiera"
RESULT = "Resultado"
RESULT_ANY, RESULT_OK, RESULT_BAD = "Todos", "Correcto", "Con problemas"
USER = "Usuario"
DAYS = "Desde"
DAYS_OPTIONS = {"Siempre": 0, "Hoy": 1, "7 días": 7, "30 días": 30}
EXPORT = "Descargar CSV"
EMPTY = "Aún no hay actividad."
EMPTY_FILTERED = "Nada con esos filtros."
TABLE_ALT = "Actividad, de lo más reciente a lo más antiguo"
COLUMN_WHEN, COLUMN_RESULT, COLUMN_WHO, COLUMN_WHAT, COLUMN_FROM = "Cuándo", "Resultado", "Quién", "Qué", "Desde"
NOBODY = "–"
VIA_KEY = "{ip} · clave {key}"
OK = "Correcto"
WARNING = "Aviso"
# Results that are no diagnosis of the mail, and objects that are codes.
RESULTS = {
    "password_wrong": "Contraseña incorrecta",
    "wrong_credentials": "Usuario o contraseña incorrectos",
    "throttled": "Demasiados intentos",
    "check_errors": "Con errores",
    "check_warnings": "Con avisos",
}
OBJECTS = {
    "api_key_issue": "para generar una API Key",
    "api_key_roll": "para renovar una API Key",
    "api_key_pair": "para vincular un dispositivo",
}
# Actions whose object is a document type.
OF_A_TYPE = frozenset({Action.TEMPLATE_SAVED, Action.TEMPLATE_RESTORED, Action.TEMPLATES_COPIED})
CSV_HEADER = ("Fecha (UTC)", "Usuario", "Acción", "Objeto", "Resultado", "Detalle", "Dirección")

ACTIONS: dict[str, str] = {
    Action.LOGGED_IN: "Entró",
    Action.LOGIN_FAILED: "Intento de entrar",
    Action.LOGGED_OUT: "Salió",
    Action.REAUTHENTICATED: "Confirmó su contraseña",
    Action.SESSIONS_ENDED: "Cerró sesiones",
    Action.PASSWORD_CHANGED: "Cambió su contraseña",
    Action.PASSWORD_RESET: "Contraseña nueva",
    Action.RESET_LINK_ISSUED: "Creó un enlace de contraseña",
    Action.USER_ADDED: "Añadió un usuario",
    Action.USER_SAVED: "Cambió un usuario",
    Action.USER_DISABLED: "Desactivó un usuario",
    Action.USER_ENABLED: "Activó un usuario",
    Action.PROFILE_SAVED: "Cambió sus datos",
    Action.COMPANY_SAVED: "Cambió la empresa",
    Action.COMPANY_SERIES_SAVED: "Cambió las series de la empresa",
    Action.SERIES_ADDED: "Creó una serie",
    Action.SERIES_SAVED: "Cambió una serie",
    Action.SERIES_DISABLED: "Desactivó una serie",
    Action.SERIES_ENABLED: "Activó una serie",
    Action.SERIES_DELETED: "Borró una serie",
    Action.DEFAULTS_SAVED: "Cambió series por defecto",
    Action.DEFAULTS_ORPHANED: "Dejó series por defecto sin validez",
    Action.DEFAULTS_CHECKED: "Comprobó las series",
    Action.ACCOUNT_SAVED: "Cambió su cuenta mail",
    Action.CERTIFICATE_PINNED: "Aceptó un certificado",
    Action.PROBE_RUN: "Probó una conexión",
    Action.TEST_MAIL_SENT: "Envió un correo de prueba",
    Action.DOCUMENT_SENT: "Envió un documento",
    Action.TEMPLATE_SAVED: "Cambió una plantilla",
    Action.TEMPLATE_RESTORED: "Recuperó una plantilla",
    Action.TEMPLATES_COPIED: "Copió plantillas",
    Action.SIGNATURE_SAVED: "Cambió su firma",
    Action.KEY_ISSUED: "Generó una API Key",
    Action.KEY_ROLLED: "Renovó una API Key",
    Action.KEY_REVOKED: "Revocó una API Key",
    Action.PAIRING_CODE_ISSUED: "Creó un código de vinculación",
    Action.DEVICE_PAIRED: "Vinculó un dispositivo",
    Action.CONFIGURATION_EXPORTED: "Exportó la configuración",
    Action.CONFIGURATION_IMPORTED: "Importó una configuración",
    Action.ACTIVITY_EXPORTED: "Descargó la actividad",
}
