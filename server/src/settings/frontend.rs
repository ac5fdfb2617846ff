//! The settings of `ekm frontend`: every field, its default, and the rules between fields.
//!
//! Never binds anything, and never looks at the disk but for the file itself: a path is only a name here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replication::ids::{FrontendName, LineageId, SiteName};

use crate::authn::KeySource;
use crate::crypto::LockPolicy;
use crate::edge::limits::ConnectionLimits;
use crate::edge::renewal::LOOK_EVERY_DEFAULT;
use crate::edge::tls::TlsFiles;

use super::data_plane::{DataPlaneSettings, data_plane};
use super::form::Form;
use super::listeners::{Addresses, Credentials, CredentialsDraft, HealthSettings, health};
use super::mistake::{Mistake, Problems, SettingsError};
use super::names::{HostName, KeyStoreAddress};
use super::parts::{below, certificates};
use super::reader::{self, ReadBy};
use super::{ServingSettings, file, writer};

/// Key stores that a frontend knows: two sites of them, and those that come and go.
const KEY_STORES_MAX: usize = 16;

/// What a file begins with.
const OPENING: &str = "\
Settings of `ekm frontend`. A field that is left out has the default, if it has one. `ekm check FILE` says what is wrong with a
file. Relative paths count from the folder of the file.";

/// What a frontend is told by its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendSettings {
    /// The lineage of the cluster's keys.
    pub lineage: LineageId,
    /// Which frontend it is.
    pub name: FrontendName,
    /// Where it stands.
    pub site: SiteName,
    /// Where it gets keys from.
    pub feed: FollowedSettings,
    /// The listener for Google's calls.
    pub data: DataSideSettings,
    /// The listener for probes and Prometheus.
    pub health: HealthSettings,
    /// How often the files of certificates are looked at.
    pub look_every: Duration,
}

/// Where a frontend gets keys from, and who it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedSettings {
    /// The key stores, the preferred first. At least one, each once.
    pub key_stores: Vec<KeyStoreAddress>,
    /// What it presents to them.
    pub credentials: Credentials,
    /// Who signs the certificates of replicas, PEM.
    pub authority: PathBuf,
}

/// The listener for Google's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSideSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it presents.
    pub credentials: Credentials,
    /// The name that callers use, which the certificate must have.
    pub hostname: HostName,
    /// Whether it starts if the memory for keys cannot be locked.
    pub locked_memory: LockPolicy,
    /// Where decisions are recorded.
    pub audit_file: PathBuf,
    /// Where the keys come from that callers' tokens are verified with.
    pub key_set: KeySource,
    /// How callers are answered.
    pub plane: DataPlaneSettings,
}

impl FrontendSettings {
    /// Reads a file. Relative paths have its folder before them.
    ///
    /// # Errors
    /// [`SettingsError`], with all mistakes at once.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = file::read_text(path)?;
        let settings = Self::parse(&text);
        let settings = settings.map_err(|problems| SettingsError::Wrong { path: path.to_owned(), problems })?;
        Ok(settings.below(path.parent().unwrap_or(Path::new(""))))
    }

    /// Reads the text of a file. Paths are as they are written there.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut draft = Draft::default();
        reader::read(text, ReadBy::Others, |form| draft.fields(form))?;
        Ok(draft.finish().expect("what a file does not give, and must, is a mistake"))
    }

    /// The text of a file that reads as these settings, every field with a comment.
    pub fn to_toml(&self) -> String {
        writer::write(OPENING, |form| Draft::of(self).fields(form))
    }

    /// Connections of all listeners at once.
    pub const fn connections_max(&self) -> usize {
        self.data.plane.limits.connections_max + self.health.limits.connections_max
    }

    /// What answers Google is told.
    pub fn serving(&self) -> ServingSettings {
        let Credentials { certificate, key } = self.data.credentials.clone();
        ServingSettings {
            name: self.name.to_string(),
            data_address: self.data.listen,
            tls: TlsFiles { certificate, key, client_authority: None },
            key_set: self.data.key_set.clone(),
            audit_file: self.data.audit_file.clone(),
            data: self.data.plane.clone(),
        }
    }

    fn below(self, folder: &Path) -> Self {
        let feed = FollowedSettings {
            credentials: self.feed.credentials.below(folder),
            authority: folder.join(self.feed.authority),
            ..self.feed
        };
        let data = DataSideSettings {
            credentials: self.data.credentials.below(folder),
            audit_file: folder.join(self.data.audit_file),
            key_set: below(folder, &self.data.key_set),
            ..self.data
        };
        Self { feed, data, ..self }
    }
}

/// The settings as they are read, field by field: `None` until the file gave it.
struct Draft {
    lineage: Option<LineageId>,
    name: Option<FrontendName>,
    site: Option<SiteName>,
    key_stores: Vec<KeyStoreAddress>,
    feed: CredentialsDraft,
    authority: Option<PathBuf>,
    data: DataDraft,
    health: Option<SocketAddr>,
    health_limits: ConnectionLimits,
    look_every: Duration,
}

