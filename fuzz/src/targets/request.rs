//! Operators' requests as JSON: reading is total, what was read says the same when written and read again, only what the operator
//! signed counts, people are not an operator's to change, and the reserved tenant is nobody's to ask for.

use crate::world::{SHARD, WORLD};
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::apply::authority::{parse_request, verify_request};
use replication::machine::request::{REQUEST_BYTES_MAX, SignedRequest};

/// See the top of this file.
pub fn run(bytes: &[u8]) {
    let parsed = parse_request(bytes);
    if let Ok(request) = &parsed {
        assert!(bytes.len() <= REQUEST_BYTES_MAX);
        let written = serde_json::to_vec(request).expect("requests are plain JSON");
        let again = serde_json::from_slice(&written).expect("what was written is read");
        assert_eq!(request, &again, "a request says the same again");
    }
    let place = WORLD.places.iter().rfind(|place| place.group == SHARD).expect("the world has a shard");
    let meta = place.state.meta().expect("a full shard has its genesis");
    let signed = WORLD.author.operator().sign_request(bytes.to_vec());
    let verdict = verify_request(&place.state, meta, &signed);
    let may = |request: &&replication::machine::request::Request| {
        let tenant = request.operation.tenant();
        request.lineage == meta.lineage && tenant.is_some_and(|tenant| tenant.as_str() != RESERVED_TENANT)
    };
    assert_eq!(verdict.as_ref().ok(), parsed.as_ref().ok().filter(may), "{verdict:?}");

    let mut forged = signed.clone();
    let at = bytes.len() % forged.signature.len();
    forged.signature[at] ^= 1;
    assert!(verify_request(&place.state, meta, &forged).is_err(), "a forged signature counted");
    let borrowed = SignedRequest { signer: WORLD.author.replica().signer().clone(), ..signed };
    assert!(verify_request(&place.state, meta, &borrowed).is_err(), "a replica signed an operator's request");
}
