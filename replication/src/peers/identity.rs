//! Who a certificate says it is: one replica or one frontend of one cluster, or something that may not speak here.
//!
//! A peer's certificate holds exactly one name, the URI `ekm://<lineage>/replica/<number>`; a frontend's `ekm://<lineage>/frontend/<name>`.
//! Those of operators and probes hold names of other shapes, so none is ever taken for another, whoever signed it. Never judges a
//! signature or a date: rustls does.

use std::fmt;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::ids::{FrontendName, Generation, LineageId, ReplicaId};

/// One cluster in one incarnation. Two halves of a forked cluster differ in the generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// The lineage of its keys.
    pub lineage: LineageId,
    /// How often it was recovered from the loss of a quorum.
    pub generation: Generation,
}

/// What a peer's certificate names. It says nothing of the generation, which changes without new certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerName {
    /// The lineage of its cluster's keys.
    pub lineage: LineageId,
    /// Which replica it is.
    pub replica: ReplicaId,
}

/// Why a certificate is none of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a certificate.
    #[error("the certificate cannot be read; issue a new one for this replica")]
    Unreadable,
    /// It has no name, or several: a certificate that is good for two things is good for none.
    #[error(
        "the certificate holds {found} names, and must hold exactly one: issue one whose only subject alternative name is \
         the URI ekm://<lineage>/replica/<number>, or, for a frontend, ekm://<lineage>/frontend/<name>"
    )]
    Names {
        /// How many.
        found: usize,
    },
    /// Its one name is that of something else: a frontend, an operator, a probe, a host.
    #[error(
        "the certificate is of another kind: a key store's names ekm://<lineage>/replica/<number> and nothing else, a frontend's \
         ekm://<lineage>/frontend/<name>; give each process the certificate of its own kind"
    )]
    OtherKind,
    /// It names a replica of another cluster.
    #[error("the certificate is of another cluster; look where it was issued, and which address leads where")]
    OtherCluster,
    /// It names another replica than the one that was called.
    #[error(
        "the certificate is of replica {found}, and replica {wanted} was called: an address leads to the wrong machine, or the \
         wrong certificate was put there"
    )]
    OtherReplica {
        /// Whom it names.
        found: ReplicaId,
        /// Who was called.
        wanted: ReplicaId,
    },
    /// It names another frontend than the one whose settings it stands in.
    #[error("the certificate is of frontend {found}, and this is frontend {wanted}: give it its own")]
    OtherFrontend {
        /// Whom it names.
        found: FrontendName,
        /// Who we are.
        wanted: FrontendName,
    },
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ekm://{}/replica/{}", self.lineage, self.replica)
    }
}

impl PeerName {
    /// The one name in a certificate.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`], [`IdentityError::Names`] or [`IdentityError::OtherKind`].
    pub fn in_certificate(certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        only_name(certificate, Self::parse)
    }

    /// The one spelling there is, and no other.
    fn parse(uri: &str) -> Option<Self> {
        let (lineage, replica) = uri.strip_prefix("ekm://")?.split_once("/replica/")?;
        let name = Self { lineage: lineage.parse().ok()?, replica: ReplicaId(replica.parse().ok()?) };
        (name.to_string() == uri).then_some(name)
    }

    /// This name, if it is of that cluster.
    ///
    /// # Errors
    /// [`IdentityError::OtherCluster`].
    pub fn of(self, lineage: LineageId) -> Result<Self, IdentityError> {
        if self.lineage == lineage { Ok(self) } else { Err(IdentityError::OtherCluster) }
    }

    /// This name, if it is that of the replica.
    ///
    /// # Errors
    /// [`IdentityError::OtherReplica`].
    pub fn called(self, wanted: ReplicaId) -> Result<Self, IdentityError> {
        let found = self.replica;
        if found == wanted { Ok(self) } else { Err(IdentityError::OtherReplica { found, wanted }) }
    }
}

/// What a frontend's certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendIdentity {
    /// The lineage of the keys that it is handed.
    pub lineage: LineageId,
    /// Its name.
    pub name: FrontendName,
}

impl fmt::Display for FrontendIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ekm://{}/frontend/{}", self.lineage, self.name)
    }
}

impl FrontendIdentity {
    /// The one name in a certificate.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`], [`IdentityError::Names`] or [`IdentityError::OtherKind`].
    pub fn in_certificate(certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        only_name(certificate, Self::parse)
    }

