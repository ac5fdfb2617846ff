//! `ekmctl`: what an operator types, turned into calls of the admin API.
//!
//! Decides nothing that the replica decides: it refuses what must be refused, and its words are shown as they came. What stands
//! here is said before a call (confirmation before harm, the lines for Google) or instead of one (`doctor`, when nobody answers).

mod args;
mod confirm;
mod doctor;
mod error;
mod files;
mod levels;
mod people;
mod print;
mod progress;
mod registration;
mod run;
mod schema;
mod session;
mod tools;

pub use args::{Args, Output};
pub use error::CtlError;
pub use print::Printed;
pub use run::run;
