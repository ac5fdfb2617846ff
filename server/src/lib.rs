//! The external key manager: Google's dialect at the edge, the journey of a request, and the processes around it.

pub mod admin;
pub mod audit;
pub mod authn;
pub mod clock;
pub mod crypto;
pub mod ctl;
pub mod dev;
pub mod edge;
pub mod error;
pub mod exit;
pub mod frontend;
pub mod gauges;
pub mod health;
pub mod keystore;
pub mod logging;
pub mod lookup;
pub mod metrics;
pub mod operations;
pub mod policy;
pub mod quota;
pub mod regular_file;
pub mod replace_file;
pub mod settings;
pub mod shell;
pub mod tasks;
pub mod wire;
