//! Every call that the data listener answers, as a table. Reading it tells what a stranger can make us do, and how much of it.

use std::time::Duration;

use http::Method;

use crate::error::NotOffered;
use crate::metrics::OperationLabel;

use super::deadline::BUDGET_DEFAULT;
use super::path::split_verb;

const fn kib(count: usize) -> usize {
    count * 1024
}

/// Where a call is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// After the last colon of a path.
    Verb(&'static str),
    /// On one of the info paths of the settings.
    InfoPath,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Encrypt.
    Wrap,
    /// Decrypt.
    Unwrap,
    /// Say hello.
    GetInfo,
}

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Verb or path.
    pub at: At,
    /// Longest body, in bytes.
    pub body_bytes_max: usize,
    /// From the parsed head to the answer.
    pub budget: Duration,
    /// What the metrics call it.
    pub label: OperationLabel,
    /// What it does; `None` for a method of Google's that this release does not offer.
    pub call: Option<Call>,
}

#[allow(clippy::too_many_arguments, reason = "a row of the table below reads as one line")]
const fn route(
    method: &'static str,
    at: At,
    body_bytes_max: usize,
    budget: Duration,
    label: OperationLabel,
    call: Option<Call>,
) -> Route {
    Route { method, at, body_bytes_max, budget, label, call }
}

/// The table.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    //    method  verb / path                                body       deadline        counted as                                    call
    route("POST", At::Verb("wrap"),                        kib(256), BUDGET_DEFAULT, OperationLabel::Wrap,                        Some(Call::Wrap)),
    route("POST", At::Verb("unwrap"),                      kib(256), BUDGET_DEFAULT, OperationLabel::Unwrap,                      Some(Call::Unwrap)),
    route("GET",  At::InfoPath,                            kib(16),  BUDGET_DEFAULT, OperationLabel::GetInfo,                     Some(Call::GetInfo)),
    route("POST", At::Verb("asymmetricSign"),              kib(0),   BUDGET_DEFAULT, OperationLabel::AsymmetricSign,              None),
    route("POST", At::Verb("getPublicKey"),                kib(0),   BUDGET_DEFAULT, OperationLabel::GetPublicKey,                None),
    route("POST", At::Verb("createKey"),                   kib(0),   BUDGET_DEFAULT, OperationLabel::CreateKey,                   None),
    route("POST", At::Verb("destroyKey"),                  kib(0),   BUDGET_DEFAULT, OperationLabel::DestroyKey,                  None),
    route("POST", At::Verb("checkCryptoSpacePermissions"), kib(0),   BUDGET_DEFAULT, OperationLabel::CheckCryptoSpacePermissions, None),
];

/// What a request calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A row, what it does, and what the path names.
    Route(&'static Route, Call, &'a str),
    /// Nothing that is served.
    Nothing(NotOffered, OperationLabel),
}

/// Finds the row for a request. Looks at method and path alone: not at `Host`, not at the query.
pub fn find<'a>(method: &Method, path: &'a str, info_paths: &[String]) -> Found<'a> {
    let (row, named) = if info_paths.iter().any(|info| info == path) {
        (row(|at| at == At::InfoPath), path)
    } else {
        let (named, verb) = split_verb(path).unwrap_or((path, ""));
        (row(|at| matches!(at, At::Verb(known) if known == verb)), named)
    };
    let Some(route) = row else {
        return Found::Nothing(NotOffered::UnknownVerb, OperationLabel::Other);
    };
    match (route.call, route.at) {
        _ if route.method != method.as_str() => {
            Found::Nothing(NotOffered::WrongMethod { allow: route.method }, route.label)
        }
        (Some(call), _) => Found::Route(route, call, named),
        (None, At::Verb(method)) => Found::Nothing(NotOffered::Known { method }, route.label),
        (None, At::InfoPath) => Found::Nothing(NotOffered::UnknownVerb, route.label),
    }
}

fn row(wanted: impl Fn(At) -> bool) -> Option<&'static Route> {
    ROUTES.iter().find(|route| wanted(route.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_last_colon_choose_the_row() {
        let info = ["/v0/info".to_owned(), "/odd:info".to_owned()];
        let rows = [
            ("POST", "/v0/keys/k:wrap", "Wrap of /v0/keys/k"),
            ("POST", "/v0/keys/k%3Aunwrap", "Unwrap of /v0/keys/k"),
            ("POST", "/a/b/c:d:wrap", "Wrap of /a/b/c:d"),
            ("GET", "/v0/info", "GetInfo of /v0/info"),
            ("GET", "/odd:info", "GetInfo of /odd:info"),
            ("POST", "/v0/info", "wrong method, GET is served"),
            ("HEAD", "/v0/info", "wrong method, GET is served"),
            ("GET", "/v0/keys/k:wrap", "wrong method, POST is served"),
            ("PUT", "/v0/keys/k:unwrap", "wrong method, POST is served"),
            ("GET", "/v0/keys/k:createKey", "wrong method, POST is served"),
            ("POST", "/v0/keys/k:asymmetricSign", "asymmetricSign not offered"),
            ("POST", "/v0/keys/k:getPublicKey", "getPublicKey not offered"),
            ("POST", "/v0/cryptospaces/s:createKey", "createKey not offered"),
            ("POST", "/v0/keys/k:destroyKey", "destroyKey not offered"),
            ("POST", "/v0/cryptospaces/s:checkCryptoSpacePermissions", "checkCryptoSpacePermissions not offered"),
            ("POST", "/v0/keys/k:Wrap", "unknown"),
            ("POST", "/v0/keys/k:wrap/", "unknown"),
            ("POST", "/v0/keys/k:", "unknown"),
            ("POST", "/v0/keys/k", "unknown"),
            ("GET", "/", "unknown"),
            ("GET", "/v0/info/", "unknown"),
        ];
        for (method, path, expected) in rows {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let said = match find(&method, path, &info) {
                Found::Route(_, call, named) => format!("{call:?} of {named}"),
                Found::Nothing(NotOffered::Known { method }, _) => format!("{method} not offered"),
                Found::Nothing(NotOffered::UnknownVerb, _) => "unknown".to_owned(),
                Found::Nothing(NotOffered::WrongMethod { allow }, _) => format!("wrong method, {allow} is served"),
            };
            assert_eq!(said, expected, "{method} {path}");
        }
    }
}
