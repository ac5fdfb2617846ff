"""What deploy/ci/schemathesis adds to a run that passes the signature gate.

Requests to /admin/v1/requests are meant for this cluster, under an id of their own, about tenants, keys and versions that exist
more often than chance would have it, and signed with the key of the client certificate. Everything that is drawn here is drawn
from the bytes of the request, and what exists was made by the requests before, so a seed tells nearly the same run. EKM_FUZZ_LINEAGE,
EKM_FUZZ_SIGNER and EKM_FUZZ_KEY_FILE say who signs what, EKM_FUZZ_VERSIONS which versions each tenant has, and
EKM_FUZZ_COUNTS_FILE where it is written what became of each operation.
"""

import base64
import hashlib
import json
import os
import random

import requests
import schemathesis
import schemathesis_checks  # noqa: F401  # the checks of every run
from cryptography.hazmat.primitives.serialization import load_pem_private_key

MESSAGE = b"ekm request 1\0"
REQUESTS = "/admin/v1/requests"
TENANTS = ["fuzz-a", "fuzz-b"]
NAMES = ["a", "b", "c", "d", "e", "f", "g", "h"]
# values of policies and quotas that may stand, where chance alone hardly ever finds one
LIKELY = {
    "callers": [["service-1@gcp-sa-ekms.iam.gserviceaccount.com"], ["a@b.example", "c@d.example"]],
    "operations": [["wrap"], ["unwrap"], ["unwrap", "wrap"]],
    "resources": [[], [{"project": "p", "location": None, "key_ring": None, "crypto_key": None}]],
    "justifications": [None, {"codes": [5, 6], "allow_missing": True}, {"codes": [0], "allow_missing": False}],
    "level": ["tenant", {"crypto_space": "a"}, {"key": "a"}, {"key": "b"}],
    # of a rule that is named, not one that is given
    "rule": NAMES,
    "per_second": [1, 1000],
    "burst": [1, 1000],
}
# known versions, aliases and import keys: enough to collide, few enough to be met again
KNOWN_MAX = 64

lineage = os.environ["EKM_FUZZ_LINEAGE"]
signer = os.environ["EKM_FUZZ_SIGNER"]
with open(os.environ["EKM_FUZZ_KEY_FILE"], "rb") as file:
    key = load_pem_private_key(file.read(), None)

# by tenant, what exists: versions and aliases, import keys, the revision
versions = json.loads(os.environ["EKM_FUZZ_VERSIONS"])
import_keys = {tenant: ["0" * 32] for tenant in TENANTS}
revisions = {}
operations = {}
sent = 0


def remember(known, value):
    if value and value not in known:
        known.append(value)
        del known[:-KNOWN_MAX]


def fitted(dice, operation, tenant):
    """The operation, about a tenant and things of it that exist."""
    pools = {"name": NAMES, "key": NAMES, "crypto_space": NAMES}
    pools |= {"version": versions[tenant], "alias": versions[tenant], "import_key": import_keys[tenant]}

    def fit(value):
        if isinstance(value, list):
            return [fit(item) for item in value]
        if not isinstance(value, dict):
            return value
        fitted = {}
        for field, inner in value.items():
            if field == "tenant" and isinstance(inner, str):
                inner = tenant
            elif isinstance(inner, str) and field in pools and dice.random() < 0.9:
                inner = dice.choice(pools[field])
            elif field == "parent" and dice.random() < 0.8:
                inner = revisions.get(tenant, inner)
            elif field == "window_seconds" and dice.random() < 0.5:
                inner = dice.randint(1, 3)
            elif field in LIKELY and not (field == "rule" and isinstance(inner, dict)) and dice.random() < 0.8:
                inner = dice.choice(LIKELY[field])
            fitted[field] = fit(inner)
        return fitted

    return fit(operation)


class Signed(requests.auth.AuthBase):
    def __call__(self, request):
        global sent
        if request.method != "POST" or not request.path_url.startswith(REQUESTS):
            return request
        body = request.body or b""
        body = body if isinstance(body, bytes) else body.encode()
        dice = random.Random(hashlib.sha256(body).digest())
        try:
            asked = json.loads(body)
        except ValueError:
            asked = None
        if isinstance(asked, dict) and isinstance(asked.get("operation"), dict):
            sent += 1
            # one in ten keeps its id, so that ids are repeated under other bodies
            if dice.random() < 0.9:
                asked["idempotency_id"] = hashlib.sha256(body + str(sent).encode()).hexdigest()[:32]
            asked["lineage"] = lineage
            if dice.random() < 0.9:
                asked["operation"] = fitted(dice, asked["operation"], dice.choice(TENANTS))
            body = json.dumps(asked).encode()
        request.body = body
        request.headers["content-length"] = str(len(body))
        request.headers["ekm-signer"] = signer
        request.headers["ekm-signature"] = base64.b64encode(key.sign(MESSAGE + body)).decode()
        return request


schemathesis.auth.set_from_requests(Signed())


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Paths that lead somewhere."""
    if not path_parameters:
        return path_parameters
    dice = random.Random(repr(sorted(path_parameters.items())))
    tenant = dice.choice(TENANTS)
    pools = {"tenant": [tenant], "name": NAMES, "version": versions[tenant], "import_key": import_keys[tenant]}
    for field, pool in pools.items():
        if field in path_parameters and dice.random() < 0.8:
            path_parameters[field] = dice.choice(pool)
    return path_parameters


@schemathesis.hook
def after_call(ctx, case, response):
    """Learns what exists, and counts what became of each operation."""
    request = response.request
    if not request or not request.url.endswith(REQUESTS) or request.method != "POST":
        return
    try:
        answer, asked = response.json(), json.loads(request.body)
        operation, inner = next(iter(asked["operation"].items()))
    except (ValueError, KeyError, TypeError, StopIteration, AttributeError):
        return
    if not operation.replace("_", "").isalpha() or not operation.islower() or not operation.isascii():
        return
    outcome = "done" if response.status_code == 200 else answer["error"]["code"]
    operations.setdefault(operation, {}).setdefault(outcome, 0)
    operations[operation][outcome] += 1
    tenant = inner.get("tenant") if isinstance(inner, dict) else None
    revision = answer.get("revision") or answer.get("error", {}).get("current_revision")
    if tenant and revision:
        revisions[tenant] = revision
    if tenant in TENANTS:
        path = answer.get("path") or ""
        if path.startswith("v0/keys/"):
            remember(versions[tenant], path.removeprefix("v0/keys/"))
        remember(import_keys[tenant], answer.get("import_key"))
    with open(os.environ["EKM_FUZZ_COUNTS_FILE"], "w") as file:
        json.dump(operations, file, indent=1, sort_keys=True)