struct DataDraft {
    listen: Option<SocketAddr>,
    credentials: CredentialsDraft,
    hostname: Option<HostName>,
    locked_memory: LockPolicy,
    audit_file: Option<PathBuf>,
    key_set: Option<KeySource>,
    plane: DataPlaneSettings,
}

impl Default for Draft {
    fn default() -> Self {
        let data = DataDraft {
            listen: None,
            credentials: CredentialsDraft::default(),
            hostname: None,
            locked_memory: LockPolicy::Require,
            audit_file: None,
            key_set: None,
            plane: DataPlaneSettings::default(),
        };
        Self {
            lineage: None,
            name: None,
            site: None,
            key_stores: Vec::new(),
            feed: CredentialsDraft::default(),
            authority: None,
            data,
            health: None,
            health_limits: ConnectionLimits::default(),
            look_every: LOOK_EVERY_DEFAULT,
        }
    }
}

impl Draft {
    fn of(whole: &FrontendSettings) -> Self {
        Self {
            lineage: Some(whole.lineage),
            name: Some(whole.name.clone()),
            site: Some(whole.site.clone()),
            key_stores: whole.feed.key_stores.clone(),
            feed: CredentialsDraft::of(&whole.feed.credentials),
            authority: Some(whole.feed.authority.clone()),
            data: DataDraft::of(&whole.data),
            health: Some(whole.health.listen),
            health_limits: whole.health.limits,
            look_every: whole.look_every,
        }
    }

    /// Every field, in the order of the file.
    fn fields(&mut self, form: &mut impl Form) {
        form.no_stamp();
        form.table("cluster", "Which frontend of which cluster this is.", |form| {
            form.required("lineage", "The id that `ekmctl cluster lineage` drew for the cluster.", &mut self.lineage);
            form.required("name", "Its name, which no other frontend has; audit records quote it.", &mut self.name);
            form.required("site", "The place that it stands at; what fails together has one name.", &mut self.site);
        });
        form.table("feed", "The key stores that keys come from.", |form| {
            form.required_texts(
                "key_stores",
                "Each as number@host:port of its feed, in order of preference: on the own machine, at the own site, elsewhere.",
                &mut self.key_stores,
                KEY_STORES_MAX,
            );
            for (at, one) in self.key_stores.iter().enumerate() {
                if self.key_stores[..at].iter().any(|before| before.replica == one.replica) {
                    form.object("key_stores", Mistake::Repeated { value: format!("replica {}", one.replica) });
                }
            }
            self.feed.fields(
                "Its certificate, PEM, whose one name is the URI ekm://<lineage>/frontend/<name>; the frontends' authority signs it.",
                form,
            );
            form.required("authority", "Who signs the certificates of replicas, PEM.", &mut self.authority);
        });
        let mut addresses = Addresses::default();
        self.data.fields(&mut addresses, form);
        health(&mut self.health, &mut self.health_limits, &mut addresses, form);
        certificates(&mut self.look_every, form);
    }

    /// `None` if something is missing.
    fn finish(self) -> Option<FrontendSettings> {
        let feed = FollowedSettings {
            key_stores: self.key_stores,
            credentials: self.feed.finish()?,
            authority: self.authority?,
        };
        Some(FrontendSettings {
            lineage: self.lineage?,
            name: self.name?,
            site: self.site?,
            feed,
            data: self.data.finish()?,
            health: HealthSettings { listen: self.health?, limits: self.health_limits },
            look_every: self.look_every,
        })
    }
}

impl DataDraft {
    fn of(whole: &DataSideSettings) -> Self {
        Self {
            listen: Some(whole.listen),
            credentials: CredentialsDraft::of(&whole.credentials),
            hostname: Some(whole.hostname.clone()),
            locked_memory: whole.locked_memory,
            audit_file: Some(whole.audit_file.clone()),
            key_set: Some(whole.key_set.clone()),
            plane: whole.plane.clone(),
        }
    }

    fn fields(&mut self, addresses: &mut Addresses, form: &mut impl Form) {
        form.table("data", "The listener for Google's calls.", |form| {
            addresses.listen("data.listen", "Where it listens.", &mut self.listen, form);
            self.credentials.fields("Its certificate, PEM, for the name that Google calls.", form);
            form.required("hostname", "That name.", &mut self.hostname);
            form.choice(
                "locked_memory",
                "What is done if the kernel does not lock the memory for keys: no start (required), or a warning (preferred).",
                &mut self.locked_memory,
                &[("required", LockPolicy::Require), ("preferred", LockPolicy::Warn)],
            );
            data_plane(&mut self.plane, &mut self.audit_file, &mut self.key_set, form);
        });
    }

    fn finish(self) -> Option<DataSideSettings> {
        Some(DataSideSettings {
            listen: self.listen?,
            credentials: self.credentials.finish()?,
            hostname: self.hostname?,
            locked_memory: self.locked_memory,
            audit_file: self.audit_file?,
            key_set: self.key_set?,
            plane: self.plane,
        })
    }
}
