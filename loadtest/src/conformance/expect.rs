//! What is right for an answer, in words that the judge reads and a table can hold.

/// What is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// 200 and a blob, which is kept under the step's number.
    Blob,
    /// The same, in standard padded base64.
    StandardBlob,
    /// The same as [`Expect::Blob`], and other bytes than the blob of that step.
    BlobUnlike(usize),
    /// 200 and these bytes.
    Plaintext(Vec<u8>),
    /// The same, in standard padded base64.
    StandardPlaintext(Vec<u8>),
    /// One of these HTTP statuses; an error body that can be read names one of these codes.
    Refused(Refusal),
    /// A refusal of a body that is too large; who sends it may find the connection closed, and no answer.
    TooLarge,
    /// 501 and an `Allow` header that names POST.
    WrongMethod,
    /// A refusal, of which one aspect is judged.
    ErrorBody(Aspect),
    /// A refusal whose body has the same shape as the first of the case.
    SameShape,
}

/// Statuses and codes that are right for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub statuses: &'static [u16],
    /// Of `google.rpc.Code`.
    pub codes: &'static [u16],
}

impl Refusal {
    pub const UNAUTHENTICATED: Self = Self { statuses: &[401], codes: &[16] };
    pub const DENIED: Self = Self { statuses: &[403], codes: &[7] };
    /// Nobody, or somebody without rights: both are true.
    pub const STRANGER: Self = Self { statuses: &[401, 403], codes: &[16, 7] };
    /// The key set may be about to change, so "try again" is true as well.
    pub const UNKNOWN_ISSUER_KEY: Self = Self { statuses: &[401, 503], codes: &[16, 14] };
    pub const UNKNOWN: Self = Self { statuses: &[404], codes: &[5] };
    /// A path that names no key, for whatever reason.
    pub const NO_SUCH_PATH: Self = Self { statuses: &[400, 403, 404], codes: &[3, 5, 7] };
    pub const INVALID: Self = Self { statuses: &[400], codes: &[3] };
    pub const STATE: Self = Self { statuses: &[400], codes: &[9] };
    pub const NOT_OFFERED: Self = Self { statuses: &[501], codes: &[12] };
    /// Not offered, or offered and impossible with this key.
    pub const NOT_FOR_THIS_KEY: Self = Self { statuses: &[400, 501], codes: &[3, 9, 12] };
    /// A reader that bears any depth may serve the call.
    pub const NESTED: Self = Self { statuses: &[200, 400, 413], codes: &[3] };
    pub const TOO_LARGE: Self = Self { statuses: &[400, 413], codes: &[3, 8] };
    /// What is before the EKM may refuse long headers by itself.
    pub const HEADER_TOO_LARGE: Self = Self { statuses: &[400, 401, 413, 431], codes: &[3, 8, 16] };
    pub const TWO_TOKENS: Self = Self { statuses: &[400, 401], codes: &[3, 16] };
}

/// One thing about an error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aspect {
    /// It is JSON in one of the two shapes.
    IsJson,
    /// The code in it belongs to the HTTP status.
    CodeMatches,
    /// It has a message for a person.
    Message,
    /// `Content-Type` says JSON.
    ContentType,
    /// None of these texts stands in it.
    KeepsSecret(Vec<String>),
    /// It shows nothing of how the EKM is built.
    HidesInternals,
}
