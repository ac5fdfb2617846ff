//! The settings of `ekm dev`: every field, its default, and the rules between fields.
//!
//! Never binds anything, and never looks at the disk: a path is only a name here.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replication::raft::group::Timers;
use replication::store::room::RESERVE_BYTES_DEFAULT;

use crate::authn::KeySource;
use crate::edge::admission::IN_PROGRESS_MAX_DEFAULT;
use crate::edge::limits::ConnectionLimits;
use crate::edge::renewal::LOOK_EVERY_DEFAULT;
use crate::edge::service::DataSettings;
use crate::policy::UnknownReasons;
use crate::settings::form::{Form, Text as _};
use crate::settings::mistake::{Mistake, Problems, SettingsError};
use crate::settings::parts::{UrlPath, connection_limits, ends_in, key_set, timers};
use crate::settings::reader::{self, ReadBy};
use crate::settings::{file, writer};
use crate::wire::ErrorShape;

use super::ports::Ports;

/// The name of the file in the data directory.
pub const SETTINGS_FILE: &str = "ekm-dev.toml";

/// Less than a commit and a snapshot of small data may take, and more than any disk has, make no sense.
const DISK_RESERVE_BYTES: RangeInclusive<u64> = 16 * 1024 * 1024..=1024 * 1024 * 1024 * 1024;
/// Paths on which GET is getInfo.
const INFO_PATHS_MAX: usize = 16;
/// Key versions whose material `ekm dev` keeps unsealed: 512 KiB of locked memory.
const UNSEALED_MAX_DEFAULT: NonZeroU32 = NonZeroU32::new(16_384).expect("16384 is not zero");
/// At the most 32 MiB of locked memory.
const UNSEALED_MAX_MOST: NonZeroU32 = NonZeroU32::new(1_000_000).expect("a million is not zero");
/// More requests at once than any machine serves in time.
const IN_PROGRESS_MAX_MOST: NonZeroUsize = NonZeroUsize::new(100_000).expect("100000 is not zero");

/// A renewal is known days before it is due.
const LOOK_EVERY: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_hours(1);

/// What a file begins with.
const OPENING: &str = "\
Settings of `ekm dev`. It makes this file at its first start and only reads it from then on; flags of the command line
count for one start, and are kept here by the start that makes the file alone. A field that is left out has the default.
`ekm check --dev FILE` says what is wrong with a file. Relative paths count from the data directory.";

/// What `ekm dev` is told by its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevSettings {
    /// The listeners' ports on loopback.
    pub ports: Ports,
    /// The dialect's own settings.
    pub dialect: DataSettings,
    /// What a stated reason that this release does not know does under a list of reasons.
    pub unknown_reasons: UnknownReasons,
    /// Requests in progress at once.
    pub in_progress_max: NonZeroUsize,
    /// Key versions whose material is kept unsealed.
    pub unsealed_max: NonZeroU32,
    /// Where decisions are recorded; below the data directory, unless it is absolute.
    pub audit_file: PathBuf,
    /// Where the keys come from that callers' tokens are verified with; paths as that of the audit.
    pub key_set: KeySource,
    /// Bounds of the connections of each listener.
    pub data_limits: ConnectionLimits,
    /// The same of the admin listener.
    pub admin_limits: ConnectionLimits,
    /// The same of the health listener.
    pub health_limits: ConnectionLimits,
    /// How often the files of certificates are looked at.
    pub look_every: Duration,
    /// Times of the key store's groups.
    pub timers: Timers,
    /// Bytes of the data directory's file system below which no changes are taken.
    pub disk_reserve_bytes: u64,
}

