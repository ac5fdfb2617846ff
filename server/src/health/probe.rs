//! The probe: wraps and unwraps a canary through this machine's own data listener, as a caller would. It must never take
//! a short cut into the process, and never put a token or an answer's bytes into a reason.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use replication::clock::Clock;
use replication::ids::ShardId;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::latch::Readiness;
use super::own::client_config;
use crate::edge::tls::ServerTls;
use crate::metrics::{Metrics, ProbeResult};

/// From the beginning of a round to the beginning of the next.
pub const ROUND_INTERVAL: Duration = Duration::from_millis(500);

/// A round that takes longer has failed.
pub const ROUND_MAX: Duration = Duration::from_secs(2);

/// Bytes wrapped in each round, drawn anew each time.
const CANARY_BYTES: usize = 32;

/// An answer to a canary is a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Makes a token that opens the canary key.
pub type Mint = Arc<dyn Fn() -> String + Send + Sync>;

/// Something else that readiness requires; the error says in a few words what is missing. Called once a round, so it
/// must not block.
pub type Condition = Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// A shard's canary key.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The shard.
    pub shard: ShardId,
    /// The key's path, without a slash before it: `v0/keys/…`.
    pub key_path: String,
    /// Who besides the probe depends on the shard.
    pub users: Users,
}

/// Who depends on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Tenants were placed in it.
    Tenants,
    /// All tenants were placed elsewhere.
    Elsewhere,
    /// There are no tenants yet, anywhere.
    NobodyYet,
}

/// The canaries, as they are now. Called once a round, so it must not block.
pub type Canaries = Arc<dyn Fn() -> Vec<Canary> + Send + Sync>;

/// What is probed.
#[derive(Clone)]
pub struct ProbeTarget {
    /// The data listener as this machine reaches it: loopback, and its port.
    pub address: SocketAddr,
    /// The name that callers use, which the certificate must have.
    pub hostname: String,
    /// The canary keys of the shards that serve, as they are now.
    pub canaries: Canaries,
    /// The Cloud KMS resource that the probe claims to act for.
    pub relative_resource_name: String,
}

/// Why there can be no probe of a target.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The host name is none.
    #[error("the probe's host name is not a DNS name")]
    Hostname(#[source] InvalidDnsNameError),
}

/// The two calls of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The canary is wrapped.
    Wrap,
    /// What came back is unwrapped.
    Unwrap,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
        })
    }
}

/// How a round failed. The texts are shown at `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// No connection to the data listener.
    #[error("the data listener does not accept connections")]
    Connect,
    /// TLS failed: mostly an expired certificate, or one for another name.
    #[error("the data listener's TLS handshake failed; check its certificate's name and dates")]
    Tls,
    /// The connection broke, or the answer was no HTTP.
    #[error("{0}: the connection broke before an answer")]
    Broken(Step),
    /// Another status than 200.
    #[error("{step} answered {status}")]
    Status {
        /// Which call.
        step: Step,
        /// The HTTP status.
        status: StatusCode,
    },
    /// A 200 whose body is not what it should be.
    #[error("{0} answered 200 with a body that cannot be used")]
    Body(Step),
    /// The bytes that came back are not the ones that were wrapped.
    #[error("unwrap answered other bytes than were wrapped")]
    Mismatch,
    /// No end within [`ROUND_MAX`], which is far more than a caller would wait.
    #[error("the round did not end in time")]
    TimedOut,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Entropy,
    /// No shard that callers depend on serves.
    #[error("no shard with tenants serves")]
    NoShard,
}

/// Into how many parts the time of a round is cut at most: a canary that hangs must leave time for others, and a busy machine needs
/// some for each.
const SHARES_MAX: u32 = 4;

/// A connection to the data listener, and what drives it.
type Line = (SendRequest<Full<Bytes>>, AbortOnDropHandle<()>);

fn result_of(found: Result<(), ProbeFailure>) -> ProbeResult {
    if found.is_ok() { ProbeResult::Passed } else { ProbeResult::Failed }
}

/// What a round comes to: this machine should get traffic if it serves any shard that somebody depends on, unless it computes wrong.
/// A shard whose users are elsewhere says nothing of what callers see.
fn verdict(each: &[(Canary, Result<(), ProbeFailure>)]) -> Result<(), ProbeFailure> {
    let counted = || each.iter().filter(|(canary, _)| canary.users != Users::Elsewhere);
    let results = || counted().map(|(_, found)| *found);
    if let Some(wrong) = each.iter().map(|(_, found)| *found).find(|found| *found == Err(ProbeFailure::Mismatch)) {
        return wrong;
    }
    match results().find(Result::is_ok) {
        Some(_) => Ok(()),
        None => results().next().unwrap_or(Err(ProbeFailure::NoShard)),
    }
}

/// The synthetic caller.
pub struct Probe {
    target: ProbeTarget,
    name: ServerName<'static>,
    listener: ServerTls,
    mint: Mint,
    round_max: Duration,
}

impl Probe {
    /// A probe of the listener that presents `listener`.
    ///
    /// # Errors
    /// [`ProbeError`] if the host name is none.
    pub fn new(target: ProbeTarget, listener: ServerTls, mint: Mint) -> Result<Self, ProbeError> {
        let name = ServerName::try_from(target.hostname.clone()).map_err(ProbeError::Hostname)?;
        Ok(Self { target, name, listener, mint, round_max: ROUND_MAX })
    }

