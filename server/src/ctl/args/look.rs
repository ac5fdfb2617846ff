//! Commands that look and change nothing: `doctor` and `explain`.

use std::str::FromStr;

use clap::Args;
use replication::ids::{Email, KeyVersionId, parse_key_path};
use replication::machine::policy::{Operation, Principal};

use super::grant::operation;

/// What is broken, whom it hurts and what to do; also when the key store is down.
///
/// Looks at what it can reach: the way to the admin API (name, connection, TLS, certificates, clocks), what the cluster says of
/// itself, the health listener with its metrics and, with --dev, the process and its folder. Ends with 0 if nothing is broken and with
/// 1 if something is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ekmctl doctor\n  ekmctl doctor --output json")]
pub struct DoctorArgs {
    /// The health listener, for example `http://127.0.0.1:8445`; --dev knows it.
    #[arg(long, value_name = "URL", env = "EKM_HEALTH_URL")]
    pub health_url: Option<String>,
}

/// What would be decided for a request, or was, and by which rule.
///
/// Give the id of a request (refusals and audit records quote it) to see what was decided; the path of a key version with --caller to see
/// what would be decided now; or a caller alone to list the grants that name it. Nothing is called at Google, and nothing changes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ekmctl explain $KEY_PATH --caller service-123@gcp-sa-ekms.iam.gserviceaccount.com \\
      --operation unwrap
  ekmctl explain service-123@gcp-sa-ekms.iam.gserviceaccount.com
  ekmctl explain $REQUEST_ID")]
pub struct ExplainArgs {
    /// The id of a request, the path of a key version, or the e-mail of a caller.
    #[arg(value_name = "REQUEST_ID|KEY_PATH|CALLER")]
    pub subject: Subject,
    /// With a path: who would call.
    #[arg(long, value_name = "EMAIL")]
    pub caller: Option<Principal>,
    /// With a path: what they would do.
    #[arg(long, default_value = "unwrap", value_parser = operation)]
    pub operation: Operation,
    /// With a path: the reason they would state, a code of Google's key access justifications.
    #[arg(long, value_name = "CODE")]
    pub justification: Option<u32>,
    /// With a path: the Cloud KMS key version they would name, projects/…/cryptoKeyVersions/N.
    #[arg(long, value_name = "NAME")]
    pub resource: Option<String>,
}

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A request that was answered.
    Request(String),
    /// A key version, or an alias of one.
    Version(KeyVersionId),
    /// A caller.
    Caller(Email),
}

/// Length of a request's id, in hexadecimal digits.
const REQUEST_ID_DIGITS: usize = 32;

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_id = |text: &str| {
            text.len() == REQUEST_ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if let Some(version) = parse_key_path(text) {
            Ok(Self::Version(version))
        } else if text.contains('@') {
            text.parse().map(Self::Caller).map_err(|error: replication::ids::IdError| error.to_string())
        } else if is_id(text) {
            Ok(Self::Request(text.to_owned()))
        } else {
            Err("give the id of a request as a refusal or an audit record quotes it (32 lower-case hexadecimal digits), a key's path as in `key list` (v0/keys/ and 32 \
                 hexadecimal digits), or the e-mail of a caller"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_told_apart_by_their_shape() {
        let path = "v0/keys/000102030405060708090a0b0c0d0e0f";
        let version = parse_key_path(path).expect("a legal path");
        assert_eq!(path.parse(), Ok(Subject::Version(version)));
        assert_eq!("a@b.example".parse(), Ok(Subject::Caller("a@b.example".parse().expect("an e-mail"))));
        let id = "766bd0116f3f95f738dadf0afd61e9b9";
        assert_eq!(id.parse(), Ok(Subject::Request(id.to_owned())));
        for text in ["", "v0/keys/short", "a@b@c", "two words", &"a".repeat(65)] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
