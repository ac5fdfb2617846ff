//! Keys, versions and import keys.

use replication::ids::{CheckValue, TenantId};
use replication::machine::rows::Origin;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answer_text, below, levels, look};
use crate::admin::wire::{Answer, ImportKeyBody, KeyBody, OwnedVersionBody, VersionBody};
use crate::ctl::levels::PolicyInForce;
use crate::ctl::registration::{Registration, Registrations};

/// A key, the policy in force, and the lines that register its primary version at Google.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyShown {
    /// The key.
    pub key: KeyBody,
    /// The policy in force, and where it comes from.
    pub policy: PolicyInForce,
    /// The lines; absent if the key has no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrations: Option<Registrations>,
    /// Whom a grant must name.
    pub caller: String,
}

/// An import was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
    /// The check value of the material that arrived, as the cluster holds it.
    pub check_value: CheckValue,
}

pub(in crate::ctl) fn imported(imported: &Imported) -> String {
    format!("{} check-value={}", answer_text(&imported.answer), imported.check_value)
}

pub(in crate::ctl) fn key(key: &KeyBody) -> String {
    let space = key.crypto_space.as_deref().map(|space| format!("  crypto space {space}")).unwrap_or_default();
    let versions: String = below(&key.versions, |one| format!("  {}", version(one)));
    format!("{}{space}{versions}", key.name)
}

fn version(version: &VersionBody) -> String {
    let origin = match &version.origin {
        Origin::Generated => String::new(),
        Origin::Imported { check_value, .. } => format!("  imported, check value {check_value}"),
    };
    let due = version.destroy_after_seconds.map(|seconds| format!(" in {}", look::span(seconds))).unwrap_or_default();
    let aliases: String = below(&version.aliases, |alias| format!("     alias {alias}"));
    format!("{}  {}  {}{due}{origin}{aliases}", version.number, version.path, version.state)
}

pub(in crate::ctl) fn owned_version(owned: &OwnedVersionBody) -> String {
    let by = owned.by_alias.as_ref().map(|alias| format!(", found by its alias {alias}")).unwrap_or_default();
    format!("key {} of tenant {}{by}\n  {}", owned.key, owned.tenant, version(&owned.version))
}

pub(in crate::ctl) fn key_in_full(tenant: &TenantId, shown: &KeyShown) -> String {
    let (name, caller) = (&shown.key.name, &shown.caller);
    let policy = levels::policy(&shown.policy);
    let mut text = format!("{}\nprimary: version {}\n{policy}", key(&shown.key), shown.key.primary);
    if shown.policy.decides.is_none() {
        text.push_str(&format!(
            "\n\nFirst let Google in: ekmctl grant cloud-kms --tenant {tenant} --key {name} --caller {caller}"
        ));
    }
    let Some(lines) = &shown.registrations else { return text };
    let ways = [
        ("EXTERNAL_VPC, through an EKM connection into a private network", &lines.external_vpc),
        ("EXTERNAL, over the internet", &lines.external),
    ];
    for (way, lines) in ways {
        if let Some(lines) = lines {
            text.push_str(&registration(way, lines));
        }
    }
    text.push_str(&format!(
        "\n\nCloud KMS calls as {caller}: the grant names it.\n\
         Leave out what exists already: a further version of a key needs the last line alone."
    ));
    if !lines.fill_in.is_empty() {
        text.push_str(&format!("\nFill in: {}", lines.fill_in.join(", ")));
    }
    text
}

fn registration(way: &str, registration: &Registration) -> String {
    let indented = |line: &str| format!("  {line}").trim_end().to_owned();
    let terraform: Vec<String> = registration.terraform.lines().map(indented).collect();
    let gcloud: Vec<String> = registration.gcloud.iter().map(|line| indented(line)).collect();
    format!("\n\nTo register it as {way}:\n\n{}\n\nor by Terraform:\n\n{}", gcloud.join("\n"), terraform.join("\n"))
}

pub(in crate::ctl) fn import_key(key: &ImportKeyBody) -> String {
    format!("{}  usable until {}", key.import_key, look::time(key.expires_at))
}

pub(in crate::ctl) fn import_key_in_full(key: &ImportKeyBody) -> String {
    key.public_key_pem.trim_end().to_owned()
}
