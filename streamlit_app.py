"""The ASGI app: Streamlit's pages behind the gate, beside the log-in pages, the REST API and ``/salud``."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cgcore.allocation import keep_one_heap
from cgcore.logs import install_json_log, install_line_log
from cgcore.web.app_page import AppPage
from cgcore.web.assembly import Assembly, NoDelay, start_descriptors, start_settings
from cgcore.web.assets import AssetFolder
from cgcore.web.connections import ConnectionLimits, Connections
from cgcore.web.origins import AllowedOrigins
from cgcore.web.paths import AFTER_END, CROWDED
from cgcore.workbench import get_workbench
from pages.ui.clicks import keep_clicks
from pages.ui.files import guard_files
from pages.ui.server import (
    ADMIN_PAGES,
    FIRST_PAGE,
    PAGES,
    WANTED_MODULES,
    StreamlitTabs,
    admit_hosts,
    build_last_message,
    find_address,
    find_framed_pages,
    read_facts,
    tell_failure,
)

keep_one_heap()
install_line_log()
settings = start_settings()
if settings.log == "json":
    install_json_log()
origins = AllowedOrigins.of(settings)
admit_hosts(origins.allowed_hosts())
guard_files()
keep_clicks()
assembly = Assembly(
    get_workbench,
    origins,
    find_address=lambda: origins.public_url or find_address(),
    read_facts=read_facts,
    tabs=StreamlitTabs(),
    settings=settings,
)

static = Path(st.__file__).parent / "static"
page = AppPage(static / "index.html", AssetFolder(static / "static", WANTED_MODULES), PAGES, ADMIN_PAGES, FIRST_PAGE)

app = st.App(
    Path(__file__).parent / "pages" / "workbench.py",
    routes=assembly.routes(),
    middleware=assembly.middleware(
        page=page,
        component_pages=find_framed_pages(),
        last_message=build_last_message(AFTER_END),
        crowded=build_last_message(CROWDED),
    ),
    lifespan=assembly.lifespan,
    on_script_error=tell_failure,
)
# Around all of it: only here is the server's own way to the connection still in sight.
app = Connections(NoDelay(app), origins.trusted_proxies, ConnectionLimits.within(start_descriptors()))
