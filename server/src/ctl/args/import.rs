//! Commands that bring key material from elsewhere. Material enters by standard input or wrapped, never as an argument.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use replication::ids::{CheckValue, CryptoSpaceName, ImportKeyId, KeyName, TenantId};

/// Make a key from material of your own, or a further version of one.
///
/// Reads 32 bytes of AES-256 key material from standard input, wraps them to an import key of the tenant (RSA-OAEP with SHA-256) and
/// sends only what is wrapped; material never stands in an argument, a file in the clear or the history of a shell. Material that an
/// HSM or openssl wrapped already comes with --wrapped-file. Compare the check value that is printed (PKCS #11 `CKA_CHECK_VALUE`) with
/// the one where the material came from. At Google the key is registered like any other: see `key show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  head -c 32 /dev/urandom | ekmctl key import ledger --tenant acme
  head -c 32 /dev/urandom | ekmctl key import ledger --tenant acme --version-of
  head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n' | \\
      ekmctl key import archive --tenant acme --hex

Material that openssl wraps from its standard input, with the public key that `import-key show` prints:
  openssl pkeyutl -encrypt -pubin -inkey import.pem -pkeyopt rsa_padding_mode:oaep \\
      -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 -out ledger.wrapped
  ekmctl key import sealed --tenant acme --wrapped-file ledger.wrapped --import-key $IMPORT_KEY")]
pub struct ImportArgs {
    /// The key's name: a new one, or with --version-of one that exists.
    pub name: KeyName,
    /// The tenant that owns it.
    #[arg(long)]
    pub tenant: TenantId,
    /// The crypto space whose policy it inherits.
    #[arg(long, value_name = "NAME", conflicts_with = "version_of")]
    pub crypto_space: Option<CryptoSpaceName>,
    /// The key exists: the material becomes a new version of it, and its primary one.
    #[arg(long)]
    pub version_of: bool,
    /// Where the material comes from.
    #[command(flatten)]
    pub material: MaterialArgs,
}

/// Where key material comes from.
#[derive(Debug, Args)]
pub struct MaterialArgs {
    /// Standard input holds 64 hexadecimal digits instead of 32 bytes.
    #[arg(long, conflicts_with = "wrapped_file")]
    pub hex: bool,
    /// Material that was wrapped to an import key elsewhere.
    #[arg(long, value_name = "FILE", requires = "import_key")]
    pub wrapped_file: Option<PathBuf>,
    /// The import key it is wrapped to; without --wrapped-file a usable one is taken, or made.
    #[arg(long, value_name = "ID")]
    pub import_key: Option<ImportKeyId>,
    /// What the material's check value must be (6 hexadecimal digits); anything else is refused.
    #[arg(long, value_name = "HEX")]
    pub check_value: Option<CheckValue>,
}

/// What to do with import keys.
#[derive(Debug, Subcommand)]
pub enum ImportKeyCommand {
    /// Make an import key.
    ///
    /// An RSA key pair of 3072 bits whose private half never leaves the cluster. It is usable for 24 hours, and a tenant has at most 8
    /// that are. `key import` makes one by itself when it wraps for you; make one to wrap elsewhere. Nothing happens at Google.
    #[command(after_help = "Examples:\n  ekmctl import-key create --tenant acme")]
    Create {
        /// The tenant whose keys are to be imported.
        #[arg(long)]
        tenant: TenantId,
    },
    /// List a tenant's import keys.
    ///
    /// Shows their ids, and until when material that is wrapped to each can be imported. Expired ones are removed when the next is made.
    #[command(after_help = "Examples:\n  ekmctl import-key list --tenant acme")]
    List {
        /// The tenant that owns them.
        #[arg(long)]
        tenant: TenantId,
    },
    /// Print an import key's public half, PEM.
    ///
    /// Give it to whoever wraps the material: an HSM, or openssl as in the help of `key import`.
    #[command(after_help = "Examples:\n  ekmctl import-key show $IMPORT_KEY --tenant acme > import.pem")]
    Show {
        /// Its id, 32 hexadecimal digits.
        id: ImportKeyId,
        /// The tenant that owns it.
        #[arg(long)]
        tenant: TenantId,
    },
}
