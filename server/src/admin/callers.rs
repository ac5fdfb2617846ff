//! Where a caller is named: the rules at every level within a person's reach, a bounded number of levels at a time.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use replication::ids::{CryptoSpaceName, IdError, KeyName, TenantId};
use replication::machine::policy::{Policy, Principal, Rule};
use replication::machine::request::Level;
use replication::machine::state::State;

use super::across::{Across, Lives};
use super::pages::{PageAsked, token};
use super::person::Person;
use super::wire::{CallerBody, FailureBody, Page};

/// Most levels looked at for one page, so that a caller whom nobody names costs no more than one whom everybody does.
const LEVELS_LOOKED_AT_MAX: usize = 20_000;

/// The rules that name a caller, by tenant: the tenant's own, its crypto spaces', its keys'.
pub(super) fn rules(
    across: &Across,
    caller: &Principal,
    asked: &PageAsked,
    person: &Person,
) -> Result<Page<CallerBody>, FailureBody> {
    page(across, caller, asked, person, LEVELS_LOOKED_AT_MAX)
}

fn page(
    across: &Across,
    caller: &Principal,
    asked: &PageAsked,
    person: &Person,
    looks_max: usize,
) -> Result<Page<CallerBody>, FailureBody> {
    let list = format!("callers {caller}");
    let mut levels = levels(across, asked.after::<Place>(&list)?, person).peekable();
    let (mut items, mut looks) = (Vec::new(), 0);
    let mut last = None;
    while items.len() < asked.size() && looks < looks_max {
        let Some((place, policy)) = levels.next() else { break };
        looks += 1;
        items.extend(policy.and_then(|policy| naming(&place, policy, caller)));
        last = Some(place);
    }
    let next_page_token = last.filter(|_| levels.peek().is_some()).map(|place| token(&list, &place));
    Ok(Page { items, next_page_token, missing_shards: across.missing.clone() })
}

/// A level of a tenant. The order is that of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    tenant: TenantId,
    level: Level,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.level {
            Level::Tenant => write!(f, "{}", self.tenant),
            Level::CryptoSpace(name) => write!(f, "{}/c/{name}", self.tenant),
            Level::Key(name) => write!(f, "{}/k/{name}", self.tenant),
        }
    }
}

impl FromStr for Place {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (tenant, level) = match text.split_once('/') {
            None => (text, Level::Tenant),
            Some((tenant, rest)) => match rest.split_once('/') {
                Some(("c", name)) => (tenant, Level::CryptoSpace(name.parse()?)),
                Some(("k", name)) => (tenant, Level::Key(name.parse()?)),
                _ => return Err(IdError::Name { what: "level" }),
            },
        };
        Ok(Self { tenant: tenant.parse()?, level })
    }
}

/// Every level within reach behind the given one, with its policy.
fn levels<'a>(
    across: &'a Across,
    after: Option<Place>,
    person: &'a Person,
) -> impl Iterator<Item = (Place, Option<&'a Policy>)> {
    let from = after.as_ref().map_or(Bound::Unbounded, |after| Bound::Included(after.tenant.clone()));
    let tenants = across.tenants(&from).filter(|lives| person.reaches(lives.tenant));
    tenants.flat_map(move |Lives { state, tenant, row, .. }| {
        let begun = after.as_ref().filter(|after| after.tenant == *tenant).map(|after| after.level.clone());
        let own = begun.is_none().then(|| (place(tenant, Level::Tenant), row.policy.as_ref()));
        own.into_iter().chain(spaces(state, tenant, begun.as_ref())).chain(keys(state, tenant, begun.as_ref()))
    })
}

fn spaces<'a>(
    state: &'a State,
    tenant: &TenantId,
    begun: Option<&Level>,
) -> impl Iterator<Item = (Place, Option<&'a Policy>)> + use<'a> {
    let from = match begun {
        None | Some(Level::Tenant) => Some(Bound::Included(CryptoSpaceName::first())),
        Some(Level::CryptoSpace(name)) => Some(Bound::Excluded(name.clone())),
        Some(Level::Key(_)) => None,
    };
    let owner = tenant.clone();
    let from = from.map(|from| from.map(|name| (owner.clone(), name)));
    let range = from.map(|from| state.crypto_spaces().range((from, Bound::Unbounded)));
    let own = range.into_iter().flatten().take_while(move |((tenant, _), _)| *tenant == owner);
    own.map(|((tenant, name), row)| (place(tenant, Level::CryptoSpace(name.clone())), row.policy.as_ref()))
}

fn keys<'a>(
    state: &'a State,
    tenant: &TenantId,
    begun: Option<&Level>,
) -> impl Iterator<Item = (Place, Option<&'a Policy>)> + use<'a> {
    let from = match begun {
        Some(Level::Key(name)) => Bound::Excluded((tenant.clone(), name.clone())),
        None | Some(Level::Tenant | Level::CryptoSpace(_)) => Bound::Included((tenant.clone(), KeyName::first())),
    };
    let owner = tenant.clone();
    let own = state.keys().range((from, Bound::Unbounded)).take_while(move |((tenant, _), _)| *tenant == owner);
    own.map(|((tenant, name), row)| (place(tenant, Level::Key(name.clone())), row.policy.as_ref()))
}

fn place(tenant: &TenantId, level: Level) -> Place {
    Place { tenant: tenant.clone(), level }
}

/// What a policy says of the caller, if it names them.
fn naming(place: &Place, policy: &Policy, caller: &Principal) -> Option<CallerBody> {
    let of = |rules: &[Rule]| rules.iter().filter(|rule| rule.callers.contains(caller)).cloned().collect::<Vec<_>>();
    let (denies, grants) = (of(&policy.denies), of(&policy.grants));
    (!denies.is_empty() || !grants.is_empty()).then(|| CallerBody {
        tenant: place.tenant.clone(),
        level: place.level.clone(),
        denies,
        grants,
    })
}

#[cfg(test)]
#[path = "callers_tests.rs"]
mod tests;
