//! The settings of `ekm keystore`: every field, its default, and the rules between fields.
//!
//! Never binds anything, and never looks at the disk but for the file itself: a path is only a name here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replication::ids::{LineageId, ReplicaId, SiteName};
use replication::raft::group::Timers;
use replication::store::room::RESERVE_BYTES_DEFAULT;

use crate::edge::limits::ConnectionLimits;
use crate::edge::renewal::LOOK_EVERY_DEFAULT;

use super::form::{Form, Text};
use super::listeners::{Addresses, Credentials, CredentialsDraft, HealthSettings, health};
use super::mistake::{Mistake, Problems, SettingsError};
use super::names::{HostPort, REPLICA_MOST};
use super::parts::{LIMITS, certificates, connection_limits, key_store};
use super::reader::{self, ReadBy, shown};
use super::{file, writer};

/// What a file begins with.
const OPENING: &str = "\
Settings of `ekm keystore`. A field that is left out has the default, if it has one. `ekm check FILE` says what is wrong with a
file. Relative paths count from the folder of the file.";

/// What a key store is told by its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStoreSettings {
    /// Where its groups lie.
    pub data_dir: PathBuf,
    /// The lineage of the cluster's keys.
    pub lineage: LineageId,
    /// Which replica it is.
    pub replica: ReplicaId,
    /// Where it stands.
    pub site: SiteName,
    /// What it does beside voting and storing.
    pub role: Role,
    /// How it meets other replicas.
    pub peers: PeersSettings,
    /// The listener for probes and Prometheus.
    pub health: HealthSettings,
    /// How often the files of certificates are looked at.
    pub look_every: Duration,
    /// Times of its groups.
    pub timers: Timers,
    /// Bytes of the data directory's file system below which no changes are taken.
    pub disk_reserve_bytes: u64,
}

/// What a replica is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It holds the root key, feeds frontends and serves operators.
    Data {
        /// The listener for frontends.
        feed: FeedSettings,
        /// The listener for operators.
        admin: Box<AdminSettings>,
        /// The file of the root key.
        root_key: PathBuf,
    },
    /// It votes and stores, without the root key.
    Witness,
}

/// How a replica meets the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeersSettings {
    /// Where it listens for them.
    pub listen: SocketAddr,
    /// Where they reach it.
    pub advertise: HostPort,
    /// What it presents to them, and to frontends.
    pub credentials: Credentials,
    /// Who signs the certificates of replicas, PEM.
    pub authority: PathBuf,
}

/// The listener for frontends, which presents what peers are presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who signs the certificates of frontends, PEM.
    pub frontends_authority: PathBuf,
}

/// The listener for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it presents.
    pub credentials: Credentials,
    /// Who signs the certificates of operators, PEM.
    pub operators_authority: PathBuf,
    /// Bounds of its connections.
    pub limits: ConnectionLimits,
}

impl KeyStoreSettings {
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

    /// Connections of all listeners at once, those of other processes of the cluster left out.
    pub fn connections_max(&self) -> usize {
        let admin = match &self.role {
            Role::Data { admin, .. } => admin.limits.connections_max,
            Role::Witness => 0,
        };
        self.health.limits.connections_max + admin
    }

    fn below(self, folder: &Path) -> Self {
        let role = match self.role {
            Role::Data { feed, admin, root_key } => Role::Data {
                feed: FeedSettings { frontends_authority: folder.join(feed.frontends_authority), ..feed },
                admin: Box::new(AdminSettings {
                    credentials: admin.credentials.below(folder),
                    operators_authority: folder.join(admin.operators_authority),
                    ..*admin
                }),
                root_key: folder.join(root_key),
            },
            Role::Witness => Role::Witness,
        };
        let peers = PeersSettings {
            credentials: self.peers.credentials.below(folder),
            authority: folder.join(self.peers.authority),
            ..self.peers
        };
        Self { data_dir: folder.join(self.data_dir), role, peers, ..self }
    }
}

/// The role as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoleWord {
    Data,
    Witness,
}

impl Text for RoleWord {
    fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            "data" => Ok(Self::Data),
            "witness" => Ok(Self::Witness),
            _ => Err(Mistake::NotAChoice { value: shown(text), known: "data, witness".to_owned() }),
        }
    }

    fn spell(&self) -> String {
        match self {
            Self::Data => "data".to_owned(),
            Self::Witness => "witness".to_owned(),
        }
    }
}

