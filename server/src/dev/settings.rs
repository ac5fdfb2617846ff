//! The settings of `ekm dev`: every field, its default, and the rules between fields.
//!
//! Never binds anything, and never looks at the disk: a path is only a name here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use replication::raft::group::Timers;
use replication::store::room::RESERVE_BYTES_DEFAULT;

use crate::authn::KeySource;
use crate::edge::limits::ConnectionLimits;
use crate::edge::renewal::LOOK_EVERY_DEFAULT;
use crate::settings::data_plane::{DataPlaneSettings, data_plane};
use crate::settings::form::Form;
use crate::settings::mistake::{Mistake, Problems, SettingsError};
use crate::settings::parts::{LIMITS, certificates, connection_limits, key_store};
use crate::settings::reader::{self, ReadBy};
use crate::settings::{file, writer};

use super::ports::Ports;

/// The name of the file in the data directory.
pub const SETTINGS_FILE: &str = "ekm-dev.toml";

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
    /// How callers are answered.
    pub data: DataPlaneSettings,
    /// Where decisions are recorded; below the data directory, unless it is absolute.
    pub audit_file: PathBuf,
    /// Where the keys come from that callers' tokens are verified with; paths as that of the audit.
    pub key_set: KeySource,
    /// Bounds of the connections of the admin listener.
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
            data: DataPlaneSettings::default(),
            audit_file: "audit/audit.jsonl".into(),
            key_set: KeySource::File("issuer/jwks.json".into()),
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
        [self.data.limits, self.admin_limits, self.health_limits].iter().map(|limits| limits.connections_max).sum()
    }

    /// The text of a file that reads as these settings, every field with a comment.
    pub fn to_toml(&self) -> String {
        writer::write(OPENING, |form| self.clone().fields(form))
    }

    /// Every field, in the order of the file.
    fn fields(&mut self, form: &mut impl Form) {
        let Self {
            ports,
            data,
            audit_file,
            key_set,
            admin_limits,
            health_limits,
            look_every,
            timers,
            disk_reserve_bytes,
        } = self;
        form.stamp("The stamp of development: nothing but `ekm dev` takes a file with it.");
        form.table("data", "The listener for Google's calls.", |form| {
            port(&mut ports.data, form);
            let (mut audit, mut source) = (Some(audit_file.clone()), Some(key_set.clone()));
            data_plane(data, &mut audit, &mut source, form);
            *audit_file = audit.expect("a field that is filled in stays so");
            *key_set = source.expect("a field that is filled in stays so");
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
        certificates(look_every, form);
        key_store(disk_reserve_bytes, timers, form);
    }
}

fn port(port: &mut u16, form: &mut impl Form) {
    form.count("port", "The port on loopback.", port, 1..=u16::MAX);
}
