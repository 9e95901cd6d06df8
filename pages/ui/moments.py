"""Moments and durations as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from math import ceil
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from cgcore.clock import has_happened
from cgcore.texts import write
from pages.ui.texts import common as texts

__all__ = ["duration", "in_seconds", "seconds_until", "unbroken", "upcoming", "viewer_zone", "when"]

_JUST_NOW_S = 5


def viewer_zone() -> tzinfo:
    """Return the zone of the viewer's browser; UTC where it tells none."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def when(moment: datetime | None, *, now: datetime | None = None, zone: tzinfo | None = None) -> str:
    """Return «hace 3 s», «hoy 9:14», «ayer 18:02» or «03/11/2026 18:02».

    A moment that lies ahead was noted before a clock was set back: it is told by its date.
    """
    if moment is None:
        return texts.NEVER
    zone = zone or viewer_zone()
    now = (now or datetime.now(UTC)).astimezone(zone)
    local = moment.astimezone(zone)
    if not has_happened(moment, now):
        return _dated(local)
    seconds = max(0, int((now - local).total_seconds()))
    if seconds < _JUST_NOW_S:
        return texts.NOW
    if seconds < 60:
        return texts.SECONDS_AGO.format(count=seconds)
    if seconds < 3600:
        return texts.MINUTES_AGO.format(count=seconds // 60)
    time = write(local, "time")
    if local.date() == now.date():
        return texts.TODAY_AT.format(time=time)
    if local.date() == now.date() - timedelta(days=1):
        return texts.YESTERDAY_AT.format(time=time)
    return _dated(local)


def upcoming(moment: datetime, *, now: datetime | None = None) -> str:
    """Return «a las 17:24», «mañana a la 1:14» or «el 03/11/2026 a las 9:14», where the viewer is."""
    local = moment.astimezone(viewer_zone())
    today, known = (now or datetime.now(UTC)).astimezone(viewer_zone()).date(), {"time": write(local, "time")}
    if local.date() == today:
        return texts.AT.format(count=local.hour, **known)
    if local.date() == today + timedelta(days=1):
        return texts.TOMORROW_AT.format(count=local.hour, **known)
    return texts.ON_AT.format(count=local.hour, date=write(local.date()), **known)


def in_seconds(seconds: float) -> str:
    """Return the moment that is so many seconds ahead, as :func:`upcoming`."""
    return upcoming(datetime.now(UTC) + timedelta(seconds=seconds))


def _dated(local: datetime) -> str:
    return texts.DATE_AT.format(date=write(local.date()), time=write(local, "time"))


def unbroken(text: str) -> str:
    """Return ``text`` with spaces at which no line breaks: a narrow column would part «hace 3» from «s»."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def seconds_until(moment: datetime) -> int:
    """Return the whole seconds that are left until ``moment``, 0 where it has passed."""
    return max(0, ceil((moment - datetime.now(UTC)).total_seconds()))


def duration(ms: int) -> str:
    """Return «94 ms» or «1,2 s»."""
    if ms < 1000:
        return texts.MILLISECONDS.format(count=ms)
    return texts.SECONDS.format(count=ms / 1000)
