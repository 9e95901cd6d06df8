"""Texts of export and import."""

from __future__ import annotations

EXPORT_TITLE = "Exportar"
EXPORT_ALL = "Empresa, series y usuarios en un solo archivo legible. Sin contraseñas ni claves."
EXPORT_OWN = "Tu cuenta de correo, plantillas, firma y series en un archivo legible. Sin contraseñas ni claves."
EXPORT_BUTTON = "Descargar configuración"
IMPORT_TITLE = "Importar"
IMPORT_EXPLANATION = "Primero ves los cambios; nada se toca hasta que los aceptas."
IMPORT_FILE = "Archivo de configuración"
IMPORT_APPLY = "Importar estos cambios"
IMPORT_COUNT = "Cambios: {count}"
IMPORT_MORE = "Se muestran los {count} primeros."
IMPORT_NOTHING = "El archivo es igual que lo guardado: no hay nada que cambiar."
IMPORT_DONE = "Configuración importada"
IMPORT_CHANGED = "La configuración ha cambiado desde la vista previa. Mira otra vez los cambios."
IMPORT_REFUSED = "No se ha importado nada"
COLUMN_OBJECT, COLUMN_FIELD, COLUMN_BEFORE, COLUMN_AFTER = "Qué", "Campo", "Ahora", "Después"
TABLE_ALT = "Cambios de la importación"
EMPTY = "–"

# The words for the names in a configuration file; document types have their own.
FIELDS = {
    "name": "nombre",
    "full_name": "nombre y apellidos",
    "mail": "correo",
    "role": "permisos",
    "tax_id": "NIF/CIF",
    "address": "dirección",
    "logo": "logotipo",
    "series": "serie por defecto",
    "code": "código",
    "kind": "clase",
    "active": "activa",
    "document_types": "próximo número",
    "series_defaults": "serie por defecto",
    "mail_account": "cuenta mail",
    "smtp": "SMTP",
    "imap": "IMAP",
    "user": "usuario",
    "host": "servidor",
    "port": "puerto",
    "security": "seguridad",
    "pin": "huella del certificado",
    "read_receipt": "confirmación de lectura",
    "sent_folder": "carpeta de enviados",
    "templates": "plantilla",
    "subject": "asunto",
    "body": "cuerpo",
    "signature": "firma",
    "html": "texto",
}
