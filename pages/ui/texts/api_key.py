"""Texts of «API Key»."""

from __future__ import annotations

TITLE = "API Key"
SUBTITLE = "Con una clave, la app móvil y otros programas trabajan en tu nombre."
FIRST_TIME = "Aún no hay ninguna clave: genera una y cópiala en la aplicación que vaya a usarla."
ISSUE = "Generar nueva API Key"
PAIR = "Vincular un dispositivo"

# Issue, renew, revoke.
DEVICE = "Nombre de la aplicación"
DEVICE_DEFAULT = "App móvil"
SCOPES = "Permisos"
SCOPE_NAMES = {"read": "Leer", "write": "Escribir", "send": "Enviar"}
EXPIRY = "Caducidad"
EXPIRY_CHOICES = {"Nunca": None, "30 días": 30, "90 días": 90, "1 año": 365}
PASSWORD = "Contraseña del usuario actual"  # noqa: S105 (a label)
PASSWORD_NOTE = "La clave se muestra una sola vez. Si cambias tu contraseña, todas tus claves se revocan."  # noqa: S105
ISSUE_RUN = "Generar"
WAIT = "Demasiados intentos. Espera {seconds} s y vuelve a escribir la contraseña."
GRANT_GONE = "La autorización ha caducado. Escribe otra vez la contraseña."
RENEW = "Renovar"
RENEW_TITLE = "Renovar la clave"
RENEW_QUESTION = (
    "La clave nueva de «{device}» vale desde ya. La anterior vale hasta que uses la nueva, 24 h como mucho."
)
REVOKE = "Revocar"
REVOKE_NOW = "Revocar ya"
REVOKE_TITLE = "Revocar la clave"
REVOKE_QUESTION = "«{device}» dejará de entrar en el acto. No se puede deshacer."
REVOKED_TOAST = "Clave revocada"

# A moment to come.
MOMENT = "%d/%m/%Y %H:%M"

# The key, once.
SHOWN_TITLE = "Tu nueva clave"
SHOWN_ONCE = "Cópiala ahora: al cerrar esta ventana no se puede volver a ver."
SHOWN_OLD = "La clave anterior vale hasta el primer uso de esta y, como mucho, hasta {moment}."
COPIED = "Ya la he copiado"

# List.
CELL_KEYS = "1 · Claves"
STATE_ACTIVE = "Activa"
STATE_RETIRING = "En relevo"
STATE_EXPIRED = "Caducada"
STATE_REVOKED = "Revocada"
EXPIRES_SOON = "Caduca pronto"
CREATED = "creada {moment}"
LAST_USED = "último uso {moment} desde {ip}"
NEVER_USED = "sin usar"
EXPIRES = "caduca {moment}"
NO_EXPIRY = "no caduca"
RETIRES = "vale hasta {moment}"
REVOKED_AT = "revocada {moment}"
OLD_KEYS = "Claves revocadas"

# Use.
CELL_USE = "2 · Uso"
WHICH_KEY = "Clave"
CALLS_BY_DAY = "Llamadas por día, últimos 14 días"
DAY = "Día"
CALLS = "Llamadas"
LAST_CALLS = "Últimas llamadas"
NO_CALLS = "Esta clave aún no se ha usado."
COLUMN_WHEN = "Cuándo"
COLUMN_CALL = "Llamada"
COLUMN_STATUS = "Estado"
COLUMN_MS = "ms"
COLUMN_IP = "Desde"
CALLS_ALT = "Las últimas llamadas con la clave: cuándo, qué, con qué estado, en cuánto tiempo y desde dónde."

# Check.
CELL_CHECK = "3 · Probar la clave"
CHECK = "Probar la clave"
CHECK_KEY = "Clave que pruebas"
CHECK_NOTE = "Se usa para esta prueba y no se guarda."
CHECK_STEP = "GET {path} · {status} {phrase} · {ms} ms"
CHECK_NO_ANSWER = "GET {path} · sin respuesta"

# Snippets.
CELL_SNIPPETS = "4 · Ejemplos"
SNIPPETS_NOTE = "Pon la clave en la variable de entorno `CG_API_KEY`; nunca en el código ni en la dirección."
DOCS = "Documentación de la API"
LANGUAGES = ("curl", "Python", "JavaScript")

# Pairing.
PAIR_TITLE = "Vincular un dispositivo"
PAIR_RUN = "Mostrar el código QR"
PAIR_NOTE = "Escanéalo con la app. Vale para un dispositivo, hasta {moment}; la app recibe una clave propia."
PAIR_CODE = "O escribe este código en la app:"
PAIR_LOCAL = "La dirección {address} solo vale en este equipo. Para un móvil, el servidor necesita «CG_PUBLIC_URL»."
PAIR_ALT = "Código QR para vincular un dispositivo"
