//! A world in which a token can be good: its issuer, its audience and the time of day.

use replication::clock::Timestamp;
use replication::machine::rows::Trust;

/// The public half of a key whose private half was thrown away when it was made.
pub const JWKS: &str = include_str!("../keys/jwks.json");
/// The one good token that was ever signed with it, and a newline.
pub const GOOD: &str = include_str!("../keys/token.txt");

/// Who issues good tokens.
pub const ISSUER: &str = "https://accounts.google.com";
/// Whom they are for.
pub const AUDIENCE: &str = "https://ekm.example.com";
/// Whom the good token is from.
pub const EMAIL: &str = "service-1@gcp-sa-ekms.iam.gserviceaccount.com";
/// The wall clock, in seconds since 1970; it stands still.
pub const NOW: u64 = 1_800_000_000;

/// The wall clock as verifiers take it.
pub const WALL: Timestamp = Timestamp(NOW * 1000);

/// One issuer, one audience.
pub fn trust() -> Trust {
    Trust { issuers: vec![ISSUER.to_owned()], audiences: vec![AUDIENCE.to_owned()] }
}

/// Claims that are right in everything.
pub fn good_claims() -> String {
    let (iat, exp) = (NOW - 600, NOW + 3000);
    format!(
        r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","iat":{iat},"exp":{exp},"email":"{EMAIL}","email_verified":true,"sub":"1"}}"#
    )
}
