"""Tests: promises kept on tiny random models, then on the real model and in a real browser."""
