//! The plain machine: maps of words and numbers, written without looking at `apply`, that say what every command comes to.

use std::collections::BTreeMap;

/// Where a grant goes, by number.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Tenant,
    Space(u8),
    Key(u8),
}

/// What an operator may ask for; small numbers for names, so that requests meet.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Tenant(u8),
    Space {
        tenant: u8,
        space: u8,
    },
    Key {
        tenant: u8,
        key: u8,
        space: Option<u8>,
        version: u8,
    },
    Grant {
        tenant: u8,
        at: At,
        rule: u8,
        for_nobody: bool,
    },
    Enable {
        tenant: u8,
        version: u8,
    },
    /// Adopts a plan made on the revision so many changes ago.
    Adopt {
        tenant: u8,
        version: u8,
        behind: u64,
    },
    /// Advances the plan that was made on the revision so many changes ago.
    Advance {
        tenant: u8,
        version: u8,
        behind: u64,
    },
    /// Sends an earlier entry again.
    Again(usize),
}

#[derive(Debug, Default)]
struct PlainTenant {
    revision: u64,
    rules: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct PlainKey {
    space: Option<u8>,
    rules: Option<Vec<u8>>,
    version: u8,
}

#[derive(Debug)]
struct PlainVersion {
    tenant: u8,
    key: u8,
    is_enabled: bool,
}

/// The plain machine.
#[derive(Debug, Default)]
pub(super) struct Plain {
    tenants: BTreeMap<u8, PlainTenant>,
    /// The rules of each space.
    spaces: BTreeMap<(u8, u8), Option<Vec<u8>>>,
    keys: BTreeMap<(u8, u8), PlainKey>,
    versions: BTreeMap<u8, PlainVersion>,
    /// Tenant, revision and version of each plan under way.
    plans: Vec<(u8, u64, u8)>,
}

/// `Ok` is the name of what was done; the rest is why not.
type Told = Result<&'static str, &'static str>;

impl Plain {
    pub(super) fn revision(&self, tenant: u8) -> u64 {
        self.tenants.get(&tenant).map_or(0, |found| found.revision)
    }

    /// What a command comes to, as one word, and the tenant's revision if it did anything.
    pub(super) fn take(&mut self, ask: &Ask, parent: u64) -> String {
        let (tenant, told) = match *ask {
            Ask::Tenant(tenant) => (tenant, self.create_tenant(tenant)),
            Ask::Space { tenant, space } => (tenant, self.create_space(tenant, space)),
            Ask::Key { tenant, key, space, version } => (tenant, self.create_key(tenant, key, space, version)),
            Ask::Grant { for_nobody: true, tenant, .. } => (tenant, Err("BadRule")),
            Ask::Grant { tenant, at, rule, .. } => (tenant, self.grant(tenant, at, rule)),
            Ask::Enable { tenant, version } => (tenant, self.enable(tenant, version)),
            Ask::Adopt { tenant, version, .. } => (tenant, self.adopt(tenant, version, parent)),
            Ask::Advance { tenant, version, .. } => (tenant, self.advance(tenant, version, parent)),
            Ask::Again(_) => unreachable!("a repetition is answered from what was said before"),
        };
        match told {
            Ok(done) => {
                let tenant = self.tenants.get_mut(&tenant).expect("nothing is done for a tenant that is not there");
                tenant.revision += 1;
                format!("{done} {}", tenant.revision)
            }
            Err(why) => why.to_owned(),
        }
    }

    fn create_tenant(&mut self, tenant: u8) -> Told {
        if self.tenants.contains_key(&tenant) {
            return Err("Exists");
        }
        self.tenants.insert(tenant, PlainTenant::default());
        Ok("TenantMade")
    }

    fn create_space(&mut self, tenant: u8, space: u8) -> Told {
        if !self.tenants.contains_key(&tenant) {
            return Err("UnknownTenant");
        }
        if self.spaces.contains_key(&(tenant, space)) {
            return Err("Exists");
        }
        self.spaces.insert((tenant, space), None);
        Ok("CryptoSpaceMade")
    }

