"""People and their faces in PostgreSQL with pgvector.

`gallery.Gallery` is the way in. A face is a vector of unit length, kept as halfvec(512)
with the tag of the model that made it; only vectors of equal tag are ever compared.

Lambdas import this package without numpy: what handles vectors in Python lives in
`vectors`, `feed` and `search`, which only the worker's calls import.
"""
