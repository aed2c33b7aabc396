"""The version of the code, as results and the API name it; the same as pyproject's."""

CODE_VERSION = "0.1.0"
