//! The demo tenant, crypto space, key and grant, under the names that `ekm dev` gives them. Made by `ekmctl`, as an operator would;
//! what is there already is left as it is.

use serde_json::Value;

use super::error::ClusterError;
use crate::ctl::{Ctl, CtlError};

/// The caller that the demo grant admits.
pub const CALLER: &str = "service-0@gcp-sa-ekms.iam.gserviceaccount.com";
const TENANT: &str = "demo";
const SPACE: &str = "demo-space";
const KEY: &str = "demo-key";
const RULE: &str = "demo-caller";
/// How `ekmctl` ends when it was refused, as by what is not there.
const REFUSED: i32 = 1;

/// The paths of what was made, without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// Of the key's primary version.
    pub key_path: String,
    pub crypto_space_path: String,
}

/// Makes what is not there yet. A demo key without a policy gets its grant again: a start ends with a wrap.
///
/// # Errors
/// If a command fails.
pub async fn ensure(ctl: &Ctl) -> Result<Demo, ClusterError> {
    let tenant = ["tenant", "show", TENANT];
    if found(ctl, &tenant).await?.is_none() {
        ctl.run_patiently(&["tenant", "create", TENANT]).await?;
    }
    let space = ["cryptospace", "show", SPACE, "--tenant", TENANT];
    if found(ctl, &space).await?.is_none() {
        ctl.run_patiently(&["cryptospace", "create", SPACE, "--tenant", TENANT]).await?;
    }
    let key = ["key", "show", KEY, "--tenant", TENANT];
    let shown = found(ctl, &key).await?;
    if shown.is_none() {
        ctl.run_patiently(&["key", "create", KEY, "--tenant", TENANT, "--crypto-space", SPACE]).await?;
    }
    if shown.is_none_or(|shown| shown["key"]["policy"].is_null()) {
        ctl.run_patiently(&["grant", RULE, "--tenant", TENANT, "--key", KEY, "--caller", CALLER]).await?;
    }
    let (key, space) = (ctl.run(&key).await?, ctl.run(&space).await?);
    let key_path = primary_path(&key).ok_or(ClusterError::Unknown { command: "key show", what: "path of the key" })?;
    let space_path = space["path"].as_str();
    let space_path =
        space_path.ok_or(ClusterError::Unknown { command: "cryptospace show", what: "path of the crypto space" })?;
    Ok(Demo { key_path: plain(key_path), crypto_space_path: plain(space_path) })
}

/// What a command shows; `None` if it was refused, as it is when there is nothing of this name.
async fn found(ctl: &Ctl, words: &[&str]) -> Result<Option<Value>, CtlError> {
    match ctl.run(words).await {
        Ok(shown) => Ok(Some(shown)),
        Err(CtlError::Refused { status: REFUSED, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn primary_path(shown: &Value) -> Option<&str> {
    let key = &shown["key"];
    let mut versions = key["versions"].as_array()?.iter();
    versions.find(|version| version["number"] == key["primary"])?["path"].as_str()
}

fn plain(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_path_is_that_of_the_primary_version() {
        let version = |number: u32| json!({"number": number, "path": format!("v0/keys/{number}")});
        let shown = json!({"key": {"primary": 2, "versions": [version(1), version(2)]}});
        assert_eq!(primary_path(&shown), Some("v0/keys/2"));
        assert_eq!(primary_path(&json!({"key": {"primary": 3, "versions": [version(1)]}})), None);
        assert_eq!(primary_path(&json!({})), None);
    }
}
