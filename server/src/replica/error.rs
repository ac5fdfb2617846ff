//! Everything for which `ekm keystore` does not start, or cannot go on. Decides nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use replication::ids::{GroupId, IdError};
use replication::machine::signing::SigningKeyError;
use replication::raft::group::Failure;
use replication::raft::host::HostError;

use crate::crypto::ArenaError;
use crate::edge::listener::BindError;
use crate::edge::tls::TlsError;
use crate::keystore::{FoundError, RootError};
use crate::process::ProcessError;
use crate::process::credential_files::CredentialFilesError;
use crate::process::files::FileError;
use crate::settings::mistake::SettingsError;
use crate::tasks::TaskPanicked;

/// Why `ekm keystore` does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant says what its error says, and no more")]
pub enum ReplicaError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("peers.advertise is no address that other replicas could use")]
    Advertise(#[source] IdError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} was made by `ekm dev`, which is for trying out only; name another folder as data_dir", .0.display())]
    OfDev(PathBuf),
    #[error("{} is gone, and the cluster knows this replica by it alone; put it back from a copy, or join a new replica under a new number on an empty data folder", .0.display())]
    ReplicaKeyGone(PathBuf),
    #[error("{} is not the replica's signing key; put it back from a copy", path.display())]
    SigningKey { path: PathBuf, source: SigningKeyError },
    #[error("no replica signing key can be made")]
    NoSigningKey,
    #[error(transparent)]
    Arena(#[from] ArenaError),
    #[error("the certificate, key or authority of [peers] or [feed] cannot be used")]
    Credentials(#[from] CredentialFilesError),
    #[error("cannot listen for frontends on {address}; free it, or change feed.listen")]
    Feed { address: SocketAddr, source: std::io::Error },
    #[error("cannot listen for other replicas on {address}; free it, or change peers.listen")]
    Peers { address: SocketAddr, source: std::io::Error },
    #[error("the deny entries in {} cannot be read: there should be a folder that the server may read, or nothing; what it held comes from other key stores, or has to be asked for again", folder.display())]
    DenyEntries { folder: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Found(#[from] FoundError),
    #[error(transparent)]
    Panicked(#[from] TaskPanicked),
    #[error("group {0} cannot go on")]
    Group(GroupId, #[source] Failure),
}
