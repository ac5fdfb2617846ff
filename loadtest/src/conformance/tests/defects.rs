//! Every way in which the EKM of these tests can be wrong, and which cases notice it. A row is a claim that exactly these cases
//! fail; no case may be without a row of its own.

macro_rules! defects {
    ($($defect:ident: $case:literal $(, and $($other:literal),+)?;)+) => {
        /// One thing that is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Defect {
            $(#[doc = concat!("Noticed by `", $case, "`.")] $defect,)+
        }

        /// The defect, the case that is there for it, and the others that must notice it too.
        pub const ROWS: &[(Defect, &str, &[&str])] = &[
            $((Defect::$defect, $case, &[$($($other),+)?]),)+
        ];
    };
}

defects! {
    NoAssociatedData: "round-trip", and "empty-plaintext", "largest-associated-data", "url-safe-base64-in", "unpadded-base64-in",
        "proto-field-names", "wrong-associated-data", "body-of-180-kib";
    NoEmptyPlaintext: "empty-plaintext", and "plaintext-defaults";
    LengthByte: "any-size";
    SmallPlaintexts: "largest-plaintext", and "body-of-180-kib";
    LittleAssociatedData: "largest-associated-data", and "body-of-180-kib";
    RepeatsNonce: "wrap-is-randomised";
    OpensThreeTimes: "unwrap-repeats";

    UrlSafeOut: "standard-base64-out";
    StandardAlphabetOnly: "url-safe-base64-in", and "unpadded-base64-in";
    PaddingOnly: "unpadded-base64-in";
    NullAssociatedData: "associated-data-defaults";
    WantsPlaintext: "plaintext-defaults";
    WantsReason: "no-context";
    NullContext: "nulls";
    KnownFieldsOnly: "unknown-fields", and "key-path-in-body", "proto-field-names";
    KnownReasonsOnly: "unknown-reason";
    ReasonsAreText: "reason-as-number", and "unknown-reason";
    ChecksAreShort: "health-check";
    KeyPathOfBody: "key-path-in-body";
    NoEscapes: "escaped-characters";
    CamelCaseOnly: "proto-field-names";
    WantsJsonType: "content-type-ignored";
    WantsLength: "chunked-body";
    Http1Only: "http-2";

    ColonAsItStands: "encoded-colon";
    ComparesHost: "host-forms";
    UnknownKeyIs403: "unknown-key";
    KeyByPrefix: "neighbouring-paths";
    VerbIs404: "unknown-verb";
    MethodIs405: "wrong-method";
    SignIs404: "method-not-for-this-key";

    AssociatedDataIgnored: "wrong-associated-data", and "health-check";
    FormatUnchecked: "damaged-blob";
    BlobIs403: "damaged-blob", and "health-check", "wrong-associated-data", "shortened-blob", "lengthened-blob", "no-blob",
        "foreign-blob", "blob-of-another-key";
    ShortBlobBreaks: "shortened-blob", and "no-blob";
    RestIgnored: "lengthened-blob";
    NoBlobIsNothing: "no-blob";
    OldFormat: "foreign-blob";
    OpensWithAnyKey: "blob-of-another-key";
    DisabledIs403: "disabled-key";
    EmptyBodyIsObject: "malformed-json";
    LenientBase64: "malformed-base64";
    AnyType: "wrong-types";
    ReadsFirstValue: "trailing-bytes";

    ServesWithoutToken: "no-token", and "token-elsewhere";
    RemembersConnection: "token-for-each-call";
    MalformedTokenIs500: "malformed-token", and "token-for-each-call";
    AnyScheme: "other-scheme";
    SchemeAsWritten: "scheme-in-any-case";
    TakesUnsigned: "unsigned-token";
    HmacWithPublicKey: "hmac-with-public-key";
    TakesEmptySignature: "altered-signature";
    RemembersSignature: "altered-claims";
    SignatureUnchecked: "foreign-key-same-id", and "altered-signature", "altered-claims", "key-in-header";
    UnknownIdIsTrusted: "foreign-key-foreign-id";
    KeyOfHeader: "key-in-header";
    IgnoresCritical: "critical-header";
    IgnoresAlgorithm: "other-algorithm-named";
    FirstTokenCounts: "two-tokens";
    TokenOfQuery: "token-elsewhere";

    IgnoresExpiry: "expired", and "odd-expiry";
    BadTokenIs403: "expired", and "malformed-token", "not-yet-valid", "no-expiry", "odd-expiry", "long-lived",
        "token-for-each-call";
    IgnoresBegin: "not-yet-valid";
    NoExpiryIsForEver: "no-expiry";
    OddExpiryIsForEver: "odd-expiry";
    NoLeeway: "clocks-differ";
    AnyLifetime: "long-lived";
    NoAudienceFits: "audience-of-another";
    AudienceByPrefix: "audience-of-another", and "audience-spelled-otherwise";
    AudienceWithoutSlash: "audience-spelled-otherwise";
    AudienceOfList: "audience-list";
    IssuerByPrefix: "issuer-of-another";
    IssuerWithSchemeOnly: "issuer-without-scheme";
    UnverifiedEmail: "unverified-email";
    SubjectForEmail: "no-email";
    GrantsSuffix: "ungranted-email", and "lookalike-email";
    GrantsPrefix: "lookalike-email";
    LastClaimWins: "claims-twice";

    NoJson: "error-is-json", and "error-code-matches", "error-message", "error-one-shape";
    WrongCode: "error-code-matches", and "unknown-key";
    NoMessage: "error-message";
    ErrorsAreText: "error-content-type";
    TwoShapes: "error-one-shape";
    QuotesRequest: "error-keeps-secrets";
    ShowsInternals: "error-hides-internals";
    SaysNoTime: "retriable-says-when";

    SmallBodies: "body-of-180-kib";
    BodiesOfAnyLength: "body-too-large";
    TokensOfAnyLength: "token-too-long";
    NestingIs500: "deep-nesting";
    DiesOfNesting: "serves-after-it-all";
}
