//! What tests control and plant: clocks, dice, a disk that crashes, and well-formed entries of every kind. Never in a
//! released binary.

mod author;
mod clock;
mod dice;
pub mod disk;

pub use author::Author;
pub use clock::ManualClock;
pub use dice::Dice;
pub use disk::Disk;