impl Default for DevSettings {
    fn default() -> Self {
        Self {
            ports: Ports::default(),
            dialect: DataSettings::default(),
            unknown_reasons: UnknownReasons::default(),
            in_progress_max: IN_PROGRESS_MAX_DEFAULT,
            unsealed_max: UNSEALED_MAX_DEFAULT,
            audit_file: "audit/audit.jsonl".into(),
            key_set: KeySource::File("issuer/jwks.json".into()),
            data_limits: ConnectionLimits::default(),
            admin_limits: ConnectionLimits::default(),
            health_limits: ConnectionLimits::default(),
            look_every: LOOK_EVERY_DEFAULT,
            timers: Timers::default(),
            disk_reserve_bytes: RESERVE_BYTES_DEFAULT,
        }
    }
}

impl DevSettings {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SettingsError`], with all mistakes at once.
    pub fn load(path: &Path, by: ReadBy) -> Result<Self, SettingsError> {
        let text = file::read_text(path)?;
        Self::parse(&text, by).map_err(|problems| SettingsError::Wrong { path: path.to_owned(), problems })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, by: ReadBy) -> Result<Self, Problems> {
        let mut settings = Self::default();
        reader::read(text, by, |form| settings.fields(form))?;
        Ok(settings)
    }

    /// Connections of all listeners at once.
    pub fn connections_max(&self) -> usize {
        [self.data_limits, self.admin_limits, self.health_limits].iter().map(|limits| limits.connections_max).sum()
    }

    /// The text of a file that reads as these settings, every field with a comment.
    pub fn to_toml(&self) -> String {
        writer::write(OPENING, |form| self.clone().fields(form))
    }

    /// Every field, in the order of the file.
    fn fields(&mut self, form: &mut impl Form) {
        let Self {
            ports,
            dialect,
            unknown_reasons,
            in_progress_max,
            unsealed_max,
            audit_file,
            key_set: source,
            data_limits,
            admin_limits,
            health_limits,
            look_every,
            timers: times,
            disk_reserve_bytes,
        } = self;
        form.stamp("The stamp of development: nothing but `ekm dev` takes a file with it.");
        form.table("data", "The listener for Google's calls.", |form| {
            port(&mut ports.data, form);
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
            form.text("audit_file", "Where decisions are recorded, one line each; the name ends in .jsonl.", audit_file);
            ends_in(audit_file, "audit_file", ".jsonl", form);
            form.table("key_set", "The keys that callers' tokens are verified with.", |form| key_set(source, form));
            form.table("limits", LIMITS, |form| connection_limits(data_limits, form));
        });
        form.table("admin", "The listener for operators.", |form| {
            port(&mut ports.admin, form);
            if ports.admin == ports.data {
                form.object("port", Mistake::Twice { value: ports.admin.to_string(), other: "data.port" });
            }
            form.table("limits", LIMITS, |form| connection_limits(admin_limits, form));
        });
        form.table("health", "The listener for probes and Prometheus.", |form| {
            port(&mut ports.health, form);
            for (other, taken) in [("data.port", ports.data), ("admin.port", ports.admin)] {
                if ports.health == taken {
                    form.object("port", Mistake::Twice { value: taken.to_string(), other });
                }
            }
            form.table("limits", LIMITS, |form| connection_limits(health_limits, form));
        });
        form.table("certificates", "The certificates and keys that the listeners present.", |form| {
            form.time(
                "look_every",
                "How often their files are looked at for a change, which is taken once it stands still; SIGHUP looks at once.",
                look_every,
                LOOK_EVERY,
            );
        });
        form.table("key_store", "The groups that hold the keys.", |form| key_store(disk_reserve_bytes, times, form));
    }
}

const LIMITS: &str = "What a stranger's connection can take from this listener.";

fn key_store(disk_reserve_bytes: &mut u64, times: &mut Timers, form: &mut impl Form) {
    form.count(
        "disk_reserve_bytes",
        "Bytes that changes leave free on the file system of the data, an eighth of it at most.",
        disk_reserve_bytes,
        DISK_RESERVE_BYTES,
    );
    form.table("timers", "How long the replicas of a group wait for each other.", |form| timers(times, form));
}

fn port(port: &mut u16, form: &mut impl Form) {
    form.count("port", "The port on loopback.", port, 1..=u16::MAX);
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
