//! What tests control and plant: clocks, and well-formed entries of every kind. Never in a released binary.

mod author;
mod clock;

pub use author::Author;
pub use clock::ManualClock;
