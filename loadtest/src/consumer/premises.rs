//! The customer's premises as a scenario needs them: a key manager that can be called, and hands that can move things there.
//! Behind it stands the real product, or a made-up one in tests.

pub mod crowd;
#[cfg(test)]
pub mod made_up;
pub mod own;
pub mod real;
pub mod relay;
pub mod site;

use super::scenario::Move;
use crate::cloud_kms::{Call, Received};

/// The premises.
pub trait Premises {
    /// Why a move could not be made.
    type Error: std::error::Error + 'static;

    /// Sends one call to the key manager and gives what came back within the deadline.
    async fn call(&self, call: &Call) -> Received;

    /// Makes one move of those that are made on the premises.
    ///
    /// # Errors
    /// If it could not be made.
    async fn make(&self, step: Move) -> Result<(), Self::Error>;
}
