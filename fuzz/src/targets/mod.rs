//! Every target by its name. A target takes any bytes and panics if a property does not hold; it must never judge by time, and
//! never let one input decide what is said of the next.

mod blob;
mod body;
mod chain;
mod claims;
mod command;
mod entry;
mod import;
mod path;
mod record;
mod request;
mod rows;
mod settings;
mod snapshot;
mod token;

/// A name, and what is done with an input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the folder of its seeds.
    pub name: &'static str,
    /// Panics if a property does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 14] = [
    Target { name: "blob", run: blob::run },
    Target { name: "body", run: body::run },
    Target { name: "chain", run: chain::run },
    Target { name: "claims", run: claims::run },
    Target { name: "command", run: command::run },
    Target { name: "entry", run: entry::run },
    Target { name: "import", run: import::run },
    Target { name: "path", run: path::run },
    Target { name: "record", run: record::run },
    Target { name: "request", run: request::run },
    Target { name: "rows", run: rows::run },
    Target { name: "settings", run: settings::run },
    Target { name: "snapshot", run: snapshot::run },
    Target { name: "token", run: token::run },
];

/// The target of this name.
pub fn named(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
