//! Trouble of ours that a human must look at, told often enough to be seen and seldom enough to be read.
//!
//! A reason code that Google introduces tomorrow meets every request of a tenant: one line each would bury the log, and
//! writing it would slow the requests. Never hides the first, and always says how many there were.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Code, ServiceError};

/// Counts alarms by code.
#[derive(Debug, Default)]
pub struct Alarms([AtomicU64; Code::ALL.len()]);

impl Alarms {
    /// Counts one, and logs the 1st, 2nd, 4th, 8th and so on of its code.
    pub fn tell(&self, error: &ServiceError, request: &impl std::fmt::Display) {
        if let Some(count) = self.due(error.code()) {
            let message = error.public().message;
            tracing::error!(%request, count, %message, "a request met trouble of ours");
        }
    }

    /// How many there were of this code, if that is to be told.
    fn due(&self, code: Code) -> Option<u64> {
        let place = Code::ALL.iter().position(|known| *known == code)?;
        let count = self.0[place].fetch_add(1, Ordering::Relaxed) + 1;
        count.is_power_of_two().then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_a_flood_is_not() {
        let alarms = Alarms::default();
        let told = |code| (0..1000).filter_map(|_| alarms.due(code)).collect::<Vec<_>>();
        assert_eq!(told(Code::ALL[0]), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(told(Code::ALL[1]).first(), Some(&1), "each code has its own count");
    }
}
