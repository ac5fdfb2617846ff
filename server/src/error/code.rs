//! The codes that Google's dialect answers with: an HTTP status and a `google.rpc.Code` each.

/// How a request ended. The order is the order of metrics' label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// 200.
    Ok,
    /// 400: the request itself is wrong.
    InvalidArgument,
    /// 400: the key version's state forbids it.
    FailedPrecondition,
    /// 401.
    Unauthenticated,
    /// 403.
    PermissionDenied,
    /// 404.
    NotFound,
    /// 408: the body came too slowly.
    BodyTooSlow,
    /// 413.
    BodyTooLarge,
    /// 429: a quota, and nothing of ours, has no room. Overload is [`Self::Unavailable`].
    ResourceExhausted,
    /// 500.
    Internal,
    /// 501.
    Unimplemented,
    /// 503.
    Unavailable,
    /// 504.
    DeadlineExceeded,
}

impl Code {
    /// Every code, in the order of the enum.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::InvalidArgument,
        Self::FailedPrecondition,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::BodyTooSlow,
        Self::BodyTooLarge,
        Self::ResourceExhausted,
        Self::Internal,
        Self::Unimplemented,
        Self::Unavailable,
        Self::DeadlineExceeded,
    ];

    /// The HTTP status.
    pub const fn http(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::BodyTooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::ResourceExhausted => 429,
            Self::Internal => 500,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }

    /// The number of the `google.rpc.Code`.
    pub const fn rpc(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::InvalidArgument | Self::BodyTooLarge => 3,
            Self::DeadlineExceeded | Self::BodyTooSlow => 4,
            Self::NotFound => 5,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// The name of the `google.rpc.Code`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::InvalidArgument | Self::BodyTooLarge => "INVALID_ARGUMENT",
            Self::DeadlineExceeded | Self::BodyTooSlow => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}
