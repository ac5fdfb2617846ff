//! Where names lie in memory.

use super::*;
use crate::ids::ShardId;
use crate::testkit::{Author, played};

#[test]
fn a_name_lies_in_memory_once_whether_the_rows_were_written_or_read() {
    let author = Author::default();
    let (tenant, name): (TenantId, KeyName) = ("acme".parse().expect("legal"), "k1".parse().expect("legal"));
    let version = KeyVersionId::from_bytes([1; 16]);
    let log = [
        author.genesis(ShardId::FIRST.group()),
        author.create_tenant(&tenant),
        author.create_key(&tenant, &name, None, version),
    ];
    let written = played(&log);
    let read = State::from_rows(written.rows()).expect("rows of ours");
    assert!(written == read && written.digest() == read.digest());
    for state in [written, read] {
        let ((of_key, name), _) = state.keys().get_min().expect("there is a key");
        let (of_tenant, _) = state.tenants().get_min().expect("there is a tenant");
        let row = &state.key_versions()[&version];
        let at = |text: &str| text.as_ptr();
        assert!([of_key, &row.tenant].iter().all(|tenant| at(tenant.as_str()) == at(of_tenant.as_str())));
        assert_eq!(at(row.key.as_str()), at(name.as_str()));
    }
}
