"""In CI no test may be left out for want of a browser or a model: such a skip is a failure there.

Knows pytest's hooks; a pytest plugin of its own, so that it can be tested like anything else.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

NEVER_SKIPPED = ("model", "browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that needs a model or a browser into a failure when $CI is set."""
    report = yield
    if _strict() and report.skipped and not hasattr(report, "wasxfail") and _needs_something(item):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole file into a failure when $CI is set."""
    report = yield
    if _strict() and report.outcome == "skipped":
        _fail(report)
    return report


def _strict() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def _needs_something(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in NEVER_SKIPPED)


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"Nothing may be skipped in CI. {reason}"
