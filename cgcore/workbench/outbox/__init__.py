"""«Enviar documento»: documents are composed, stored, sent and filed; with the worker that does it.

Called by pages, API and command line through ``Workbench.outbox``. Begin with ``section``, then ``sender``.
"""
