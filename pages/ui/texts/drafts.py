"""Texts about what was typed and not saved."""

from __future__ import annotations

from cgcore.workbench.drafts import DraftTrouble

OFFER = "Tienes un borrador {moment}"
OFFER_NOTE = "Lo que escribiste y no guardaste. Las contraseñas y los archivos elegidos no se guardan en el borrador."
TAKE = "Recuperar"
DROP = "Descartar"
AT_TIME = "las {time}"
AT_ONE = "la {time}"
OF_TODAY = "de {hour}"
OF_DAY = "del {day} a {hour}"
RESTORED = "Se ha recuperado lo que habías escrito. Aún está sin guardar."
CLICK_REFUSED = "La conexión se había cortado y ese clic no ha hecho nada. Tus campos están como los dejaste: repítelo."
TROUBLES = {
    DraftTrouble.NOT_WRITTEN: "Tu borrador no se puede guardar en el servidor. Guarda los cambios antes de salir.",
    DraftTrouble.TOO_LARGE: "Tu borrador ocupa demasiado para guardarlo. Guarda los cambios antes de salir.",
}
PASSWORD_NOT_KEPT = "La contraseña no se guarda en el borrador."  # noqa: S105  a sentence
MARKED = "{title} (borrador)"
OVERVIEW_LINE = "Borrador sin guardar {moment}"
LEAVE_TITLE = "Tienes cambios sin guardar"
LEAVE_EXPLANATION = (
    "Se quedan como borrador y te los ofreceremos cuando vuelvas a entrar. La contraseña que hayas escrito, no."
)
LEAVE_STAY = "Seguir aquí"
