"""Texts of «Administración»."""

from __future__ import annotations

from cgcore.identity.actor import Role
from cgcore.series.series import SeriesKind
from cgcore.series.starters import StarterLayout

TITLE = "Administración"
SUBTITLE = "Lo que comparten todas las personas de la empresa."
ADMINS_ONLY = "Esta página es para quien administra la empresa."
PANEL = "Apartado"
PANEL_COMPANY = "Empresa"
PANEL_SERIES = "Series"
PANEL_USERS = "Usuarios"
PANEL_COPY = "Copia"

# Empresa
COMPANY_CELL = "Datos de la empresa"
NAME = "Nombre"
TAX_ID = "NIF/CIF"
ADDRESS = "Dirección"
LOGO = "Logotipo"
LOGO_HELP = "PNG, JPEG o GIF, hasta 1 MB. Aparece en las plantillas que lo usen."
LOGO_ALT = "Logotipo actual"
LOGO_NONE = "Sin logotipo."
LOGO_REMOVE = "Quitar logotipo"
LOGO_REMOVED = "El logotipo se quitará al guardar."
LOGO_KEEP = "No quitarlo"
COMPANY_SERIES_EXPLANATION = (
    "Series por defecto de la empresa: valen para quien no elija otra. Cambiarlas no renumera nada."
)

# Series
SERIES_NEW = "Nueva serie"
SERIES_SEARCH = "Buscar por código o nombre"
SERIES_STATE = "Estado"
STATE_ALL, STATE_ON, STATE_OFF = "Todas", "Activas", "Desactivadas"
ACTIVE, INACTIVE = "Activa", "Desactivada"
EDIT = "Editar"
EDIT_NAMED = "Editar {name}"
BACK = "Volver a la lista"
SERIES_NONE = "Ninguna serie con esos filtros."
SERIES_EMPTY = "Aún no hay series. Crea un juego completo con un clic, o una serie suelta."
STARTERS_TITLE = "Juegos de series para empezar"
STARTERS_EXPLANATION = "Crea todas las series de un juego y las pone como series por defecto de la empresa."
STARTER_CREATE = "Crear este juego"
STARTER_DONE = "Series creadas: {codes}"
STARTERS = {
    StarterLayout.SINGLE: (
        "Una serie y rectificativas",
        "Una serie para ventas y partes, y aparte compras, proformas y rectificativas.",
    ),
    StarterLayout.PER_DOCUMENT: (
        "Una por tipo de documento",
        "Cada tipo con su serie, y una más para rectificativas y abonos.",
    ),
    StarterLayout.PER_ACTIVITY: (
        "Una por actividad",
        "Obras, mantenimiento y tienda, cada una con su numeración.",
    ),
}
KINDS = {
    SeriesKind.ORDINARY: "Ordinaria",
    SeriesKind.SIMPLIFIED: "Simplificada",
    SeriesKind.CORRECTIVE: "Rectificativa",
}
SERIES_EDITOR = "Serie {code}"
SERIES_EDITOR_NEW = "Nueva serie"
CODE = "Código"
CODE_HELP = "Va delante del número. No se puede cambiar después."
SERIES_NAME = "Nombre"
KIND = "Clase"
KIND_HELP = "Solo cuenta en las facturas. Una serie rectificativa no puede ser la de por defecto."
ACTIVE_FIELD = "Activa"
TYPES = "Tipos de documento y próximo número"
TYPES_EXPLANATION = "El próximo número es orientativo: otra persona puede emitir antes. Verlo no gasta ninguno."
NEXT_NUMBER = "Próximo número de {kind}"
PREVIEW = "Los próximos: {numbers}"
USED_NOTE = "Ya ha numerado documentos enviados: se desactiva en lugar de borrarse."
SERIES_DELETE = "Borrar serie"
SERIES_DELETE_TITLE = "¿Borrar la serie {code}?"
SERIES_DELETE_EXPLANATION = "No se puede deshacer. Ningún documento enviado la lleva."
ORPHANS_HEAD = "Series por defecto afectadas"
ORPHANS_TITLE = "¿Guardar la serie {code}?"
ORPHANS_EXPLANATION = "Estas elecciones apuntan a ella y quedarán marcadas como error hasta que se cambien:"
ORPHAN_ROW = "{name}: {kind}"
ORPHAN_COMPANY = "La empresa"
ORPHANS_CONFIRM = "Guardar de todos modos"
AND_MORE = "y {count} más"

# Usuarios
USER_NEW = "Añadir usuario"
USER_SEARCH = "Buscar por nombre o correo"
USERS_NONE = "Ningún usuario con esos filtros."
USERS_ALL, USERS_ON, USERS_OFF = "Todos", "Activos", "Desactivados"
USER_ACTIVE, USER_INACTIVE = "Activo", "Desactivado"
USER_PENDING = "Sin contraseña"
USER_YOU = "Tú"
USER_EDITOR = "Usuario {name}"
USER_EDITOR_NEW = "Nuevo usuario"
USERNAME = "Nombre de usuario"
USERNAME_HELP = "Con él se entra. No se puede cambiar después."
FULL_NAME = "Nombre y apellidos"
MAIL = "Correo"
ROLE = "Permisos"
ROLES = {Role.USER: "Usuario", Role.ADMIN: "Administra"}
SESSIONS_OPEN = "Sesiones abiertas: {count}"
USER_LINK = "Crear enlace para su contraseña"
USER_LINK_TITLE = "Enlace para {name}"
USER_LINK_EXPLANATION = "Cópialo y envíaselo: solo se muestra ahora, sirve una vez y caduca en 24 horas."
USER_LINK_WARNING = "Al usarlo se cierran sus sesiones y se revocan sus API Keys."
USER_DISABLE = "Desactivar"
USER_DISABLE_TITLE = "¿Desactivar a {name}?"
USER_DISABLE_EXPLANATION = "Sus sesiones y su API Key dejan de funcionar ahora mismo. Sus datos se conservan."
USER_ENABLE = "Activar"
USER_EXPORT = "Exportar su configuración"
USER_END_SESSIONS = "Cerrar sus sesiones"
USER_END_TITLE = "¿Cerrar las sesiones de {name}?"
USER_END_EXPLANATION = "Tendrá que entrar de nuevo. Lo que no haya guardado se pierde."
USER_ENDED = "Sesiones cerradas: {count}"
DISABLED_TOAST = "Usuario desactivado"
ENABLED_TOAST = "Usuario activado"
