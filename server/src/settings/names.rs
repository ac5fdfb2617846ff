//! Names, ids and addresses as settings spell them. Looks nothing up: a host is only a name here.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};

use replication::ids::{FrontendName, LineageId, ReplicaId, SiteName};

use super::form::Text;
use super::mistake::Mistake;
use super::reader::shown;

/// The highest number of a replica that a file may give. Numbers are used once, for ever.
pub const REPLICA_MOST: u64 = 65_535;

/// Longest name of a host, as of RFC 1035.
const HOST_LENGTH_MAX: usize = 253;

macro_rules! ids {
    ($($name:ty),*) => {$(
        impl Text for $name {
            fn parse(text: &str) -> Result<Self, Mistake> {
                Ok(text.parse()?)
            }

            fn spell(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
ids!(LineageId, SiteName, FrontendName);

/// An address to listen on, with a port that others can know.
impl Text for SocketAddr {
    fn parse(text: &str) -> Result<Self, Mistake> {
        let address = text.parse::<Self>().ok().filter(|address| address.port() != 0);
        address.ok_or_else(|| Mistake::NotAnAddress { value: shown(text) })
    }

    fn spell(&self) -> String {
        self.to_string()
    }
}

/// The name of a host, as callers and certificates spell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text for HostName {
    fn parse(text: &str) -> Result<Self, Mistake> {
        if is_host(text) { Ok(Self(text.to_owned())) } else { Err(Mistake::NotAHostName { value: shown(text) }) }
    }

    fn spell(&self) -> String {
        self.0.clone()
    }
}

/// Where somebody is reached: the name of a host or an IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort(String);

impl HostPort {
    /// The place as text, `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok_and(|number| number != 0 && number.to_string() == port);
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_known = inner.map_or_else(|| is_host(host), |inner| inner.parse::<Ipv6Addr>().is_ok());
        (is_port && is_known).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for HostPort {
    fn parse(text: &str) -> Result<Self, Mistake> {
        Self::of(text).ok_or_else(|| Mistake::NotAHostPort { value: shown(text) })
    }

    fn spell(&self) -> String {
        self.0.clone()
    }
}

/// A key store that feeds frontends: which replica it is, and where its feed is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStoreAddress {
    /// Whom its certificate must name.
    pub replica: ReplicaId,
    /// Where it is, `host:port`.
    pub address: String,
}

impl fmt::Display for KeyStoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.replica, self.address)
    }
}

impl KeyStoreAddress {
    fn of(text: &str) -> Option<Self> {
        let (replica, address) = text.split_once('@')?;
        let number = replica.parse::<u64>().ok().filter(|number| number.to_string() == replica)?;
        let replica = (1..=REPLICA_MOST).contains(&number).then_some(ReplicaId(number))?;
        Some(Self { replica, address: HostPort::of(address)?.0 })
    }
}

impl Text for KeyStoreAddress {
    fn parse(text: &str) -> Result<Self, Mistake> {
        Self::of(text).ok_or_else(|| Mistake::NotAKeyStore { value: shown(text) })
    }

    fn spell(&self) -> String {
        self.to_string()
    }
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    text.len() <= HOST_LENGTH_MAX && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read<T: Text>(text: &str) -> bool {
        T::parse(text).is_ok_and(|read| read.spell() == text)
    }

    #[test]
    fn a_place_has_a_host_and_a_port() {
        for good in ["localhost:9001", "127.0.0.1:1", "ekm-1.a.example:65535", "[::1]:9001"] {
            assert!(is_read::<HostPort>(good), "{good}");
            assert!(is_read::<KeyStoreAddress>(&format!("1@{good}")), "{good}");
        }
        for bad in [
            "",
            ":1",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:01",
            "a..b:1",
            "a_b:1",
            "::1:1",
            "[x]:1",
            "h h:1",
        ] {
            assert!(!is_read::<HostPort>(bad), "{bad}");
            assert!(!is_read::<KeyStoreAddress>(&format!("1@{bad}")), "{bad}");
        }
        for bad in [
            "localhost:9002",
            "@localhost:9002",
            "0@localhost:9002",
            "01@localhost:9002",
            "-1@localhost:9002",
            "65536@localhost:9002",
        ] {
            assert!(!is_read::<KeyStoreAddress>(bad), "{bad}");
        }
    }

    #[test]
    fn a_listener_has_an_ip_address_and_a_port_that_others_can_know() {
        assert!(is_read::<SocketAddr>("127.0.0.1:8443") && is_read::<SocketAddr>("[::]:8443"));
        for bad in ["", "localhost:8443", "127.0.0.1", "127.0.0.1:0", "8443", ":8443"] {
            assert!(!is_read::<SocketAddr>(bad), "{bad}");
        }
    }
}
