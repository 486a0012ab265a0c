"""What an object store's refusal means, in our family of errors.

Rules
  * Codes decide, also where the status is "200 OK"; only where a reply has none (HEAD has no body) its status does.
  * What will not go away by asking again is no PeerError.
  * That a bucket is not there is never NotThere: of no file in it is anything
    known. Nor is a 404 that no object store has signed with its code.
  * The store's own words are shown beside the code, in one line; not where
    they repeat what we are known by.
"""

from __future__ import annotations

from holdfast.model.errors import HoldfastError, OperatorError, PeerError
from holdfast.storage.driver import ChangedWhileRead, NoSpace, NotAllowed, NotThere, Unsupported
from holdfast.storage.s3.replies import Complaint


class ConditionFailed(ChangedWhileRead):
    """What a request expected to be there, or not to be there, is otherwise."""


_NOT_THERE = frozenset({"NoSuchKey"})
_NOT_ALLOWED = frozenset(
    {
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidObjectState",
        "InvalidSecurity",
        "InvalidToken",
        "MissingSecurityHeader",
        "NotSignedUp",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnauthorizedAccess",
    }
)
_NO_SPACE = frozenset({"InsufficientStorage", "QuotaExceeded", "ServiceQuotaExceededException", "XMinioStorageFull"})
_CONDITION = frozenset({"ConditionalRequestConflict", "PreconditionFailed"})
_LATER = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InternalError",
        "NoSuchUpload",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentSHA256Mismatch",
    }
)
_UNSUPPORTED = frozenset({"MethodNotAllowed", "NotImplemented"})
_OPERATORS = {
    "AuthorizationHeaderMalformed": "set the region in the root of the door",
    "IllegalLocationConstraintException": "set the region in the root of the door",
    "InvalidBucketName": "correct the root of the door",
    "NoSuchBucket": "make the bucket, or correct the root of the door",
    "PermanentRedirect": "set endpoint and region in the root of the door",
    "RequestTimeTooSkewed": "set this machine's clock: requests are signed with the time",
}
_RETRIED = frozenset({408, 425, 429})


def meaning(status: int, said: Complaint, *, method: str) -> HoldfastError:
    """The error for a reply with that status; ``said`` is what its body says, if it says something."""
    code = said.code
    text = " ".join(filter(None, (str(status), code, said.message and f"({said.message})")))
    if code in _NOT_THERE or (status == 404 and not code and method == "HEAD"):
        return NotThere("no such object")
    if code in _CONDITION or status == 412:
        return ConditionFailed(f"is not what the request expected: {text}")
    if code in _OPERATORS:
        return OperatorError(f"the storage answers {text}", hint=_OPERATORS[code])
    if code in _NO_SPACE or status == 507:
        return NoSpace(f"the storage has no room: {text}")
    if code in _LATER or (status >= 500 and status != 501) or status in _RETRIED:
        return PeerError(f"the storage answers {text}")
    if code in _NOT_ALLOWED or status in (401, 403):
        return NotAllowed(f"the storage refuses: {text}")
    if code in _UNSUPPORTED or status in (405, 501):
        return Unsupported(f"the storage cannot do this: {text}")
    if status == 301:
        return OperatorError(f"the storage answers {text}", hint=_OPERATORS["PermanentRedirect"])
    if 400 <= status < 500 and code:
        return OperatorError(f"the storage answers {text}", hint="see whether the options of the door fit this storage")
    if code:
        return PeerError(f"the storage answers {text}")
    # Whatever this is, it does not speak like an object store: a proxy's page, a server of another kind.
    return PeerError(f"something else than an object store answers: {text}")
