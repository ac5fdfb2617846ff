//! What a start makes before anything listens: the data folder, the replica's key and file, memory for keys, its certificates.
//!
//! Never binds an address and never starts a task.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use replication::clock::Clock;
use replication::peers::identity::PeerName;
use replication::peers::tls::{FeedTls, PeerTls};
use tokio::sync::Notify;

use crate::clock::SystemClock;
use crate::crypto::{Arena, Entropy, LockPolicy, SystemEntropy};
use crate::edge::tls::TlsFiles;
use crate::metrics::Metrics;
use crate::process::credential_files::CredentialFiles;
use crate::process::{files, key_memory};
use crate::settings::key_store::{KeyStoreSettings, Role};

use super::error::ReplicaError;
use super::identity::Identity;

/// The stamp of `ekm dev` in its folders.
const DEV_STAMP: &str = "EKM-DEV";
/// Tenant keys, the root key, and what is being made.
const SLOTS: NonZeroU32 = NonZeroU32::new(16_384).expect("it is positive");

/// Everything that a start makes before anything listens.
pub(super) struct Prepared {
    pub(super) settings: KeyStoreSettings,
    pub(super) identity: Identity,
    pub(super) peers: CredentialFiles<PeerTls>,
    /// Towards frontends; a witness has none.
    pub(super) feed: Option<CredentialFiles<FeedTls>>,
    pub(super) arena: Arc<Arena>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// Told when somebody wants the files of certificates looked at now.
    pub(super) look_at_certificates: Arc<Notify>,
}

impl Prepared {
    pub(super) fn from(settings: KeyStoreSettings) -> Result<Self, ReplicaError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        is_no_dev_folder(&settings.data_dir)?;
        // before anything is made: a certificate that does not fit must leave nothing behind
        let own = PeerName { lineage: settings.lineage, replica: settings.replica };
        let presented = |authority: &Path| TlsFiles {
            certificate: settings.peers.credentials.certificate.clone(),
            key: settings.peers.credentials.key.clone(),
            client_authority: Some(authority.to_owned()),
        };
        let now = clock.wall();
        let files = presented(&settings.peers.authority);
        let peers = CredentialFiles::load(files, "peers", now, |presented| PeerTls::new(own, presented))?;
        let feed = match &settings.role {
            Role::Witness => None,
            Role::Data { feed, .. } => {
                let files = presented(&feed.frontends_authority);
                Some(CredentialFiles::load(files, "frontends", now, |presented| FeedTls::new(own, presented))?)
            }
        };
        files::make_folder(&settings.data_dir)?;
        let identity = Identity::ensure(&settings)?;
        identity.write_file(&settings.data_dir)?;
        let arena = key_memory::of(SLOTS, LockPolicy::Warn)?;
        let metrics = Arc::new(Metrics::new(clock.wall(), env!("CARGO_PKG_VERSION")));
        let (entropy, look_at_certificates) = (Arc::new(SystemEntropy), Arc::default());
        Ok(Self { settings, identity, peers, feed, arena, entropy, clock, metrics, look_at_certificates })
    }
}

fn is_no_dev_folder(folder: &Path) -> Result<(), ReplicaError> {
    if folder.join(DEV_STAMP).exists() { Err(ReplicaError::OfDev(folder.to_owned())) } else { Ok(()) }
}
