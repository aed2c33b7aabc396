"""What is kept in Valkey (or Redis) for speed: results, answers to repeat, wake-ups.

Nothing lies here alone: S3 and PostgreSQL hold what counts. So every call works without a
cache, and with one that is down, as if nothing were kept.
"""
