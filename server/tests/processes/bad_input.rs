//! Malformed calls over real connections, HTTP/1.1 and HTTP/2: each gets its documented answer, is counted and recorded, and
//! changes nothing. What a call is and what it gets stands in `bad_calls`, as one table.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::bad_calls::{Call, Expected, Raw, Told, calls, raw_calls};
use super::google::{Google, Protocol};
use super::harness::{Dev, ekmctl_json, soon, temporary};
use super::socket;

/// How often the counters are read until they say what they should: a connection is counted when it has ended on both sides.
const READS_MAX: usize = 1000;
/// Connections at once.
const CONNECTIONS_AT_ONCE: usize = 16;

/// What came back.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_call_gets_its_documented_answer_and_changes_nothing() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let google = Google::new(&dev, Protocol::Http2);
    let token = std::fs::read_to_string(&dev.file.token_file).expect("the token file is there");
    let wrapped = google.wrap(&dev.file.key_path, "c2VjcmV0").await.expect("an answer");
    let before = (digests(&dev).await, counters(&dev.metrics().await));

    let key = format!("/{}", dev.file.key_path);
    let table = calls(&key, &token, wrapped.text("wrappedBlob"));
    let mut counted = BTreeMap::new();
    let mut recorded = Vec::new();
    for call in &table {
        for &protocol in call.over {
            let answer = send(&dev, call, protocol).await;
            let what = format!("{} over {protocol:?}", call.what);
            recorded.extend(check(&what, &call.expected, &answer));
            count(&mut counted, &call.expected);
        }
    }
    let raw = raw_calls(&key, &token);
    let answers = futures::stream::iter(&raw).map(|call| send_raw(&dev, call)).buffer_unordered(CONNECTIONS_AT_ONCE);
    for (call, answer) in answers.collect::<Vec<_>>().await {
        match (&call.expected, answer) {
            (Some(expected), Some(answer)) => recorded.extend(check(call.what, expected, &answer)),
            (None, None) => {}
            (_, answer) => panic!("{}: answered {:?}", call.what, answer.map(|answer| answer.status)),
        }
        match &call.expected {
            Some(expected) => count(&mut counted, expected),
            None => *counted.entry(call.counted.to_owned()).or_default() += 1,
        }
    }
    assert_counted(&dev, &before.1, &counted).await;
    assert_eq!(digests(&dev).await, before.0, "nothing of it changed anything");
    let blob = google.unwrap(&dev.file.key_path, wrapped.text("wrappedBlob")).await.expect("an answer");
    assert_eq!(blob.text("plaintext"), "c2VjcmV0");
    dev.stop().await;
    assert_recorded(folder.path(), &recorded);
}

/// The digests of the groups' states.
async fn digests(dev: &Dev) -> Vec<Value> {
    let status = ekmctl_json(&dev.folder, &["status"]).await;
    let groups = status["groups"].as_array().expect("a replica has groups");
    groups.iter().map(|group| group["digest"].clone()).collect()
}

