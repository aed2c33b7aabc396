"""What an error of EC2 means for a launch (EC2 API reference, "Error codes")."""

from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

CALL_ERRORS = (BotoCoreError, ClientError, ResponseParserError)
"""What a call of AWS raises; the last of an answer that ends in the middle."""


class Meaning(StrEnum):
    """What to do about an error.

    `CAPACITY`: this pool has nothing for now. `RETRYABLE`: the same call may succeed
    soon. `PERMANENT`: it never will until somebody changes something. `UNKNOWN`: it may
    have succeeded; ask again with the same token. `GONE`: what was to be ended is not
    there any more, which is as good.
    """

    CAPACITY = "capacity"
    RETRYABLE = "retryable"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"
    GONE = "gone"


_CAPACITY = {
    "InsufficientInstanceCapacity",
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientFreeAddressesInSubnet",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "MaxSpotInstanceCountExceeded",
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "ReservationCapacityExceeded",
    "Unsupported",  # the type does not exist in the zone
}
_RETRYABLE = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "EC2ThrottledException",
    "RequestThrottled",
    "SlowDown",
    "Unavailable",
    "ServiceUnavailable",
    "IncorrectInstanceState",
    "ResourceCountExceeded",
}
_UNKNOWN = {"InternalError", "InternalFailure", "InternalServerError", "RequestTimeout"}


def meaning(error: Exception) -> Meaning:
    """Return what an exception of a call (`CALL_ERRORS`) means."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return meaning_of(code(error), status)
    if isinstance(error, HTTPClientError | ResponseParserError):
        return Meaning.UNKNOWN
    return Meaning.RETRYABLE  # it was not sent: botocore's ConnectionErrors, and its own


def meaning_of(name: str, status: int = 0) -> Meaning:
    """Return what an error code means; an unknown one is retried only if EC2 broke."""
    if name in _CAPACITY:
        return Meaning.CAPACITY
    if name in _RETRYABLE:
        return Meaning.RETRYABLE
    if name == "InvalidInstanceID.NotFound":
        return Meaning.GONE
    if name in _UNKNOWN or status >= 500:
        return Meaning.UNKNOWN
    return Meaning.PERMANENT


def code(error: Exception) -> str:
    """Return the error code of EC2, or the exception's name."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__
