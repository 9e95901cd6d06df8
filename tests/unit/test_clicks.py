"""A click is read once, whatever else is done while its page runs."""

from __future__ import annotations

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner import RerunData, script_runner
from streamlit.testing.v1 import AppTest

from pages.ui.clicks import OrderedRequests, keep_clicks

pytestmark = pytest.mark.usefixtures("kept")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our requests in the place of Streamlit's."""
    monkeypatch.setitem(vars(script_runner), "ScriptRequests", None)
    keep_clicks()
    assert vars(script_runner)["ScriptRequests"] is OrderedRequests


def _page() -> None:
    """A page in which another gesture comes at one of its points, while the run of a click is at it."""
    import streamlit as st
    from streamlit.proto.WidgetStates_pb2 import WidgetStates
    from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

    from pages.ui.clicks import give_way

    state = st.session_state
    state.runs = state.get("runs", 0) + 1

    def meanwhile(place: str) -> None:
        if state.gestures.get(place, 0):
            state.gestures[place] -= 1
            context = get_script_run_ctx()
            assert context is not None
            assert context.script_requests is not None
            context.script_requests.request_rerun(RerunData(widget_states=WidgetStates()))

    def called() -> None:
        meanwhile("callback")
        state.get("anything")
        state.calls = state.get("calls", 0) + 1

    if state.setdefault("gestures", {}).get("page", 0) and state.get("armed"):
        state.gestures["page"] -= 1
        st.rerun()
    if state.get("armed"):
        meanwhile("before")
    if state.get("reads_early") and state.get("send"):
        state.sent = state.get("sent", 0) + 1
        meanwhile("acted early")
        st.caption("drawn before the button")
    st.write("first")
    if state.get("armed"):
        meanwhile("at the button")
    clicked = st.button("Enviar", key="send", on_click=called)
    if state.get("armed"):
        meanwhile("after")
    st.caption("a word")
    if clicked and not state.get("reads_early"):
        state.sent = state.get("sent", 0) + 1
        if state.get("leaves"):
            st.rerun()
        if state.get("waits"):
            meanwhile("waiting")
            st.caption("still at it")
            state.waited = state.get("waited", 0) + 1
            give_way()
            state.waited += 1
    for number in range(20):
        st.write(number)
    state.ended = state.get("ended", 0) + 1


def _click(gestures: dict[str, int], **more: bool) -> AppTest:
    page = AppTest.from_function(_page).run()
    page.session_state["gestures"], page.session_state["armed"] = gestures, True
    for name, value in more.items():
        page.session_state[name] = value
    return page.button("send").click().run()


def _count(page: AppTest, name: str) -> int:
    assert not page.exception
    return page.session_state.get(name, 0)


# What comes during the run of the click is answered after it, all at once.
@pytest.mark.parametrize(
    ("gestures", "runs"),
    [
        ({}, 1),
        ({"before": 1}, 2),
        ({"before": 3}, 4),
        ({"at the button": 1}, 2),
        ({"after": 1}, 2),
        ({"before": 2, "at the button": 1, "after": 1}, 3),
        ({"callback": 1}, 2),
    ],
    ids=str,
)
def test_a_click_is_read_once_whatever_is_done_meanwhile(gestures: dict[str, int], runs: int) -> None:
    """Its callback runs once and to its end, the page acts on it once, and every gesture gets its run."""
    page = _click(dict(gestures))

    assert (_count(page, "sent"), _count(page, "calls")) == (1, 1)
    assert set(page.session_state["gestures"].values()) <= {0}
    assert _count(page, "runs") == 1 + runs
    assert _count(page.run(), "sent") == 1


def test_a_page_that_waits_for_what_a_click_has_begun_gives_way_where_it_says_so() -> None:
    """Until then it is not broken off; a gesture that comes while it waits does not wait with it."""
    asked, alone = _click({"waiting": 1}, waits=True), _click({}, waits=True)

    assert (_count(asked, "sent"), _count(asked, "waited"), _count(asked, "ended")) == (1, 1, 2)
    assert (_count(alone, "sent"), _count(alone, "waited"), _count(alone, "ended")) == (1, 2, 2)


def test_a_click_that_was_read_before_its_button_is_drawn_is_not_read_again() -> None:
    """A page may ask its state who was clicked on, and act at its top: a gesture then does not make it act twice."""
    page = _click({"acted early": 1}, reads_early=True)

    assert (_count(page, "sent"), _count(page, "calls"), _count(page, "runs")) == (1, 1, 3)


def _list() -> None:
    """A page that acts on what is chosen; while it is busy, gestures come in one after the other."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    state = st.session_state
    chosen = st.text_input("Elegido", key="chosen")
    coming, state.coming = state.get("coming", []), []
    if coming:
        context = get_script_run_ctx()
        assert context is not None
        assert context.script_requests is not None
        for each in coming:
            context.script_requests.request_rerun(each)
    with st.container():
        if st.button("Cancelar", key="cancel"):
            state.setdefault("cancelled", []).append(chosen)
    state.last = chosen


def _gesture(page: AppTest, chosen: str, *, click: bool = False) -> RerunData:
    states = [WidgetState(id=page.text_input("chosen").proto.id, string_value=chosen)]
    if click:
        states.append(WidgetState(id=page.button("cancel").proto.id, trigger_value=True))
    return RerunData(widget_states=WidgetStates(widgets=states))


def test_a_click_acts_on_what_was_chosen_when_it_was_made() -> None:
    """Whatever is chosen after it, before its run has begun or while it goes on, has its turn after it."""
    page = AppTest.from_function(_list).run()
    first = [_gesture(page, "7"), _gesture(page, "7", click=True), _gesture(page, "8"), _gesture(page, "9")]
    page.session_state["coming"] = [*first, _gesture(page, "9", click=True), _gesture(page, "10")]
    page.run()

    assert not page.exception
    assert page.session_state["cancelled"] == ["7", "9"]
    assert page.session_state["last"] == "10"


def _wait() -> None:
    """A page that waits for what «Probar» has begun, and is told to stop; something else comes as it makes way."""
    import streamlit as st
    from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
    from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

    from pages.ui.clicks import give_way

    state = st.session_state

    def ask(*clicks: str) -> None:
        context = get_script_run_ctx()
        assert context is not None
        assert context.script_requests is not None
        widgets = [WidgetState(id=click, trigger_value=True) for click in clicks]
        context.script_requests.request_rerun(RerunData(widget_states=WidgetStates(widgets=widgets)))

    def called() -> None:
        state.calls = state.get("calls", 0) + 1

    if st.button("Probar", key="run"):
        try:
            ask(state.stop_id)
            give_way()
        finally:
            ask()
            st.write("the last word of what waited")
    if st.button("Detener", key="stop", on_click=called):
        state.stopped = state.get("stopped", 0) + 1


def test_the_click_that_ends_a_wait_counts_whatever_comes_as_it_ends() -> None:
    """Its callback too."""
    page = AppTest.from_function(_wait).run()
    page.session_state["stop_id"] = page.button("stop").proto.id
    page.button("run").click().run()

    assert (_count(page, "stopped"), _count(page, "calls")) == (1, 1)


def test_a_page_that_ends_its_own_run_ends_it_at_once() -> None:
    """After the click was read, and before: then it is gone, or such a page would never come to an end."""
    after = _click({"after": 1}, leaves=True)
    before = _click({"page": 1})

    assert (_count(after, "sent"), _count(after, "ended")) == (1, 2)
    assert (_count(before, "sent"), _count(before, "calls"), _count(before, "runs")) == (0, 1, 3)
