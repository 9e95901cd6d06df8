"""Texts of «Cuenta mail»."""

from __future__ import annotations

TITLE = "Cuenta mail"
SUBTITLE = "Con esta cuenta salen tus presupuestos, albaranes y facturas. Aquí la pruebas antes de fiarte de ella."

CELL_ACCOUNT = "Cuenta"
CELL_SMTP = "1 · Servidor saliente"
CELL_IMAP = "2 · Servidor entrante y carpeta"
CELL_TEST = "3 · Envío de Prueba"

USER = "Usuario Correo"
PASSWORD = "Contraseña Correo"  # noqa: S105  a label
SMTP_HOST = "Servidor Saliente (SMTP)"
PORT = "Puerto"
IMAP_PORT = "Puerto IMAP"
SMTP_SECURITY = "Seguridad Conexión"
READ_RECEIPT = "Confirmación lectura"
IMAP_HOST = "Servidor Entrante (IMAP)"
IMAP_SECURITY = "Seguridad de conexión"
SENT_FOLDER = "Carpeta guardar enviados"
RECIPIENT = "Destinatario"
CERTIFICATE_SHA256 = "Huella SHA-256"

FIELD_LABELS = {
    "user": USER,
    "smtp_host": SMTP_HOST,
    "smtp_port": PORT,
    "smtp_security": SMTP_SECURITY,
    "imap_host": IMAP_HOST,
    "imap_port": IMAP_PORT,
    "imap_security": IMAP_SECURITY,
    "imap_pin": CERTIFICATE_SHA256,
    "read_receipt": READ_RECEIPT,
    "sent_folder": SENT_FOLDER,
}

USER_PLACEHOLDER = "facturas@tuempresa.es"
SMTP_PLACEHOLDER = "smtp.tuproveedor.es"
IMAP_PLACEHOLDER = "imap.tuproveedor.es"
SMTP_SECURITY_HELP = "SSL cifra desde el principio (465). TLS empieza con STARTTLS (587). Pregunta a tu proveedor."
READ_RECEIPT_HELP = (
    "Pide al programa del destinatario que avise al abrir. Puede no hacerlo: el silencio no significa «sin leer»."
)
SENT_FOLDER_HELP = (
    "La carpeta de tu buzón donde queda la copia de cada envío. Prueba la conexión IMAP para ver las tuyas."
)
SENT_FOLDER_NONE = "(no guardar copia)"
USE_FOLDER = "Guardar las copias en «{folder}»"
FOLDER_FLAGGED = "{name} · marcada por el servidor"
FOLDER_BY_NAME = "{name} · por su nombre"
FOLDER_MISSING = "{name} · no está en el servidor"

PASSWORD_STORED_KEYRING = "guardada en el llavero"  # noqa: S105  a placeholder
PASSWORD_STORED_VAULT = "guardada en el cofre cifrado"  # noqa: S105
PASSWORD_BROUGHT = "la del buzón de pruebas"  # noqa: S105
PASSWORD_EMPTY = "aún no guardada"  # noqa: S105
PASSWORD_LOST = "vuelve a escribirla"  # noqa: S105
PASSWORD_REMOVE = "Quitar la contraseña guardada"  # noqa: S105
PASSWORD_REMOVED = "Se quitará al guardar."  # noqa: S105
PASSWORD_KEEP = "Conservarla"  # noqa: S105
PLAIN_WARNING = "Sin cifrar, la contraseña viaja a la vista de cualquiera que esté en el camino."

RUN_SMTP = "Probar conexión SMTP"
RUN_IMAP = "Probar conexión IMAP"
SEND_TEST = "Enviar correo de prueba"
PASSED_SMTP = "Puedes enviar con esta cuenta."
PASSED_IMAP = "La cuenta entra y guarda copias."
PASSED_IMAP_WITHOUT_COPY = "La cuenta entra. No guarda copias: no has elegido carpeta."
NOT_PROVEN_SMTP = "Sin probar todavía: que un mensaje llegue. Para eso está el envío de prueba."

CURE = "Aplicar {values} y volver a probar"
CURE_PROVEN = "Lo acabamos de probar y funciona."
CURE_SECURITY = "seguridad {value}"
CURE_PORT = "puerto {value}"
CURE_HOST = "servidor {value}"
CURE_FOLDER = "carpeta «{value}»"
CURE_USER = "usuario {value}"
CREATE_FOLDER = "Crear la carpeta «{folder}»"

CERTIFICATE = "Certificado del servidor"
CERTIFICATE_NAMES = "Nombres"
CERTIFICATE_ISSUER = "Lo firma"
CERTIFICATE_DATES = "Vale"
CERTIFICATE_FROM_TO = "del {start} al {end}"
PIN_QUESTION = "Compara la huella con la que te dé quien lleva el servidor. Si es la misma, confírmala."
PIN_CONFIRM = "Confirmar huella y volver a probar"
PIN_SET = "Solo se acepta el certificado confirmado: {pin}…"
PIN_FORGET = "Olvidar la huella"

DIALOG_TITLE = "Envío de prueba"
DIALOG_QUEUE = "Identificador en el servidor: {queue_id}"
DIALOG_NO_QUEUE = "El servidor no ha dado un identificador."
DIALOG_UNPROVEN = "Lo que esto no prueba"
DIALOG_UNPROVEN_ITEMS = (
    "Que el mensaje llegue a la bandeja de entrada y no a correo no deseado: míralo en el destino.",
    "Que el servidor de cada cliente lo acepte.",
    "Que el destinatario lo lea.",
)
DIALOG_FROM_SANDBOX = "Míralo en la Bandeja de pruebas."

GMAIL_PANEL = "¿Usas Gmail?"
GMAIL_STEPS = """
1. Activa la **verificación en dos pasos** en tu cuenta de Google, apartado «Seguridad».
2. Crea una **contraseña de aplicación** en «Seguridad → Contraseñas de aplicaciones». Son 16 letras.
3. En «Usuario Correo» escribe tu dirección completa. En «Contraseña Correo» pega esas 16 letras, sin espacios.
4. El botón rellena servidores, puertos y seguridad. La copia la guarda Gmail: deja la carpeta sin elegir.
"""
GMAIL_FILL = "Rellenar para Gmail"
GMAIL_FILLED = "Servidores de Gmail puestos. Falta tu contraseña de aplicación."
SANDBOX_PANEL = "¿Quieres probar sin que salga nada?"
SANDBOX_EXPLANATION = "El buzón de pruebas recibe lo que enviarías a tus clientes, y nada sale de este equipo."
SANDBOX_FILL = "Usar el buzón de pruebas"
SANDBOX_FILLED = "Buzón de pruebas puesto. Guarda o prueba cuando quieras."
