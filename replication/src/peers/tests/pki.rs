//! Certificates of every kind, made for a test.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::ids::{LineageId, ReplicaId};
use crate::peers::identity::PeerName;
use crate::peers::tls::{Credentials, PeerTls};

pub(crate) const LINEAGE: LineageId = LineageId::from_bytes([0xab; 16]);
pub(crate) const OTHER_LINEAGE: LineageId = LineageId::from_bytes([0xcd; 16]);

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names are legal names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("an authority can sign itself").der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate with these names and no other: URIs, or hosts after `dns:`.
    pub(crate) fn issue(&self, names: &[String]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        self.issue_for(names, &[ClientAuth, ServerAuth], 1)
    }

    /// The same for some uses, and expired if it is for no day from today.
    pub(crate) fn issue_for(
        &self,
        names: &[String],
        uses: &[ExtendedKeyUsagePurpose],
        days: i32,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![]).expect("no names are legal names");
        let name = |name: &String| match name.strip_prefix("dns:") {
            Some(host) => SanType::DnsName(host.try_into().expect("a host is ASCII")),
            None => SanType::URI(name.as_str().try_into().expect("a URI is ASCII")),
        };
        params.subject_alt_names = names.iter().map(name).collect();
        params.extended_key_usages = uses.to_vec();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(if days > 0 { 4096 } else { 2021 }, 1, 1);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs").der().clone();
        (certificate, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// What a replica of [`LINEAGE`] presents, believing this authority.
    pub(crate) fn credentials(&self, replica: ReplicaId) -> Credentials {
        let (certificate, key) = self.issue(&[PeerName { lineage: LINEAGE, replica }.to_string()]);
        Credentials { chain: vec![certificate], key, authorities: vec![self.certificate()] }
    }

    pub(crate) fn tls(&self, replica: ReplicaId) -> PeerTls {
        let own = PeerName { lineage: LINEAGE, replica };
        PeerTls::new(own, self.credentials(replica)).expect("the certificate names the replica")
    }
}
