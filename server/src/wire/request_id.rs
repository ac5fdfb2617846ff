//! The id of one request: in a header of its answer, in the details of an error, and in its audit record.

use std::fmt;

/// 16 random bytes, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

impl RequestId {
    /// The id of these bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// The id that these digits spell; `None` unless they are 32 lower-case hexadecimal ones.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 32] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
    }

    /// The first of its bytes.
    pub fn first_byte(&self) -> u8 {
        let value = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
        value(self.0[0]) << 4 | value(self.0[1])
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_digits() {
        let id = RequestId::new([0xa9; 16]);
        assert_eq!((id.as_str(), id.first_byte()), ("a9".repeat(16).as_str(), 0xa9));
        assert_eq!(RequestId::parse(id.as_str()), Some(id));
        for bad in ["", "a9", &"A9".repeat(16), &"a9".repeat(17), &"g9".repeat(16), &"é".repeat(16)] {
            assert_eq!(RequestId::parse(bad), None, "{bad}");
        }
    }
}
