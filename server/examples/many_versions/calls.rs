//! Wraps over a few connections that are kept open.

use std::error::Error;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::premises::Premises;

/// Connections at once.
const CONNECTIONS: usize = 4;

/// A client that believes the premises' authority.
pub fn client(premises: &Premises) -> Result<reqwest::Client, Box<dyn Error>> {
    let authority = reqwest::Certificate::from_pem(premises.ca_pem.as_bytes())?;
    let client = reqwest::Client::builder()
        .http1_only()
        .tls_certs_only([authority])
        .resolve("localhost", premises.data_address())
        .pool_max_idle_per_host(CONNECTIONS);
    Ok(client.build()?)
}

/// Wraps so many times, with one key after the other. Every answer must be 200.
pub async fn wrap(
    client: &reqwest::Client,
    premises: &Premises,
    keys: &[String],
    count: u32,
) -> Result<(), Box<dyn Error>> {
    let body = r#"{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","additionalAuthenticatedData":"AAEC"}"#;
    let calls = (0..count as usize).map(|number| {
        let url = format!("{}/{}:wrap", premises.data_url(), keys[number % keys.len()]);
        client.post(url).bearer_auth(&premises.token).header("content-type", "application/json").body(body)
    });
    stream::iter(calls)
        .map(|call| async move {
            let answer = call.send().await?;
            let status = answer.status();
            // read out, so that the connection is used again
            let text = answer.text().await?;
            if status.is_success() { Ok(()) } else { Err(Box::<dyn Error>::from(format!("{status}: {text}"))) }
        })
        .buffer_unordered(CONNECTIONS)
        .try_for_each(|()| async { Ok(()) })
        .await
}
