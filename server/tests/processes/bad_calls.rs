//! The table of malformed calls: what is sent, what it gets, and as what it is counted.

use super::google::Protocol;

/// A call that HTTP can carry, sent by both protocols.
pub(crate) struct Call {
    pub(crate) what: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// By which protocols it is sent.
    pub(crate) over: &'static [Protocol],
    pub(crate) expected: Expected,
}

const BOTH: &[Protocol] = &[Protocol::Http1, Protocol::Http2];

/// What a call gets.
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) told: Told,
    pub(crate) allow: Option<&'static str>,
    /// The reason under which it counts as malformed.
    pub(crate) malformed: Option<&'static str>,
    /// Operation and code under which it counts as finished, if the dialect saw it and it failed.
    pub(crate) finished: Option<(&'static str, &'static str)>,
}

/// What the body says.
#[derive(Clone, Copy)]
pub(crate) enum Told {
    /// Nothing: HTTP itself refused.
    Bare,
    /// The result.
    Success,
    /// `google.rpc.Status` with this code and a message that contains this.
    Error { rpc: u8, message: &'static str },
}

/// Bytes on a connection.
pub(crate) struct Raw {
    pub(crate) what: &'static str,
    /// The protocol to agree on; without one there is no TLS.
    pub(crate) alpn: Option<&'static str>,
    pub(crate) bytes: Vec<u8>,
    /// The answer; `None` if the connection just ends.
    pub(crate) expected: Option<Expected>,
    /// The sample that counts it, if there is no answer.
    pub(crate) counted: &'static str,
}

const BODY_BYTES_MAX: usize = 256 * 1024;

fn error(status: u16, rpc: u8, message: &'static str, code: &'static str) -> Expected {
    let told = Told::Error { rpc, message };
    Expected { status, told, allow: None, malformed: None, finished: Some(("wrap", code)) }
}

fn malformed(reason: &'static str, message: &'static str) -> Expected {
    Expected { malformed: Some(reason), ..error(400, 3, message, "INVALID_ARGUMENT") }
}

fn bare(status: u16, reason: &'static str) -> Expected {
    let expected = error(status, 0, "", "");
    Expected { told: Told::Bare, malformed: Some(reason), finished: None, ..expected }
}

fn success() -> Expected {
    Expected { told: Told::Success, finished: None, ..error(200, 0, "", "OK") }
}

fn not_offered(message: &'static str, operation: &'static str, reason: Option<&'static str>) -> Expected {
    let finished = Some((operation, "UNIMPLEMENTED"));
    Expected { malformed: reason, finished, ..error(501, 12, message, "") }
}

fn wrong_method(allow: &'static str, operation: &'static str) -> Expected {
    let message = if allow == "GET" { "HTTP GET alone" } else { "HTTP POST alone" };
    Expected { allow: Some(allow), ..not_offered(message, operation, Some("method")) }
}

/// A call with a token.
fn call(token: &str, what: &'static str, method: &'static str, path: String, body: &str, expected: Expected) -> Call {
    let headers = vec![("authorization", format!("Bearer {token}"))];
    Call { what, method, path, headers, body: body.as_bytes().to_vec(), over: BOTH, expected }
}

fn body_too_large() -> Expected {
    Expected { malformed: Some("body_too_large"), ..error(413, 3, "262144 bytes", "INVALID_ARGUMENT") }
}

/// Calls about a key that the token's caller may use, and a blob that it wrapped.
pub(crate) fn calls(key: &str, token: &str, blob: &str) -> Vec<Call> {
    let mut calls = wraps(key, token);
    calls.extend(unwraps(key, token, blob));
    calls.extend(methods_and_paths(key, token));
    calls.extend(headers(key, token));
    calls
}

fn wraps(key: &str, token: &str) -> Vec<Call> {
    let body = |what, body: &str, expected| call(token, what, "POST", format!("{key}:wrap"), body, expected);
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(9000), "]".repeat(9000));
    let huge = format!(r#"{{"plaintext":"{}"}}"#, "A".repeat(BODY_BYTES_MAX));
    let full = format!(r#"{{"plaintext":"{}"}}"#, "A".repeat(BODY_BYTES_MAX - 64));
    let unknown = r#"{"plaintext":"","keyPath":"v0/keys/other","new":{"deep":[1,{"a":null}]}}"#;
    vec![
        body("empty body", "", malformed("empty_body", "the body is empty")),
        body("no JSON", "{", malformed("json", "not a JSON object")),
        body("an array", "[]", malformed("json", "not a JSON object")),
        body("bytes that are no text", "{\"plaintext\":\"\u{0}\"}", malformed("json", "not a JSON object")),
        body("deep JSON", &deep, malformed("json", "not a JSON object")),
        body("wrong type", r#"{"plaintext":5}"#, malformed("json", "bytes in base64")),
        body("twice the same field", r#"{"plaintext":"","plaintext":""}"#, malformed("json", "stands there twice")),
        // a server that refuses a body by its length does not read it: over HTTP/1.1 one who writes on may find the connection
        // closed before the answer, so there it is sent below, by its head alone
        Call { over: &[Protocol::Http2], ..body("huge JSON", &huge, body_too_large()) },
        body("as large as it may be", &full, success()),
        body("bad base64", r#"{"plaintext":"!"}"#, malformed("base64", "plaintext is not base64")),
        body("bad associated data", r#"{"additionalAuthenticatedData":"A"}"#, malformed("base64", "is not base64")),
        body("unknown fields", unknown, success()),
        body("an unknown reason", r#"{"additionalContext":{"accessReasonContext":{"reason":"NEW_ONE"}}}"#, success()),
    ]
}

fn unwraps(key: &str, token: &str, blob: &str) -> Vec<Call> {
    let body = |what, body: &str, expected| {
        let expected = Expected { finished: Some(("unwrap", "INVALID_ARGUMENT")), ..expected };
        call(token, what, "POST", format!("{key}:unwrap"), body, expected)
    };
    let with_data = format!(r#"{{"wrappedBlob":"{blob}","additionalAuthenticatedData":"YWFk"}}"#);
    vec![
        body("bad blob", r#"{"wrappedBlob":"AAAA"}"#, error(400, 3, "does not open", "")),
        body("no blob", "{}", error(400, 3, "does not open", "")),
        body("bad base64 to unwrap", r#"{"wrappedBlob":"*"}"#, malformed("base64", "wrappedBlob is not base64")),
        body("other associated data", &with_data, error(400, 3, "other associated data", "")),
    ]
}

fn methods_and_paths(key: &str, token: &str) -> Vec<Call> {
    let path = |what, path: String, expected| call(token, what, "POST", path, "{}", expected);
    let method = |method, path: String, expected| call(token, "wrong method", method, path, "", expected);
    vec![
        method("GET", format!("{key}:wrap"), wrong_method("POST", "wrap")),
        method("PUT", format!("{key}:unwrap"), wrong_method("POST", "unwrap")),
        method("DELETE", "/v0/info".to_owned(), wrong_method("GET", "get_info")),
        path("unknown verb", format!("{key}:shred"), not_offered("no such method", "other", Some("verb"))),
        path("no verb", key.to_owned(), not_offered("no such method", "other", Some("verb"))),
        path(
            "a verb not offered",
            format!("{key}:asymmetricSign"),
            not_offered("asymmetricSign", "asymmetric_sign", None),
        ),
        path("the root", "/".to_owned(), not_offered("no such method", "other", Some("verb"))),
        path("dot segments", format!("/v0/x/..{}:wrap", &key[3..]), malformed("path", "a dot segment")),
        path("a dot segment", format!("/.{key}:wrap"), malformed("path", "a dot segment")),
        path("encoded dots", format!("/v0/x/%2e%2e{}:wrap", &key[3..]), malformed("path", "percent-encoded")),
        path(
            "an encoded slash",
            format!("{}:wrap", key.replacen("/keys/", "/keys%2F", 1)),
            malformed("path", "percent-encoded"),
        ),
        path("a doubled slash", format!("/{key}:wrap"), malformed("path", "an empty segment")),
        path(
            "a doubled slash within",
            format!("{}:wrap", key.replacen("/keys", "//keys", 1)),
            malformed("path", "an empty segment"),
        ),
        path("a slash at the end", format!("{key}/:wrap"), malformed("path", "an empty segment")),
        path("an over-long path", format!("/v0/keys/{}:wrap", "a".repeat(600)), malformed("path", "longer than 512")),
        path("an encoded colon", format!("{key}%3Awrap"), success()),
        path("a query", format!("{key}:wrap?alt=json"), success()),
        path("an unknown key", format!("/v0/keys/{}:wrap", "0".repeat(32)), error(404, 5, "knows no key", "NOT_FOUND")),
        path("an over-long URI", format!("{key}:wrap?{}", "a".repeat(9000)), bare(414, "uri_too_long")),
    ]
}

fn headers(key: &str, token: &str) -> Vec<Call> {
    let bearer = format!("Bearer {token}");
    let unauthenticated = || error(401, 16, "not authenticated", "UNAUTHENTICATED");
    let path = |what, path: String, expected| call(token, what, "POST", path, "{}", expected);
    let with = |headers: Vec<(&'static str, String)>, call: Call| Call { headers, ..call };
    vec![
        Call {
            over: &[Protocol::Http2],
            // HTTP/2 refuses it by itself and tells nobody; over HTTP/1.1 it is sent below
            ..with(
                vec![("authorization", bearer.clone()), ("x-long", "a".repeat(40_000))],
                path("over-long headers", format!("{key}:wrap"), Expected { malformed: None, ..bare(431, "") }),
            )
        },
        with(vec![], path("no token", format!("{key}:wrap"), unauthenticated())),
        with(vec![], path("a token in the query", format!("{key}:wrap?access_token={token}"), unauthenticated())),
        with(
            vec![("authorization", bearer.clone()), ("authorization", bearer.clone())],
            path("two tokens", format!("{key}:wrap"), unauthenticated()),
        ),
        with(
            vec![("authorization", format!("{bearer}x"))],
            path("a changed token", format!("{key}:wrap"), unauthenticated()),
        ),
        with(
            vec![("authorization", format!("Bearer {}", "a".repeat(20_000)))],
            path("a token of 20 kB", format!("{key}:wrap"), unauthenticated()),
        ),
    ]
}

/// What only bytes can say.
pub(crate) fn raw_calls(key: &str, token: &str) -> Vec<Raw> {
    let head = |more: &str| {
        format!(
            "POST {key}:wrap HTTP/1.1\r\nhost: ekm.example.com:9999\r\nauthorization: Bearer {token}\r\n{more}\r\n\r\n"
        )
    };
    let raw = |what, text: String, expected| Raw {
        what,
        alpn: Some(super::socket::HTTP1),
        bytes: text.into_bytes(),
        expected: Some(expected),
        counted: "",
    };
    let silent =
        |what, alpn, text: &str, counted| Raw { what, alpn, bytes: text.as_bytes().to_vec(), expected: None, counted };
    // the last piece is the one too many, so that nothing is left unread when the connection is closed
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let chunks = chunk.repeat(BODY_BYTES_MAX / 0x1000) + "1\r\na\r\n";
    vec![
        raw("a body that says that it is too long", head("content-length: 10000000"), body_too_large()),
        raw("chunks beyond the limit", format!("{}{}", head("transfer-encoding: chunked"), chunks), body_too_large()),
        raw(
            "a slow body",
            format!("{}{{\"p", head("content-length: 20")),
            Expected {
                malformed: Some("body_timeout"),
                ..error(408, 4, "did not arrive within 2000 ms", "DEADLINE_EXCEEDED")
            },
        ),
        raw("another host and port", format!("{}{{}}", head("content-length: 2")), success()),
        raw("no HTTP", "\u{16}\u{3}\u{1} nothing of the kind\r\n\r\n".to_owned(), bare(400, "not_http")),
        raw("two lengths", head("content-length: 2\r\ncontent-length: 3"), bare(400, "not_http")),
        raw("over-long headers", head(&format!("x-long: {}", "a".repeat(40_000))), bare(431, "headers_too_large")),
        raw(
            "a token of a megabyte",
            format!("POST {key}:wrap HTTP/1.1\r\nauthorization: Bearer {}\r\n\r\n", "a".repeat(1 << 20)),
            bare(431, "headers_too_large"),
        ),
        silent(
            "HTTP without TLS",
            None,
            "GET /v0/info HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "ekm_handshake_failures_total{listener=\"data\",reason=\"tls\"}",
        ),
        silent(
            "a slow handshake",
            None,
            "\u{16}\u{3}",
            "ekm_handshake_failures_total{listener=\"data\",reason=\"timeout\"}",
        ),
        silent(
            "a slow preface",
            Some(super::socket::HTTP2),
            "PRI * HTTP",
            "ekm_malformed_requests_total{reason=\"preface_timeout\"}",
        ),
    ]
}
