//! What was wrong with a handshake, found among the causes of an error. Pure.

use std::error::Error;

use rustls::{AlertDescription, CertificateError};

use super::observed::TlsTrouble;

/// The trouble behind an error; `None` if it has nothing to do with TLS.
pub(super) fn trouble(error: &(dyn Error + 'static)) -> Option<TlsTrouble> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(error) = inner.or_else(|| error.downcast_ref::<rustls::Error>()) {
            return Some(named(error));
        }
        if let Some(alert) = error.to_string().strip_prefix(ALERT) {
            return Some(alerted(alert));
        }
        cause = match wrapped {
            // an error of the operating system shows what it wraps as itself, not as its cause
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// How rustls tells of an alert. An HTTP/2 connection keeps this text of an error, and not the error.
const ALERT: &str = "received fatal alert: ";

fn alerted(alert: &str) -> TlsTrouble {
    let is = |description: AlertDescription| alert == format!("{description:?}");
    if is(AlertDescription::CertificateExpired) {
        TlsTrouble::OursExpired
    } else if REFUSALS.into_iter().any(is) {
        TlsTrouble::OursRefused
    } else {
        TlsTrouble::Other
    }
}

/// What a server says of a client certificate that it does not take.
const REFUSALS: [AlertDescription; 7] = [
    AlertDescription::UnknownCA,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateRequired,
    AlertDescription::CertificateRevoked,
    AlertDescription::AccessDenied,
    AlertDescription::DecryptError,
];

fn named(error: &rustls::Error) -> TlsTrouble {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            TlsTrouble::WrongAuthority
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            TlsTrouble::ServerExpired
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => TlsTrouble::ServerNotYetValid,
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => TlsTrouble::WrongName,
        rustls::Error::AlertReceived(description) => alerted(&format!("{description:?}")),
        rustls::Error::InvalidMessage(_) => TlsTrouble::NotTls,
        _ => TlsTrouble::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_named_however_deep_it_lies() {
        let table = [
            (rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer), TlsTrouble::WrongAuthority),
            (rustls::Error::InvalidCertificate(CertificateError::Expired), TlsTrouble::ServerExpired),
            (rustls::Error::InvalidCertificate(CertificateError::NotValidYet), TlsTrouble::ServerNotYetValid),
            (rustls::Error::InvalidCertificate(CertificateError::NotValidForName), TlsTrouble::WrongName),
            (rustls::Error::AlertReceived(AlertDescription::CertificateExpired), TlsTrouble::OursExpired),
            (rustls::Error::AlertReceived(AlertDescription::UnknownCA), TlsTrouble::OursRefused),
            (rustls::Error::DecryptError, TlsTrouble::Other),
        ];
        for (error, expected) in table {
            assert_eq!(trouble(&error), Some(expected));
            let text = error.to_string();
            let wrapped = std::io::Error::other(std::io::Error::other(error));
            assert_eq!(trouble(&wrapped), Some(expected), "two errors of the operating system around it");
            if let Some(text) = text.strip_prefix(ALERT) {
                let kept = std::io::Error::other(format!("{ALERT}{text}"));
                assert_eq!(trouble(&kept), Some(expected), "only its text is left");
            }
        }
        assert_eq!(trouble(&std::io::Error::other("no TLS at all")), None);
    }
}
