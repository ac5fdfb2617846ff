//! What a process presents to the cluster, from PEM files; looked at again and again, so that renewed ones need no start.
//!
//! Never takes half of a change, and never ends a connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use replication::clock::{Clock, Timestamp};
use replication::peers::tls::{Credentials, CredentialsError, FeedTls, FrontendTls, PeerTls};

use crate::edge::tls::{Content, ServerTls, Texts, TlsError, TlsFiles};

/// Whoever presents credentials, and takes renewed ones.
pub trait TakesCredentials: Clone + Send + 'static {
    /// Takes them for the connections to come; on an error all stays as it is.
    ///
    /// # Errors
    /// [`CredentialsError`].
    fn take(&self, credentials: Credentials) -> Result<(), CredentialsError>;
}

impl TakesCredentials for PeerTls {
    fn take(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        Self::take(self, credentials)
    }
}

impl TakesCredentials for FeedTls {
    fn take(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        Self::take(self, credentials)
    }
}

impl TakesCredentials for FrontendTls {
    fn take(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        Self::take(self, credentials)
    }
}

/// Why files cannot be presented.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFilesError {
    /// A file cannot be read, or is not what it should be.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// What they hold is not this process's.
    #[error("{} and what belongs to it cannot be used", certificate.display())]
    Credentials {
        /// The certificate's file.
        certificate: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<CredentialsError>,
    },
}

/// The files, and what of them is in use.
#[derive(Clone)]
pub struct CredentialFiles<T> {
    files: TlsFiles,
    /// Towards whom, for a person who reads a log.
    towards: &'static str,
    tls: T,
    used: Content,
    /// What differed from that at the last look.
    seen: Option<Content>,
    told: Option<String>,
}

impl<T: TakesCredentials> CredentialFiles<T> {
    /// Reads them. Their authority is that of whoever is met, and must be there.
    ///
    /// # Errors
    /// [`CredentialFilesError`].
    pub fn load(
        files: TlsFiles,
        towards: &'static str,
        now: Timestamp,
        present: impl FnOnce(Credentials) -> Result<T, CredentialsError>,
    ) -> Result<Self, CredentialFilesError> {
        // for what it says of dates, and of keys that do not belong to their certificates
        ServerTls::load(files.clone(), now)?;
        let texts = files.read();
        let used = texts.content();
        let tls = present(credentials(texts, &files)?).map_err(|source| unusable(&files, source))?;
        Ok(Self { files, towards, tls, used, seen: None, told: None })
    }

    /// What presents them.
    pub fn tls(&self) -> &T {
        &self.tls
    }

    /// Looks at the files every so often until the future is dropped. A change is taken when it has stood still for one look.
    pub async fn keep(mut self, every: Duration, clock: Arc<dyn Clock>) {
        loop {
            tokio::time::sleep(every).await;
            let now = clock.wall();
            let looked = tokio::task::spawn_blocking(move || {
                self.look(now);
                self
            });
            match looked.await {
                Ok(files) => self = files,
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // the end of the process
                    Err(_) => return,
                },
            }
        }
    }

    fn look(&mut self, now: Timestamp) {
        let texts = self.files.read();
        let content = texts.content();
        if content == self.used {
            (self.seen, self.told) = (None, None);
            return;
        }
        if self.seen.replace(content) != Some(content) {
            return;
        }
        let files = self.files.clone();
        // for what it says of dates, and of keys that do not belong to their certificates
        let valid = ServerTls::load(files.clone(), now).map_err(CredentialFilesError::from);
        let taken = valid
            .and_then(|_| credentials(texts, &files))
            .and_then(|credentials| self.tls.take(credentials).map_err(|source| unusable(&files, source)));
        let towards = self.towards;
        match taken {
            Ok(()) => {
                (self.used, self.told) = (content, None);
                tracing::info!(towards, "a renewed certificate is in use from the next handshake on");
            }
            Err(error) => {
                let why = crate::exit::with_causes(&error);
                if self.told.as_ref() != Some(&why) {
                    tracing::error!(
                        towards,
                        "the files of certificates have changed and cannot be used; what was in use stays: {why}"
                    );
                    self.told = Some(why);
                }
            }
        }
    }
}

fn unusable(files: &TlsFiles, source: CredentialsError) -> CredentialFilesError {
    CredentialFilesError::Credentials { certificate: files.certificate.clone(), source: Box::new(source) }
}

fn credentials(texts: Texts, files: &TlsFiles) -> Result<Credentials, CredentialFilesError> {
    let parsed = texts.parse(files)?;
    let authorities = parsed.client_authority.unwrap_or_default();
    Ok(Credentials { chain: parsed.chain, key: parsed.key, authorities })
}
