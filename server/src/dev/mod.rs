//! `ekm dev`: the whole product in one process, with everything it needs made under one folder. For trying out only.
//!
//! Binds loopback and nothing else, stamps what it makes as dev, and refuses a folder that something else made.

mod announce;
#[cfg(test)]
mod damage_tests;
mod demo;
mod error;
mod file;
mod folder;
mod issued;
mod key_store;
mod listeners;
mod options;
mod pki;
mod ports;
mod prepared;
mod run;
mod serving;
pub mod settings;
#[cfg(test)]
mod settings_tests;
mod token;

use replication::machine::roles::PersonRole;

pub use error::DevError;
pub use file::{DEV_FILE, DevFile, DevFileError, DevPerson};
pub use options::{DevOptions, Flags};
pub use run::{Chosen, run, run_with};
pub use token::{TokenError, TokenOptions, mint};

/// The name on the server's certificate.
pub const HOSTNAME: &str = "localhost";
/// What tokens must name as their audience: never a port.
pub const AUDIENCE: &str = "https://localhost";
/// The people whom the first start enrols, with all tenants in reach: one operator, and the two officers that it takes to make
/// or unmake an officer.
const PEOPLE: [DevRole; 3] = [
    DevRole { name: "dev-operator", files: "operator", role: PersonRole::Operator },
    DevRole { name: "dev-officer-1", files: "officer-1", role: PersonRole::SecurityOfficer },
    DevRole { name: "dev-officer-2", files: "officer-2", role: PersonRole::SecurityOfficer },
];

/// One of the people.
#[derive(Debug, Clone, Copy)]
struct DevRole {
    name: &'static str,
    /// What the names of their certificate and key begin with.
    files: &'static str,
    role: PersonRole,
}

/// The caller that the demo grant admits.
pub const CALLER: &str = "service-0@gcp-sa-ekms.iam.gserviceaccount.com";
/// The name under which the one machine appears in answers and audit records.
const MACHINE: &str = "dev-1";
