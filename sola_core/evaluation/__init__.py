"""Measurements that can be believed: reversibility to the bit, the benchmark, routing, and speed.

Knows the public session and the records; knows neither the page nor how any method works inside.
"""
