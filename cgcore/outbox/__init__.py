"""The outbox as values and rules: the states of a message, the pauses between tries, what an answer of a server means.

Called by ``storage`` and by the facade; knows neither. Begin with ``states``.
"""
