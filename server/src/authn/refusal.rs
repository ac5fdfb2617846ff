//! Why a token proves nobody, as a closed list that tells final refusals (401) from trouble of ours (503).
//!
//! The texts travel into the logs of the customer's services, so they say what to do there and quote nothing of the token.

/// Why no caller was proven. `Display` is the text for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthnError {
    /// No `Authorization` header. A token anywhere else, such as in the query, is not looked at.
    #[error("no token: send the Google-signed token in the header Authorization: Bearer")]
    TokenMissing,
    /// More than one `Authorization` header.
    #[error("more than one Authorization header: send exactly one")]
    TokenRepeated,
    /// The header is not `Bearer` and one token.
    #[error("the Authorization header does not hold a bearer token: send Authorization: Bearer and one token")]
    NotBearer,
    /// Longer than [`super::token::TOKEN_BYTES_MAX`].
    #[error("the token is longer than 8192 bytes: send the token that Google signed, unchanged")]
    TokenTooLong,
    /// Not three non-empty base64url parts.
    #[error("the token is not three base64url parts: send the token that Google signed, unchanged")]
    TokenShape,
    /// The token's header is no JSON object of the expected types, or names a member twice.
    #[error("the token's header cannot be read: send the token that Google signed, unchanged")]
    HeaderMalformed,
    /// Another algorithm than RS256.
    #[error("the token is not signed with RS256, the only algorithm accepted")]
    AlgorithmForeign,
    /// The token says that it is something else than a JWT.
    #[error("the token's header names another type than JWT: send a Google-signed OIDC token")]
    TypeForeign,
    /// `crit`, `jku`, `jwk`, `x5u` or `x5c`: a token does not bring its own keys or rules.
    #[error("the token's header carries one of crit, jku, jwk, x5u, x5c, none of which is accepted")]
    HeaderForbidden,
    /// No `kid`, or one that no key set can hold: empty, over-long, not printable, or shaped like a path.
    #[error("the token's header names no usable key id: send a Google-signed OIDC token")]
    KidMalformed,
    /// The key set is current, was confirmed after this `kid` was first missed, and does not hold it.
    #[error("the token is signed by a key that its issuer does not publish: obtain a new token")]
    KidUnknown,
    /// The signature does not verify under a current key set.
    #[error("the token's signature does not verify: send the token that Google signed, unchanged")]
    SignatureInvalid,
    /// The claims are no JSON object of the expected types, or one is named twice.
    #[error("the token's claims cannot be read: send a Google-signed OIDC token")]
    ClaimsMalformed,
    /// Not one of the configured issuers, exactly.
    #[error("the token comes from an issuer that this server does not trust")]
    IssuerForeign,
    /// Not one of the configured audiences, exactly.
    #[error(
        "the token is meant for another audience: it must be https:// and this server's host name, without port or slash"
    )]
    AudienceForeign,
    /// The issuer did not verify the e-mail.
    #[error("the token's e-mail address is not verified by its issuer")]
    EmailUnverified,
    /// The e-mail is none.
    #[error("the token's e-mail is not the address of a service account")]
    EmailMalformed,
    /// Issued at or after its own expiry, or valid only after it.
    #[error("the token's times contradict each other: obtain a new token")]
    TimesContradict,
    /// Lives longer than [`super::verify::TOKEN_LIFETIME_MAX`] and the leeway.
    #[error("the token lives longer than an hour: obtain one that lives an hour at most")]
    LifetimeTooLong,
    /// `exp` has passed.
    #[error("the token has expired: obtain a new token")]
    Expired,
    /// `nbf` or `iat` is to come.
    #[error("the token is not valid yet: check the clock of the machine that obtained it")]
    NotYetValid,

    /// No key set has been loaded since the start.
    #[error("the keys of the token's issuer are not loaded yet: try again")]
    NoKeySet,
    /// The `kid` is not in the key set, which may be older than the key. A refetch has been asked for.
    #[error("the token's key is not known yet and is being looked up: try again")]
    KidNotYetKnown,
    /// The signature does not verify, but the key set is too old for a final answer.
    #[error("the token cannot be judged, because the keys of its issuer are not up to date: try again")]
    KeySetStale,
    /// The own clock disagrees with the peers', so the token's times cannot be judged.
    #[error("the token's times cannot be judged, because this server's clock is in doubt: try again")]
    ClockInDoubt,
}

impl AuthnError {
    /// Whether this is the caller's fault for good (401), rather than trouble of ours (503).
    pub const fn is_final(self) -> bool {
        match self {
            Self::TokenMissing
            | Self::TokenRepeated
            | Self::NotBearer
            | Self::TokenTooLong
            | Self::TokenShape
            | Self::HeaderMalformed
            | Self::AlgorithmForeign
            | Self::TypeForeign
            | Self::HeaderForbidden
            | Self::KidMalformed
            | Self::KidUnknown
            | Self::SignatureInvalid
            | Self::ClaimsMalformed
            | Self::IssuerForeign
            | Self::AudienceForeign
            | Self::EmailUnverified
            | Self::EmailMalformed
            | Self::TimesContradict
            | Self::LifetimeTooLong
            | Self::Expired
            | Self::NotYetValid => true,
            Self::NoKeySet | Self::KidNotYetKnown | Self::KeySetStale | Self::ClockInDoubt => false,
        }
    }
}
