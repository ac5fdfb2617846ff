//! What is printed of people: oneself, others, and requests that wait for a second officer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::wire::{Answer, DenyEntryBody, PersonBody};
use crate::ctl::people::{Pending, moment};

/// As whom one acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The name on the certificate.
    pub name: String,
    /// The Ed25519 public key, hexadecimal.
    pub public_key: String,
    /// What the cluster knows of this person; absent if it does not show people to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonBody>,
}

/// What enrolling and revoking come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum PeopleChange {
    /// It was done.
    Done(Answer),
    /// It waits for a second security officer.
    Pending(Pending),
}

pub(in crate::ctl) fn me(me: &Me) -> String {
    match &me.person {
        Some(person) => person_in_full(person),
        None => format!(
            "{}\n  public key {}\n  roles and tenants: security officers and auditors may look at them; ask one, or try",
            me.name, me.public_key
        ),
    }
}

pub(in crate::ctl) fn person(person: &PersonBody) -> String {
    let roles: Vec<&str> = person.roles.iter().map(|role| role.as_str()).collect();
    let reach = match &person.tenants {
        None => "all tenants".to_owned(),
        Some(tenants) => tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let revoked = if person.is_revoked { "  REVOKED" } else { "" };
    format!("{}  {}  {reach}{revoked}", person.name, roles.join(","))
}

pub(in crate::ctl) fn person_in_full(body: &PersonBody) -> String {
    format!("{}\n  public key {}", person(body), body.public_key)
}

pub(in crate::ctl) fn deny_entry(body: &DenyEntryBody) -> String {
    let (until, by) = (moment(body.expires_at), format!("{} and {}", body.asked_by, body.approved_by));
    format!("{}  {} is shut out of tenant {} until {until} by {by}", body.entry, body.subject, body.tenant)
}

pub(in crate::ctl) fn pending(pending: &Pending) -> String {
    format!(
        "nothing has changed yet: a second security officer must consent\n  asks  {}\n  file  {}\n  next  the second one runs: {}",
        pending.asks, pending.file, pending.next
    )
}
