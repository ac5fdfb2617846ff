//! Gathers what `doctor` judges: each step is bounded in time, and what fails is an observation, not an error. Changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use replication::clock::{Clock, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::findings::diagnose;
use super::metrics::Metrics;
use super::observed::{Admin, DevFolder, Health, HealthAnswer, Identity, Observed, Process};
use super::{Diagnosis, tls};
use crate::admin::client::{AdminClient, ClientError};
use crate::dev::DevFile;
use crate::exit::with_causes;

/// How long one step may take.
const STEP_MAX: Duration = Duration::from_secs(5);

/// What there is to look at.
pub(in crate::ctl) struct Wanted {
    /// The data directory of an `ekm dev`, and what its `dev.json` says.
    pub(in crate::ctl) dev: Option<(PathBuf, Result<DevFile, String>)>,
    /// The admin API's address.
    pub(in crate::ctl) admin_url: Option<String>,
    /// The own certificate's file.
    pub(in crate::ctl) certificate: Option<PathBuf>,
    /// Prepared calls, or why there are none.
    pub(in crate::ctl) client: Result<AdminClient, String>,
    /// The health listener's address.
    pub(in crate::ctl) health_url: Option<String>,
}

/// Looks around and says what is wrong.
pub(in crate::ctl) async fn look(wanted: Wanted, clock: &dyn Clock) -> Diagnosis {
    let dev = wanted.dev.as_ref().map(|(folder, file)| folder_of(folder, file.as_ref()));
    let identity = identity(wanted.certificate.as_deref());
    let (admin, server_time) = admin(&wanted).await;
    let health = match &wanted.health_url {
        Some(url) => health(url).await,
        None => Health::NotTried,
    };
    diagnose(&Observed { now: clock.wall(), dev, identity, admin_url: wanted.admin_url, admin, server_time, health })
}

fn folder_of(folder: &Path, file: Result<&DevFile, &String>) -> DevFolder {
    let process = match file {
        Err(why) => Process::Unknown { why: why.clone() },
        Ok(file) if is_alive(file.pid) => Process::Alive { pid: file.pid },
        Ok(file) => Process::Gone { pid: file.pid },
    };
    let free_bytes = rustix::fs::statvfs(folder).ok().map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    DevFolder { folder: folder.to_owned(), process, free_bytes }
}

/// Whether a process of this id runs. One of another user counts.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

fn identity(file: Option<&Path>) -> Identity {
    let Some(file) = file else { return Identity::NotRead { why: "no certificate of yours is given".to_owned() } };
    let not_read = |why: &dyn std::fmt::Display| Identity::NotRead { why: format!("{}: {why}", file.display()) };
    let certificate = match CertificateDer::from_pem_file(file) {
        Ok(certificate) => certificate,
        Err(error) => return not_read(&error),
    };
    match X509Certificate::from_der(&certificate) {
        Ok((_, parsed)) => Identity::Read {
            name: parsed.subject().to_string(),
            not_before: timestamp(parsed.validity().not_before.to_datetime()),
            not_after: timestamp(parsed.validity().not_after.to_datetime()),
        },
        Err(error) => not_read(&error),
    }
}

/// Zero for times before 1970.
fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp(u64::try_from(time.unix_timestamp()).unwrap_or(0).saturating_mul(1000))
}

async fn admin(wanted: &Wanted) -> (Admin, Option<Timestamp>) {
    let Some(url) = &wanted.admin_url else {
        return (Admin::NotTried { why: "its address is not known".to_owned() }, None);
    };
    if let Some(trouble) = connect(url).await {
        return (trouble, None);
    }
    let client = match &wanted.client {
        Ok(client) => client,
        Err(why) => return (Admin::NotTried { why: why.clone() }, None),
    };
    match client.status_with_date().await {
        Ok((status, date)) => {
            let date = date.and_then(|date| OffsetDateTime::parse(&date, &Rfc2822).ok());
            (Admin::Answered(Box::new(status)), date.map(timestamp))
        }
        Err(ClientError::Refused(body)) => (Admin::Said(body), None),
        Err(ClientError::NotOurs { status }) => (Admin::NotOurs { status }, None),
        Err(ClientError::Unreachable { source, .. }) if source.is_timeout() => (Admin::TimedOut, None),
        Err(error) => match tls::trouble(&error) {
            Some(trouble) => (Admin::Tls(trouble), None),
            None => (Admin::Broken { why: with_causes(&error) }, None),
        },
    }
}

/// What is wrong on the way to an address, if anything is.
async fn connect(url: &str) -> Option<Admin> {
    let wrong = || Some(Admin::NotTried { why: format!("{url} is no address: it is https://HOST:PORT") });
    let Ok(parsed) = reqwest::Url::parse(url) else { return wrong() };
    let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else { return wrong() };
    // an IPv6 address stands in brackets in a URL, and without them elsewhere
    let host = host.trim_matches(['[', ']']);
    let addresses = tokio::time::timeout(STEP_MAX, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<_> = match addresses {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    if addresses.is_empty() {
        return Some(Admin::NoName { host: host.to_owned() });
    }
    match tokio::time::timeout(STEP_MAX, tokio::net::TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Some(Admin::Refused),
        Ok(Err(error)) => Some(Admin::Broken { why: error.to_string() }),
        Err(_) => Some(Admin::TimedOut),
    }
}

#[derive(serde::Deserialize)]
struct ReadyBody {
    reasons: Vec<String>,
}

async fn health(url: &str) -> Health {
    let url = url.trim_end_matches('/');
    let silent = || Health::Silent { url: url.to_owned() };
    let Ok(http) = reqwest::Client::builder().no_proxy().timeout(STEP_MAX).build() else { return silent() };
    let get = |path: &'static str| http.get(format!("{url}{path}")).send();
    let Ok(live) = get("/livez").await else { return silent() };
    let reasons = match get("/readyz").await {
        Ok(answer) => answer.json::<ReadyBody>().await.ok().map(|body| body.reasons),
        Err(_) => None,
    };
    let metrics = match get("/metrics").await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    let is_live = live.status().is_success();
    Health::Answered(HealthAnswer { is_live, unready_reasons: reasons, metrics: Metrics::parse(&metrics) })
}
