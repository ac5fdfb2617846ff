//! The table of cases, one file for what belongs together. Rows say what is sent and what is right; they judge nothing.

mod claims;
mod errors;
mod habits;
mod refusals;
mod round_trips;
mod routing;
mod tokens;

use super::case::{Case, Plan, Step};
use super::expect::{Expect, Refusal};
use super::scene::Scene;

/// Every case, in the order in which they are tried: the last one looks whether all the others left the target well.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        round_trips::CASES,
        habits::CASES,
        routing::CASES,
        refusals::CASES,
        tokens::CASES,
        claims::CASES,
        errors::CASES,
        errors::LIMITS,
    ]
    .into_iter()
    .flatten()
}

const PLAINTEXT: &[u8] = b"an opaque ciphertext of Cloud KMS's own";
const ASSOCIATED_DATA: &[u8] = b"associated data of the caller";

/// A wrap, then calls.
fn after_wrap(scene: &Scene<'_>, calls: impl IntoIterator<Item = Step>) -> Plan {
    let mut steps = vec![scene.wrap(PLAINTEXT).expect(Expect::Blob)];
    steps.extend(calls);
    Plan::Calls(steps)
}

/// A wrap, then unwraps of its blob with these values of `Authorization`, each of which must be refused.
fn refuses_tokens(scene: &Scene<'_>, values: impl IntoIterator<Item = String>, refusal: Refusal) -> Plan {
    after_wrap(scene, values.into_iter().map(|value| scene.unwrap(0).by([value]).refused(refusal)))
}

/// A wrap, then unwraps of its blob with these values of `Authorization`, each of which must be taken.
fn takes_tokens(scene: &Scene<'_>, values: impl IntoIterator<Item = String>) -> Plan {
    after_wrap(scene, values.into_iter().map(|value| scene.unwrap(0).by([value]).gives(PLAINTEXT)))
}
