//! Choices with weights, as they are written on a command line: `64=90,4096=10`. Pure: chance comes in as a number.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Most choices in one list.
const CHOICES_MAX: usize = 64;

/// Choices, each with its weight; one at least has a weight above zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighted<T> {
    choices: Vec<(T, u32)>,
    total: u64,
}

/// Why a text is no list of weighted choices.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WeightedError {
    /// No equals sign.
    #[error("`{part}` is not CHOICE=WEIGHT")]
    Shape { part: String },
    /// The weight is no number.
    #[error("the weight of `{part}` is not a whole number")]
    Weight { part: String },
    /// The choice is not known or not allowed.
    #[error("`{choice}` is not one of: {allowed}")]
    Choice { choice: String, allowed: &'static str },
    /// Too many.
    #[error("more than {CHOICES_MAX} choices")]
    TooMany,
    /// Nothing to choose from.
    #[error("no choice has a weight above zero")]
    Nothing,
}

/// What may stand before the equals sign.
pub trait Choice: Sized {
    /// What is allowed, in words for an error.
    const ALLOWED: &'static str;
    /// Reads one; `None` if it is not allowed.
    fn read(text: &str) -> Option<Self>;
}

impl<T> Weighted<T> {
    /// From choices and weights.
    ///
    /// # Errors
    /// If there are too many, or none with a weight.
    pub fn new(choices: Vec<(T, u32)>) -> Result<Self, WeightedError> {
        let total = choices.iter().map(|(_, weight)| u64::from(*weight)).sum();
        match choices.len() {
            _ if total == 0 => Err(WeightedError::Nothing),
            count if count > CHOICES_MAX => Err(WeightedError::TooMany),
            _ => Ok(Self { choices, total }),
        }
    }

    /// The choice that a random number falls on.
    pub fn pick(&self, random: u64) -> &T {
        let mut place = random % self.total;
        for (choice, weight) in &self.choices {
            match place.checked_sub(u64::from(*weight)) {
                None => return choice,
                Some(rest) => place = rest,
            }
        }
        unreachable!("the place is below the sum of the weights")
    }

    /// All choices that can be picked.
    #[cfg(test)]
    pub fn choices(&self) -> impl Iterator<Item = &T> {
        self.choices.iter().filter(|(_, weight)| *weight > 0).map(|(choice, _)| choice)
    }
}

impl<T: Choice> FromStr for Weighted<T> {
    type Err = WeightedError;

    fn from_str(text: &str) -> Result<Self, WeightedError> {
        let read = |part: &str| {
            let part = part.trim();
            let (choice, weight) =
                part.split_once('=').ok_or_else(|| WeightedError::Shape { part: part.to_owned() })?;
            let weight = weight.trim().parse().map_err(|_| WeightedError::Weight { part: part.to_owned() })?;
            let choice = choice.trim();
            let read = T::read(choice)
                .ok_or_else(|| WeightedError::Choice { choice: choice.to_owned(), allowed: T::ALLOWED })?;
            Ok((read, weight))
        };
        Self::new(text.split(',').map(read).collect::<Result<_, _>>()?)
    }
}

impl<T: fmt::Display> fmt::Display for Weighted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (choice, weight)) in self.choices.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(out, "{comma}{choice}={weight}")?;
        }
        Ok(())
    }
}

/// A size in bytes; Cloud KMS takes at most 64 KiB from its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u32);

/// The most that Cloud KMS takes from its users, in bytes.
const SIZE_MAX: u32 = 64 * 1024;

impl Choice for Size {
    const ALLOWED: &'static str = "a size of 0 to 65536 bytes";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|size| *size <= SIZE_MAX).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_is_picked_as_often_as_it_weighs() {
        let sizes: Weighted<Size> = "64=3, 0=0, 4096=1".parse().expect("a right list");
        let picked: Vec<u32> = (0..8).map(|random| sizes.pick(random).0).collect();
        assert_eq!(picked, [64, 64, 64, 4096, 64, 64, 64, 4096]);
        assert_eq!(sizes.choices().map(|size| size.0).collect::<Vec<_>>(), [64, 4096]);
        assert_eq!(sizes.to_string(), "64=3,0=0,4096=1");
    }

    #[test]
    fn a_bad_list_says_what_is_wrong_with_it() {
        let told = |text: &str| text.parse::<Weighted<Size>>().expect_err(text).to_string();
        assert_eq!(told("64"), "`64` is not CHOICE=WEIGHT");
        assert_eq!(told("64=x"), "the weight of `64=x` is not a whole number");
        assert_eq!(told("65537=1"), "`65537` is not one of: a size of 0 to 65536 bytes");
        assert_eq!(told("-1=1"), "`-1` is not one of: a size of 0 to 65536 bytes");
        assert_eq!(told("64=0"), "no choice has a weight above zero");
        assert_eq!(told(&vec!["64=1"; 65].join(",")), "more than 64 choices");
        assert_eq!(told(""), "`` is not CHOICE=WEIGHT");
    }
}
