//! Request paths from strangers: every path is routed or refused, a key is named by its one spelling alone, and what records show
//! is short and printable.

use crate::parts::byte;
use http::Method;
use replication::ids::{key_path, parse_key_path};
use server::edge::path::{BoundedPath, Named, PATH_BYTES_MAX, shown, split_verb};
use server::edge::routes::{At, Call, Found, find};

const METHODS: [Method; 5] = [Method::POST, Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS];

/// See the top of this file.
pub fn run(input: &[u8]) {
    let (choice, rest) = byte(input);
    let Ok(path) = std::str::from_utf8(rest) else { return };
    let method = &METHODS[usize::from(choice) % METHODS.len()];
    let info_paths = ["/v0/info".to_owned(), "/odd:info".to_owned()];
    assert!(path.contains(shown(path)));
    if let Some((named, verb)) = split_verb(path) {
        let colon = &path[named.len()..path.len() - verb.len()];
        assert!([":", "%3A", "%3a"].contains(&colon), "split at {colon:?}");
        assert!(!verb.contains(':') && !verb.to_ascii_uppercase().contains("%3A"), "not the last colon");
    }
    match find(method, path, &info_paths) {
        Found::Route(route, call, named) => {
            assert_eq!((route.method, route.call), (method.as_str(), Some(call)));
            match route.at {
                At::InfoPath => {
                    assert!(call == Call::GetInfo && named == path && info_paths.iter().any(|one| one == path));
                }
                At::Verb(verb) => assert_eq!(split_verb(path), Some((named, verb))),
            }
            names_by_one_spelling(named);
        }
        Found::Nothing(..) => {}
    }
    names_by_one_spelling(path);
}

fn names_by_one_spelling(path: &str) {
    let spelled = path.strip_prefix('/').unwrap_or(path);
    let bounded =
        |text: &BoundedPath| text.as_str().len() <= 128 && text.as_str().bytes().all(|b| b.is_ascii_graphic());
    match Named::parse(path) {
        Named::Key(version) => assert_eq!(key_path(version), spelled, "a second spelling of a key"),
        Named::Other(text) => {
            assert!(bounded(&text) && path.len() <= PATH_BYTES_MAX && !path.contains('%'));
            assert_eq!(parse_key_path(path), None);
        }
        Named::Malformed(_, text) => {
            assert!(bounded(&text));
            assert_eq!(parse_key_path(path), None, "the path of a key was refused as malformed");
        }
    }
}
