//! What each role of a person may do, as a table. A person may have several roles; none of them opens another's door.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What an enrolled person is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PersonRole {
    /// Looks at tenants, keys and policies.
    Viewer,
    /// Changes tenants, crypto spaces, keys, policies and quotas.
    Operator,
    /// Consents to what others planned.
    Approver,
    /// Enrols and revokes people, and shuts callers and keys out. An officer takes two of them, and so does a deny entry.
    SecurityOfficer,
    /// Looks at everything, people included, and changes nothing.
    Auditor,
}

impl PersonRole {
    /// Every role, in the order of the enum.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Operator, Self::Approver, Self::SecurityOfficer, Self::Auditor];

    /// The role as the admin API and `ekmctl` spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::SecurityOfficer => "security_officer",
            Self::Auditor => "auditor",
        }
    }
}

impl std::fmt::Display for PersonRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a role can permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// To look at tenants and what is in them.
    ReadTenants,
    /// To change tenants and what is in them.
    ChangeTenants,
    /// To look at who is enrolled.
    ReadPeople,
    /// To enrol and revoke people.
    ManagePeople,
    /// To change what belongs to the cluster, with all tenants in reach.
    ChangeCluster,
}

impl Permission {
    /// Every permission, in the order of the enum.
    pub const ALL: [Self; 5] =
        [Self::ReadTenants, Self::ChangeTenants, Self::ReadPeople, Self::ManagePeople, Self::ChangeCluster];
}

/// What each role permits; what is not in its row it does not.
const PERMITS: &[(PersonRole, &[Permission])] = &[
    (PersonRole::Viewer, &[Permission::ReadTenants]),
    (PersonRole::Operator, &[Permission::ReadTenants, Permission::ChangeTenants, Permission::ChangeCluster]),
    (PersonRole::Approver, &[Permission::ReadTenants]),
    (PersonRole::SecurityOfficer, &[Permission::ReadPeople, Permission::ManagePeople]),
    (PersonRole::Auditor, &[Permission::ReadTenants, Permission::ReadPeople]),
];

/// Whether one of the roles permits it.
pub fn may(roles: &BTreeSet<PersonRole>, permission: Permission) -> bool {
    PERMITS.iter().any(|(role, permits)| roles.contains(role) && permits.contains(&permission))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table as text: a change to it is a change to this text, in review.
    const PINNED: &str = "\
viewer: ReadTenants
operator: ReadTenants ChangeTenants ChangeCluster
approver: ReadTenants
security_officer: ReadPeople ManagePeople
auditor: ReadTenants ReadPeople
";

    #[test]
    fn every_role_permits_what_is_pinned() {
        let mut text = String::new();
        for role in PersonRole::ALL {
            let permits = Permission::ALL.into_iter().filter(|one| may(&[role].into(), *one));
            let words: Vec<String> = permits.map(|one| format!("{one:?}")).collect();
            text.push_str(&format!("{role}: {}\n", words.join(" ")));
        }
        assert_eq!(text, PINNED);
    }

    #[test]
    fn roles_add_up_and_none_is_nothing() {
        assert!(!may(&BTreeSet::new(), Permission::ReadTenants));
        let both = [PersonRole::Viewer, PersonRole::SecurityOfficer].into();
        assert!(may(&both, Permission::ReadTenants) && may(&both, Permission::ManagePeople));
        assert!(!may(&both, Permission::ChangeTenants));
    }
}
