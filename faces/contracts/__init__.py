"""What crosses between the parts, and nothing else.

Job and result documents, names of buckets and queues, settings, error codes.
Nothing here calls AWS, opens a socket or imports another package of this project.
"""
