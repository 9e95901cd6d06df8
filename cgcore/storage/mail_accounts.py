"""The stored mail accounts."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from cgcore.mail.account import AuthKind, LoginNames, MailAccountDraft, Security, ServerDraft, StoredAccount
from cgcore.mail.sender import SenderDraft
from cgcore.storage.tables import MailAccountRow, UserRow

__all__ = ["find_account", "put_account", "to_account"]


def find_account(session: Session, user_id: int, *, lock: bool = False) -> StoredAccount | None:
    """Return the account of a user; ``lock`` keeps other savers of it waiting until the transaction ends."""
    if lock:
        # The user's row, not the account's: two first saves have no account row to wait at.
        session.exec(select(UserRow.id).where(col(UserRow.id) == user_id).with_for_update()).first()
    row = session.get(MailAccountRow, user_id)
    return to_account(row) if row else None


def put_account(session: Session, user_id: int, account: StoredAccount, moment: datetime) -> None:
    """Store ``account`` in place of what is there."""
    row = session.get(MailAccountRow, user_id) or MailAccountRow(user_id=user_id)
    draft = account.draft
    row.user, row.read_receipt, row.sent_folder = draft.user, draft.read_receipt, draft.sent_folder
    row.smtp_host, row.smtp_port, row.smtp_security = _columns(draft.smtp)
    row.imap_host, row.imap_port, row.imap_security = _columns(draft.imap)
    row.imap_pin, row.auth = draft.imap.pin, draft.auth.value
    row.sender_name, row.reply_to = draft.sender.name, draft.sender.reply_to
    row.copy_to_self = draft.sender.copy_to_self
    row.smtp_login, row.imap_login = draft.logins.smtp, draft.logins.imap
    row.password_set, row.password_mark = account.password_set, account.password_mark
    row.version, row.updated = account.version, moment
    session.add(row)


def _columns(server: ServerDraft) -> tuple[str, int | None, str]:
    text = str(server.port).strip()
    return server.host, int(text) if text else None, server.security.value


def to_account(row: MailAccountRow) -> StoredAccount:
    """Return the account that a row holds."""
    return StoredAccount(
        draft=MailAccountDraft(
            user=row.user,
            smtp=ServerDraft(row.smtp_host, row.smtp_port or "", Security(row.smtp_security)),
            imap=ServerDraft(row.imap_host, row.imap_port or "", Security(row.imap_security), row.imap_pin),
            read_receipt=row.read_receipt,
            sent_folder=row.sent_folder,
            auth=AuthKind(row.auth),
            sender=SenderDraft(row.sender_name, row.reply_to, row.copy_to_self),
            logins=LoginNames(row.smtp_login, row.imap_login),
        ),
        password_set=row.password_set,
        password_mark=row.password_mark,
        version=row.version,
        updated=row.updated,
    )
