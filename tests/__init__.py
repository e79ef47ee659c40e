"""Tests: promises kept on tiny random models, then on the real model and in a real browser."""

import sola_core  # noqa: F401  first of all: it says how torch's idle threads wait, which counts only before torch is loaded
