"""The front end: HTTP routes, intake of uploads, notifications and dead letters.

Chalice is met only in `http`, `routes` and `events`. The other modules are plain functions
and classes that are handed what they need: stores, queues, settings and the clock.
"""
