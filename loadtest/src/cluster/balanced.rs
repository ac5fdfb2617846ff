//! The last check of a start: one wrap through the load balancer. It repeats what may pass, and excuses nothing else.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;

use super::certificates::SERVERS;
use super::crew::{Crew, LOOK_EVERY};
use super::demo::{CALLER, Demo};
use super::error::ClusterError;
use super::file::{AUDIENCE, ISSUER, https};
use super::layout::{self, Layout};
use super::plan::Plan;
use super::settings::HOSTNAME;
use crate::client::{Bearer, Client, Verb};
use crate::clock::now;
use crate::dev::{self, DevServer};
use crate::load::tokens::Identity;
use crate::verify::judge;
use crate::wire::WrapRequest;

/// Longer than a load balancer takes to find out who is ready.
const WRAP_WAIT_MAX: Duration = Duration::from_mins(1);

/// Who issues a cluster's tokens, and for whom.
pub fn identity() -> Identity {
    Identity { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned() }
}

/// Wraps once with the demo key.
///
/// # Errors
/// If there is no answer in time, or a wrong one.
pub async fn wrap(layout: &Layout, plan: &Plan, demo: &Demo, crew: &mut Crew) -> Result<(), ClusterError> {
    let server = server(layout, plan, demo)?;
    let request = WrapRequest {
        plaintext: BASE64_STANDARD.encode("hello, external key manager"),
        additional_authenticated_data: String::new(),
    };
    let began = now();
    loop {
        crew.all_live()?;
        let is_late = began.elapsed() > WRAP_WAIT_MAX;
        // a client that failed has a connection that may be broken
        match Client::new(&server).await?.call(Verb::Wrap, Bearer::Granted, &request).await {
            Ok(answer) if judge::is_retriable(&answer) && !is_late => {}
            Ok(answer) => return Ok(judge::wrapped_blob(&answer).map(drop)?),
            Err(error) if is_late => return Err(error.into()),
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn server(layout: &Layout, plan: &Plan, demo: &Demo) -> Result<DevServer, ClusterError> {
    Ok(DevServer {
        data_url: https(plan.balancer).parse::<Uri>().expect("an address and a port make a URL"),
        hostname: HOSTNAME.to_owned(),
        ca_pem: layout::read(&layout.of_pki(SERVERS))?.unwrap_or_default(),
        token: dev::own_token(&layout.issuer_key(), &identity(), CALLER)?,
        key_path: demo.key_path.clone(),
    })
}
