//! What `ekm dev` prints once it serves: what it made, and two calls that work when pasted, also tomorrow.
//!
//! Never prints a token: the calls read it from its file.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use replication::ids::{GroupId, LogIndex, ShardId};
use serde::Deserialize;

use super::HOSTNAME;
use super::file::DevFile;
use crate::shell;

/// What the printed wrap wraps: "hello, external key manager", in base64.
const PLAINTEXT: &str = "aGVsbG8sIGV4dGVybmFsIGtleSBtYW5hZ2Vy";
/// How long the one call may take that makes the blob of the printed unwrap.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// How often that call is repeated when it is answered with "try again": a busy machine is no disabled key.
const RETRIES_MAX: u32 = 20;
/// The pause before a repetition.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// A file cannot be read back.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The call cannot be sent twice.
    #[error("the call that makes the printed blob cannot be repeated")]
    Repeat,
    /// The own data listener does not answer as it should.
    #[error("the demo key cannot be used")]
    Call(#[from] reqwest::Error),
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "wrappedBlob")]
    wrapped_blob: String,
}

/// Wraps the demo plaintext through the data listener, so that the printed unwrap has something to unwrap. `None` if the
/// demo key does not wrap now, because an operator disabled it or took the grant away, or the settings name a key set without the dev issuer.
pub async fn demo_blob(dev: &DevFile, address: SocketAddr) -> Result<Option<String>, AnnounceError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| AnnounceError::Read { path: path.to_owned(), source });
    let ca = reqwest::Certificate::from_pem(&read(&dev.ca_file)?)?;
    let token = String::from_utf8_lossy(&read(&dev.token_file)?).into_owned();
    let client = reqwest::Client::builder()
        .tls_certs_only([ca])
        .https_only(true)
        .no_proxy()
        .resolve(HOSTNAME, address)
        .timeout(CALL_DEADLINE)
        .build()?;
    let call = client
        .post(format!("{}/{}:wrap", dev.data_url, dev.key_path))
        .bearer_auth(token)
        .body(format!(r#"{{"plaintext":"{PLAINTEXT}"}}"#));
    let mut response = again(&call)?.send().await?;
    for _ in 0..RETRIES_MAX {
        if !matches!(response.status().as_u16(), 503 | 504) {
            break;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        response = again(&call)?.send().await?;
    }
    if response.status().is_success() { Ok(Some(response.json::<Wrapped>().await?.wrapped_blob)) } else { Ok(None) }
}

fn again(call: &reqwest::RequestBuilder) -> Result<reqwest::RequestBuilder, AnnounceError> {
    call.try_clone().ok_or(AnnounceError::Repeat)
}

/// What the printed calls come to.
pub enum Calls {
    /// They work.
    Work {
        /// What the printed unwrap unwraps.
        blob: String,
    },
    /// The demo key does not wrap now.
    Disabled,
    /// The shard of the demo key does not serve.
    Down {
        /// Which.
        shard: ShardId,
    },
    /// A group has halted.
    Halted {
        /// Which.
        group: GroupId,
        /// At which entry.
        since: LogIndex,
    },
}

/// The text to print. `dev` has absolute paths.
pub fn text(dev: &DevFile, folder: &Path, calls: &Calls) -> String {
    let quoted = |path: &Path| shell::quoted(&path.display().to_string());
    let call = |verb: &str, body: &str| {
        format!(
            "curl -sS -w '\\n' --cacert {} -H \"Authorization: Bearer $(cat {})\" -d '{body}' {}/{}:{verb}",
            quoted(&dev.ca_file),
            quoted(&dev.token_file),
            dev.data_url,
            dev.key_path,
        )
    };
    let calls = match calls {
        Calls::Work { blob } => format!(
            "Wrap and unwrap with the demo key:\n\n{}\n\n{}\n",
            call("wrap", &format!(r#"{{"plaintext":"{PLAINTEXT}"}}"#)),
            call("unwrap", &format!(r#"{{"wrappedBlob":"{blob}"}}"#)),
        ),
        Calls::Halted { group, since } => format!(
            "NOT READY: group {group} has halted at entry {since}, which this release cannot decode. Changes are refused, and\n\
             calls get 503 but for tenants of the class `available`. Nothing is lost: start the release that wrote the\n\
             entry on this folder.\n",
        ),
        Calls::Down { shard } => format!(
            "The demo key does not wrap now: its shard {shard} does not serve. The other shards do. Ask what to do:\n\n\
             {} --dev {} doctor\n",
            tool("ekmctl"),
            quoted(folder),
        ),
        Calls::Disabled => format!(
            "The demo key does not wrap now: its version is disabled, the demo grant is gone, or the settings\n\
             name another key set. Look, and enable it:\n\n\
             {ekmctl} --dev {folder} key list --tenant demo\n{ekmctl} --dev {folder} version enable {key}\n",
            ekmctl = tool("ekmctl"),
            folder = quoted(folder),
            key = dev.key_path,
        ),
    };
    format!(
        "\nekm dev serves from {}. For trying out only: it binds loopback and stamps its data as dev.\n\n\
         data     {}\nadmin    {}\nhealth   {}/readyz\nmetrics  {}\nkey      {}\nspace    {}\ncaller   {}\n\n\
         {calls}\nOperate it (all tools are built by `cargo build --release`):\n{} --dev {} status\n\n\
         More tokens:\n{} dev token --data-dir {} --email you@example.com\n",
        folder.display(),
        dev.data_url,
        dev.admin_url,
        dev.health_url,
        dev.metrics_url,
        dev.key_path,
        dev.cryptospace_path,
        dev.caller_email,
        tool("ekmctl"),
        quoted(folder),
        tool("ekm"),
        quoted(folder),
    )
}

/// How a tool of ours is called: by the path it has beside this program, or by its name where it is found elsewhere.
fn tool(name: &str) -> String {
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name(name));
    match beside.filter(|path| path.exists()) {
        Some(path) => shell::quoted(&path.display().to_string()),
        None => name.to_owned(),
    }
}
