//! What tests control and plant: clocks, dice, a disk that crashes, and well-formed entries of every kind. Never in a
//! released binary.

mod asks;
mod author;
mod clock;
mod dice;
pub mod disk;
mod played;

pub use asks::asks;
pub use author::{Author, consent_to, new_version, signing_key};
pub use clock::ManualClock;
pub use dice::Dice;
pub use disk::Disk;
pub use played::played;