    fn create_key(&mut self, tenant: u8, key: u8, space: Option<u8>, version: u8) -> Told {
        if !self.tenants.contains_key(&tenant) {
            return Err("UnknownTenant");
        }
        if space.is_some_and(|space| !self.spaces.contains_key(&(tenant, space))) {
            return Err("UnknownCryptoSpace");
        }
        if self.keys.contains_key(&(tenant, key)) {
            return Err("Exists");
        }
        if self.versions.contains_key(&version) {
            return Err("PathTaken");
        }
        self.keys.insert((tenant, key), PlainKey { space, rules: None, version });
        self.versions.insert(version, PlainVersion { tenant, key, is_enabled: true });
        Ok("KeyMade")
    }

    /// A grant that would begin a new policy must not hide one that decides today.
    fn grant(&mut self, tenant: u8, at: At, rule: u8) -> Told {
        let of_tenant = self.tenants.get(&tenant).ok_or("UnknownTenant")?.rules.is_some();
        let (rules, inherits) = match at {
            At::Tenant => (&mut self.tenants.get_mut(&tenant).ok_or("UnknownTenant")?.rules, false),
            At::Space(space) => (self.spaces.get_mut(&(tenant, space)).ok_or("UnknownCryptoSpace")?, of_tenant),
            At::Key(key) => {
                let key = self.keys.get_mut(&(tenant, key)).ok_or("UnknownKey")?;
                let of_space = key.space.is_some_and(|space| self.spaces[&(tenant, space)].is_some());
                (&mut key.rules, of_tenant || of_space)
            }
        };
        match rules {
            None if inherits => Err("HidesInherited"),
            None => {
                *rules = Some(vec![rule]);
                Ok("Granted")
            }
            Some(rules) if rules.contains(&rule) => Err("Exists"),
            Some(rules) => {
                rules.push(rule);
                Ok("Granted")
            }
        }
    }

    fn enable(&mut self, tenant: u8, version: u8) -> Told {
        let found = self.versions.get_mut(&version).filter(|found| found.tenant == tenant).ok_or("UnknownVersion")?;
        if found.is_enabled {
            return Err("IllegalStep");
        }
        found.is_enabled = true;
        Ok("VersionStepped")
    }

    fn adopt(&mut self, tenant: u8, version: u8, parent: u64) -> Told {
        let current = self.tenants.get(&tenant).ok_or("UnknownTenant")?.revision;
        if parent != current {
            return Err("Conflict");
        }
        let found = self.versions.get(&version).filter(|found| found.tenant == tenant).ok_or("UnknownVersion")?;
        if !found.is_enabled {
            return Err("IllegalStep");
        }
        if self.plans.iter().any(|(_, _, other)| *other == version) {
            return Err("PlanUnsettled");
        }
        self.plans.push((tenant, parent, version));
        Ok("PlanAdopted")
    }

    fn advance(&mut self, tenant: u8, version: u8, parent: u64) -> Told {
        let place = self.plans.iter().position(|plan| *plan == (tenant, parent, version)).ok_or("UnknownPlan")?;
        self.plans.remove(place);
        self.versions.get_mut(&version).ok_or("UnknownVersion")?.is_enabled = false;
        Ok("PlanSettled")
    }

    /// Everything that can be seen, a line each.
    pub(super) fn seen(&self) -> Vec<String> {
        let tenants = self.tenants.iter().map(|(tenant, found)| {
            format!("tenant t{tenant} at {}: {}", found.revision, rules(found.rules.as_deref()))
        });
        let spaces = self
            .spaces
            .iter()
            .map(|((tenant, space), found)| format!("space t{tenant} s{space}: {}", rules(found.as_deref())));
        let keys = self.keys.iter().map(|((tenant, key), PlainKey { space, rules: found, version })| {
            let space = space.map_or("none".to_owned(), |space| format!("s{space}"));
            format!("key t{tenant} k{key} in {space} with {version}: {}", rules(found.as_deref()))
        });
        let versions = self.versions.iter().map(|(version, PlainVersion { tenant, key, is_enabled })| {
            format!("version {version} of t{tenant} k{key}: {}", if *is_enabled { "enabled" } else { "disabled" })
        });
        let mut plans: Vec<_> = self
            .plans
            .iter()
            .map(|(tenant, parent, version)| format!("plan for {version} of t{tenant} made on {parent}"))
            .collect();
        plans.sort();
        tenants.chain(spaces).chain(keys).chain(versions).chain(plans).collect()
    }
}

fn rules(rules: Option<&[u8]>) -> String {
    rules.map_or("none".to_owned(), |rules| rules.iter().map(|rule| format!("r{rule}")).collect::<Vec<_>>().join(" "))
}
