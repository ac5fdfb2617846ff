//! The form that settings are written in and read from: one walk over the fields serves both, so a field that is written
//! is read, and none is forgotten.
//!
//! Never holds a default: it starts from the value that it is given.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::mistake::Mistake;
use super::reader::shown;

/// A whole number of things or bytes.
pub trait Count: Copy {
    /// As the widest of them.
    fn wide(self) -> u64;
    /// Of one that is within a range of the type's own values.
    fn of(wide: u64) -> Option<Self>;
}

macro_rules! counts {
    ($($number:ty),*) => {$(
        impl Count for $number {
            fn wide(self) -> u64 {
                u64::try_from(self).unwrap_or(u64::MAX)
            }

            fn of(wide: u64) -> Option<Self> {
                wide.try_into().ok()
            }
        }
    )*};
}
counts!(u16, u32, u64, usize);

impl Count for NonZeroU32 {
    fn wide(self) -> u64 {
        self.get().wide()
    }

    fn of(wide: u64) -> Option<Self> {
        Self::new(u32::of(wide)?)
    }
}

impl Count for NonZeroUsize {
    fn wide(self) -> u64 {
        self.get().wide()
    }

    fn of(wide: u64) -> Option<Self> {
        Self::new(usize::of(wide)?)
    }
}

/// A text that stands for something.
pub trait Text: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn parse(text: &str) -> Result<Self, Mistake>;
    /// Spells it so that [`parse`](Text::parse) gives it back.
    fn spell(&self) -> String;
}

impl Text for PathBuf {
    fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            "" => Err(Mistake::NoPath),
            _ if text.contains('\0') => Err(Mistake::Nul),
            _ => Ok(Self::from(text)),
        }
    }

    fn spell(&self) -> String {
        self.to_str().expect("a path in settings is UTF-8, as the file and the defaults are").to_owned()
    }
}

/// Whoever goes over the fields: the reader, or the writer. In each table fields come before tables.
pub trait Form: Sized {
    /// A table, and what stands in it.
    fn table(&mut self, name: &'static str, says: &str, inside: impl FnOnce(&mut Self));
    /// The stamp of development.
    fn stamp(&mut self, says: &str);
    /// No stamp of development.
    fn no_stamp(&mut self);
    /// Whether the file gives this field or table of the table that is gone over. What is written gives all of them.
    fn gives(&mut self, name: &'static str) -> bool;
    /// A number within a range.
    fn count<T: Count>(&mut self, name: &'static str, says: &str, value: &mut T, range: RangeInclusive<T>);
    /// A span of time within a range.
    fn time(&mut self, name: &'static str, says: &str, value: &mut Duration, range: RangeInclusive<Duration>);
    /// A number within a range that the file must give, unless there is one already.
    fn required_count<T: Count>(
        &mut self,
        name: &'static str,
        says: &str,
        value: &mut Option<T>,
        range: RangeInclusive<T>,
    );
    /// One of a few words.
    fn choice<T: Copy + PartialEq>(&mut self, name: &'static str, says: &str, value: &mut T, words: &[(&str, T)]);
    /// A text.
    fn text<T: Text>(&mut self, name: &'static str, says: &str, value: &mut T);
    /// A text that the file must give, unless there is one already.
    fn required<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Option<T>);
    /// A text that may be absent; `example` shows what it looks like.
    fn optional<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Option<T>, example: &str);
    /// Up to `most` texts.
    fn texts<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Vec<T>, most: usize);
    /// One text at least, and up to `most`.
    fn required_texts<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Vec<T>, most: usize);
    /// Says that a field of this table does not go with others.
    fn object(&mut self, name: &'static str, mistake: Mistake);
}

/// Units of time, longest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// `"500ms"`, `"5s"`, `"15m"`; whole milliseconds.
pub(super) fn spell_time(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let whole = UNITS.iter().find(|(_, length)| millis >= *length && millis % length == 0);
    whole.map_or_else(|| format!("{millis}ms"), |(unit, length)| format!("{}{unit}", millis / length))
}

/// Reads what [`spell_time`] spells.
pub(super) fn parse_time(text: &str) -> Result<Duration, Mistake> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let length = UNITS.iter().find(|(known, _)| *known == unit).map(|(_, length)| *length);
    let millis = number.parse::<u64>().ok().zip(length).and_then(|(number, length)| number.checked_mul(length));
    millis.map(Duration::from_millis).ok_or_else(|| Mistake::NotATime { value: shown(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_it_is_spelt() {
        for (millis, text) in
            [(0, "0ms"), (1, "1ms"), (1500, "1500ms"), (2000, "2s"), (900_000, "15m"), (3_600_000, "1h")]
        {
            let time = Duration::from_millis(millis);
            assert_eq!((spell_time(time).as_str(), parse_time(text)), (text, Ok(time)));
        }
        for text in ["", "5", "s", "-5s", "+5s", "1.5s", "5 s", "5S", "5d", "5s5", "18446744073709551615h", "٥s"] {
            assert_eq!(parse_time(text), Err(Mistake::NotATime { value: text.to_owned() }), "{text}");
        }
    }
}
