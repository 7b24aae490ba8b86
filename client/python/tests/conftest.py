"""What several tests use."""

from __future__ import annotations

from typing import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from dormouse import _drive
from fake import Agent
from processes import Cluster


@pytest.fixture(autouse=True)
def short_farewells(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent that a test plays ends a stream only where that is what is tested."""
    monkeypatch.setattr(_drive, "_FAREWELL_S", 0.1)


@pytest_asyncio.fixture
async def agent() -> AsyncIterator[Agent]:
    """An agent that the test plays."""
    played = Agent()
    await played.start()
    yield played
    await played.stop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A coordinator and two agents, as processes; skips if nobody says where their binary is."""
    with Cluster() as running:
        yield running
