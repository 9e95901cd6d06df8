"""Texts of «Resumen»."""

from __future__ import annotations

from cgcore.workbench.overview import SectionName
from pages.ui.texts import common

TITLE = "Resumen"
SUBTITLE = "Hola, {name}. Así está lo que tus documentos necesitan para salir."
RUN_ALL = "Probar todo"
RUN_ALL_EXPLANATION = "Prueba a la vez el servidor saliente y el entrante. No se envía ningún correo."
RUN_ALL_INCOMPLETE = "Falta algo en «Cuenta mail» antes de probar."
GO_TO_ACCOUNT = "Ir a Cuenta mail"
ATTENTION = "Revisar"
NOT_SET_UP = "Sin configurar"
LEGS = {"smtp": "Servidor saliente", "imap": "Servidor entrante"}

SECTIONS = {
    SectionName.MAIL_ACCOUNT: ("mail_account.py", common.PAGE_MAIL_ACCOUNT),
    SectionName.TEMPLATES: ("sending_defaults.py", common.PAGE_SENDING),
    SectionName.SERIES: ("series_defaults.py", common.PAGE_SERIES),
    SectionName.API_KEY: ("api_key.py", common.PAGE_API_KEY),
}
ICONS = {
    SectionName.MAIL_ACCOUNT: ":material/mail:",
    SectionName.TEMPLATES: ":material/edit_note:",
    SectionName.SERIES: ":material/format_list_numbered:",
    SectionName.API_KEY: ":material/key:",
}

FACTS = {
    "mail_empty": "Aún sin configurar. Empieza por aquí.",
    "mail_no_password": "Falta la contraseña de {host}.",
    "mail_password_lost": "Vuelve a escribir la contraseña de {host}: la guardada no es de esta cuenta.",
    "mail_running": "Probando ahora mismo.",
    "mail_smtp_failed": "El envío no sale: {sentence}",
    "mail_imap_failed": "No se guardan copias: {sentence}",
    "mail_unproven": "Configurada con {host}, pero sin probar.",
    "mail_changed": "Has cambiado la cuenta desde la última prueba de {host}.",
    "mail_proven": "Envía por {smtp} y guarda copia.",
    "mail_without_copy": "Envía por {smtp}. No guarda copia: no has elegido carpeta.",
    "mail_smtp_proven": "Envía por {smtp}. Falta probar el servidor entrante.",
    "templates_default": "Asunto, cuerpo y firma predeterminados en los siete tipos de documento.",
    "templates_own": "{count} de 7 plantillas a tu gusto. Último cambio",
    "templates_signature": "Firma a tu gusto; asunto y cuerpo predeterminados. Último cambio",
    "templates_errors": "{count} con errores: no se pueden enviar. Empieza por {first}.",
    "series_empty": "Aún no hay series. Las crea una persona que administra.",
    "series_finding": "{sentence}",
    "series_ready": "{count} tipos de documento con su serie.",
    "key_none": "Sin clave. Genera una si usas la app móvil u otro programa.",
    "key_expired": "La clave ha caducado. Genera otra para que la app vuelva a entrar.",
    "key_expires": "Una clave caduca pronto. Días que quedan: {days}. Renuévala antes.",
    "key_unused": "Claves activas: {count}. Sin usar; la última, creada",
    "key_used": "Claves activas: {count}. Último uso",
}
