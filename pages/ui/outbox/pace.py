"""What the pace of a provider means for what is about to be sent; for one document and for many alike."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cgcore.identity.actor import Actor
from cgcore.outbox.pace import DAY, HOUR, MINUTE
from cgcore.workbench import Workbench
from pages.ui.moments import in_seconds
from pages.ui.texts import send_document as texts

__all__ = ["draw_pace"]

_WORTH_TELLING_S = 120


def draw_pace(workbench: Workbench, actor: Actor, messages: Sequence[int]) -> None:
    """Say how many of ``messages``, each told by its recipients, leave only tomorrow, or when the last one does."""
    told = workbench.outbox.forecast(actor, messages)
    if told.limit is None or told.ends_s < _WORTH_TELLING_S:
        return
    if told.later and told.limit.seconds == DAY:
        sentence = texts.PACE_ONE if len(messages) == 1 else texts.PACE_LATER
        st.info(sentence.format(limit=told.limit.count, used=told.used, later=told.later), icon=":material/schedule:")
        return
    window = {MINUTE: texts.PER_MINUTE, HOUR: texts.PER_HOUR, DAY: texts.PER_DAY}[told.limit.seconds]
    st.caption(texts.PACE_ENDS.format(limit=told.limit.count, window=window, time=in_seconds(told.ends_s)))
