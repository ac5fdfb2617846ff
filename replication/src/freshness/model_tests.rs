//! Every order of a few events around questions, answers, changes, deny entries, restarts, elections, a recovery and a slow clock:
//! whoever refuses for good tells what was true within the last term, and nobody denies what was acknowledged.
//!
//! The rules are the module's own. With any one of them left out ([`Fault`]), the search finds a wrong refusal. `EKM_MODEL=wide` lets
//! more happen.

mod events;
mod fault;
mod search;
mod truth;
mod world;

use fault::Fault;
use search::{Found, search};
use world::Breadth;

#[expect(clippy::disallowed_methods, reason = "how much of the model is played is asked for from outside")]
fn breadth() -> Breadth {
    match std::env::var("EKM_MODEL").as_deref() {
        Ok("wide") => Breadth::Wide,
        Ok(other) => panic!("EKM_MODEL is wide, or not set, and not {other:?}"),
        Err(_) => Breadth::Narrow,
    }
}

#[test]
fn no_order_of_events_refuses_what_is_allowed_or_denies_what_was_acknowledged() {
    match search(None, breadth()) {
        Found::Nothing { worlds, refusals, acknowledged } => {
            assert!(worlds > 100_000, "{worlds} worlds are too few to say much");
            // what never happens in the model proves nothing
            assert!(refusals > 10_000 && acknowledged > 10_000, "{refusals} refusals, {acknowledged} acknowledged");
        }
        Found::Wrong { wrong, history } => panic!("{wrong:?}:\n{}", history.join("\n")),
    }
}

#[test]
fn each_rule_that_is_left_out_is_found_out() {
    for fault in Fault::ALL {
        match search(Some(fault), Breadth::Narrow) {
            Found::Wrong { .. } => {}
            Found::Nothing { worlds, .. } => panic!("{fault:?} was not found in {worlds} worlds"),
        }
    }
}
