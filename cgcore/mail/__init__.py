"""Mail: the account, the proof of its servers, the message, the sending, and what every refusal means.

Callers: the workbench, the command line, the API. Where to begin reading: :mod:`cgcore.mail.probe`, then
``connection`` (the way to a server), ``smtp.session`` and ``imap.session`` (the conversations), ``diagnosis.diagnose``.
"""
