//! The real product as the key manager: calls over HTTPS through a relay, and the operator's moves by `ekmctl`. Each scenario has
//! a tenant, a key and a caller of its own, so it disturbs nobody else's.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use thiserror::Error as ThisError;

use super::Premises;
use super::crowd::Crowd;
use super::relay::{Mode, Relay};
use super::site::Site;
use crate::cloud_kms::{Call, Received};
use crate::consumer::scenario::Move;
use crate::ctl::{Ctl, CtlError};

const KEY: &str = "cmek";
const RULE: &str = "cloud-kms";

/// Why a move, or the preparation, came to nothing.
#[derive(Debug, ThisError)]
pub enum RealError {
    /// The operator's command failed.
    #[error(transparent)]
    Ctl(#[from] CtlError),
    /// `key create` told no path.
    #[error("`ekmctl key create` told no key path")]
    NoPath,
    /// No relay can be started.
    #[error("no port of this machine can be listened on")]
    Relay(#[source] io::Error),
    /// No TLS client can be made of the server's authority.
    #[error("no TLS client can be made with the server's certificate authority")]
    Client(#[source] reqwest::Error),
    /// The server is somebody else's, and its places are not for the taking.
    #[error("only a server of this command's own may be crowded")]
    NotOurs,
    /// A move that is made elsewhere.
    #[error("this is not done on the premises")]
    Elsewhere,
    /// The machine has no source of random bytes.
    #[error("no random bytes can be had")]
    Entropy(#[from] getrandom::Error),
}

impl RealError {
    /// Whether the server does not answer.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Ctl(error) if error.is_unreachable())
    }
}

/// One scenario's part of a server.
pub struct Real {
    ctl: Ctl,
    relay: Relay,
    crowd: RefCell<Option<Crowd>>,
    places: Option<NonZeroUsize>,
    through_relay: Line,
    directly: Line,
    authorization: String,
    deadline: Duration,
    tenant: String,
    caller: String,
    /// Number of the Cloud project, made up.
    pub project: u64,
    /// Path of the key version.
    pub path: String,
}

/// A way to the server.
struct Line {
    http: reqwest::Client,
    base: String,
}

impl Line {
    /// The certificate's name, led to this address.
    fn new(site: &Site, address: SocketAddr, deadline: Option<Duration>) -> Result<Self, RealError> {
        let authority = reqwest::Certificate::from_pem_bundle(&site.server.ca_pem).map_err(RealError::Client)?;
        let mut builder = reqwest::Client::builder().tls_certs_only(authority).no_proxy().https_only(true);
        builder = builder.resolve(&site.server.hostname, address);
        if let Some(deadline) = deadline {
            builder = builder.timeout(deadline);
        }
        let http = builder.build().map_err(RealError::Client)?;
        Ok(Self { http, base: format!("https://{}:{}", site.server.hostname, address.port()) })
    }
}

impl Real {
    /// Makes a tenant, a key and a grant under random names, and a relay before the server.
    ///
    /// # Errors
    /// If one of them cannot be made.
    pub async fn prepare(
        site: &Site,
        ctl: Ctl,
        deadline: Duration,
        places: Option<NonZeroUsize>,
    ) -> Result<Self, RealError> {
        let chance = getrandom::u64()?;
        // a project's number has twelve digits
        let project = 100_000_000_000 + chance % 900_000_000_000;
        let tenant = format!("consumer-{chance:016x}");
        let caller = format!("service-{project}@gcp-sa-ekms.iam.gserviceaccount.com");
        ctl.run(&["tenant", "create", &tenant]).await?;
        let made = ctl.run(&["key", "create", KEY, "--tenant", &tenant]).await?;
        let path = made["path"].as_str().ok_or(RealError::NoPath)?.to_owned();
        let relay = Relay::start(site.address).await.map_err(RealError::Relay)?;
        let real = Self {
            ctl,
            crowd: RefCell::new(None),
            places,
            through_relay: Line::new(site, relay.address, Some(deadline))?,
            directly: Line::new(site, site.address, None)?,
            authorization: format!("Bearer {}", site.token(&caller)),
            relay,
            deadline,
            tenant,
            caller,
            project,
            path,
        };
        real.make(Move::Grant).await?;
        Ok(real)
    }

    async fn ctl(&self, words: &[&str]) -> Result<(), RealError> {
        let _: Value = self.ctl.run(words).await?;
        Ok(())
    }

    fn crowd(&self) -> Result<(), RealError> {
        let places = self.places.ok_or(RealError::NotOurs)?;
        let url = format!("{}/{}:wrap", self.directly.base, self.path);
        *self.crowd.borrow_mut() = Some(Crowd::gather(&self.directly.http, &url, &self.authorization, places));
        Ok(())
    }
}

/// What the system said in the end, as in `Connection refused (os error 111)`.
fn innermost(error: &reqwest::Error) -> String {
    iter::successors(Some(error as &dyn Error), |&error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

impl Premises for Real {
    type Error = RealError;

    async fn call(&self, call: &Call) -> Received {
        let url = format!("{}/{}:{}", self.through_relay.base, call.path, call.verb.name());
        let request = self.through_relay.http.post(url).header(AUTHORIZATION, &self.authorization);
        let request = request.header(CONTENT_TYPE, "application/json").body(call.body.to_string());
        let answered = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok(Received::Answer { status, body: response.bytes().await?.to_vec() })
        };
        answered.await.unwrap_or_else(|error: reqwest::Error| {
            if error.is_timeout() {
                return Received::Late { deadline: self.deadline };
            }
            Received::NoConnection { cause: innermost(&error) }
        })
    }

    async fn make(&self, step: Move) -> Result<(), RealError> {
        let (path, tenant, caller) = (self.path.as_str(), self.tenant.as_str(), self.caller.as_str());
        match step {
            Move::Disable => self.ctl(&["version", "disable", path, "--yes"]).await,
            Move::Enable => self.ctl(&["version", "enable", path]).await,
            Move::ScheduleDestroy(window) => {
                let window = format!("{}s", window.as_secs());
                self.ctl(&["version", "schedule-destroy", path, "--window", &window, "--yes"]).await
            }
            Move::Restore => self.ctl(&["version", "restore", path]).await,
            Move::TakeGrantAway => {
                self.ctl(&["policy", "remove-rule", RULE, "--tenant", tenant, "--key", KEY, "--yes"]).await
            }
            Move::Grant => self.ctl(&["grant", RULE, "--tenant", tenant, "--key", KEY, "--caller", caller]).await,
            Move::SetQuota => {
                let limit = ["--per-second", "1", "--burst", "1", "--yes"];
                self.ctl(&[&["quota", "set", "--tenant", tenant, "--key", KEY], limit.as_slice()].concat()).await
            }
            Move::ClearQuota => self.ctl(&["quota", "clear", "--tenant", tenant, "--key", KEY, "--yes"]).await,
            Move::RefuseConnections => {
                self.relay.turn(Mode::Refuse);
                Ok(())
            }
            Move::Swallow => {
                self.relay.turn(Mode::Swallow);
                Ok(())
            }
            Move::Mend => {
                self.relay.turn(Mode::Carry);
                Ok(())
            }
            Move::Crowd => self.crowd(),
            Move::Disperse => {
                self.crowd.borrow_mut().take();
                Ok(())
            }
            Move::EnableAtGoogle | Move::LimitAtGoogle(_) | Move::ScaleOut => Err(RealError::Elsewhere),
        }
    }
}
