//! The health listener's three answers. It must never be reachable by callers of the data plane, and never work for an
//! answer: each shows what others have published.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use replication::clock::Clock;
use serde::Serialize;

use super::latch::{Readiness, Verdict};
use crate::metrics::Metrics;

/// The text format's type, as Prometheus asks for it.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the health listener shows.
#[derive(Clone)]
pub struct Health {
    /// The probe's last result.
    pub readiness: Arc<Readiness>,
    /// All metrics of the process.
    pub metrics: Arc<Metrics>,
    /// To tell how old the last result is.
    pub clock: Arc<dyn Clock>,
}

/// The body of `/readyz`.
#[derive(Serialize)]
struct ReadyBody {
    ready: bool,
    reasons: Vec<String>,
}

/// `/livez`: the process turns. `/readyz`: 200 or 503, with reasons. `/metrics`: the text format of Prometheus.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn live() -> Response {
    Json(serde_json::json!({ "live": true })).into_response()
}

async fn ready(State(health): State<Health>) -> Response {
    let (status, body) = match health.readiness.verdict(health.clock.now()) {
        Verdict::Ready => (StatusCode::OK, ReadyBody { ready: true, reasons: Vec::new() }),
        Verdict::NotReady(reasons) => (StatusCode::SERVICE_UNAVAILABLE, ReadyBody { ready: false, reasons }),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], health.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use http_body_util::BodyExt;
    use replication::clock::{Moment, Timestamp};
    use tower::ServiceExt;

    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Moment {
            Moment::since_origin(Duration::from_secs(5))
        }

        fn wall(&self) -> Timestamp {
            Timestamp(0)
        }
    }

    fn health() -> Health {
        let metrics = Arc::new(Metrics::new(Timestamp(0), "0.0.1"));
        Health { readiness: Arc::default(), metrics, clock: Arc::new(Stopped) }
    }

    async fn ask(health: &Health, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(axum::body::Body::empty()).expect("the tests' paths are valid");
        let response = router(health.clone()).oneshot(request).await.expect("a router answers everything");
        let status = response.status();
        let body = response.into_body().collect().await.expect("the body is in memory").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("the health listener answers text"))
    }

    #[tokio::test]
    async fn live_whatever_the_readiness() {
        assert_eq!(ask(&health(), "/livez").await, (StatusCode::OK, r#"{"live":true}"#.to_owned()));
    }

    #[tokio::test]
    async fn ready_follows_what_was_published_and_gives_reasons() {
        let health = health();
        let (status, body) = ask(&health, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.starts_with(r#"{"ready":false,"reasons":["starting"#), "{body}");
        health.readiness.publish(Stopped.now(), Vec::new());
        assert_eq!(ask(&health, "/readyz").await, (StatusCode::OK, r#"{"ready":true,"reasons":[]}"#.to_owned()));
        health.readiness.publish(Stopped.now(), vec!["a".to_owned(), "b".to_owned()]);
        let told = r#"{"ready":false,"reasons":["a","b"]}"#.to_owned();
        assert_eq!(ask(&health, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, told));
    }

    #[tokio::test]
    async fn metrics_are_shown_as_text() {
        let (status, body) = ask(&health(), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("# TYPE ekm_requests_started_total counter"), "{body}");
    }
}
