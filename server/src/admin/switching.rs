//! One listener, two APIs: that of a replica without a cluster, and from some moment on that of its key store.
//!
//! Never goes back.

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use tower::{ServiceExt as _, service_fn};

/// What the listener answers with at the moment.
#[derive(Clone)]
pub struct Switch(Arc<ArcSwap<Router>>);

impl Switch {
    /// Answers with this router until it is told otherwise.
    pub fn new(first: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(first)))
    }

    /// Answers with this one from the next request on.
    pub fn to(&self, router: Router) {
        self.0.store(Arc::new(router));
    }

    /// What a listener serves.
    pub fn router(&self) -> Router {
        let current = Arc::clone(&self.0);
        let answer = service_fn(move |request: Request<Body>| {
            let router = Router::clone(&current.load());
            async move {
                let answered: Result<Response, Infallible> = router.oneshot(request).await;
                answered
            }
        });
        Router::new().fallback_service(answer)
    }
}
