//! What every listener of a process is told: where, with which files, and within which bounds; and that no two listen at one place.
//!
//! Binds nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::edge::limits::ConnectionLimits;

use super::form::Form;
use super::mistake::Mistake;
use super::parts::{LIMITS, connection_limits};

/// What a process presents, and proves that it is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// The leaf's private key, PEM.
    pub key: PathBuf,
}

impl Credentials {
    /// The same, with relative paths counted from `folder`.
    #[must_use]
    pub fn below(self, folder: &Path) -> Self {
        Self { certificate: folder.join(self.certificate), key: folder.join(self.key) }
    }
}

/// Credentials as they are read, field by field.
#[derive(Debug, Default)]
pub(super) struct CredentialsDraft {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl CredentialsDraft {
    pub(super) fn of(whole: &Credentials) -> Self {
        Self { certificate: Some(whole.certificate.clone()), key: Some(whole.key.clone()) }
    }

    /// `says` tells what the certificate must name.
    pub(super) fn fields(&mut self, says: &str, form: &mut impl Form) {
        form.required("certificate", says, &mut self.certificate);
        form.required("key", "Its private key, PEM.", &mut self.key);
    }

    pub(super) fn finish(self) -> Option<Credentials> {
        Some(Credentials { certificate: self.certificate?, key: self.key? })
    }
}

/// The listener for probes and Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Where it listens, without TLS.
    pub listen: SocketAddr,
    /// Bounds of its connections.
    pub limits: ConnectionLimits,
}

/// The addresses of a process's listeners, as they are met.
#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<(&'static str, SocketAddr)>);

impl Addresses {
    /// The field `listen` of the table that is gone over, which is at `place` in the file.
    pub(super) fn listen(
        &mut self,
        place: &'static str,
        says: &str,
        value: &mut Option<SocketAddr>,
        form: &mut impl Form,
    ) {
        form.required("listen", says, value);
        let Some(address) = *value else { return };
        if let Some((other, _)) = self.0.iter().find(|(_, taken)| *taken == address) {
            form.object("listen", Mistake::Twice { value: address.to_string(), other });
        }
        self.0.push((place, address));
    }
}

/// The table of the health listener.
pub(super) fn health(
    listen: &mut Option<SocketAddr>,
    limits: &mut ConnectionLimits,
    addresses: &mut Addresses,
    form: &mut impl Form,
) {
    form.table("health", "The listener for probes and Prometheus.", |form| {
        addresses.listen("health.listen", "Where it listens, without TLS.", listen, form);
        form.table("limits", LIMITS, |form| connection_limits(limits, form));
    });
}
