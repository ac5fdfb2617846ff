//! Every label value that a metric may carry, as closed enums. It must never take text from a request: a label value that
//! a caller can choose is memory that a caller can take.

use replication::machine::lifecycle;

/// A closed set of label values, and the text that each is shown as.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("Shown as `", $text, "`.")] $variant),+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label's text.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The place of this value in [`Self::ALL`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// What a data-plane call asked for.
    OperationLabel {
        Wrap = "wrap",
        Unwrap = "unwrap",
        GetInfo = "get_info",
        AsymmetricSign = "asymmetric_sign",
        GetPublicKey = "get_public_key",
        CreateKey = "create_key",
        DestroyKey = "destroy_key",
        CheckCryptoSpacePermissions = "check_crypto_space_permissions",
        Other = "other",
    }
}

labels! {
    /// The `google.rpc.Code` names, in the order of their numbers.
    CodeLabel {
        Ok = "OK",
        Cancelled = "CANCELLED",
        Unknown = "UNKNOWN",
        InvalidArgument = "INVALID_ARGUMENT",
        DeadlineExceeded = "DEADLINE_EXCEEDED",
        NotFound = "NOT_FOUND",
        AlreadyExists = "ALREADY_EXISTS",
        PermissionDenied = "PERMISSION_DENIED",
        ResourceExhausted = "RESOURCE_EXHAUSTED",
        FailedPrecondition = "FAILED_PRECONDITION",
        Aborted = "ABORTED",
        OutOfRange = "OUT_OF_RANGE",
        Unimplemented = "UNIMPLEMENTED",
        Internal = "INTERNAL",
        Unavailable = "UNAVAILABLE",
        DataLoss = "DATA_LOSS",
        Unauthenticated = "UNAUTHENTICATED",
    }
}

impl CodeLabel {
    /// The label of a `google.rpc.Code` number; `None` for a number outside 0 to 16.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

labels! {
    /// Which of the machine's listening sockets.
    ListenerLabel {
        Data = "data",
        Admin = "admin",
        Health = "health",
    }
}

labels! {
    /// Why a connection was not taken at once.
    RejectReason {
        Limit = "limit",
        AcceptError = "accept_error",
    }
}

labels! {
    /// Why a connection never got as far as HTTP.
    HandshakeFailure {
        Timeout = "timeout",
        Tls = "tls",
    }
}

labels! {
    /// What became of changed certificate files.
    ReloadResult {
        Taken = "taken",
        Refused = "refused",
    }
}

labels! {
    /// What was wrong with bytes or a request that broke the rules.
    MalformedReason {
        PrefaceTimeout = "preface_timeout",
        HeaderTimeout = "header_timeout",
        HeadersTooLarge = "headers_too_large",
        UriTooLong = "uri_too_long",
        NotHttp = "not_http",
        Incomplete = "incomplete",
        Http2Broken = "http2_broken",
        BodyTooLarge = "body_too_large",
        BodyTimeout = "body_timeout",
        EmptyBody = "empty_body",
        Json = "json",
        Base64 = "base64",
        Path = "path",
        Verb = "verb",
        Method = "method",
        Header = "header",
        Other = "other",
    }
}

labels! {
    /// Where a quota stands.
    QuotaLevel {
        Key = "key",
        CryptoSpace = "crypto_space",
        Tenant = "tenant",
    }
}

labels! {
    /// What the verified-token cache answered.
    CacheResult {
        Hit = "hit",
        Miss = "miss",
    }
}

labels! {
    /// The lifecycle states of a key version.
    VersionState {
        Pending = "pending",
        Enabled = "enabled",
        Disabled = "disabled",
        DestroyScheduled = "destroy_scheduled",
        Destroyed = "destroyed",
    }
}

impl From<lifecycle::VersionState> for VersionState {
    fn from(state: lifecycle::VersionState) -> Self {
        match state {
            lifecycle::VersionState::Pending => Self::Pending,
            lifecycle::VersionState::Enabled => Self::Enabled,
            lifecycle::VersionState::Disabled => Self::Disabled,
            lifecycle::VersionState::DestroyScheduled => Self::DestroyScheduled,
            lifecycle::VersionState::Destroyed => Self::Destroyed,
        }
    }
}

labels! {
    /// What of the audit file failed.
    AuditStep {
        Write = "write",
        Sync = "sync",
    }
}

labels! {
    /// How a round of the health probe ended.
    ProbeResult {
        Passed = "passed",
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_labels_stand_at_their_google_rpc_numbers() {
        let numbers = [(0, "OK"), (3, "INVALID_ARGUMENT"), (4, "DEADLINE_EXCEEDED"), (7, "PERMISSION_DENIED")];
        let more = [(9, "FAILED_PRECONDITION"), (12, "UNIMPLEMENTED"), (14, "UNAVAILABLE"), (16, "UNAUTHENTICATED")];
        for (number, text) in numbers.into_iter().chain(more) {
            assert_eq!(CodeLabel::from_number(number).map(CodeLabel::text), Some(text));
        }
        assert_eq!(CodeLabel::from_number(17), None);
        assert_eq!(CodeLabel::ALL.len(), 17);
    }

    #[test]
    fn every_label_stands_at_its_own_index() {
        assert!(OperationLabel::ALL.iter().enumerate().all(|(place, label)| label.index() == place));
        assert!(MalformedReason::ALL.iter().enumerate().all(|(place, label)| label.index() == place));
    }
}
