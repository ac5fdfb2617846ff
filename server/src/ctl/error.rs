//! Why a command came to nothing, and the exit status of each reason.

use std::path::PathBuf;

use replication::ids::{DenyId, IdempotencyId, TenantId};

use super::confirm::ConfirmError;
use super::people::PeopleError;
use super::registration::LocationError;
use crate::admin::client::ClientError;
use crate::admin::wire::FailureCode;
use crate::crypto::import::{ReadError, WrapForTransportError};
use crate::dev::DevFileError;
use crate::exit;

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// A call came to nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The data directory of `ekm dev` cannot be read.
    #[error(transparent)]
    Dev(#[from] DevFileError),
    /// It is not said which cluster.
    #[error("say which cluster: --dev DIR for a running ekm dev, or --url, --ca, --cert and --cert-key together")]
    NoConnection,
    /// It is said twice which cluster, perhaps not the same one.
    #[error("--dev says which cluster, so --url, --ca, --cert and --cert-key must not say it too, nor their variables")]
    TwoConnections,
    /// `--as` names nobody.
    #[error("--as {name}: {} lists {}", file.display(), people.join(", "))]
    NobodyOfThisName {
        /// Who was named.
        name: String,
        /// Where the people are listed.
        file: PathBuf,
        /// Who there is.
        people: Vec<String>,
    },
    /// `--as` without `--dev`.
    #[error("--as goes with --dev, which lists people; elsewhere --cert and --cert-key say who you are")]
    AsWithoutDev,
    /// The outcome of a change is not known.
    #[error("it is not known whether the change was made ({message}); repeat the command with --idempotency-id {id}")]
    Unknown {
        /// What the server said.
        message: String,
        /// Under which id to repeat it.
        id: IdempotencyId,
    },
    /// A change cannot be made now.
    #[error("{message}; it changed nothing for callers: try again later with --idempotency-id {id}")]
    NotNow {
        /// What the server said.
        message: String,
        /// Under which id to repeat it.
        id: IdempotencyId,
    },
    /// Harm was not agreed to.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// The lines for Google cannot be given.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A local file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A local file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A local file is longer than what it should hold can be.
    #[error("{} has more than {bytes_max} bytes: it is not what is asked for here", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How many it may have.
        bytes_max: u64,
    },
    /// A local file holds no policy.
    #[error("{} holds no policy: give JSON as `ekmctl policy show --output json` prints it under `own`", path.display())]
    PolicyFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A local file about people cannot be used.
    #[error("cannot use {}", path.display())]
    PeopleFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: PeopleError,
    },
    /// A local file names no replica.
    #[error("{} is not what a replica is joined by: give the file replica.json that `ekm keystore` wrote into its data folder", .0.display())]
    ReplicaFile(PathBuf),
    /// Whoever asks may not shut anybody out of the tenant.
    #[error(
        "{name} cannot ask for this: it takes a security officer who has tenant {tenant} in reach; `ekmctl operator list` shows them to one, and \
         --as, or --cert and --cert-key, say as whom you ask"
    )]
    NoOfficer {
        /// Who asks.
        name: String,
        /// Whose keys it is about.
        tenant: TenantId,
    },
    /// There is no such deny entry.
    #[error(
        "the key store that was asked holds no deny entry {entry} of tenant {tenant}; `ekmctl deny list --tenant {tenant}` shows those that it \
         holds. It may have ended, or was lifted already. If refusals go on that name it, lift it with --not-listed"
    )]
    NoSuchDenyEntry {
        /// Which.
        entry: DenyId,
        /// Whose.
        tenant: TenantId,
    },
    /// What is to be removed is no alias.
    #[error("{path} is a version's own path and stays for ever; {}", whereto(aliases))]
    NoAlias {
        /// The path.
        path: String,
        /// The version's aliases.
        aliases: Vec<String>,
    },
    /// A path cannot be explained without a caller.
    #[error("say who would call with --caller EMAIL; `ekmctl policy show --tenant T --key K` shows who may")]
    ExplainNeedsCaller,
    /// Material would be typed, and stand on the screen.
    #[error(
        "key material is not typed: pipe it in (KEY_SOURCE | ekmctl key import …), or give --wrapped-file with --import-key"
    )]
    MaterialFromTerminal,
    /// Standard input holds no key material.
    #[error("nothing was imported: standard input holds no key material")]
    Material(#[from] ReadError),
    /// The material cannot be wrapped.
    #[error("nothing was imported")]
    Wrap(#[from] WrapForTransportError),
    /// The material has another check value than the one that was given.
    #[error(
        "nothing was imported: the check value of the material is {found}, and --check-value says {given}; look which key this is"
    )]
    OtherCheckValue {
        /// Of the material.
        found: String,
        /// That was given.
        given: String,
    },
    /// No command has these words.
    #[error("there is no command `{command}` with JSON output; `ekmctl schema` lists all that have")]
    NoSuchCommand {
        /// What was asked for.
        command: String,
    },
}

fn whereto(aliases: &[String]) -> String {
    if aliases.is_empty() {
        "it has no alias; to take the version out of use, `ekmctl version disable`".to_owned()
    } else {
        format!("its aliases are {}", aliases.join(", "))
    }
}

impl CtlError {
    /// The exit status; `ekmctl --help` lists them.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Client(ClientError::Unreachable { .. } | ClientError::NotOurs { .. }) => exit::UNAVAILABLE,
            Self::Client(ClientError::Refused(body)) => match body.code {
                FailureCode::Unavailable | FailureCode::NoRoom => exit::TRY_LATER,
                FailureCode::Invalid
                | FailureCode::Denied
                | FailureCode::NotFound
                | FailureCode::Conflict
                | FailureCode::Unknown
                | FailureCode::Method
                | FailureCode::TooLarge
                | FailureCode::TooSlow
                | FailureCode::Internal => exit::REFUSED,
            },
            Self::Client(ClientError::Entropy(_))
            | Self::Material(ReadError::Memory(_) | ReadError::Exhausted(_))
            | Self::Wrap(WrapForTransportError::Rsa(_)) => exit::OS,
            Self::Unknown { .. } => exit::UNKNOWN,
            Self::NotNow { .. } => exit::TRY_LATER,
            Self::Confirm(ConfirmError::Declined { .. }) | Self::NoSuchDenyEntry { .. } | Self::NoOfficer { .. } => {
                exit::REFUSED
            }
            Self::Client(ClientError::Read { .. })
            | Self::Dev(DevFileError::Read { .. })
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Material(ReadError::Read(_))
            | Self::Confirm(ConfirmError::Terminal(_)) => exit::LOCAL_FILE,
            Self::Client(
                ClientError::Pem { .. } | ClientError::Key { .. } | ClientError::Name { .. } | ClientError::Prepare(_),
            )
            | Self::Dev(DevFileError::Parse { .. })
            | Self::NoConnection
            | Self::TwoConnections
            | Self::NobodyOfThisName { .. }
            | Self::AsWithoutDev
            | Self::Confirm(ConfirmError::NoTerminal { .. })
            | Self::Location(_)
            | Self::TooLarge { .. }
            | Self::PolicyFile { .. }
            | Self::PeopleFile { .. }
            | Self::ReplicaFile(_)
            | Self::NoAlias { .. }
            | Self::ExplainNeedsCaller
            | Self::MaterialFromTerminal
            | Self::Material(_)
            | Self::Wrap(WrapForTransportError::NoPublicKey)
            | Self::OtherCheckValue { .. }
            | Self::NoSuchCommand { .. } => exit::USAGE,
        }
    }
}
