"""Texts that several pages share."""

from __future__ import annotations

PRODUCT = "Cloud Gestion · Configuración"

# Navigation: section headings, page titles and the sentence shown for each page.
SECTION_OWN = "Mi configuración"
SECTION_WORK = "Trabajo"
SECTION_HOUSE = "Empresa"
PAGE_OVERVIEW = "Resumen"
PAGE_MAIL_ACCOUNT = "Cuenta mail"
PAGE_SENDING = "Valores por defecto para envío"
PAGE_SERIES = "Series por defecto"
PAGE_API_KEY = "API Key"
PAGE_TEST_MAILBOX = "Bandeja de pruebas"
PAGE_ACTIVITY = "Actividad"
PAGE_ADMIN = "Administración"
PAGE_PROFILE = "Mi usuario"
HELP_OVERVIEW = "Qué funciona, qué falta y qué hay que mirar."
HELP_MAIL_ACCOUNT = "El correo por el que salen tus documentos, probado paso a paso."
HELP_SENDING = "Asunto, cuerpo y firma de cada tipo de documento."
HELP_SERIES = "La serie que se propone en cada tipo de documento."
HELP_API_KEY = "La clave de la app móvil y de otros programas."
HELP_TEST_MAILBOX = "Lo que recibiría tu cliente, sin que salga nada."
HELP_ACTIVITY = "Quién cambió, probó y envió qué, y cuándo."
HELP_ADMIN = "Empresa, series y usuarios."
HELP_PROFILE = "Tu nombre, tu contraseña y tus sesiones abiertas."
LOG_OUT = "Cerrar sesión"
SIGNED_IN_AS = "Has entrado como {name}"

# Guardar and what stands beside it.
SAVE = "Guardar"
SAVE_BOTTOM = "Guardar cambios"
UNSAVED = "Hay cambios sin guardar"
UNSAVED_ONE = "1 campo"
UNSAVED_MANY = "{count} campos"
ALL_SAVED = "Todo guardado"
SAVED_TOAST = "Guardado"
DISCARD = "Descartar cambios"
TRY_AGAIN = "Volver a intentarlo"
NOTHING_SAVED = "No se ha guardado nada. Revisa los campos señalados."

# States of a cell.
STATE_IDLE = "Sin ejecutar"
STATE_RUNNING = "En curso…"
STATE_PASSED = "Correcto"
STATE_FAILED = "Error"
STATE_INTERRUPTED = "Interrumpido"
STATE_STALE = "Modificado"
STATE_UNSAVED = "Sin guardar"
STATE_BLOCKED = "No disponible"

# The output panel of a cell.
NOT_RUN_YET = "Aún sin ejecutar."
STALE_RESULT = "Este resultado es de antes del último cambio. Repite la prueba."
PASSED_WITH_NOTES = "Correcto, con avisos"
NO_REPLY = "Sin respuesta que mostrar."
RUN_NUMBER = "prueba {number}"
TRANSCRIPT = "Transcripción"
DOWNLOAD_TRANSCRIPT = "Descargar transcripción"
TRANSCRIPT_NOTE = "Sin contraseñas: puedes enviarla a soporte."

# Moments and durations.
NOW = "ahora mismo"
SECONDS_AGO = "hace {count} s"
MINUTES_AGO = "hace {count} min"
TODAY_AT = "hoy {time}"
YESTERDAY_AT = "ayer {time}"
DATE_AT = "{date} {time}"
NEVER = "nunca"
MILLISECONDS = "{count} ms"
SECONDS = "{count} s"

# Stale saves.
STALE_TITLE = "Se guardó otra versión mientras editabas"
STALE_EXPLANATION = "No se ha perdido nada. Mira las diferencias y elige."
STALE_FIELD = "Campo"
STALE_YOURS = "Lo tuyo"
STALE_STORED = "Lo guardado"
STALE_KEEP_MINE = "Guardar lo mío"
STALE_TAKE_STORED = "Quedarme con lo guardado"

# Nothing works without it.
OUR_FAULT = "Algo ha fallado en el programa. No son tus datos: vuelve a intentarlo."
CANCEL = "Cancelar"
CLOSE = "Cerrar"
YES = "Sí"
NO = "No"

# What became of a mail that was sent to try.
MAIL_SENT = "Tu servidor ha aceptado el mensaje para {recipient}"
MAIL_NOT_SENT = "El mensaje no ha salido"
COPY_STORED = "Copia guardada en «{folder}»"
COPY_FAILED = "El envío funciona, pero la copia no se ha podido guardar: {reason}"
COPY_NONE = "Sin copia: no has elegido carpeta o falta el servidor entrante."
