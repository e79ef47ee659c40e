"""What all tests share: one thread for tiny models, the real model and a browser for the tests marked so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sola_core.errors import HostUnavailable
from sola_core.host.model import HostModel
from sola_core.routed import load_encoder
from sola_core.routing.encoders import TextEncoder
from tests.chromium import MISSING, find_chromium
from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport

pytest.register_assert_rewrite("tests.visits")  # so that a failure of its fixtures says what was wrong
from tests.visits import browser, come, rooms, tiny_page  # noqa: E402

__all__ = ["browser", "come", "pytest_make_collect_report", "pytest_runtest_makereport", "rooms", "tiny_page"]


# without a browser or the real model, and yet long: processes that are killed, a map that is fitted
LONG = {
    "test_atlas",
    "test_kill_server",
    "test_library_erasure",
    "test_map",
    "test_resume",
    "test_reversibility",
    "test_joint",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one of them at the end.

    Whoever leaves the browser out wants the tests that take a minute together, so the slow and the long ones are out too,
    unless they are named.
    """
    chosen = config.option.markexpr
    for mark in ("slow", "long"):
        if "not browser" in chosen and mark not in chosen:
            out = [item for item in items if item.get_closest_marker(mark)]
            config.hook.pytest_deselected(items=out)
            items[:] = [item for item in items if not item.get_closest_marker(mark)]
    items.sort(key=lambda item: (not {"browser", "model"} & set(item.keywords), item.path.stem not in LONG))


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tiny models run on one thread: more only get in each other's way."""
    if request.node.get_closest_marker("model"):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_host() -> HostModel:
    """The default host, fetched once; for tests marked `model`."""
    try:
        return HostModel.load("smollm2-135m", "cpu")
    except HostUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def real_encoder() -> TextEncoder:
    """The default sentence encoder, fetched once; for tests marked `model`."""
    try:
        return load_encoder()
    except HostUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; for tests marked `browser`."""
    found = find_chromium()
    if found is None:
        pytest.skip(MISSING)
    return found
