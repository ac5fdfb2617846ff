//! Names that stand in several rows lie in memory once: with a million key versions they would be a tenth of it. Rows are equal and
//! encoded alike either way.

use crate::ids::{KeyName, KeyVersionId, TenantId};
use crate::machine::rows::{Key, KeyVersion};

use super::State;

/// A key's tenant is that of the tenant's row.
pub(super) fn key(key: &mut (TenantId, KeyName), _: &mut Key, state: &State) {
    if let Some((tenant, _)) = state.tenants().get_key_value(&key.0) {
        key.0.clone_from(tenant);
    }
}

/// A version's tenant and key are those of the key's row.
pub(super) fn version(_: &mut KeyVersionId, row: &mut KeyVersion, state: &State) {
    let named = (row.tenant.clone(), row.key.clone());
    if let Some(((tenant, key), _)) = state.keys().get_key_value(&named) {
        row.tenant.clone_from(tenant);
        row.key.clone_from(key);
    }
}

#[cfg(test)]
mod tests {
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
}
