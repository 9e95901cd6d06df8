"""The one object that pages, API, gate and command line call; each section is made at its first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from cgcore.clock import utc_now
from cgcore.errors import StorageError
from cgcore.once import once
from cgcore.settings import Settings, load_settings
from cgcore.storage.revision import is_current
from cgcore.workbench.context import Context
from cgcore.workbench.start import WriteWatch, require_sound

if TYPE_CHECKING:
    from cgcore.metrics import Family
    from cgcore.storage.database import Database
    from cgcore.vault import Vault
    from cgcore.workbench.activity import ActivitySection
    from cgcore.workbench.bounces import BounceSection
    from cgcore.workbench.company import CompanySection
    from cgcore.workbench.deliverability import DeliverabilitySection
    from cgcore.workbench.discovery import DiscoverySection
    from cgcore.workbench.drafts import DraftsSection
    from cgcore.workbench.identity import IdentitySection
    from cgcore.workbench.keys import KeysSection
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_arrival import MailArrival
    from cgcore.workbench.mail_presets import MailPresetSection
    from cgcore.workbench.mail_probes import MailRuns
    from cgcore.workbench.mail_setup import MailSetup
    from cgcore.workbench.mail_watch import MailWatch
    from cgcore.workbench.oauth.section import OAuthSection
    from cgcore.workbench.outbox.batches import BatchSection
    from cgcore.workbench.outbox.by_hand import ByHand
    from cgcore.workbench.outbox.saved import SavedSection
    from cgcore.workbench.outbox.section import OutboxSection
    from cgcore.workbench.overview import OverviewSection
    from cgcore.workbench.portable import PortableSection
    from cgcore.workbench.runs import RunSection
    from cgcore.workbench.sandbox import SandboxSection
    from cgcore.workbench.series import SeriesSection
    from cgcore.workbench.template_mail import TemplateMail
    from cgcore.workbench.templates import TemplatesSection
    from cgcore.workbench.users import UsersSection

__all__ = ["Workbench", "get_workbench", "open_workbench"]

# Imports stand inside the properties on purpose: until ``/salud`` answers, little but Streamlit is loaded.

_AGAIN_S = 5.0


class Workbench:
    """The sections of one installation over one :class:`Context`.

    The database is opened at its first use where none is given. ``clock`` returns the present moment in UTC; tests
    hand in their own.
    """

    def __init__(
        self, settings: Settings, database: Database | None = None, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.context = Context(settings, clock)
        self._closing = threading.Event()
        if database is not None:
            vars(self.context)["database"] = database

    @property
    def settings(self) -> Settings:
        """The settings of this installation."""
        return self.context.settings

    @property
    def clock(self) -> Callable[[], datetime]:
        """What returns the present moment in UTC."""
        return self.context.clock

    @property
    def database(self) -> Database:
        """The database, migrated. Raises :class:`cgcore.errors.StorageError`."""
        return self.context.database

    @property
    def vault(self) -> Vault:
        """Where secrets live."""
        return self.context.vault

    def is_open(self, part: str) -> bool:
        """Return whether a part (``database``, ``vault``, a section) has been used yet."""
        return part in vars(self) or self.context.is_open(part)

    def is_database_reachable(self) -> bool:
        """Return whether the database answers; before its first use that is asked without loading SQLAlchemy."""
        return self.context.is_database_reachable()

    def find_database_trouble(self) -> str:
        """Return the code of what keeps the database from being read or written, ``""`` where nothing does."""
        return self._write_watch.find_trouble()

    def list_totals(self) -> list[Family]:
        """Return what an operator watches, over all users. Raises :class:`StorageError`."""
        from cgcore.workbench.totals import list_totals

        return list_totals(self.context)

    def close(self) -> None:
        """Stop what was started (test mailbox, workers) and close the database."""
        self._closing.set()
        for name in ("identity", "mail_watch", "batches", "outbox", "sandbox", "runs", "keys", "drafts", "oauth"):
            if self.is_open(name):
                vars(self)[name].close()
        if self.context.is_open("database"):
            self.database.close()

    def retire(self) -> None:
        """Take on no more of what this process does by itself: it is about to stop."""
        self._closing.set()
        if self.is_open("mail_watch"):
            self.mail_watch.retire()
        if self.is_open("outbox"):
            self.outbox.retire()

    def is_working(self) -> bool:
        """Return whether a run or a sending of this process is under way."""
        return any(self.is_open(name) and vars(self)[name].is_working() for name in ("runs", "outbox"))

    def start_outbox(self) -> None:
        """Begin to send what waits in the outbox, in threads of this process; a database that is away is waited for."""
        while not self._closing.is_set():
            try:
                self.outbox.worker.start()
                self.oauth.start()
                self.mail_watch.start()
            except StorageError:
                self._closing.wait(_AGAIN_S)
            else:
                return

    @once
    def _write_watch(self) -> WriteWatch:
        return WriteWatch(self.context)

    @once
    def activity(self) -> ActivitySection:
        """The append-only activity log."""
        from cgcore.workbench.activity import ActivitySection

        return ActivitySection(self.context)

    @once
    def identity(self) -> IdentitySection:
        """Log-ins, grants, one-time codes."""
        from cgcore.workbench.identity import IdentitySection

        return IdentitySection(
            self.context, end_connection=lambda session, actor, user: self.oauth.grants.end_later(session, actor, user)
        )

    @once
    def mail_account(self) -> MailAccountSection:
        """The mail account of each user."""
        from cgcore.workbench.mail_account import MailAccountSection

        return MailAccountSection(self.context, grants=lambda: self.oauth.grants)

    @once
    def oauth(self) -> OAuthSection:
        """Signing in at mail servers with what a provider gives."""
        from cgcore.workbench.oauth.section import OAuthSection

        return OAuthSection(self.context)

    @once
    def mail_runs(self) -> MailRuns:
        """Probes, test mails and messages of the mail account."""
        from cgcore.workbench.mail_probes import MailRuns

        return MailRuns(
            self.context,
            mail_account=self.mail_account,
            oauth=lambda: self.oauth,
            runs=self.runs,
            sandbox=lambda: self.sandbox,
        )

    @once
    def discovery(self) -> DiscoverySection:
        """From an address to proven servers."""
        from cgcore.workbench.discovery import DiscoverySection

        return DiscoverySection(self.context, environment=lambda: self.mail_runs.environment())

    @once
    def mail_setup(self) -> MailSetup:
        """From address and password to a form that is filled in."""
        from cgcore.workbench.mail_setup import MailSetup

        return MailSetup(
            self.context,
            runs=self.runs,
            discovery=self.discovery,
            environment=lambda: self.mail_runs.environment(),
            fingerprint=lambda actor, cell, draft: self.mail_runs.fingerprint(actor, cell, draft),
        )

    @once
    def mail_presets(self) -> MailPresetSection:
        """The company's mail servers."""
        from cgcore.workbench.mail_presets import MailPresetSection

        return MailPresetSection(
            self.context, mail_account=self.mail_account, mail_runs=self.mail_runs, mail_setup=self.mail_setup
        )

    @once
    def mail_watch(self) -> MailWatch:
        """The daily look at each mail account."""
        from cgcore.workbench.mail_watch import MailWatch

        return MailWatch(self.context, mail_account=self.mail_account, mail_runs=self.mail_runs)

    @once
    def deliverability(self) -> DeliverabilitySection:
        """What the sender's domain says about who may send for it."""
        from cgcore.workbench.deliverability import DeliverabilitySection

        return DeliverabilitySection(runs=self.runs, environment=lambda: self.mail_runs.environment())

    @once
    def runs(self) -> RunSection:
        """Probes and sendings in worker threads, with their stored outputs."""
        from cgcore.workbench.runs import RunSection

        return RunSection(self.context)

    @once
    def overview(self) -> OverviewSection:
        """One line per section."""
        from cgcore.workbench.outbox.glance import OutboxGlance
        from cgcore.workbench.overview import OverviewSection

        return OverviewSection(
            lambda actor: self.mail_watch.overview(actor, self.mail_runs.overview(actor)),
            lambda actor: self.templates.overview(actor),
            lambda actor: self.series.overview(actor),
            lambda actor: self.keys.overview(actor),
            OutboxGlance(self.context).overview,
        )

    @once
    def sandbox(self) -> SandboxSection:
        """The embedded test mailbox."""
        from cgcore.workbench.sandbox import SandboxSection

        return SandboxSection(self.context)

    @once
    def templates(self) -> TemplatesSection:
        """Subject, body and signature per document type."""
        from cgcore.workbench.templates import TemplatesSection

        return TemplatesSection(self.context)

    @once
    def template_mail(self) -> TemplateMail:
        """Messages made of templates: previews and test mails."""
        from cgcore.workbench.template_mail import TemplateMail

        return TemplateMail(
            self.context,
            templates=self.templates,
            company=self.company,
            mail_account=self.mail_account,
            mail_runs=self.mail_runs,
        )

    @once
    def outbox(self) -> OutboxSection:
        """Documents on their way to customers."""
        from cgcore.workbench.outbox.section import OutboxSection

        return OutboxSection(
            self.context,
            templates=self.templates,
            template_mail=self.template_mail,
            mail_account=self.mail_account,
            mail_runs=self.mail_runs,
            oauth=lambda: self.oauth,
            sandbox=lambda: self.sandbox,
        )

    @once
    def by_hand(self) -> ByHand:
        """What people note of documents that went another way, and documents that go once more."""
        from cgcore.workbench.outbox.by_hand import ByHand

        return ByHand(self.context, outbox=self.outbox)

    @once
    def saved(self) -> SavedSection:
        """Documents that people have put aside."""
        from cgcore.workbench.outbox.saved import SavedSection

        return SavedSection(self.context)

    @once
    def mail_arrival(self) -> MailArrival:
        """Looks for test mails that had not come in."""
        from cgcore.mail.steps import Leg
        from cgcore.workbench.mail_arrival import MailArrival

        return MailArrival(
            runs=self.runs,
            build=lambda actor, draft: self.mail_runs.requests.build(actor, Leg.IMAP, draft),
            environment=lambda: self.mail_runs.environment(),
        )

    @once
    def bounces(self) -> BounceSection:
        """Whether inboxes are searched for what came back."""
        from cgcore.workbench.bounces import BounceSection

        return BounceSection(self.context)

    @once
    def batches(self) -> BatchSection:
        """Many documents at once, out of a sheet and files."""
        from cgcore.workbench.outbox.batches import BatchSection

        return BatchSection(self.context, outbox=self.outbox)

    @once
    def series(self) -> SeriesSection:
        """Series and their defaults."""
        from cgcore.workbench.series import SeriesSection

        return SeriesSection(self.context, runs=self.runs)

    @once
    def company(self) -> CompanySection:
        """The company."""
        from cgcore.workbench.company import CompanySection

        return CompanySection(self.context)

    @once
    def users(self) -> UsersSection:
        """Users, as administrators see them."""
        from cgcore.workbench.users import UsersSection

        return UsersSection(self.context, identity=self.identity)

    @once
    def portable(self) -> PortableSection:
        """Export and import of the configuration."""
        from cgcore.workbench.portable import PortableSection

        return PortableSection(
            self.context,
            identity=self.identity,
            mail_account=self.mail_account,
            end_connection=lambda session, actor, user: self.oauth.grants.end_later(session, actor, user),
        )

    @once
    def drafts(self) -> DraftsSection:
        """What people have typed and not saved yet."""
        from cgcore.workbench.drafts import DraftsSection

        return DraftsSection(self.context)

    @once
    def keys(self) -> KeysSection:
        """API keys."""
        from cgcore.workbench.keys import KeysSection

        return KeysSection(self.context, codes=self.identity.codes, runs=self.runs)


def open_workbench(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Workbench:
    """Return the workbench over the database of ``settings``, which answers and stands at this program's revision.

    Where it already does it is opened at its first use, otherwise now. Raises :class:`cgcore.errors.StorageError`.
    """
    require_sound(settings)
    workbench = Workbench(settings, clock=clock)
    if not is_current(settings.resolved_database_url()):
        _ = workbench.database
    return workbench


@cache
def get_workbench() -> Workbench:
    """Return the one workbench of this process, out of its environment; gate, API and pages all call this."""
    return open_workbench(load_settings())
