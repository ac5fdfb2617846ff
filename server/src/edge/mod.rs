//! The listening side: sockets, TLS, connections and the first decisions about a request, before anyone knows what it
//! asks. It must never look into a body or a token.

pub mod admission;
pub mod admitted;
pub mod alarms;
pub mod body;
pub mod connection;
pub mod deadline;
pub mod google;
pub mod leftovers;
pub mod limits;
pub mod listener;
pub mod path;
pub mod peer;
mod preface;
pub mod renewal;
pub mod respond;
pub mod routes;
pub mod service;
pub mod tls;
mod tls_files;

#[cfg(test)]
mod frames;
#[cfg(test)]
mod http2_tests;
#[cfg(test)]
pub(crate) mod testing;
