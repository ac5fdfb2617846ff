//! Deny entries as they stand in the feed. What a key store verified is believed by those whom it feeds.

use super::wire;
use super::wire::deny_entry::Subject as Wired;
use crate::clock::Timestamp;
use crate::ids::DenyId;
use crate::machine::deny::DenyEntry;
use crate::machine::policy::Subject;

pub(super) fn to_wire(entry: &DenyEntry) -> wire::DenyEntry {
    let subject = match &entry.subject {
        Subject::Caller(caller) => Wired::Caller(caller.to_string()),
        Subject::Key(key) => Wired::Key(key.to_string()),
    };
    wire::DenyEntry {
        id: entry.id.as_bytes().to_vec(),
        tenant: entry.tenant.to_string(),
        subject: Some(subject),
        expires_millis: entry.expires_at.0,
    }
}

/// The entry; `None` if it is not laid out as it must be.
pub(super) fn from_wire(wired: wire::DenyEntry) -> Option<DenyEntry> {
    let subject = match wired.subject? {
        Wired::Caller(caller) => Subject::Caller(caller.parse().ok()?),
        Wired::Key(key) => Subject::Key(key.parse().ok()?),
    };
    let id = DenyId::from_bytes(wired.id.try_into().ok()?);
    Some(DenyEntry { id, tenant: wired.tenant.parse().ok()?, subject, expires_at: Timestamp(wired.expires_millis) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_itself_and_a_crooked_one_not_at_all() {
        let of = |subject| DenyEntry {
            id: DenyId::from_bytes([3; 16]),
            tenant: "acme".parse().expect("a legal name"),
            subject,
            expires_at: Timestamp(9),
        };
        let caller = of(Subject::Caller("ann@example.com".parse().expect("a legal name")));
        let key = of(Subject::Key("k1".parse().expect("a legal name")));
        for entry in [&caller, &key] {
            assert_eq!(from_wire(to_wire(entry)).as_ref(), Some(entry));
        }
        let good = to_wire(&caller);
        for crooked in [
            wire::DenyEntry { id: vec![3; 15], ..good.clone() },
            wire::DenyEntry { tenant: "Acme".to_owned(), ..good.clone() },
            wire::DenyEntry { subject: None, ..good.clone() },
            wire::DenyEntry { subject: Some(Wired::Key("a/b".to_owned())), ..good.clone() },
            wire::DenyEntry { subject: Some(Wired::Caller("nobody".to_owned())), ..good },
        ] {
            assert_eq!(from_wire(crooked), None);
        }
    }
}
