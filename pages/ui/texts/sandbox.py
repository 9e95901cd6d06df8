"""Texts of «Bandeja de pruebas»."""

from __future__ import annotations

TITLE = "Bandeja de pruebas"
SUBTITLE = "Lo que recibiría tu cliente. De aquí no sale ningún correo."

SWITCHED_OFF_TITLE = "El buzón de pruebas está desactivado"
SWITCHED_OFF = "Quien administra el programa lo activa con CG_SANDBOX=on."

REFRESH = "Actualizar"
CLEAR = "Vaciar"
COUNT_ONE = "1 mensaje"
COUNT_MANY = "{count} mensajes"
KEPT = "Se conservan hasta reiniciar el programa."

EMPTY_TITLE = "Aún no ha llegado nada"
EMPTY = "En «Cuenta mail», elige «Usar el buzón de pruebas» y envía un correo de prueba. Aparecerá aquí."
GO_TO_ACCOUNT = "Ir a Cuenta mail"

LIST = "Mensajes recibidos"
NO_SUBJECT = "(sin asunto)"
SAME_SUBJECT = "{subject} :small[:gray[n.º {number}]]"
NO_SENDER = "(sin remitente)"
FROM = "De: {sender}"
TO = "Para: {recipients}"
DELIVERED_TO = "Entregado a: {recipients}"
RECEIVED = "Recibido: {moment}"

TAB_HTML = "HTML"
TAB_TEXT = "Texto"
TAB_HEADERS = "Cabeceras"
TAB_ATTACHMENTS = "Adjuntos ({count})"
FRAME_TITLE = "Mensaje: {subject}"
FRAME_NOTE = "Los enlaces y las imágenes de otros servidores no se abren aquí."
NO_HTML = "Este mensaje no tiene versión HTML. Míralo en «Texto»."
NO_TEXT = "Este mensaje no tiene versión de texto."
NO_ATTACHMENTS = "Sin adjuntos."
DOWNLOAD_ORIGINAL = "Descargar el original (.eml)"

CLEAR_TITLE = "Vaciar la bandeja de pruebas"
CLEAR_ONE = "Se borrará el mensaje «{subject}»."
CLEAR_MANY = "Se borrarán {count} mensajes. El último: «{subject}»."
CLEAR_KEPT = "Las copias de la carpeta «Enviados» se quedan."
CLEAR_CONFIRM = "Vaciar la bandeja"
CLEARED = "Bandeja vacía"

BYTES = "{count} bytes"
KILOBYTES = "{count} KB"
MEGABYTES = "{count} MB"
