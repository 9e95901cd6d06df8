"""A value is made once, whoever asks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from cgcore.once import once


def test_two_threads_get_the_same_value() -> None:
    """The second one waits for the first, and makes nothing."""
    entered, release = Event(), Event()

    class House:
        made = 0

        @once
        def roof(self) -> object:
            self.made += 1
            entered.set()
            assert release.wait(10)
            return object()

    house = House()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: house.roof)
        assert entered.wait(10)
        second = pool.submit(lambda: house.roof)
        assert not second.done()
        release.set()
        found = {id(first.result(10)), id(second.result(10)), id(house.roof)}

    assert len(found) == 1
    assert house.made == 1


def test_what_could_not_be_made_is_tried_again() -> None:
    """A failure is not kept, and each object has its own value."""

    class House:
        def __init__(self, *answers: str | Exception) -> None:
            self.answers = list(answers)

        @once
        def roof(self) -> str:
            """What it is."""
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    house, other = House(ValueError("rain"), "tiles", "straw"), House("slate")
    with pytest.raises(ValueError, match="rain"):
        _ = house.roof

    assert [house.roof, house.roof, other.roof] == ["tiles", "tiles", "slate"]
    assert House.roof.__doc__ == "What it is."
