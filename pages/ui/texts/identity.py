"""What a page says to somebody who is not, or no longer, logged in."""

from __future__ import annotations

SESSION_ENDED_TITLE = "Tu sesión ha terminado"
SESSION_ENDED = "Has salido en otra pestaña, o ha pasado demasiado tiempo. Entra de nuevo para seguir."
ENTER = "Ir a la entrada"
