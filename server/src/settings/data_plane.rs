//! What the listener for Google's calls is told, in every kind of file that has one. Knows no address and no certificate: those
//! differ from kind to kind.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::authn::KeySource;
use crate::edge::admission::IN_PROGRESS_MAX_DEFAULT;
use crate::edge::limits::ConnectionLimits;
use crate::edge::service::DataSettings;
use crate::policy::UnknownReasons;
use crate::wire::ErrorShape;

use super::form::{Form, Text as _};
use super::parts::{LIMITS, UrlPath, connection_limits, ends_in, key_set};

/// Paths on which GET is getInfo.
const INFO_PATHS_MAX: usize = 16;
/// Key versions whose material is kept unsealed, unless the file says otherwise: 512 KiB of locked memory.
const UNSEALED_MAX_DEFAULT: NonZeroU32 = NonZeroU32::new(16_384).expect("16384 is not zero");
/// At the most 32 MiB of locked memory.
const UNSEALED_MAX_MOST: NonZeroU32 = NonZeroU32::new(1_000_000).expect("a million is not zero");
/// More requests at once than any machine serves in time.
const IN_PROGRESS_MAX_MOST: NonZeroUsize = NonZeroUsize::new(100_000).expect("100000 is not zero");

/// How callers are answered, and how many at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlaneSettings {
    /// The dialect's own settings.
    pub dialect: DataSettings,
    /// What a stated reason that this release does not know does under a list of reasons.
    pub unknown_reasons: UnknownReasons,
    /// Requests in progress at once.
    pub in_progress_max: NonZeroUsize,
    /// Key versions whose material is kept unsealed.
    pub unsealed_max: NonZeroU32,
    /// Bounds of the listener's connections.
    pub limits: ConnectionLimits,
}

impl Default for DataPlaneSettings {
    fn default() -> Self {
        Self {
            dialect: DataSettings::default(),
            unknown_reasons: UnknownReasons::default(),
            in_progress_max: IN_PROGRESS_MAX_DEFAULT,
            unsealed_max: UNSEALED_MAX_DEFAULT,
            limits: ConnectionLimits::default(),
        }
    }
}

/// Every field of it, and where it writes and reads beside: what has no value must be in the file.
pub fn data_plane(
    plane: &mut DataPlaneSettings,
    audit_file: &mut Option<PathBuf>,
    source: &mut Option<KeySource>,
    form: &mut impl Form,
) {
    let DataPlaneSettings { dialect, unknown_reasons, in_progress_max, unsealed_max, limits } = plane;
    dialect_fields(dialect, form);
    form.choice(
        "unknown_reasons",
        "What a stated access reason that this release does not know gets where a policy lists reasons: unavailable, deny.",
        unknown_reasons,
        &[("unavailable", UnknownReasons::Unavailable), ("deny", UnknownReasons::Deny)],
    );
    let one = NonZeroUsize::MIN;
    form.count("in_progress_max", "Requests in progress at once.", in_progress_max, one..=IN_PROGRESS_MAX_MOST);
    form.count(
        "unsealed_max",
        "Key versions whose material is kept unsealed, 32 bytes of locked memory each.",
        unsealed_max,
        NonZeroU32::MIN..=UNSEALED_MAX_MOST,
    );
    form.required("audit_file", "Where decisions are recorded, one line each; the name ends in .jsonl.", audit_file);
    if let Some(audit_file) = audit_file {
        ends_in(audit_file, "audit_file", ".jsonl", form);
    }
    form.table("key_set", "The keys that callers' tokens are verified with.", |form| key_set(source, form));
    form.table("limits", LIMITS, |form| connection_limits(limits, form));
}

fn dialect_fields(dialect: &mut DataSettings, form: &mut impl Form) {
    let DataSettings { error_shape, info_paths, body_time_max } = dialect;
    form.choice(
        "error_body",
        "How error bodies are laid out: google.rpc.Status as it is (status), or inside {\"error\": …} (envelope).",
        error_shape,
        &[("status", ErrorShape::Status), ("envelope", ErrorShape::Envelope)],
    );
    let known = info_paths.iter().map(|path| UrlPath::parse(path));
    let mut paths: Vec<UrlPath> =
        known.collect::<Result<_, _>>().expect("paths in settings were checked when they were read");
    form.texts("info_paths", "Paths on which GET is getInfo.", &mut paths, INFO_PATHS_MAX);
    *info_paths = paths.into_iter().map(String::from).collect();
    form.time(
        "body_time_max",
        "How long a body may take to arrive; it holds a place among those in progress meanwhile.",
        body_time_max,
        Duration::from_millis(50)..=Duration::from_mins(1),
    );
}