/// The settings as they are read, field by field: `None` until the file gave it.
struct Draft {
    data_dir: Option<PathBuf>,
    lineage: Option<LineageId>,
    replica: Option<u64>,
    site: Option<SiteName>,
    role: Option<RoleWord>,
    peers: PeersDraft,
    feed: FeedDraft,
    admin: AdminDraft,
    root_key: Option<PathBuf>,
    health: Option<SocketAddr>,
    health_limits: ConnectionLimits,
    look_every: Duration,
    timers: Timers,
    disk_reserve_bytes: u64,
}

#[derive(Default)]
struct PeersDraft {
    listen: Option<SocketAddr>,
    advertise: Option<HostPort>,
    credentials: CredentialsDraft,
    authority: Option<PathBuf>,
}

#[derive(Default)]
struct FeedDraft {
    listen: Option<SocketAddr>,
    frontends_authority: Option<PathBuf>,
}

#[derive(Default)]
struct AdminDraft {
    listen: Option<SocketAddr>,
    credentials: CredentialsDraft,
    operators_authority: Option<PathBuf>,
    limits: ConnectionLimits,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            data_dir: None,
            lineage: None,
            replica: None,
            site: None,
            role: None,
            peers: PeersDraft::default(),
            feed: FeedDraft::default(),
            admin: AdminDraft::default(),
            root_key: None,
            health: None,
            health_limits: ConnectionLimits::default(),
            look_every: LOOK_EVERY_DEFAULT,
            timers: Timers::default(),
            disk_reserve_bytes: RESERVE_BYTES_DEFAULT,
        }
    }
}

impl Draft {
    fn of(whole: &KeyStoreSettings) -> Self {
        let (role, feed, admin, root_key) = match &whole.role {
            Role::Data { feed, admin, root_key } => {
                (RoleWord::Data, FeedDraft::of(feed), AdminDraft::of(admin), Some(root_key.clone()))
            }
            Role::Witness => (RoleWord::Witness, FeedDraft::default(), AdminDraft::default(), None),
        };
        Self {
            data_dir: Some(whole.data_dir.clone()),
            lineage: Some(whole.lineage),
            replica: Some(whole.replica.0),
            site: Some(whole.site.clone()),
            role: Some(role),
            peers: PeersDraft {
                listen: Some(whole.peers.listen),
                advertise: Some(whole.peers.advertise.clone()),
                credentials: CredentialsDraft::of(&whole.peers.credentials),
                authority: Some(whole.peers.authority.clone()),
            },
            feed,
            admin,
            root_key,
            health: Some(whole.health.listen),
            health_limits: whole.health.limits,
            look_every: whole.look_every,
            timers: whole.timers,
            disk_reserve_bytes: whole.disk_reserve_bytes,
        }
    }

    /// Every field, in the order of the file.
    fn fields(&mut self, form: &mut impl Form) {
        form.no_stamp();
        form.required("data_dir", "Where its groups lie; nothing but this key store uses it.", &mut self.data_dir);
        form.table("cluster", "Which replica of which cluster this is.", |form| {
            form.required("lineage", "The id that `ekmctl cluster lineage` drew for the cluster.", &mut self.lineage);
            form.required_count(
                "replica",
                "Its number, which no other replica has or ever had.",
                &mut self.replica,
                1..=REPLICA_MOST,
            );
            form.required("site", "The place that it stands at; what fails together has one name.", &mut self.site);
            form.required("role", "Whether it holds keys and serves (data), or votes alone (witness).", &mut self.role);
        });
        let mut addresses = Addresses::default();
        self.peers.fields(&mut addresses, form);
        self.of_data(&mut addresses, form);
        health(&mut self.health, &mut self.health_limits, &mut addresses, form);
        certificates(&mut self.look_every, form);
        key_store(&mut self.disk_reserve_bytes, &mut self.timers, form);
    }

