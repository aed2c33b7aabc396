"""The controller of the worker fleet: how many workers the backlog wants, and EC2.

`decide` is pure; `observe` reads, `executor` acts, `tick` repeats them within a minute.
Chalice is met only in `blueprint`.
"""
