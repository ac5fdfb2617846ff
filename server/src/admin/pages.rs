//! Parts of lists. A token names the last thing shown, so that what is made or removed meanwhile neither repeats nor hides
//! another. It holds nothing that its bearer was not shown, and a list never tells of what is out of reach.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::failure::refused;
use super::wire::{FailureBody, FailureCode, Page};

/// Items on a page, if nobody says how many.
pub(super) const PAGE_SIZE_DEFAULT: usize = 100;
/// Most items on a page.
pub(super) const PAGE_SIZE_MAX: usize = 1000;
/// Longest token, in bytes: a list and a place in it take less.
pub(super) const PAGE_TOKEN_BYTES_MAX: usize = 512;
/// The first byte of a token's content.
const TOKEN_FORMAT: u8 = 1;

/// The query of a list, as text.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    page_size: Option<String>,
    page_token: Option<String>,
}

/// Which page is asked for.
#[derive(Debug)]
pub(super) struct PageAsked {
    size: usize,
    token: Option<String>,
}

impl PageAsked {
    pub(super) fn parse(query: PageQuery) -> Result<Self, FailureBody> {
        let size = match query.page_size {
            None => PAGE_SIZE_DEFAULT,
            Some(text) => text.parse().ok().filter(|size| (1..=PAGE_SIZE_MAX).contains(size)).ok_or_else(|| {
                refused(
                    FailureCode::Invalid,
                    format!("page_size is a number from 1 to {PAGE_SIZE_MAX}; leave it out for {PAGE_SIZE_DEFAULT}"),
                )
            })?,
        };
        Ok(Self { size, token: query.page_token })
    }

    /// Items at most.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// The place in `list` behind which this page begins; `None` at its beginning.
    pub(super) fn after<P: FromStr>(&self, list: &str) -> Result<Option<P>, FailureBody> {
        let Some(token) = &self.token else { return Ok(None) };
        place(token, list).map(Some).ok_or_else(|| {
            refused(
                FailureCode::Invalid,
                "page_token is none that this list gave out; leave it out to begin at the start, and then pass next_page_token \
                 as it comes",
            )
        })
    }
}

/// The place behind which a list goes on.
pub(super) fn token(list: &str, place: &impl Display) -> String {
    let mut content = vec![TOKEN_FORMAT];
    content.extend_from_slice(format!("{list}\0{place}").as_bytes());
    URL_SAFE_NO_PAD.encode(content)
}

fn place<P: FromStr>(token: &str, list: &str) -> Option<P> {
    let content = (token.len() <= PAGE_TOKEN_BYTES_MAX).then(|| URL_SAFE_NO_PAD.decode(token).ok())??;
    let text = std::str::from_utf8(content.strip_prefix(&[TOKEN_FORMAT])?).ok()?;
    text.strip_prefix(list)?.strip_prefix('\0')?.parse().ok()
}

/// The first `size` of what is left of a list, and where it goes on.
pub(super) fn cut<P: Display, T>(list: &str, size: usize, mut rest: impl Iterator<Item = (P, T)>) -> Page<T> {
    let mut items = Vec::new();
    let mut last = None;
    for (place, item) in rest.by_ref().take(size) {
        items.push(item);
        last = Some(place);
    }
    let next_page_token = last.filter(|_| rest.next().is_some()).map(|last| token(list, &last));
    Page { items, next_page_token, missing_shards: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(size: &str, token: Option<&str>) -> Result<PageAsked, FailureBody> {
        PageAsked::parse(PageQuery { page_size: Some(size.to_owned()), page_token: token.map(ToOwned::to_owned) })
    }

    #[test]
    fn a_page_has_1_to_1000_items_and_says_so_otherwise() {
        for (text, size) in [("1", 1), ("1000", 1000), ("007", 7)] {
            assert_eq!(asked(text, None).expect("a legal size").size(), size);
        }
        for text in ["", "0", "1001", "-1", "ten", "1.5", "99999999999999999999999"] {
            let refused = asked(text, None).expect_err("no legal size");
            assert_eq!(refused.code, FailureCode::Invalid);
            assert!(refused.message.contains("1 to 1000"), "{}", refused.message);
        }
        assert_eq!(PageAsked::parse(PageQuery::default()).expect("nothing asked").size(), PAGE_SIZE_DEFAULT);
    }

    #[test]
    fn a_token_opens_its_own_list_alone() {
        let given = token("keys acme", &"k1");
        let read = |token: &str, list| asked("1", Some(token)).expect("a legal size").after::<String>(list);
        assert_eq!(read(&given, "keys acme").expect("its own list"), Some("k1".to_owned()));
        let cut_short = &given[..given.len() - 1];
        let other_format = URL_SAFE_NO_PAD.encode(b"\x02keys acme\0k1");
        let long = "A".repeat(PAGE_TOKEN_BYTES_MAX + 1);
        let lists = [(given.as_str(), "keys acm"), (&given, "keys other"), (&given, "tenants")];
        let tokens = ["", "k1", "\u{fc}", cut_short, &other_format, &long].map(|token| (token, "keys acme"));
        for (token, list) in lists.into_iter().chain(tokens) {
            // a token cut in its last letter may still name a place: then it is one of this list, if none that it gave out
            let refused = read(token, list).map(|place| place.filter(|place| place != "k"));
            assert!(!matches!(refused, Ok(Some(_))), "{token} opens {list}");
        }
    }

    #[test]
    fn a_list_is_walked_whole_whatever_the_size_of_its_pages() {
        let names: Vec<String> = (10..60).map(|number| format!("n{number}")).collect();
        for size in [1, 7, 49, 50, 51, 1000] {
            let (mut seen, mut token): (Vec<String>, Option<String>) = (Vec::new(), None);
            loop {
                let page = asked(&size.to_string(), token.as_deref()).expect("a legal size");
                let after = page.after::<String>("names").expect("its own token");
                let rest = names.iter().filter(|name| after.as_ref().is_none_or(|after| *name > after));
                let page = cut("names", page.size(), rest.map(|name| (name, name.clone())));
                assert!(!page.items.is_empty() && page.items.len() <= size);
                seen.extend(page.items);
                token = page.next_page_token;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(seen, names);
        }
    }
}
