//! The request that an action carries out, for authors of entries: the inverse of what the machine verifies, kept apart from it.

use crate::ids::CryptoSpaceName;
use crate::machine::command::{Action, AddReplica, CreateKey, LiftDeny};
use crate::machine::lifecycle::Event;
use crate::machine::request::{AdminOperation, Base64Bytes, WrappedMaterial};
use crate::machine::rows::{Change, Origin, Plan, Role, Staleness};

/// What somebody asks for whom this action shall answer; `None` if nobody can ask for it.
pub fn asks(action: &Action) -> Option<AdminOperation> {
    Some(match action.clone() {
        Action::PlaceTenant(place) => {
            AdminOperation::CreateTenant { tenant: place.tenant, staleness: Staleness::default(), shard: None }
        }
        Action::ReservePath(reserve) => {
            let name: CryptoSpaceName = "space".parse().expect("a legal name");
            AdminOperation::CreateCryptoSpace { tenant: reserve.tenant, name }
        }
        Action::CreateTenant(create) => {
            AdminOperation::CreateTenant { tenant: create.tenant, staleness: create.staleness, shard: None }
        }
        Action::CreateCryptoSpace(create) => {
            AdminOperation::CreateCryptoSpace { tenant: create.tenant, name: create.name }
        }
        Action::CreateKey(create) => asks_key(create),
        Action::AddGrant(add) => AdminOperation::Grant { tenant: add.tenant, level: add.level, rule: add.rule },
        Action::StepVersion(step) => match step.event {
            Event::Enable => AdminOperation::EnableVersion { tenant: step.tenant, version: step.version },
            Event::Restore => AdminOperation::RestoreVersion { tenant: step.tenant, version: step.version },
            Event::Activate | Event::Disable | Event::ScheduleDestroy | Event::Destroy | Event::DestroyByCloud => {
                return None;
            }
        },
        Action::AdoptPlan(adopt) => asks_plan(adopt.plan),
        Action::AddVersion(add) => match add.version.origin {
            Origin::Generated => AdminOperation::AddVersion { tenant: add.tenant, key: add.key },
            origin @ Origin::Imported { .. } => {
                AdminOperation::ImportVersion { tenant: add.tenant, key: add.key, material: material(origin)? }
            }
        },
        Action::CreateAlias(create) => AdminOperation::CreateAlias { tenant: create.tenant, version: create.version },
        Action::CreateImportKey(create) => AdminOperation::CreateImportKey { tenant: create.tenant },
        Action::EnrolSigner(enrol) => match enrol.role {
            Role::Person { roles, tenants } => {
                AdminOperation::Enrol { signer: enrol.signer, public_key: enrol.public_key, roles, tenants }
            }
            Role::Replica => return None,
        },
        Action::RevokeSigner(revoke) => AdminOperation::Revoke { signer: revoke.signer },
        Action::AddShard(add) => AdminOperation::AddShard { shard: add.shard },
        Action::AddReplica(AddReplica { replica, address, site, kind, standing }) => {
            AdminOperation::AddReplica { replica, address, site, kind, standing }
        }
        Action::LiftDeny(LiftDeny { tenant, entry }) => AdminOperation::LiftDeny { tenant, entry },
        Action::Genesis(_) | Action::AdvanceStage(_) | Action::Tick(_) | Action::DestroyVersion(_) => return None,
    })
}

fn asks_key(create: CreateKey) -> AdminOperation {
    let CreateKey { tenant, name, crypto_space, purpose, version } = create;
    match material(version.origin) {
        None => AdminOperation::CreateKey { tenant, name, crypto_space, purpose },
        Some(material) => AdminOperation::ImportKey { tenant, name, crypto_space, purpose, material },
    }
}

fn asks_plan(plan: Plan) -> AdminOperation {
    let Plan { tenant, parent, change } = plan;
    match change {
        Change::DisableVersion { version } => AdminOperation::DisableVersion { tenant, version, parent },
        Change::ScheduleDestroy { version, window_seconds } => {
            AdminOperation::ScheduleDestroy { tenant, version, window_seconds, parent }
        }
        Change::RemoveAlias { alias } => AdminOperation::RemoveAlias { tenant, alias, parent },
        Change::SetPolicy { level, policy } => AdminOperation::SetPolicy { tenant, level, policy, parent },
        Change::RemoveRule { level, rule } => AdminOperation::RemoveRule { tenant, level, rule, parent },
        Change::SetQuota { level, quota } => AdminOperation::SetQuota { tenant, level, quota, parent },
    }
}

/// Material of that origin; its wrapped bytes are made up, since no machine looks at them.
fn material(origin: Origin) -> Option<WrappedMaterial> {
    match origin {
        Origin::Generated => None,
        Origin::Imported { import_key, check_value } => {
            Some(WrappedMaterial { import_key, wrapped: Base64Bytes(vec![5; 384]), check_value: Some(check_value) })
        }
    }
}
