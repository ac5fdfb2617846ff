//! The bodies of the admin API, as JSON. No logic.

mod cluster;
mod deny_entry;
mod explain;
mod page;
mod seen;
mod status;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use replication::clock::Timestamp;
use replication::ids::{ImportKeyId, PublicKey, Revision, ShardId, SignerId, TenantId};
use replication::machine::lifecycle::VersionState;
use replication::machine::policy::{Policy, Rule};
use replication::machine::request::Level;
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Algorithm, Origin, Purpose, Quota, Staleness};

pub use crate::keystore::Answer;
pub use cluster::{ClusterStatus, FedFrontend, FirstPerson, Founded, GroupMembers, InitRequest, ReplicaBody};
pub use deny_entry::DenyEntryBody;
pub use explain::{
    Decision, ExplainRequest, ExplainedLevel, ExplainedRule, ExplainedVersion, Explanation, ReasonCovered, RuleEffect,
    StatedReason,
};
pub use page::Page;
pub use seen::SeenBody;
pub use status::{
    AuditStatus, CertificateStatus, DiskStatus, GroupStatus, KeySetStatus, LoadStatus, ShardStatus, Status,
};

/// Who signed the request, by name.
pub const SIGNER_HEADER: &str = "ekm-signer";
/// The Ed25519 signature over the request, standard base64.
pub const SIGNATURE_HEADER: &str = "ekm-signature";
/// Where signed requests go, by POST.
pub const REQUESTS_PATH: &str = "/admin/v1/requests";
/// What the cluster is and how it is, by GET.
pub const STATUS_PATH: &str = "/admin/v1/status";
/// Which replicas the cluster has and how its groups stand, by GET.
pub const CLUSTER_STATUS_PATH: &str = "/admin/v1/cluster/status";
/// Where a cluster is founded, once, by POST.
pub const CLUSTER_INIT_PATH: &str = "/admin/v1/cluster/init";
/// The shards of the cluster, by GET.
pub const SHARDS_PATH: &str = "/admin/v1/shards";
/// The tenants, by GET; below it `/{tenant}`, and below that `/cryptospaces` and `/keys`, each with `/{name}` below it.
pub const TENANTS_PATH: &str = "/admin/v1/tenants";
/// One key version with its owner, by GET below it with the 32 hex digits of its path.
pub const VERSIONS_PATH: &str = "/admin/v1/versions";
/// The people who are enrolled, by GET; below it each by name.
pub const OPERATORS_PATH: &str = "/admin/v1/operators";
/// Whom officers shut out of a tenant, by GET below it with the tenant's name.
pub const DENY_ENTRIES_PATH: &str = "/admin/v1/deny_entries";
/// What would be decided, by POST.
pub const EXPLAIN_PATH: &str = "/admin/v1/explain";
/// The rules that name a caller, by GET below it with the caller's e-mail address.
pub const CALLERS_PATH: &str = "/admin/v1/callers";
/// The audit record of a request of late, by GET below it with the request's id.
pub const SEEN_PATH: &str = "/admin/v1/requests-seen";
/// The description of all this, by GET.
pub const OPENAPI_PATH: &str = "/admin/v1/openapi.json";

/// A request was not carried out, or its outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// What went wrong.
    pub error: FailureBody,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureBody {
    /// Which kind.
    pub code: FailureCode,
    /// What is wrong, and what to do about it.
    pub message: String,
    /// Of a conflict with a plan made on an older revision: the tenant's revision now. Plan again on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<Revision>,
}

/// The kinds of failure, each with one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// 405: the path is there and takes other methods; the header `allow` lists them.
    Method,
    /// 413: the body is longer than any request may be.
    TooLarge,
    /// 408: the body did not arrive in time; nothing was changed.
    TooSlow,
    /// 503: this replica cannot do it now; repeat the same request.
    Unavailable,
    /// 507: the disk is nearly full, and nothing was changed; make room and repeat the same request.
    NoRoom,
    /// 504: it may have been carried out; repeat the same request under the same id to find out.
    Unknown,
    /// 500: a bug.
    Internal,
}

impl FailureCode {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::Method,
        Self::TooLarge,
        Self::TooSlow,
        Self::Unavailable,
        Self::NoRoom,
        Self::Unknown,
        Self::Internal,
    ];

    /// Its HTTP status.
    pub const fn http(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::TooSlow => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Unknown => 504,
            Self::NoRoom => 507,
        }
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantBody {
    /// Its name.
    pub tenant: TenantId,
    /// The shard that it lives in, for good.
    pub shard: ShardId,
    /// A plan names it.
    pub revision: Revision,
    /// How long a stale view may answer for it.
    pub staleness: Staleness,
    /// Its policy.
    pub policy: Option<Policy>,
    /// Bounds all its keys together; absent if nothing does at this level.
    pub quota: Option<Quota>,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A crypto space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CryptoSpaceBody {
    /// Its name.
    pub name: String,
    /// The path for Google, without a leading slash.
    pub path: String,
    /// Its policy; absent if it inherits.
    pub policy: Option<Policy>,
    /// Bounds its keys together.
    pub quota: Option<Quota>,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyBody {
    /// Its name.
    pub name: String,
    /// The crypto space it belongs to.
    pub crypto_space: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
    /// Its own policy; absent if it inherits.
    pub policy: Option<Policy>,
    /// Bounds its versions together.
    pub quota: Option<Quota>,
    /// The number of its primary version.
    pub primary: u32,
    /// Its versions.
    pub versions: Vec<VersionBody>,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A key version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// In how many seconds of the cluster's time it is destroyed; only while that is scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroy_after_seconds: Option<u64>,
    /// Further paths that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
}

/// A key version with its owner, as one who knows only its path finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnedVersionBody {
    /// The owner.
    pub tenant: TenantId,
    /// The owner's revision: a plan about the version names it.
    pub revision: Revision,
    /// The key's name.
    pub key: String,
    /// The alias by which it was found; absent if it was by its own path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_alias: Option<String>,
    /// The version.
    pub version: VersionBody,
}

/// A key under which material can be brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportKeyBody {
    /// Its id, which the request that brings material in names.
    pub import_key: ImportKeyId,
    /// The key to wrap under with RSA-OAEP and SHA-256: `SubjectPublicKeyInfo` in PEM, 3072 bits.
    pub public_key_pem: String,
    /// Milliseconds since 1970.
    pub created_at: Timestamp,
    /// From then on it is of no use: milliseconds since 1970.
    pub expires_at: Timestamp,
}

/// An enrolled person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonBody {
    /// Their name.
    pub name: SignerId,
    /// The key that they sign with and that their certificate holds.
    pub public_key: PublicKey,
    /// What they are there for.
    pub roles: std::collections::BTreeSet<PersonRole>,
    /// The tenants in reach; absent if all are.
    pub tenants: Option<std::collections::BTreeSet<TenantId>>,
    /// Whether their signatures count no more.
    pub is_revoked: bool,
}

/// The rules at one level that name a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallerBody {
    /// Whose policy.
    pub tenant: TenantId,
    /// Where the policy stands.
    pub level: Level,
    /// Its denies that name the caller. They hold for everything below the level.
    pub denies: Vec<Rule>,
    /// Its grants that name the caller. They hold where no nearer level has a policy.
    pub grants: Vec<Rule>,
}
