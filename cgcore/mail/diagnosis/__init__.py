"""Diagnosis: what a server's words or an exception mean, as one key of the catalogue with its two sentences.

Pure: no socket, no clock. Called wherever a step ends; begin with ``diagnose``. The wordings stand in the ``.toml``
files beside it, explained at the head of ``first.toml``.
"""
