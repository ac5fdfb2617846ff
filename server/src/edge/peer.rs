//! Who is at the other end of an mTLS connection. It must never say a name of a certificate that the handshake has not
//! verified.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The client's certificate, verified in the handshake against the listener's authority. Handlers find it among the
/// request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate(CertificateDer<'static>);

impl PeerCertificate {
    /// Only the connection makes one, from a finished handshake.
    pub(super) fn verified(certificate: CertificateDer<'static>) -> Self {
        Self(certificate)
    }

    /// A certificate that no handshake has seen, for the tests of what comes after one.
    #[cfg(test)]
    pub const fn danger_unverified(certificate: CertificateDer<'static>) -> Self {
        Self(certificate)
    }

    /// The certificate as it was presented.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0
    }

    /// The subject's common name, if it has exactly one that is text.
    pub fn common_name(&self) -> Option<String> {
        let certificate = self.parsed()?;
        let mut names = certificate.subject().iter_common_name();
        let name = names.next()?.as_str().ok()?.to_owned();
        names.next().is_none().then_some(name)
    }

    fn parsed(&self) -> Option<X509Certificate<'_>> {
        X509Certificate::from_der(&self.0).ok().map(|(_, certificate)| certificate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::testing::Authority;

    #[test]
    fn the_common_name_is_read_from_the_certificate() {
        let identity = Authority::new("operators").issue("alice", &["alice.example"]);
        let peer = PeerCertificate::verified(identity.chain[0].clone());
        assert_eq!(peer.common_name().as_deref(), Some("alice"));
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_name() {
        let peer = PeerCertificate::verified(CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01]));
        assert_eq!(peer.common_name(), None);
    }
}
