//! What a replica presents to its peers, from PEM files; looked at again and again, so that renewed ones need no start.
//!
//! Never takes half of a change, and never ends a connection.

use std::time::Duration;

use replication::clock::Timestamp;
use replication::ids::{LineageId, ReplicaId};
use replication::peers::identity::PeerName;
use replication::peers::tls::{Credentials, PeerTls};

use crate::edge::tls::{Content, ServerTls, Texts, TlsFiles};
use crate::settings::key_store::PeersSettings;

use super::error::ReplicaError;

/// The files, and what of them is in use.
#[derive(Clone)]
pub(super) struct PeerFiles {
    files: TlsFiles,
    pub(super) tls: PeerTls,
    used: Content,
    /// What differed from that at the last look.
    seen: Option<Content>,
    told: Option<String>,
}

impl PeerFiles {
    /// Reads them, for the replica that the settings name.
    pub(super) fn load(
        settings: &PeersSettings,
        (lineage, replica): (LineageId, ReplicaId),
        now: Timestamp,
    ) -> Result<Self, ReplicaError> {
        let files = TlsFiles {
            certificate: settings.credentials.certificate.clone(),
            key: settings.credentials.key.clone(),
            client_authority: Some(settings.authority.clone()),
        };
        // for what it says of dates, and of keys that do not belong to their certificates
        ServerTls::load(files.clone(), now).map_err(ReplicaError::PeerFiles)?;
        let texts = files.read();
        let used = texts.content();
        let credentials = credentials(texts, &files)?;
        let tls = PeerTls::new(PeerName { lineage, replica }, credentials).map_err(ReplicaError::PeerCredentials)?;
        Ok(Self { files, tls, used, seen: None, told: None })
    }

    /// Looks at the files until the future is dropped. A change is taken when it has stood still for one look.
    pub(super) async fn keep(mut self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(files) => self = files,
                // a panic, which has been told, or the end
                Err(_) => return,
            }
        }
    }

    fn look(&mut self) {
        let texts = self.files.read();
        let content = texts.content();
        if content == self.used {
            (self.seen, self.told) = (None, None);
            return;
        }
        if self.seen.replace(content) != Some(content) {
            return;
        }
        let taken = credentials(texts, &self.files);
        match taken.and_then(|credentials| self.tls.take(credentials).map_err(ReplicaError::PeerCredentials)) {
            Ok(()) => {
                (self.used, self.told) = (content, None);
                tracing::info!(listener = "peers", "a renewed certificate is in use from the next handshake on");
            }
            Err(error) => {
                let why = crate::exit::with_causes(&error);
                if self.told.as_ref() != Some(&why) {
                    tracing::error!(
                        listener = "peers",
                        "the files of certificates have changed and cannot be used; what was in use stays: {why}"
                    );
                    self.told = Some(why);
                }
            }
        }
    }
}

fn credentials(texts: Texts, files: &TlsFiles) -> Result<Credentials, ReplicaError> {
    let parsed = texts.parse(files).map_err(ReplicaError::PeerFiles)?;
    let authorities = parsed.client_authority.unwrap_or_default();
    Ok(Credentials { chain: parsed.chain, key: parsed.key, authorities })
}
