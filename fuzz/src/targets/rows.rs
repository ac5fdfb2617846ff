//! Rows of a state as bytes, as snapshot and mirror hold them: loading is total, and what loads gives back the same rows.

use std::collections::BTreeMap;

use crate::parts::parts;
use replication::machine::invariants;
use replication::machine::state::State;

/// Most keys and values of one input.
const PARTS_MAX: usize = 64;

/// See the top of this file.
pub fn run(input: &[u8]) {
    let parts = parts(input, PARTS_MAX);
    let rows: Vec<(Vec<u8>, Vec<u8>)> = parts.chunks_exact(2).map(|row| (row[0].to_vec(), row[1].to_vec())).collect();
    let Ok(state) = State::from_rows(rows.clone()) else { return };
    let distinct: BTreeMap<_, _> = rows.iter().cloned().collect();
    assert!(distinct.clone().into_iter().eq(state.rows()), "what was loaded is not what was given");
    let again = State::from_rows(state.rows()).expect("the rows of a state decode");
    assert!(again.rows().eq(state.rows()));
    assert_eq!(again.digest() == state.digest(), distinct.len() == rows.len(), "the digest tells a row given twice");
    // any rows may stand in a damaged file: looking for what is wrong with them must not be what ends the process
    let _judged = invariants::check(&state);
}
