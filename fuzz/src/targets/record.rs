//! The frame of log records: whatever opens is byte for byte what sealing makes of its body, and every body comes back.

use replication::store::record;

/// See the top of this file.
pub fn run(bytes: &[u8]) {
    if let Ok(body) = record::open(bytes) {
        assert_eq!(record::seal(body), bytes, "a record has one spelling");
    }
    assert_eq!(record::open(&record::seal(bytes)), Ok(bytes), "what is sealed opens");
}
