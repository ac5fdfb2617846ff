//! Everything for which `ekm frontend` does not start, or cannot go on. Decides nothing.

use crate::authn::mint::IssuerKeyError;
use crate::crypto::ArenaError;
use crate::edge::listener::BindError;
use crate::following::FollowError;
use crate::frontend::FrontendError;
use crate::health::probe::ProbeError;
use crate::process::ProcessError;
use crate::process::credential_files::CredentialFilesError;
use crate::process::files::FileError;
use crate::settings::mistake::SettingsError;
use crate::tasks::TaskPanicked;

/// Why `ekm frontend` does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant says what its error says, and no more")]
pub enum FrontendProcessError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Arena(#[from] ArenaError),
    #[error("the probe's key cannot be made")]
    ProbeKey(#[from] IssuerKeyError),
    #[error("the certificate for key stores cannot be used")]
    Credentials(#[from] CredentialFilesError),
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Frontend(#[from] FrontendError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Panicked(#[from] TaskPanicked),
}
