"""Replays traffic against rules for the size of a fleet; runs on no Lambda."""
