//! Where replicas are, as people write it down: a host and a port, and the site that the machine stands at.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::IdError;

/// Longest address, in bytes: a host name of 253, a colon and a port.
pub const ADDRESS_LENGTH_MAX: usize = 259;

/// Where peers reach a replica: `host:port`, or `[address]:port` for IPv6.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerAddress(std::sync::Arc<str>);

impl PeerAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerAddress {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (host, port) = text.rsplit_once(':').ok_or(IdError::Address)?;
        let has_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        if has_port && is_host(host) && text.len() <= ADDRESS_LENGTH_MAX {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Address)
        }
    }
}

/// Whether text is a host name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    !host.is_empty() && host.bytes().all(is_part) && !host.starts_with(['-', '.']) && !host.ends_with(['-', '.'])
}

impl TryFrom<String> for PeerAddress {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<PeerAddress> for String {
    fn from(address: PeerAddress) -> Self {
        address.0.as_ref().to_owned()
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:9001", "a.example:1", "[::1]:65535", "host-1:80"] {
            assert_eq!(good.parse::<PeerAddress>().expect("it is one").as_str(), good);
        }
        for bad in [
            "", "a", "a:", ":1", "a:0", "a:65536", "a:+1", "::1:80", "[::1:80", "[x]:1", "a b:1", "-a:1", "a/:1",
            "a.:1",
        ] {
            assert_eq!(bad.parse::<PeerAddress>(), Err(IdError::Address), "{bad}");
        }
        let long = format!("{}:65535", "a".repeat(ADDRESS_LENGTH_MAX - 6));
        assert!(long.parse::<PeerAddress>().is_ok() && format!("a{long}").parse::<PeerAddress>().is_err());
    }
}
