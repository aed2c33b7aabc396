"""The interfaces of the projects that this service follows, kept alive beside /v1.

Their clients send a photo and wait for the answer in the same request, without a key. The
photo takes the way of every other: bucket, queue, worker; the request only waits for it.
"""
