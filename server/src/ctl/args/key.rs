//! Commands on keys.

use clap::{Args, Subcommand};
use replication::ids::{CryptoSpaceName, KeyName, TenantId};

use super::import::ImportArgs;
use crate::ctl::registration::{Place, Protection};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    Create(KeyCreateArgs),
    /// List a tenant's keys and their versions.
    ///
    /// Shows for each version its number, its path for Google and its state. For policy and registration of one key, use `key show`.
    #[command(after_help = "Examples:\n  ekmctl key list --tenant acme")]
    List {
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
    Show(KeyShowArgs),
    /// Make a new version of a key, with new material and a path of its own.
    ///
    /// The new version becomes the key's primary one, which is shown first. Nothing changes for callers: every older version keeps
    /// its path and goes on working. At Google, make a new version of the Cloud KMS key on the new path and make it primary there
    /// (`key show` prints the line); what was wrapped with the old version is unwrapped with the old one, so keep it enabled until
    /// nothing needs it.
    #[command(after_help = "Examples:\n  ekmctl key rotate payroll --tenant acme")]
    Rotate {
        /// Its name.
        name: KeyName,
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
    Import(ImportArgs),
}

/// Make a key with a first version, and print its path for Google.
///
/// The material is made here and never leaves in the clear. Before Google can use it, grant the Google service agent its use with
/// `grant`, and register the path in Cloud KMS with the lines that `key show` prints.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ekmctl key create payroll --tenant acme
  ekmctl key create invoices --tenant acme --crypto-space vault")]
pub struct KeyCreateArgs {
    /// Its name, unique within the tenant.
    pub name: KeyName,
    /// The tenant that owns it.
    #[arg(long)]
    pub tenant: TenantId,
    /// The crypto space whose policy it inherits.
    #[arg(long, value_name = "NAME")]
    pub crypto_space: Option<CryptoSpaceName>,
}

/// Show a key, and the gcloud and Terraform lines that register it at Google.
///
/// Shows versions, states, paths, where the material came from, the policy in force and the level it comes from. The lines register
/// the primary version as `EXTERNAL_VPC`, reached through an EKM connection, and as EXTERNAL, reached over the internet; what you do
/// not say stands in them as a word in capitals. `EXTERNAL_VPC` keys live in single regions, so a multi-region is refused for them.
/// Cloud KMS makes a test call as soon as the version is registered: make the grant first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ekmctl key show payroll --tenant acme
  ekmctl key show payroll --tenant acme --project acme-prod --location europe-west3 \\
      --key-ring hr --hostname ekm.example.com
  ekmctl key show payroll --tenant acme --protection-level external --location europe")]
pub struct KeyShowArgs {
    /// Its name.
    pub name: KeyName,
    /// The tenant that owns it.
    #[arg(long)]
    pub tenant: TenantId,
    /// Print the lines of one way only; both if not said.
    #[arg(long, value_enum, value_name = "LEVEL", help_heading = "Registration at Google")]
    pub protection_level: Option<Protection>,
    /// The project of the Cloud KMS key.
    #[arg(long, help_heading = "Registration at Google")]
    pub project: Option<String>,
    /// The number of that project: Google's caller is named after it.
    #[arg(long, value_name = "NUMBER", help_heading = "Registration at Google")]
    pub project_number: Option<u64>,
    /// Its location: a region, or for EXTERNAL also a multi-region.
    #[arg(long, help_heading = "Registration at Google")]
    pub location: Option<String>,
    /// Its key ring.
    #[arg(long, value_name = "NAME", help_heading = "Registration at Google")]
    pub key_ring: Option<String>,
    /// Its name at Google; the name here if not said.
    #[arg(long, value_name = "NAME", help_heading = "Registration at Google")]
    pub crypto_key: Option<String>,
    /// The EKM connection, for `EXTERNAL_VPC`.
    #[arg(long, value_name = "NAME", help_heading = "Registration at Google")]
    pub ekm_connection: Option<String>,
    /// The host name on the frontends' certificate.
    #[arg(long, value_name = "HOST", help_heading = "Registration at Google")]
    pub hostname: Option<String>,
}

impl KeyShowArgs {
    /// Where it is to be registered.
    pub fn place(&self) -> Place {
        Place {
            project: self.project.clone(),
            location: self.location.clone(),
            key_ring: self.key_ring.clone(),
            crypto_key: Some(self.crypto_key.clone().unwrap_or_else(|| self.name.to_string())),
            ekm_connection: self.ekm_connection.clone(),
            hostname: self.hostname.clone(),
        }
    }
}
