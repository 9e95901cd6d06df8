"""Facts in the line of a step."""

from __future__ import annotations

MORE_ADDRESSES = "y {count} más"
DEAD_ADDRESSES = "{count} sin respuesta"
CERTIFICATE_UNTIL = "certificado hasta {date}"
FOLDERS = "{count} carpetas"
FOLDERS_ONE = "1 carpeta"
SENT_IS = "enviados = «{name}»"
QUEUED_AS = "en cola como {queue_id}"
