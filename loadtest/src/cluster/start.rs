//! `loadtest cluster start`: the order of a start. Each step is told before it begins; if one fails, all that was started is ended.

use std::fs::File;

use super::StartArgs;
use super::balanced;
use super::certificates::{OFFICER, OPERATOR, Person, SERVERS};
use super::crew::{Crew, Job};
use super::demo::{self, Demo};
use super::error::ClusterError;
use super::file::{self, http, https};
use super::layout::{self, Access, Layout};
use super::members;
use super::plan::{Kept, Kind, Machine, Plan};
use super::prepare::{self, Found};
use super::programs::Programs;
use super::steps::{Failed, Steps};
use super::summary;
use crate::ctl::{self, Ctl};
use crate::exit::interrupted;

/// Starts a cluster and gives what to print.
///
/// # Errors
/// If a step fails; what was started is ended then.
pub async fn start(args: &StartArgs) -> Result<String, Failed> {
    let programs = Programs::find(args).await?;
    let (layout, plan, _lock) = take(args, &programs).await?;
    let loadtest = std::env::current_exe().map_err(ClusterError::Unplaced)?;
    let mut steps = Steps::default();
    let mut crew = Crew::new(layout.clone())?;
    let mut work = Work { layout: &layout, plan: &plan, programs: &programs, crew: &mut crew, steps: &mut steps };
    let done = tokio::select! {
        done = work.perform() => done,
        code = interrupted() => Err(ClusterError::Interrupted { code }),
    };
    match done {
        Ok(demo) => Ok(summary::text(&layout, &plan, &demo, &programs.ekmctl, &loadtest)),
        Err(cause) => {
            crew.end().await;
            Err(steps.failed(cause, &layout))
        }
    }
}

/// The folder, its plan and its lock. A folder is made only if the ports are free.
async fn take(args: &StartArgs, programs: &Programs) -> Result<(Layout, Plan, File), ClusterError> {
    let folder = &args.dir;
    let found = prepare::look(folder)?;
    let ports = prepare::ports(&found, args.base_port, folder)?;
    let lineage = match &found {
        Found::Stopped(kept) => kept.lineage.clone(),
        Found::Nothing => ctl::lineage(&programs.ekmctl).await?,
    };
    let kept = Kept { lineage, ports };
    let plan = Plan::new(&kept).ok_or_else(|| ClusterError::NoPlan { path: folder.join("plan.json") })?;
    prepare::free(&plan)?;
    layout::make_folder(folder)?;
    let layout = Layout::of(folder)?;
    let lock = prepare::lock(&layout)?;
    if prepare::look(folder)? != found {
        return Err(ClusterError::Busy { folder: folder.clone() });
    }
    let text = serde_json::to_vec_pretty(&kept).expect("a text and numbers become JSON");
    layout::write(&layout.plan(), &text, Access::Owner)?;
    // what an earlier start said of itself is not true any more
    layout::remove(&layout.cluster())?;
    layout::remove(&layout.running())?;
    Ok((layout, plan, lock))
}

/// A start under way.
struct Work<'a> {
    layout: &'a Layout,
    plan: &'a Plan,
    programs: &'a Programs,
    crew: &'a mut Crew,
    steps: &'a mut Steps,
}

impl Work<'_> {
    async fn perform(&mut self) -> Result<Demo, ClusterError> {
        self.steps.enter("writing certificates and settings", None);
        prepare::files(self.layout, self.plan)?;
        self.key_stores().await?;
        self.members().await?;
        let first = self.plan.first().key_store();
        self.steps.enter("making the demo tenant and key", Some(first));
        let demo = demo::ensure(&self.ctl(OPERATOR)).await?;
        self.frontends().await?;
        self.balancer(&demo).await?;
        file::describe(self.layout, self.plan, &demo, &self.crew.records())?;
        Ok(demo)
    }

    async fn key_stores(&mut self) -> Result<(), ClusterError> {
        self.steps.enter("starting the key stores and the witness", None);
        let ekm = &self.programs.ekm;
        for machine in &self.plan.machines {
            let settings = self.layout.key_store_settings(machine.name);
            self.crew.run(Job::ekm(machine.key_store(), Kind::Keystore, ekm, settings))?;
        }
        let witness = &self.plan.witness;
        let settings = self.layout.key_store_settings(witness.name);
        self.crew.run(Job::ekm(witness.process(), Kind::Witness, ekm, settings))?;
        for machine in &self.plan.machines {
            let url = format!("{}/livez", http(machine.key_store_health));
            self.crew.answers(&machine.key_store(), &url).await?;
        }
        self.crew.answers(&witness.process(), &format!("{}/livez", http(witness.health))).await
    }

    async fn members(&mut self) -> Result<(), ClusterError> {
        let first = self.plan.first().key_store();
        let officer = self.ctl(OFFICER);
        self.steps.enter("making the cluster", Some(first.clone()));
        members::make(self.layout, &officer).await?;
        let health = http(self.plan.first().key_store_health);
        self.crew.answers(&first, &format!("{health}/readyz")).await?;
        members::hand_out_root_key(self.layout, self.plan, self.crew).await?;
        members::join(self.layout, self.plan, &officer, self.crew, self.steps).await?;
        self.steps.enter("waiting until all replicas are together", Some(first));
        let on = |machine: &Machine| ctl_of(self.layout, self.programs, machine, OFFICER);
        members::together(self.plan, on, self.crew).await?;
        for machine in &self.plan.machines {
            let url = format!("{}/readyz", http(machine.key_store_health));
            self.crew.answers(&machine.key_store(), &url).await?;
        }
        let witness = &self.plan.witness;
        self.crew.answers(&witness.process(), &format!("{}/readyz", http(witness.health))).await
    }

    async fn frontends(&mut self) -> Result<(), ClusterError> {
        self.steps.enter("starting the frontends", None);
        for machine in &self.plan.machines {
            let settings = self.layout.frontend_settings(machine.name);
            self.crew.run(Job::ekm(machine.frontend(), Kind::Frontend, &self.programs.ekm, settings))?;
        }
        for machine in &self.plan.machines {
            let url = format!("{}/readyz", http(machine.frontend_health));
            self.crew.answers(&machine.frontend(), &url).await?;
        }
        Ok(())
    }

    async fn balancer(&mut self, demo: &Demo) -> Result<(), ClusterError> {
        self.steps.enter("starting HAProxy, and wrapping through it", Some(super::plan::BALANCER.to_owned()));
        self.crew.run(Job::balancer(&self.programs.haproxy, self.layout.balancer()))?;
        balanced::wrap(self.layout, self.plan, demo, self.crew).await
    }

    /// `ekmctl` against the first key store.
    fn ctl(&self, person: Person) -> Ctl {
        ctl_of(self.layout, self.programs, self.plan.first(), person)
    }
}

/// `ekmctl` against the key store of a machine.
fn ctl_of(layout: &Layout, programs: &Programs, machine: &Machine, person: Person) -> Ctl {
    let access = ctl::Access::Person {
        url: https(machine.admin),
        ca: layout.of_pki(SERVERS),
        certificate: layout.of_pki(&person.certificate()),
        key: layout.of_pki(&person.key()),
    };
    Ctl::new(programs.ekmctl.clone(), access)
}