/// Sends a call on a connection of its own.
async fn send(dev: &Dev, call: &Call, protocol: Protocol) -> Answer {
    let http2 = protocol == Protocol::Http2;
    let stream =
        TokioIo::new(socket::connect(dev, if http2 { socket::HTTP2 } else { socket::HTTP1 }).await.expect(call.what));
    let uri = if http2 { format!("https://{}{}", dev.file.hostname, call.path) } else { call.path.clone() };
    let mut request = Request::builder().method(call.method).uri(uri);
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    if !http2 {
        request = request.header("host", &dev.file.hostname);
    }
    let request = request.body(Full::new(Bytes::from(call.body.clone()))).expect("a call of the table is HTTP");
    let answered = async {
        let response = if http2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        } else {
            let (mut sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok::<_, hyper::Error>(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    soon(call.what, answered).await.unwrap_or_else(|error| panic!("{} over {protocol:?}: {error:?}", call.what))
}

/// Sends bytes as they are, and reads one answer, or nothing until the end.
async fn send_raw<'a>(dev: &Dev, call: &'a Raw) -> (&'a Raw, Option<Answer>) {
    let mut seen = Vec::new();
    let exchange = async {
        if let Some(alpn) = call.alpn {
            let mut stream = socket::connect(dev, alpn).await.expect(call.what);
            // a server that has refused need not read on
            drop(stream.write_all(&call.bytes).await);
            drop(stream.flush().await);
            read_answer(&mut stream, &mut seen).await;
        } else {
            let mut stream = socket::tcp(dev).await.expect(call.what);
            stream.write_all(&call.bytes).await.expect(call.what);
            drop(stream.read_to_end(&mut seen).await);
            assert!(!seen.starts_with(b"HTTP/"), "{}: no HTTP without TLS", call.what);
            seen.clear();
        }
    };
    soon(call.what, exchange).await;
    (call, parse(&seen))
}

/// Reads until an answer is whole, or the connection ends.
async fn read_answer(stream: &mut socket::Tls, seen: &mut Vec<u8>) {
    let mut part = [0; 4096];
    while !is_whole(seen) {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend_from_slice(&part[..count]),
        }
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(answer) = parse(bytes) else { return false };
    let length = answer.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    length == Some(answer.body.len())
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status is a number");
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        headers.insert(name, value.parse().expect("a header's value"));
    }
    Some(Answer { status, headers, body: bytes[end + 4..].to_vec() })
}

/// Checks an answer; gives the id and status of the request if it must have a record.
fn check(what: &str, expected: &Expected, answer: &Answer) -> Option<(String, u16)> {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, expected.status, "{what}: {text}");
    if let Told::Bare = expected.told {
        assert_eq!(text, "", "{what}: refused below the dialect");
        return None;
    }
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let id = header("x-request-id").unwrap_or_else(|| panic!("{what} has an id")).to_owned();
    assert_eq!(header("content-type"), Some("application/json"), "{what}");
    assert_eq!(header("allow"), expected.allow, "{what}");
    assert_eq!(header("www-authenticate"), (expected.status == 401).then_some("Bearer"), "{what}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
    if let Told::Error { rpc, message } = expected.told {
        assert_eq!(body["code"], rpc, "{what}: {text}");
        assert!(body["message"].as_str().is_some_and(|said| said.contains(message)), "{what}: {text}");
        let info = &body["details"][0];
        assert_eq!(info["@type"], "type.googleapis.com/google.rpc.RequestInfo", "{what}: {text}");
        assert_eq!(info["requestId"], id, "{what}");
    }
    Some((id, expected.status))
}

fn count(counted: &mut BTreeMap<String, u64>, expected: &Expected) {
    let mut add = |sample: String| *counted.entry(sample).or_default() += 1;
    if let Some(reason) = expected.malformed {
        add(format!("ekm_malformed_requests_total{{reason=\"{reason}\"}}"));
    }
    if let Some((operation, code)) = expected.finished {
        add(format!("ekm_requests_finished_total{{code=\"{code}\",operation=\"{operation}\"}}"));
    }
}

/// The counters of what went wrong, but for those that were never touched.
fn counters(metrics: &str) -> BTreeMap<String, u64> {
    let families = ["ekm_malformed_requests_total", "ekm_requests_finished_total", "ekm_handshake_failures_total"];
    let samples = metrics.lines().filter(|line| families.iter().any(|family| line.starts_with(family)));
    let parsed = samples.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse::<u64>().ok()?))
    });
    // the probe wraps and unwraps on its own
    parsed.filter(|(name, value)| *value > 0 && !name.contains("code=\"OK\"")).collect()
}

async fn assert_counted(dev: &Dev, before: &BTreeMap<String, u64>, expected: &BTreeMap<String, u64>) {
    let mut grown = BTreeMap::new();
    for _ in 0..READS_MAX {
        let now = counters(&dev.metrics().await);
        let growth = now.into_iter().map(|(name, value)| (before.get(&name).map_or(value, |old| value - old), name));
        grown = growth.filter(|(value, _)| *value > 0).map(|(value, name)| (name, value)).collect();
        if grown == *expected {
            return;
        }
    }
    assert_eq!(&grown, expected);
}

/// Every answer in the dialect has its record, with its status.
fn assert_recorded(folder: &Path, answers: &[(String, u16)]) {
    let text = std::fs::read_to_string(folder.join("audit/audit.jsonl")).expect("the audit file is there");
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record is JSON"));
    let statuses: BTreeMap<String, Value> = records
        .map(|record| {
            (record["request"].as_str().expect("a record names its request").to_owned(), record["status"].clone())
        })
        .collect();
    for (id, status) in answers {
        assert_eq!(statuses.get(id), Some(&Value::from(*status)), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_puts_errors_into_the_other_envelope_and_get_info_on_other_paths() {
    let folder = temporary();
    let args = ["--port", "0", "--error-body", "envelope", "--info-path", "/hello", "--info-path", "/v1/info"];
    let dev = Dev::start_with(folder.path(), &args).await;
    let google = Google::new(&dev, Protocol::Http2);
    let answer = google.wrap("v0/keys/none", "").await.expect("an answer");
    let error = &answer.body["error"];
    assert_eq!((answer.status, &error["code"], &error["status"]), (404, &404.into(), &"NOT_FOUND".into()));
    assert_eq!(error["details"][0]["requestId"], answer.request);
    let token = std::fs::read_to_string(&dev.file.token_file).expect("the token file is there");
    for (path, status) in [("/hello", 200), ("/v1/info", 200), ("/v0/info", 501)] {
        let call = socket::client(&dev).get(format!("{}{path}", dev.file.data_url)).bearer_auth(&token);
        assert_eq!(soon(path, call.send()).await.expect("an answer").status(), status, "{path}");
    }
    dev.stop().await;
}
