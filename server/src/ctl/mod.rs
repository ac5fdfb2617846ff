//! `ekmctl`: what an operator types, turned into calls of the admin API.
//!
//! Makes no decision of its own: the replica refuses what must be refused, and its words are shown as they came.

mod args;
mod print;
mod run;

pub use args::{Args, Output};
pub use run::{CtlError, run};
