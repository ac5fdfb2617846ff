//! The command that lets callers in.

use clap::Args;
use replication::ids::{RuleName, TenantId};
use replication::machine::policy::{Justifications, Operation, Principal, ResourcePattern, Rule};
use replication::machine::request::AdminOperation;

use super::level::LevelArgs;

/// Let callers use a key, or those keys of a crypto space or tenant that have no nearer policy. Acts at once.
///
/// The caller is Google's service agent of the project that holds the Cloud KMS key:
/// `service-PROJECT_NUMBER@gcp-sa-ekms.iam.gserviceaccount.com`. Make the grant before you register the key at Google, which makes a
/// test call. Taking a grant away is `policy remove-rule`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ekmctl grant cloud-kms --tenant acme --key payroll \\
      --caller service-123@gcp-sa-ekms.iam.gserviceaccount.com
  ekmctl grant backup --tenant acme --caller service-456@gcp-sa-ekms.iam.gserviceaccount.com \\
      --operations unwrap --justifications 1,5,6 --allow-missing")]
pub struct GrantArgs {
    /// The grant's name, unique within its policy; audit records and refusals quote it.
    pub name: RuleName,
    /// The tenant whose keys these are.
    #[arg(long)]
    pub tenant: TenantId,
    /// Whose policy it joins; the tenant's own if neither is given.
    #[command(flatten)]
    pub level: LevelArgs,
    /// Who may: the e-mail of a service account. Give it several times for several callers.
    #[arg(long, required = true, value_name = "EMAIL")]
    pub caller: Vec<Principal>,
    /// What they may do.
    #[arg(long, value_delimiter = ',', default_values = ["wrap", "unwrap"], value_parser = operation)]
    pub operations: Vec<Operation>,
    /// For which stated reasons: codes 0 to 11 of Google's key access justifications. Without this flag every reason, and none, will do.
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    pub justifications: Vec<u32>,
    /// Together with --justifications: also requests that state no reason at all.
    #[arg(long, requires = "justifications")]
    pub allow_missing: bool,
    /// Only for Cloud KMS keys of this project.
    #[arg(long)]
    pub project: Option<String>,
    /// Only for Cloud KMS keys in this location.
    #[arg(long)]
    pub location: Option<String>,
    /// Only for Cloud KMS keys in this key ring.
    #[arg(long, value_name = "NAME")]
    pub key_ring: Option<String>,
    /// Only for the Cloud KMS key of this name.
    #[arg(long, value_name = "NAME")]
    pub crypto_key: Option<String>,
}

/// An operation by its name.
pub(super) fn operation(text: &str) -> Result<Operation, String> {
    Operation::ALL
        .into_iter()
        .find(|operation| operation.as_str() == text)
        .ok_or_else(|| "an operation is wrap or unwrap".to_owned())
}

impl GrantArgs {
    /// The request for it.
    pub fn request(&self) -> AdminOperation {
        let pattern = ResourcePattern {
            project: self.project.clone(),
            location: self.location.clone(),
            key_ring: self.key_ring.clone(),
            crypto_key: self.crypto_key.clone(),
        };
        let justifications = (!self.justifications.is_empty()).then(|| Justifications {
            codes: self.justifications.iter().copied().collect(),
            allow_missing: self.allow_missing,
        });
        let rule = Rule {
            name: self.name.clone(),
            callers: self.caller.iter().cloned().collect(),
            resources: if pattern == ResourcePattern::default() { vec![] } else { vec![pattern] },
            operations: self.operations.iter().copied().collect(),
            justifications,
        };
        AdminOperation::Grant { tenant: self.tenant.clone(), level: self.level.level(), rule }
    }
}