    fn parse(uri: &str) -> Option<Self> {
        let (lineage, name) = uri.strip_prefix("ekm://")?.split_once("/frontend/")?;
        let identity = Self { lineage: lineage.parse().ok()?, name: name.parse().ok()? };
        (identity.to_string() == uri).then_some(identity)
    }

    /// This name, if it is of that cluster.
    ///
    /// # Errors
    /// [`IdentityError::OtherCluster`].
    pub fn of(self, lineage: LineageId) -> Result<Self, IdentityError> {
        if self.lineage == lineage { Ok(self) } else { Err(IdentityError::OtherCluster) }
    }

    /// This name, if it is the one that is wanted.
    ///
    /// # Errors
    /// [`IdentityError::OtherCluster`] or [`IdentityError::OtherFrontend`].
    pub fn called(self, wanted: &Self) -> Result<Self, IdentityError> {
        let found = self.of(wanted.lineage)?;
        if found.name == wanted.name {
            Ok(found)
        } else {
            Err(IdentityError::OtherFrontend { found: found.name, wanted: wanted.name.clone() })
        }
    }
}

/// The one name that a certificate holds, if it is of the kind that `parse` knows.
fn only_name<T>(certificate: &CertificateDer<'_>, parse: impl Fn(&str) -> Option<T>) -> Result<T, IdentityError> {
    let (rest, certificate) = X509Certificate::from_der(certificate).map_err(|_| IdentityError::Unreadable)?;
    if !rest.is_empty() {
        return Err(IdentityError::Unreadable);
    }
    let names = certificate.subject_alternative_name().map_err(|_| IdentityError::Unreadable)?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let [name] = names else { return Err(IdentityError::Names { found: names.len() }) };
    let GeneralName::URI(uri) = name else { return Err(IdentityError::OtherKind) };
    parse(uri).ok_or(IdentityError::OtherKind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::pki::{Authority, LINEAGE, OTHER_LINEAGE};

    #[test]
    fn a_peers_certificate_has_one_name_and_one_spelling() {
        let authority = Authority::new("peers");
        let good = format!("ekm://{LINEAGE}/replica/7");
        let table = [
            (vec![good.clone()], Ok(7)),
            (vec![], Err(IdentityError::Names { found: 0 })),
            (vec![good.clone(), good.clone()], Err(IdentityError::Names { found: 2 })),
            (vec![good.clone(), "dns:peer.example".to_owned()], Err(IdentityError::Names { found: 2 })),
            (vec!["dns:peer.example".to_owned()], Err(IdentityError::OtherKind)),
            (vec![format!("ekm://{LINEAGE}/frontend/7")], Err(IdentityError::OtherKind)),
            (vec![format!("ekm://{LINEAGE}/operator/ada")], Err(IdentityError::OtherKind)),
            (vec![format!("ekm://{LINEAGE}/probe")], Err(IdentityError::OtherKind)),
            (vec![format!("ekm://{LINEAGE}/replica/07")], Err(IdentityError::OtherKind)),
            (vec![format!("ekm://{LINEAGE}/replica/+7")], Err(IdentityError::OtherKind)),
            (vec![format!("ekm://{LINEAGE}/replica/")], Err(IdentityError::OtherKind)),
            (vec![format!("EKM://{LINEAGE}/replica/7")], Err(IdentityError::OtherKind)),
            (vec![format!("{good}/")], Err(IdentityError::OtherKind)),
            (vec![format!("{good}?x")], Err(IdentityError::OtherKind)),
        ];
        for (names, expected) in table {
            let (certificate, _) = authority.issue(&names);
            let found = PeerName::in_certificate(&certificate).map(|name| name.replica.0);
            assert_eq!(found, expected, "{names:?}");
        }
        assert_eq!(PeerName::in_certificate(&CertificateDer::from(vec![1, 2])), Err(IdentityError::Unreadable));
    }

    #[test]
    fn a_name_of_another_cluster_or_replica_is_refused() {
        let name = PeerName { lineage: LINEAGE, replica: ReplicaId(7) };
        assert_eq!(name.of(OTHER_LINEAGE), Err(IdentityError::OtherCluster));
        let other = IdentityError::OtherReplica { found: ReplicaId(7), wanted: ReplicaId(8) };
        assert_eq!(name.of(LINEAGE).and_then(|name| name.called(ReplicaId(8))), Err(other));
        assert_eq!(name.of(LINEAGE).and_then(|name| name.called(ReplicaId(7))), Ok(name));
    }
}
