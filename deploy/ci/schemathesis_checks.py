"""What every answer of the admin API must be, beside what schemathesis checks by itself. For both runs of deploy/ci/schemathesis."""

import schemathesis

STATUS = {
    "invalid": 400,
    "denied": 403,
    "not_found": 404,
    "method": 405,
    "too_slow": 408,
    "conflict": 409,
    "too_large": 413,
    "unavailable": 503,
    "unknown": 504,
    "no_room": 507,
}


@schemathesis.check
def a_failure_says_what_to_do(ctx, response, case):
    """Each failure has its code, which is never that of a bug, and a text."""
    if response.status_code < 400:
        return
    assert response.status_code != 500, "a request met a bug"
    error = response.json()["error"]
    assert STATUS.get(error["code"]) == response.status_code, f"{error['code']} has another status"
    assert len(error["message"].split()) > 3, "the message tells nothing"
    if response.status_code == 405:
        assert response.headers.get("allow"), "405 without the header allow"
