//! Which ports `ekm dev` listens on: those of the command line, else those of the settings or of the last start, else 8443
//! to 8445. Binds none of them.

use std::net::{Ipv4Addr, SocketAddr};

use super::file::DevFile;

/// The first of the three ports, unless something says otherwise.
pub const DEFAULT_PORT: u16 = 8443;

/// The three listeners' ports; 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// For Google.
    pub data: u16,
    /// For operators.
    pub admin: u16,
    /// For probes and Prometheus.
    pub health: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self::from(DEFAULT_PORT)
    }
}

impl Ports {
    /// What the flag asks for: the data port, which the others follow; 0 asks for three free ones.
    pub fn asked(first: u16) -> Self {
        match first {
            0 => Self { data: 0, admin: 0, health: 0 },
            first => Self::from(first),
        }
    }

    const fn from(first: u16) -> Self {
        Self { data: first, admin: first.saturating_add(1), health: first.saturating_add(2) }
    }

    /// Those that a start wrote into `dev.json`.
    pub fn of(file: &DevFile) -> Option<Self> {
        let port = |url: &str| url.rsplit_once(':')?.1.parse().ok();
        Some(Self { data: port(&file.data_url)?, admin: port(&file.admin_url)?, health: port(&file.health_url)? })
    }
}

/// A port on loopback: `ekm dev` binds nothing else.
pub const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
