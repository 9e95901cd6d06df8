"""Empresa: particulars, logo and default series of the company."""

from __future__ import annotations

import streamlit as st

from cgcore.company.company import CompanyDraft
from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from pages.ui.admin import mail_servers
from pages.ui.cells import cell
from pages.ui.editing import Form, store
from pages.ui.series.rows import DefaultsForm, draw_groups, draw_search
from pages.ui.series.target import Target, Whose
from pages.ui.tab import first_mount
from pages.ui.texts import administration as texts

__all__ = ["CompanyPanel"]

PAGE = "administration"
_REMOVE_LOGO, _UPLOADS = f"{PAGE}_company_remove_logo", f"{PAGE}_company_uploads"
_SEARCH = f"{PAGE}_company_series_search"


class CompanyPanel:
    """The panel of one run."""

    can_save = True
    wants_save = False

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor
        self._company = workbench.company.get(actor)
        self._target = Target(Whose.ALL)
        labels: dict[str, str] = {"name": texts.NAME, "tax_id": texts.TAX_ID, "address": texts.ADDRESS}
        values = {name: getattr(self._company, name) for name in labels}
        self.form = Form(PAGE, f"{PAGE}_company", values, self._company.version, labels)
        self._series_form = DefaultsForm(PAGE, self._target, workbench.series.defaults.get_company(actor))

    @property
    def forms(self):
        """The two drafts: the particulars, and the default series."""
        return self.form, self._series_form

    def changed(self) -> int:
        """Return how many fields differ from what is stored."""
        return self.form.count_changed() + self._series_form.count_changed() + (self._logo() is not None)

    def save(self) -> bool:
        """Store what differs; return whether it is stored."""
        if (self.form.changed() or self._logo() is not None) and not store(self.form, self._save_company):
            return False
        return not self._series_form.changed() or store(self._series_form, self._save_series)

    def reset(self) -> None:
        """Take what is stored; only before the widgets are drawn."""
        self.form.reset()
        self._series_form.reset()
        st.session_state[_REMOVE_LOGO] = False
        st.session_state[_UPLOADS] = st.session_state.get(_UPLOADS, first_mount()) + 1

    def draw(self) -> None:
        """Draw the fields, then the default series."""
        with cell("company", texts.COMPANY_CELL):
            left, right = st.columns([6, 5], gap="medium")
            with left:
                self._draw_fields()
            with right:
                self._draw_logo()
        mail_servers.draw(self._workbench, self._actor)
        st.caption(texts.COMPANY_SERIES_EXPLANATION)
        choices = self._series_form.changed_choices()
        search = st.session_state.get(_SEARCH, "")
        shown = self._workbench.series.defaults.get_company(self._actor, search=search, choices=choices)
        empty = self._workbench.series.count(self._actor) == 0
        if empty:
            st.info(texts.SERIES_EMPTY, icon=":material/info:")
        if search or any(row.more for row in shown.rows):
            draw_search(_SEARCH)
        draw_groups(self._workbench, self._actor, self._target, self._series_form, shown, quiet=empty)

    def _draw_fields(self) -> None:
        st.text_input(texts.NAME, live=True, **self.form.widget("name"))
        self.form.problems_under("name")
        st.text_input(texts.TAX_ID, live=True, placeholder="B12345674", **self.form.widget("tax_id"))
        self.form.problems_under("tax_id")
        st.text_area(texts.ADDRESS, height=110, **self.form.widget("address"))
        self.form.problems_under("address")

    def _draw_logo(self) -> None:
        logo = self._company.logo
        st.file_uploader(
            texts.LOGO, type=["png", "jpg", "jpeg", "gif"], help=texts.LOGO_HELP, key=_upload_key(), max_upload_size=1
        )
        self.form.problems_under("logo")
        if logo is None:
            st.caption(texts.LOGO_NONE)
            return
        st.image(logo.data, width=min(logo.width, 220), caption=texts.LOGO_ALT)
        removing = st.session_state.get(_REMOVE_LOGO, False)
        if removing:
            st.caption(texts.LOGO_REMOVED)
        label = texts.LOGO_KEEP if removing else texts.LOGO_REMOVE
        if st.button(label, type="tertiary", key=f"{PAGE}_company_logo_removal"):
            st.session_state[_REMOVE_LOGO] = not removing
            st.rerun()

    def _logo(self) -> bytes | None:
        uploaded = st.session_state.get(_upload_key())
        if uploaded is not None:
            return uploaded.getvalue()
        return b"" if st.session_state.get(_REMOVE_LOGO) else None

    def _save_company(self) -> None:
        draft = CompanyDraft(**self.form.values(), logo=self._logo())
        self._workbench.company.save(self._actor, draft, self.form.version)

    def _save_series(self) -> None:
        choices = self._series_form.changed_choices()
        self._workbench.series.defaults.save_company(self._actor, choices, self._series_form.version)


def _upload_key() -> str:
    # A new key empties the uploader, which cannot be written to.
    return f"{PAGE}_company_logo_{st.session_state.get(_UPLOADS, first_mount())}"