    /// Probes twice a second until `stop`, and publishes each result.
    pub async fn watch(
        self,
        conditions: Vec<Condition>,
        readiness: Arc<Readiness>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) {
        let mut ticks = interval(ROUND_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let began = clock.now();
            let Some(each) = stop.run_until_cancelled(self.each()).await else { return };
            let ended = clock.now();
            for (canary, found) in &each {
                metrics.shard_probed(u32::from(canary.shard.group().0), result_of(*found));
            }
            let round = verdict(&each);
            let result = result_of(round);
            metrics.probe_finished(result, ended.since(began));
            let unmet = conditions.iter().filter_map(|condition| condition().err().map(str::to_owned));
            let failures = round.err().map(|failure| failure.to_string()).into_iter().chain(unmet).collect();
            readiness.publish(ended, failures);
        }
    }

    /// One round over every shard's canary, within [`ROUND_MAX`].
    ///
    /// # Errors
    /// [`ProbeFailure`] says what was different from what a caller expects; see [`verdict`].
    #[cfg(test)]
    async fn round(&self) -> Result<(), ProbeFailure> {
        verdict(&self.each().await)
    }

    /// What became of each shard's canary. One that was not come to in time has timed out; each has a share of the time that leaves
    /// the others theirs.
    async fn each(&self) -> Vec<(Canary, Result<(), ProbeFailure>)> {
        let canaries = (self.target.canaries)();
        let share = self.round_max / u32::try_from(canaries.len()).unwrap_or(u32::MAX).clamp(1, SHARES_MAX);
        let mut each = Vec::with_capacity(canaries.len());
        let probing = async {
            let token = (self.mint)();
            let mut line = None;
            for canary in &canaries {
                let found = timeout(share, self.wrap_and_unwrap(&mut line, &token, &canary.key_path)).await;
                let found = found.unwrap_or(Err(ProbeFailure::TimedOut));
                if found.is_err() {
                    // whatever is left on it belongs to the canary that failed
                    line = None;
                }
                each.push((canary.clone(), found));
            }
        };
        let _ = timeout(self.round_max, probing).await;
        let late = canaries.iter().skip(each.len()).map(|canary| (canary.clone(), Err(ProbeFailure::TimedOut)));
        each.extend(late.collect::<Vec<_>>());
        each
    }

    async fn wrap_and_unwrap(&self, line: &mut Option<Line>, token: &str, key_path: &str) -> Result<(), ProbeFailure> {
        let mut canary = [0; CANARY_BYTES];
        getrandom::fill(&mut canary).map_err(|_| ProbeFailure::Entropy)?;
        let (sender, _driver) = match line {
            Some(line) => line,
            None => line.insert(self.connect().await?),
        };
        let answer = self.call(sender, (Step::Wrap, key_path), token, "plaintext", &STANDARD.encode(canary)).await?;
        let blob = answer.wrapped_blob.ok_or(ProbeFailure::Body(Step::Wrap))?;
        let answer = self.call(sender, (Step::Unwrap, key_path), token, "wrappedBlob", &blob).await?;
        let plaintext = answer.plaintext.ok_or(ProbeFailure::Body(Step::Unwrap))?;
        let plaintext = STANDARD.decode(plaintext).map_err(|_| ProbeFailure::Body(Step::Unwrap))?;
        if plaintext == canary { Ok(()) } else { Err(ProbeFailure::Mismatch) }
    }

    /// A fresh connection each round, so that the handshake is probed too. It lives as long as the handle.
    async fn connect(&self) -> Result<Line, ProbeFailure> {
        let connector = TlsConnector::from(Arc::new(client_config(&self.listener)));
        let socket = TcpStream::connect(self.target.address).await.map_err(|_| ProbeFailure::Connect)?;
        socket.set_nodelay(true).map_err(|_| ProbeFailure::Connect)?;
        let stream = connector.connect(self.name.clone(), socket).await.map_err(|_| ProbeFailure::Tls)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|_| ProbeFailure::Broken(Step::Wrap))?;
        let driver = tokio::spawn(async move {
            // an error of the connection reaches the sender as well, which reports it
            let _ = connection.await;
        });
        Ok((sender, AbortOnDropHandle::new(driver)))
    }

    async fn call(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        (step, key_path): (Step, &str),
        token: &str,
        field: &str,
        value: &str,
    ) -> Result<Answer, ProbeFailure> {
        let broken = ProbeFailure::Broken(step);
        let body = json!({
            field: value,
            "additionalContext": {
                "relativeResourceName": self.target.relative_resource_name,
                "accessReasonContext": { "reason": "GOOGLE_INITIATED_SYSTEM_OPERATION" },
                "isKeyHealthCheck": true,
            },
        });
        let request = Request::post(format!("/{key_path}:{step}"))
            .header(header::HOST, &self.target.hostname)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()))
            .map_err(|_| broken)?;
        sender.ready().await.map_err(|_| broken)?;
        let response = sender.send_request(request).await.map_err(|_| broken)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(ProbeFailure::Status { step, status });
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| ProbeFailure::Body(step))?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| ProbeFailure::Body(step))
    }
}

/// Both answers; each call looks for its own field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    wrapped_blob: Option<String>,
    plaintext: Option<String>,
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
