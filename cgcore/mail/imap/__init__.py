"""IMAP: ``client`` is the one door to imaplib, ``session`` the conversation in stages, ``folders`` what LIST tells.

``mailbox`` is what happens inside: the trial of a folder, the copy of a sent message. Called by ``mail.probe``; begin
with ``session``.
"""
