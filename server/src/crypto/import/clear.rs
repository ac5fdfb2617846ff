//! Key material that its owner hands over in the clear, to be wrapped on this machine: read from a pipe into the arena.
//!
//! It is never an argument, and never in a buffer that is not wiped. An error says where the input is wrong, never what stands
//! there.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::os::fd::AsFd as _;

use replication::ids::CheckValue;
use zeroize::Zeroizing;

use super::super::arena::{Arena, ArenaError, ArenaExhausted, LockPolicy, SLOT_LENGTH};
use super::super::hex::{self, KEY_DIGITS};
use super::super::material::Material;
use super::super::stack;
use super::check_value::check_value;

/// A key in digits, an end of line of two characters, and one more to see that there is more.
const TEXT_MAX: usize = KEY_DIGITS + 2 + 1;

/// An AES-256 key of its owner's, in memory of its own that is locked if the system allows it; wiped when dropped.
pub struct ClearMaterial(Material);

/// Why no material was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The input cannot be read.
    #[error("the key material cannot be read")]
    Read(#[from] io::Error),
    /// The input ends too early.
    #[error("the input ends after {bytes} bytes; AES-256 key material has exactly 32")]
    TooShort {
        /// How many there were.
        bytes: usize,
    },
    /// The input goes on.
    #[error(
        "the input has more than 32 bytes; AES-256 key material has exactly 32, without an end of line (hexadecimal digits are to be read as such)"
    )]
    TooLong,
    /// The input ends too early.
    #[error("the input ends after {digits} hexadecimal digits; AES-256 key material has exactly 64")]
    TooFewDigits {
        /// How many there were.
        digits: usize,
    },
    /// The input goes on.
    #[error(
        "the input goes on after 64 hexadecimal digits; AES-256 key material has exactly 64, and one end of line after them if any"
    )]
    TooManyDigits,
    /// Not hexadecimal.
    #[error("character {position} of the input is no hexadecimal digit")]
    NotHexadecimal {
        /// Which, counted from 1.
        position: usize,
    },
    /// 32 times the same byte: a mistake, not a key.
    #[error("all bytes of the key material are the same: that is no random key; look at where it comes from")]
    Degenerate,
    /// There is no memory to keep it in.
    #[error("there is no memory for the key material")]
    Memory(#[from] ArenaError),
    /// As above.
    #[error("there is no room for the key material")]
    Exhausted(#[from] ArenaExhausted),
}

impl ClearMaterial {
    /// Reads 32 bytes to the end of the input. The reader must keep no copy: see [`standard_input`].
    ///
    /// # Errors
    /// If there are fewer or more, or they are no key.
    pub fn read_raw(reader: &mut impl Read) -> Result<Self, ReadError> {
        Self::read_with(|material| {
            let mut bytes = Zeroizing::new([0; SLOT_LENGTH + 1]);
            match read_up_to(reader, &mut bytes[..])? {
                SLOT_LENGTH => material.copy_from_slice(&bytes[..SLOT_LENGTH]),
                bytes if bytes < SLOT_LENGTH => return Err(ReadError::TooShort { bytes }),
                _ => return Err(ReadError::TooLong),
            }
            Ok(())
        })
    }

    /// The same from 64 hexadecimal digits in either case, with at most one end of line.
    ///
    /// # Errors
    /// If there are fewer or more, or they are no key.
    pub fn read_hex(reader: &mut impl Read) -> Result<Self, ReadError> {
        Self::read_with(|material| {
            let mut text = Zeroizing::new([0; TEXT_MAX]);
            let length = read_up_to(reader, &mut text[..])?;
            let text = &text[..length];
            let line = text.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            let digits = line.unwrap_or(text);
            let checked = &digits[..digits.len().min(KEY_DIGITS)];
            if let Some(at) = checked.iter().position(|digit| !digit.is_ascii_hexdigit()) {
                return Err(ReadError::NotHexadecimal { position: at + 1 });
            }
            match digits.len() {
                KEY_DIGITS => {}
                digits if digits < KEY_DIGITS => return Err(ReadError::TooFewDigits { digits }),
                _ => return Err(ReadError::TooManyDigits),
            }
            hex::fill_either_case(material, digits).map_err(|at| ReadError::NotHexadecimal { position: at + 1 })
        })
    }

    fn read_with(read: impl FnOnce(&mut [u8; SLOT_LENGTH]) -> Result<(), ReadError>) -> Result<Self, ReadError> {
        let arena = Arena::new(NonZeroU32::MIN, LockPolicy::Warn)?;
        let mut slot = arena.take()?;
        stack::leaving_nothing(|| read(slot.bytes_mut()))?;
        let material = Material::from_slot(slot);
        if material.is_degenerate() { Err(ReadError::Degenerate) } else { Ok(Self(material)) }
    }

    /// By which its owner knows it.
    pub fn check_value(&self) -> CheckValue {
        check_value(&self.0)
    }

    pub(super) fn expose(&self) -> &[u8; SLOT_LENGTH] {
        self.0.expose()
    }
}

impl fmt::Debug for ClearMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearMaterial")
    }
}

/// Standard input to read material from: the one of the standard library keeps what it has read in a buffer that nobody wipes.
///
/// # Errors
/// If there is none.
pub fn standard_input() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// Fills `buffer` as far as the input goes, and returns how far.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
