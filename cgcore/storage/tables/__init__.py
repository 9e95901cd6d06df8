"""The tables (SQLModel), one module per section of the product. Rows never leave ``storage`` and ``workbench``."""

from sqlmodel import SQLModel

from cgcore.storage.tables.activity import ActivityRow, VaultRecordRow
from cgcore.storage.tables.api_keys import ApiCallDayRow, ApiCallRow, ApiKeyRow
from cgcore.storage.tables.company import CompanyRow, CompanySeriesRow
from cgcore.storage.tables.drafts import DraftRow
from cgcore.storage.tables.identity import GrantRow, LoginSessionRow, OneTimeCodeRow, ThrottleRow, UserRow
from cgcore.storage.tables.mail import MailAccountRow, OutboundMessageRow, ProbeRunRow
from cgcore.storage.tables.series import SeriesDefaultRow, SeriesNumberRow, SeriesRow
from cgcore.storage.tables.templates import MailTemplateRow, SignatureRow, TemplateImageRow, TemplateVersionRow

__all__ = [
    "ActivityRow",
    "ApiCallDayRow",
    "ApiCallRow",
    "ApiKeyRow",
    "CompanyRow",
    "CompanySeriesRow",
    "DraftRow",
    "GrantRow",
    "LoginSessionRow",
    "MailAccountRow",
    "MailTemplateRow",
    "OneTimeCodeRow",
    "OutboundMessageRow",
    "ProbeRunRow",
    "SeriesDefaultRow",
    "SeriesNumberRow",
    "SeriesRow",
    "SignatureRow",
    "TemplateImageRow",
    "TemplateVersionRow",
    "ThrottleRow",
    "UserRow",
    "VaultRecordRow",
    "metadata",
]

metadata = SQLModel.metadata
