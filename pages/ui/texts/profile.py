"""Texts of «Mi usuario»."""

from __future__ import annotations

TITLE = "Mi usuario"
SUBTITLE = "Entras como {name}."
CELL_PARTICULARS = "Tus datos"
FULL_NAME = "Nombre y apellidos"
MAIL = "Correo"
MAIL_HELP = "A dónde te escriben. No es la cuenta por la que salen tus documentos."

CELL_PASSWORD = "Cambiar la contraseña"  # noqa: S105
OLD_PASSWORD = "Contraseña actual"  # noqa: S105
NEW_PASSWORD = "Contraseña nueva"  # noqa: S105
REPEAT_PASSWORD = "Repite la contraseña nueva"  # noqa: S105
PASSWORD_CONSEQUENCE = "Se cerrarán tus otras sesiones y dejarán de funcionar tus API Keys."  # noqa: S105
CHANGE_PASSWORD = "Cambiar contraseña"  # noqa: S105
PASSWORD_CHANGED = "Contraseña cambiada"  # noqa: S105
PASSWORDS_DIFFER = "Las dos contraseñas nuevas no son iguales."
THROTTLED = "Demasiados intentos. Espera {seconds} segundos."

CELL_SESSIONS = "Sesiones abiertas"
THIS_SESSION = "Esta sesión"
SESSION_SEEN = "usada {when} · abierta {opened}"
SESSION_FROM = "desde {ip}"
UNKNOWN_BROWSER = "Navegador desconocido"
END_SESSION = "Cerrar"
END_SESSION_HELP = "Cerrar la sesión de {browser}"
END_OTHERS = "Cerrar las demás"
END_OTHERS_TITLE = "¿Cerrar las demás sesiones?"
END_OTHERS_EXPLANATION = "Quien las use tendrá que entrar de nuevo. Esta sigue abierta."
ENDED = "Sesiones cerradas: {count}"
ONLY_THIS = "No hay ninguna otra sesión abierta."
