//! The bodies of the admin API, as JSON. No logic.

use serde::{Deserialize, Serialize};

use replication::clock::Timestamp;
use replication::ids::{GroupId, LineageId, LogIndex, Revision, TenantId};
use replication::machine::lifecycle::VersionState;
use replication::machine::policy::Policy;
use replication::machine::rows::{Algorithm, Origin, Purpose, Staleness};

pub use crate::keystore::Answer;

/// Who signed the request, by name.
pub const SIGNER_HEADER: &str = "ekm-signer";
/// The Ed25519 signature over the request, standard base64.
pub const SIGNATURE_HEADER: &str = "ekm-signature";
/// Where signed requests go, by POST.
pub const REQUESTS_PATH: &str = "/admin/v1/requests";
/// What the cluster is and how it is, by GET.
pub const STATUS_PATH: &str = "/admin/v1/status";
/// The tenants, by GET; below it `/{tenant}/cryptospaces` and `/{tenant}/keys`.
pub const TENANTS_PATH: &str = "/admin/v1/tenants";

/// One key version with its owner, by GET below it with the 32 hex digits of its path.
pub const VERSIONS_PATH: &str = "/admin/v1/versions";

/// A request was not carried out, or its outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub error: FailureBody,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureBody {
    /// Which kind.
    pub code: FailureCode,
    /// For the operator.
    pub message: String,
}

/// The kinds of failure, each with one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// 400: the request cannot be read or asks for something impossible.
    Invalid,
    /// 403: the signature, the certificate or the role does not allow it.
    Denied,
    /// 404: what it names is not there.
    NotFound,
    /// 409: it collides with what is there, or was planned on an older revision.
    Conflict,
    /// 503: this replica cannot do it now; repeat the same request.
    Unavailable,
    /// 507: the disk is nearly full, and nothing was changed; make room and repeat the same request.
    NoRoom,
    /// 504: it may have been carried out; repeat the same request under the same id to find out.
    Unknown,
    /// 500: a bug.
    Internal,
}

/// What the cluster is and how it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The product's version.
    pub version: String,
    /// Goes into every request.
    pub lineage: LineageId,
    /// Made by `ekm dev`.
    pub dev: bool,
    /// The groups of this replica.
    pub groups: Vec<GroupStatus>,
    /// Tenants, the reserved one not counted.
    pub tenants: usize,
    /// Key versions by state, those of the reserved tenant not counted.
    pub key_versions: std::collections::BTreeMap<VersionState, usize>,
    /// Whether the machine's own probe passed last time; the reasons if not.
    pub ready: bool,
    /// Why it is not ready.
    pub unready_reasons: Vec<String>,
}

/// One group of this replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// 0 is the system group.
    pub group: GroupId,
    /// The last entry applied here.
    pub applied: LogIndex,
    /// The entry that this release cannot decode, if it stopped at one.
    pub halted: Option<LogIndex>,
    /// The digest of its state.
    pub digest: String,
    /// How long ago the frontend's view was confirmed, in seconds; absent before the first time.
    pub age_seconds: Option<f64>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantBody {
    /// Its name.
    pub tenant: TenantId,
    /// A plan names it.
    pub revision: Revision,
    /// How long a stale view may answer for it.
    pub staleness: Staleness,
    /// Its policy.
    pub policy: Option<Policy>,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A crypto space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CryptoSpaceBody {
    /// Its name.
    pub name: String,
    /// The path for Google, without a leading slash.
    pub path: String,
    /// Its policy.
    pub policy: Option<Policy>,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBody {
    /// Its name.
    pub name: String,
    /// The crypto space it belongs to.
    pub crypto_space: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
    /// Its own policy; absent if it inherits.
    pub policy: Option<Policy>,
    /// The number of its primary version.
    pub primary: u32,
    /// Its versions.
    pub versions: Vec<VersionBody>,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A key version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionBody {
    /// Its number within the key.
    pub number: u32,
    /// The path for Google, without a leading slash.
    pub path: String,
    /// Where it stands in its life.
    pub state: VersionState,
    /// How it wraps.
    pub algorithm: Algorithm,
    /// Where its material came from.
    pub origin: Origin,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A key version with its owner, as one who knows only its path finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedVersionBody {
    /// The owner.
    pub tenant: TenantId,
    /// The owner's revision: a plan about the version names it.
    pub revision: Revision,
    /// The key's name.
    pub key: String,
    /// The version.
    pub version: VersionBody,
}
