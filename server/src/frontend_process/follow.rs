//! The one place where a frontend meets its key stores: everything in its directory and every tenant key come through here.
//!
//! Never on the request path.

use super::prepared::Prepared;

/// Follows the key stores of the settings until the future is dropped: fills the directory and the tenant keys, and keeps both fresh.
pub(super) fn follow(prepared: &Prepared) -> impl Future<Output = ()> + Send + use<> {
    let Prepared { settings, directory: _, tenant_keys: _, arena: _, entropy: _, clock: _, .. } = prepared;
    let key_stores = settings.feed.key_stores.len();
    async move {
        tracing::warn!(key_stores, "this release has no feed yet: nothing is loaded, and callers get 503");
        std::future::pending::<()>().await;
    }
}
