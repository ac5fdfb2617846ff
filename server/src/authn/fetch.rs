//! One HTTP GET of a key set, bounded in time and size, over TLS unless the host is this machine.
//!
//! Says what came; never decides what to publish.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::keyset::KEY_SET_BYTES_MAX;

/// Longest time for a connection to the issuer.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest time for a whole fetch.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(15);
/// Most redirects followed, each to https.
pub const REDIRECTS_MAX: usize = 3;
/// Shortest lifetime a set is given, whatever its issuer says: it bounds how often we ask.
pub const LIFETIME_MIN: Duration = Duration::from_mins(5);
/// Longest lifetime a set is given, whatever its issuer says: it bounds how long its silence counts.
pub const LIFETIME_MAX: Duration = Duration::from_hours(24);
/// The lifetime of a set whose issuer says nothing.
pub const LIFETIME_DEFAULT: Duration = Duration::from_hours(1);

/// The address of a key set: https, or plain http on a loopback host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetUrl(Url);

/// Why text is no address of a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetUrlError {
    /// Not a URL.
    #[error("the key set's address is not a URL")]
    NotAUrl,
    /// Whoever can change an unprotected answer can sign tokens.
    #[error("the key set's address must begin with https:// unless its host is this machine")]
    NotHttps,
    /// A URL that would carry a password into logs.
    #[error("the key set's address must not hold a user name or password")]
    Credentials,
}

impl FromStr for KeySetUrl {
    type Err = KeySetUrlError;

    fn from_str(text: &str) -> Result<Self, KeySetUrlError> {
        let url = Url::parse(text).map_err(|_| KeySetUrlError::NotAUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(KeySetUrlError::Credentials);
        }
        let legal = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if legal { Ok(Self(url)) } else { Err(KeySetUrlError::NotHttps) }
    }
}

impl fmt::Display for KeySetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a fetch brought no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the issuer's key set could not be fetched")]
    Transport(#[from] reqwest::Error),
    #[error("the issuer answered {0} instead of its key set")]
    Status(StatusCode),
    #[error("the issuer's answer is longer than {KEY_SET_BYTES_MAX} bytes")]
    TooLong,
}

/// A document and how long its issuer vouches for it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) json: Vec<u8>,
    pub(super) lifetime: Duration,
}

/// Fetches from one address.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    url: KeySetUrl,
}

impl Fetcher {
    pub(super) fn new(url: KeySetUrl) -> Result<Self, reqwest::Error> {
        let builder = Client::builder().connect_timeout(CONNECT_WAIT_MAX).timeout(FETCH_WAIT_MAX).referer(false);
        let builder = if is_loopback(&url.0) {
            builder.redirect(Policy::none()).no_proxy()
        } else {
            builder.redirect(Policy::limited(REDIRECTS_MAX)).https_only(true)
        };
        Ok(Self { client: builder.build()?, url })
    }

    pub(super) const fn url(&self) -> &KeySetUrl {
        &self.url
    }

    pub(super) async fn fetch(&self) -> Result<Fetched, FetchError> {
        let mut response = self.client.get(self.url.0.clone()).send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let lifetime = lifetime(response.headers());
        let mut json = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if json.len() + chunk.len() > KEY_SET_BYTES_MAX {
                return Err(FetchError::TooLong);
            }
            json.extend_from_slice(&chunk);
        }
        Ok(Fetched { json, lifetime })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// `max-age` less the time the answer has already spent in caches (RFC 9111 section 4.2), within our own bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let max_age = directives.flat_map(|value| value.split(',')).find_map(|directive| {
        let (name, seconds) = directive.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("max-age") { seconds.trim_matches('"').parse().ok() } else { None }
    });
    let age = headers.get(AGE).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok()).unwrap_or(0);
    let stated = max_age.map_or(LIFETIME_DEFAULT, |seconds: u64| Duration::from_secs(seconds.saturating_sub(age)));
    stated.clamp(LIFETIME_MIN, LIFETIME_MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_set_comes_over_https_or_from_this_machine() {
        for good in [
            "https://www.googleapis.com/oauth2/v3/certs",
            "http://127.0.0.1:1/x",
            "http://[::1]:1/x",
            "http://localhost/x",
        ] {
            assert!(good.parse::<KeySetUrl>().is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("", KeySetUrlError::NotAUrl),
            ("certs", KeySetUrlError::NotAUrl),
            ("http://www.googleapis.com/x", KeySetUrlError::NotHttps),
            ("http://127.0.0.1.example/x", KeySetUrlError::NotHttps),
            ("http://localhost.example/x", KeySetUrlError::NotHttps),
            ("file:///etc/keys", KeySetUrlError::NotHttps),
            ("https://user:secret@a.example/x", KeySetUrlError::Credentials),
        ] {
            assert_eq!(bad.parse::<KeySetUrl>(), Err(expected), "{bad}");
        }
    }

    #[test]
    fn a_lifetime_is_what_the_issuer_says_within_our_bounds() {
        for (cache_control, age, expected) in [
            (Some("public, max-age=21600, must-revalidate"), None, Duration::from_hours(6)),
            (Some("Max-Age=21600"), Some("3600"), Duration::from_hours(5)),
            (Some("max-age=600"), Some("900"), LIFETIME_MIN),
            (Some("max-age=0"), None, LIFETIME_MIN),
            (Some("no-store"), None, LIFETIME_DEFAULT),
            (Some("max-age=18446744073709551615"), None, LIFETIME_MAX),
            (Some("max-age=99999999999999999999999"), None, LIFETIME_DEFAULT),
            (None, None, LIFETIME_DEFAULT),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = cache_control {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            }
            if let Some(value) = age {
                headers.insert(AGE, HeaderValue::from_static(value));
            }
            assert_eq!(lifetime(&headers), expected, "{cache_control:?} {age:?}");
        }
    }
}
