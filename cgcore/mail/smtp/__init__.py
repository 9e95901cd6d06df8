"""SMTP: ``client`` is the one door to smtplib (one command, one reply), ``session`` the conversation in stages.

Called by ``mail.probe``; begin with ``session``.
"""
