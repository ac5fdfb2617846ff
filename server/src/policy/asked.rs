//! The question that policy answers: who asks to do what, for which resource and reason. Never answers it.

use replication::machine::policy::{Operation, Principal};

use crate::wire::AccessReason;

/// What is asked, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Proven by a token.
    pub caller: &'a Principal,
    /// What is to be done.
    pub operation: Operation,
    /// For which Cloud KMS resource; `None` if none was stated, or one of no known shape.
    pub resource: Option<ResourceName<'a>>,
    /// For which reason.
    pub reason: &'a AccessReason,
}

/// The parts of `projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceName<'a> {
    pub(super) project: &'a str,
    pub(super) location: &'a str,
    pub(super) key_ring: &'a str,
    pub(super) crypto_key: &'a str,
}

impl<'a> ResourceName<'a> {
    /// The parts, or `None` if the text is of no such shape. Such a text counts as no resource name at all.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut after = |word| (parts.next() == Some(word)).then(|| parts.next().filter(|part| !part.is_empty()))?;
        let name = Self {
            project: after("projects")?,
            location: after("locations")?,
            key_ring: after("keyRings")?,
            crypto_key: after("cryptoKeys")?,
        };
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Some(name),
            (Some("cryptoKeyVersions"), Some(version), None) if !version.is_empty() => Some(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_name_has_four_parts_and_perhaps_a_version() {
        let name = Some(ResourceName { project: "p", location: "l", key_ring: "r", crypto_key: "k" });
        let stem = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        assert_eq!(ResourceName::parse(stem), name);
        assert_eq!(ResourceName::parse(&format!("{stem}/cryptoKeyVersions/1")), name);
        for bad in [
            "",
            "/",
            "projects/p",
            "projects//locations/l/keyRings/r/cryptoKeys/k",
            "projects/p/locations/l/keyRings/r/cryptoKeys/",
            "projects/p/locations/l/keyRings/r/cryptoKeys",
            &format!("/{stem}"),
            &format!("{stem}/"),
            &format!("{stem}/cryptoKeyVersions"),
            &format!("{stem}/cryptoKeyVersions/"),
            &format!("{stem}/cryptoKeyVersions/1/x"),
            &format!("{stem}/x/1"),
            &stem.to_uppercase(),
        ] {
            assert_eq!(ResourceName::parse(bad), None, "{bad:?}");
        }
    }
}
