//! Commands on the people who operate the cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use replication::ids::{SignerId, TenantId};

/// What to do with operators.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    Enrol(EnrolArgs),
    /// Consent, as a second security officer, to what a first one asked for.
    ///
    /// Reads the file that `operator enrol`, `operator revoke` or `deny` wrote, shows what it asks for, and has it carried out in both names. The
    /// first officer cannot consent to their own request.
    #[command(after_help = "Examples:\n  ekmctl --as dev-officer-2 operator approve cleo.request")]
    Approve {
        /// The file that the first officer's command wrote.
        file: PathBuf,
    },
    /// List who is enrolled.
    ///
    /// Shows names, roles, tenants and who is revoked. Security officers and auditors may; whoever else asks is refused.
    #[command(after_help = "Examples:\n  ekmctl --as dev-officer-1 operator list")]
    List,
    /// Show one person.
    ///
    /// Shows public key, roles, tenants, and whether they were revoked. Compare the public key with the person's before you rely on it.
    #[command(after_help = "Examples:\n  ekmctl --as dev-officer-1 operator show ben")]
    Show {
        /// The name.
        name: SignerId,
    },
    /// Revoke a person: their signatures count no more.
    ///
    /// What they signed before stays. Revoking a security officer takes two: the command then writes a file for the second one to
    /// approve. A name that was revoked is not used again.
    #[command(after_help = "Examples:\n  ekmctl --as dev-officer-1 operator revoke ben --yes")]
    Revoke {
        /// The name.
        name: SignerId,
        /// For a security officer: the file to write for the second officer; NAME.request if not said.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Enrol a person: a name, a public key, roles and tenants.
///
/// The person makes an Ed25519 key and keeps it; a certificate authority that the admin API trusts issues them a certificate for it
/// whose common name is NAME. Only a security officer enrols, and enrolling another security officer takes two: the command then
/// writes a file, and the second officer consents with `operator approve FILE`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl genpkey -algorithm ed25519 -out ben-key.pem
  openssl pkey -in ben-key.pem -pubout -out ben.pem
  ekmctl --as dev-officer-1 operator enrol ben --public-key-file ben.pem \\
      --role operator --tenant acme
  openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out cleo.pem
  ekmctl --as dev-officer-1 operator enrol cleo --public-key-file cleo.pem \\
      --role security-officer --out cleo.request")]
pub struct EnrolArgs {
    /// The name: the common name of the person's certificate.
    pub name: SignerId,
    /// The person's public key.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// What they may do. Give it several times for several roles.
    #[arg(long, required = true, value_enum, value_name = "ROLE")]
    pub role: Vec<RoleArg>,
    /// Only for this tenant. Give it several times for several; all tenants if not said.
    #[arg(long)]
    pub tenant: Vec<TenantId>,
    /// For a security officer: the file to write for the second officer; NAME.request if not said.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Where a person's public key stands.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct IdentityArgs {
    /// The public key, PEM, as `openssl pkey -pubout` writes it.
    #[arg(long, value_name = "FILE")]
    pub public_key_file: Option<PathBuf>,
    /// The person's certificate, PEM.
    #[arg(long = "certificate-file", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Look at tenants and keys.
    Viewer,
    /// Change tenants, keys, policies.
    Operator,
    /// Approve what others plan.
    Approver,
    /// Enrol and revoke people; shut callers and keys out.
    SecurityOfficer,
    /// Look at everything, people included.
    Auditor,
}
