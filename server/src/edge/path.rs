//! From a request's path to what it calls: everything before the last colon names a thing, what follows is the verb.
//!
//! A key path has one spelling. Nothing is normalised: a path with dot segments, empty segments or encoded characters
//! (but for the colon before the verb) can never name a key, so it is refused as malformed (400), a statement about the
//! request that no state of ours can make false. A path that is well formed and not known is another matter: 404, if our
//! view is fresh.

use std::fmt;

use replication::ids::{KeyVersionId, parse_key_path};

/// Longest path that can name a key, in bytes.
pub const PATH_BYTES_MAX: usize = 512;
/// Longest text kept of a path, in bytes.
const SHOWN_BYTES_MAX: usize = 128;

/// Why a path can name nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("it is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// `//`, or a slash at the end.
    #[error("it has an empty segment")]
    EmptySegment,
    /// `.` or `..` as a segment.
    #[error("it has a dot segment")]
    DotSegment,
    /// A percent-encoded character.
    #[error("it has percent-encoded characters")]
    Encoded,
    /// A character that no key path has.
    #[error("it has characters other than letters, digits and -._~@+=,$&!*:")]
    Character,
}

/// Some text of a path, bounded and printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundedPath(Box<str>);

impl BoundedPath {
    /// What is shown of a path.
    pub fn new(path: &str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let cut = &path[..path.floor_char_boundary(SHOWN_BYTES_MAX)];
        Self(cut.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BoundedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A path of the shape that key versions have.
    Key(KeyVersionId),
    /// A well-formed path of another shape: unknown to this release.
    Other(BoundedPath),
    /// No path of anything.
    Malformed(PathFault, BoundedPath),
}

impl Named {
    /// Reads the part of a path before the verb.
    pub fn parse(path: &str) -> Self {
        match check(path) {
            Err(fault) => Self::Malformed(fault, BoundedPath::new(path)),
            Ok(()) => parse_key_path(path).map_or_else(|| Self::Other(BoundedPath::new(path)), Self::Key),
        }
    }
}

/// Splits at the last colon, `:` or `%3A`. `None` if there is none: the path calls no verb.
pub fn split_verb(path: &str) -> Option<(&str, &str)> {
    let plain = path.rfind(':').map(|at| (at, 1));
    let encoded = path.rfind("%3A").max(path.rfind("%3a")).map(|at| (at, 3));
    let (at, length) = plain.max(encoded)?;
    Some((&path[..at], &path[at + length..]))
}

/// What records show of a path: without the leading slash and the verb.
pub fn shown(path: &str) -> &str {
    let named = split_verb(path).map_or(path, |(named, _)| named);
    named.strip_prefix('/').unwrap_or(named)
}

fn check(path: &str) -> Result<(), PathFault> {
    if path.len() > PATH_BYTES_MAX {
        return Err(PathFault::TooLong);
    }
    if path.contains('%') {
        return Err(PathFault::Encoded);
    }
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        match segment {
            "" => return Err(PathFault::EmptySegment),
            "." | ".." => return Err(PathFault::DotSegment),
            _ if !segment.bytes().all(is_path_byte) => return Err(PathFault::Character),
            _ => {}
        }
    }
    Ok(())
}

/// RFC 3986 `pchar` without what a shell, a log or a markup would read meaning into.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~@+=,$&!*:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_follows_the_last_colon_in_either_spelling() {
        let rows = [
            ("/v0/keys/k:wrap", Some(("/v0/keys/k", "wrap"))),
            ("/v0/keys/k%3Awrap", Some(("/v0/keys/k", "wrap"))),
            ("/v0/keys/k%3awrap", Some(("/v0/keys/k", "wrap"))),
            ("/a:b/c:wrap", Some(("/a:b/c", "wrap"))),
            ("/a:b%3Awrap", Some(("/a:b", "wrap"))),
            ("/a%3Ab:wrap", Some(("/a%3Ab", "wrap"))),
            ("/a%3Ab%3awrap", Some(("/a%3Ab", "wrap"))),
            ("/a%3ab%3Awrap", Some(("/a%3ab", "wrap"))),
            ("/a:", Some(("/a", ""))),
            (":wrap", Some(("", "wrap"))),
            ("/a%253Awrap", None),
            ("/v0/info", None),
            ("", None),
        ];
        for (path, parts) in rows {
            assert_eq!(split_verb(path), parts, "{path:?}");
        }
    }

    #[test]
    fn a_path_names_a_key_something_else_or_nothing() {
        let hex = "00010203040506070809000102030405";
        let id: KeyVersionId = hex.parse().expect("32 digits");
        assert_eq!(Named::parse(&format!("/v0/keys/{hex}")), Named::Key(id));
        for other in [
            format!("/v0/keys/{}", hex.replace('a', "A").replace("0001", "000A")),
            format!("/v1/keys/{hex}"),
            format!("/v0/keys/{hex}/more/segments"),
            format!("/some/prefix/v0/keys/{hex}"),
            "/v0/keys/unknown".to_owned(),
            "/a:b".to_owned(),
        ] {
            let shown = BoundedPath::new(&other);
            assert_eq!(shown.as_str(), &other[1..]);
            assert_eq!(Named::parse(&other), Named::Other(shown), "{other}");
        }
        for (path, fault) in [
            (format!("/v0//keys/{hex}"), PathFault::EmptySegment),
            (format!("//v0/keys/{hex}"), PathFault::EmptySegment),
            (format!("/v0/keys/{hex}/"), PathFault::EmptySegment),
            (String::new(), PathFault::EmptySegment),
            ("/".to_owned(), PathFault::EmptySegment),
            (format!("/v0/./keys/{hex}"), PathFault::DotSegment),
            (format!("/v0/x/../keys/{hex}"), PathFault::DotSegment),
            (format!("/v0/keys/../keys/{hex}"), PathFault::DotSegment),
            (format!("/v0%2Fkeys/{hex}"), PathFault::Encoded),
            (format!("/v0/%2e%2e/keys/{hex}"), PathFault::Encoded),
            (format!("/v0/keys/{hex}%00"), PathFault::Encoded),
            ("/v0/%6beys/k".to_owned(), PathFault::Encoded),
            (format!("/v0/keys\\{hex}"), PathFault::Character),
            ("/v0/keys/<b>".to_owned(), PathFault::Character),
            ("/v0/keys/a;b".to_owned(), PathFault::Character),
            ("/v0/keys/\u{e4}".to_owned(), PathFault::Character),
            (format!("/v0/keys/{}", "a".repeat(PATH_BYTES_MAX)), PathFault::TooLong),
        ] {
            assert!(matches!(Named::parse(&path), Named::Malformed(found, _) if found == fault), "{path:?}");
        }
    }

    #[test]
    fn what_is_shown_of_a_path_is_short_and_printable() {
        let shown = BoundedPath::new(&format!("/a\u{e4}\n{}", "x".repeat(10_000)));
        assert!(shown.as_str().starts_with("a??x"));
        assert!(shown.as_str().len() <= SHOWN_BYTES_MAX);
    }
}