    /// What a data replica has, and a witness has not.
    fn of_data(&mut self, addresses: &mut Addresses, form: &mut impl Form) {
        let role = self.role;
        let is_wanted = |name, form: &mut _| match role {
            Some(RoleWord::Data) => true,
            Some(RoleWord::Witness) => {
                refuse_given(name, form);
                false
            }
            // whatever it is meant to be, what stands there is looked at
            None => Form::gives(form, name),
        };
        if is_wanted("feed", form) {
            self.feed.fields(addresses, form);
        }
        if is_wanted("admin", form) {
            self.admin.fields(addresses, form);
        }
        if is_wanted("root_key", form) {
            form.table("root_key", "What opens the tenants' keys.", |form| {
                form.required("file", "Its file, which nobody but this process may read.", &mut self.root_key);
            });
        }
    }

    /// `None` if something is missing.
    fn finish(self) -> Option<KeyStoreSettings> {
        let role = match self.role? {
            RoleWord::Data => Role::Data {
                feed: self.feed.finish()?,
                admin: Box::new(self.admin.finish()?),
                root_key: self.root_key?,
            },
            RoleWord::Witness => Role::Witness,
        };
        Some(KeyStoreSettings {
            data_dir: self.data_dir?,
            lineage: self.lineage?,
            replica: ReplicaId(self.replica?),
            site: self.site?,
            role,
            peers: self.peers.finish()?,
            health: HealthSettings { listen: self.health?, limits: self.health_limits },
            look_every: self.look_every,
            timers: self.timers,
            disk_reserve_bytes: self.disk_reserve_bytes,
        })
    }
}

fn refuse_given(name: &'static str, form: &mut impl Form) {
    if form.gives(name) {
        form.object(name, Mistake::NotOfAWitness);
    }
}

impl PeersDraft {
    fn fields(&mut self, addresses: &mut Addresses, form: &mut impl Form) {
        form.table("peers", "How replicas meet.", |form| {
            addresses.listen("peers.listen", "Where it listens for the others.", &mut self.listen, form);
            form.required("advertise", "Where they reach it, host and port.", &mut self.advertise);
            self.credentials.fields(
                "Its certificate, PEM, whose one name is the URI ekm://<lineage>/replica/<number>; frontends are presented the same.",
                form,
            );
            form.required("authority", "Who signs the certificates of replicas, PEM.", &mut self.authority);
        });
    }

    fn finish(self) -> Option<PeersSettings> {
        Some(PeersSettings {
            listen: self.listen?,
            advertise: self.advertise?,
            credentials: self.credentials.finish()?,
            authority: self.authority?,
        })
    }
}

impl FeedDraft {
    fn of(whole: &FeedSettings) -> Self {
        Self { listen: Some(whole.listen), frontends_authority: Some(whole.frontends_authority.clone()) }
    }

    fn fields(&mut self, addresses: &mut Addresses, form: &mut impl Form) {
        form.table("feed", "The listener for frontends.", |form| {
            addresses.listen("feed.listen", "Where it listens.", &mut self.listen, form);
            let says = "Who signs the certificates of frontends, PEM.";
            form.required("frontends_authority", says, &mut self.frontends_authority);
        });
    }

    fn finish(self) -> Option<FeedSettings> {
        Some(FeedSettings { listen: self.listen?, frontends_authority: self.frontends_authority? })
    }
}

impl AdminDraft {
    fn of(whole: &AdminSettings) -> Self {
        Self {
            listen: Some(whole.listen),
            credentials: CredentialsDraft::of(&whole.credentials),
            operators_authority: Some(whole.operators_authority.clone()),
            limits: whole.limits,
        }
    }

    fn fields(&mut self, addresses: &mut Addresses, form: &mut impl Form) {
        form.table("admin", "The listener for operators.", |form| {
            addresses.listen("admin.listen", "Where it listens.", &mut self.listen, form);
            self.credentials.fields("Its certificate, PEM, for the name that operators call.", form);
            let says = "Who signs the certificates of operators, PEM.";
            form.required("operators_authority", says, &mut self.operators_authority);
            form.table("limits", LIMITS, |form| connection_limits(&mut self.limits, form));
        });
    }

    fn finish(self) -> Option<AdminSettings> {
        Some(AdminSettings {
            listen: self.listen?,
            credentials: self.credentials.finish()?,
            operators_authority: self.operators_authority?,
            limits: self.limits,
        })
    }
}
