//! Cuts an input into parts, so that one input can carry several. Any bytes are legal; what is missing is empty.

/// The first byte, 0 if there is none, and the rest.
pub fn byte(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (*first, rest))
}

/// A part behind its length (two bytes, little endian), or as much of it as there is, and the rest.
pub fn part(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return (input, &[]) };
    rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()))
}

/// At most `count` parts, until the input ends.
pub fn parts(mut input: &[u8], count: usize) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !input.is_empty() && found.len() < count {
        let (one, rest) = part(input);
        found.push(one);
        input = rest;
    }
    found
}

/// What [`parts`] cuts into these.
pub fn join<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut input = Vec::new();
    for one in parts {
        let length = u16::try_from(one.as_ref().len()).expect("seeds are short");
        input.extend_from_slice(&length.to_le_bytes());
        input.extend_from_slice(one.as_ref());
    }
    input
}
