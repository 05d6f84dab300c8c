//! The reconciler: puts back what other programs take from the firewall, and from the bridges.

mod machine;

use super::Known;
use crate::events::Event;
use crate::shared::Shared;
use crate::supervise::{Answer, ChildSpec, Ctx, Intensity, Link, Member, Message, OverLimit, spawn};
use contract::network::{Disturbance, Endpoint, Segment, SegmentKind};
use machine::{Input, Machine, Output};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The actor: a machine in a thin shell.
pub struct Reconciler {
    shared: Arc<Shared>,
    machine: Machine,
    link: Link<Self>,
}

/// Something happened.
pub struct Step(Input);

impl Message for Step {
    type Result = ();
}

/// The reconciler as the engine has it.
#[derive(Clone)]
pub struct Handle {
    link: Link<Reconciler>,
    /// Outlives incarnations.
    recovered: Arc<AtomicBool>,
}

impl Handle {
    /// Containers that were found at start are adopted.
    pub fn recovered(&self) {
        self.recovered.store(true, Ordering::Release);
        // One that is being rebuilt looks itself.
        self.link.tell(Step(Input::Recovered)).ok();
    }
}

/// Starts it.
pub fn start(shared: &Arc<Shared>) -> Handle {
    let recovered = Arc::new(AtomicBool::new(false));
    let (own, known) = (Arc::clone(shared), Arc::clone(&recovered));
    let mut child = ChildSpec::new("reconciler", "reconciler", move |link| Reconciler {
        shared: Arc::clone(&own),
        machine: Machine::new(known.load(Ordering::Acquire)),
        link,
    })
    .under("networks");
    child.outlives_parent = true;
    child.intensity = Intensity { max_respawns: 20, window: Duration::from_secs(60) };
    child.over_limit = OverLimit::Park;
    let link = spawn(child, &shared.registry);
    let (networks, to) = (Arc::clone(&shared.ports.networks), link.clone());
    tokio::spawn(async move {
        while to.push(Step(Input::Disturbed(networks.disturbed().await))).await.is_ok() {}
    });
    Handle { link, recovered }
}

impl Reconciler {
    fn act(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            let (shared, link) = (Arc::clone(&self.shared), self.link.clone());
            match output {
                Output::Alarm(number, pause) => drop(link.tell_after(pause, Step(Input::Alarm(number)))),
                Output::Examine => self
                    .effect(async move { Input::Examined(examine(&shared).await) }, |text| {
                        Input::Examined(Err(text))
                    }),
                Output::Restore => self
                    .effect(async move { Input::Restored(restore(&shared).await) }, |text| {
                        Input::Restored(Err(text))
                    }),
                Output::Back(disturbance) => tell(&shared, &disturbance),
                Output::Warn(text) => tracing::warn!("{text}"),
            }
        }
    }

    /// A panic in the effect is its failure.
    fn effect(
        &self,
        work: impl Future<Output = Input> + Send + 'static,
        failed: impl FnOnce(String) -> Input + Send + 'static,
    ) {
        let link = self.link.clone();
        let work = tokio::spawn(work);
        tokio::spawn(async move {
            let input = work.await.unwrap_or_else(|e| failed(e.to_string()));
            link.push(Step(input)).await.ok();
        });
    }
}

impl Member for Reconciler {
    fn started(&mut self, _: &mut Ctx<Self>) {
        let begin = self.machine.start();
        self.act(begin);
    }
}

impl Answer<Step> for Reconciler {
    fn answer(&mut self, Step(input): Step, _: &mut Ctx<Self>) {
        let outputs = self.machine.step(input);
        self.act(outputs);
    }
}

/// What should be there, read from what is published.
fn segments(shared: &Shared) -> Vec<Segment> {
    let bridged = |network: &Segment| network.kind == SegmentKind::Bridge;
    let networks = shared.networks.list();
    let own = networks.iter().filter(|n| n.spec.configuration.is_none() && bridged(&n.spec.segment));
    own.map(|network| network.spec.segment.clone()).collect()
}

/// Endpoints of running containers, with a way into their namespaces.
fn endpoints(shared: &Shared) -> Vec<(Endpoint, PathBuf)> {
    let running = shared.board.list().into_iter().filter(|snapshot| snapshot.pid != 0);
    running
        .flat_map(|snapshot| {
            let netns = PathBuf::from(format!("/proc/{}/ns/net", snapshot.pid));
            let endpoints = snapshot.state.endpoints.clone();
            endpoints.into_iter().map(move |endpoint| (endpoint, netns.clone()))
        })
        .collect()
}

async fn examine(shared: &Shared) -> Result<Vec<String>, String> {
    let endpoints = endpoints(shared).into_iter().map(|(endpoint, _)| endpoint).collect();
    shared.ports.networks.missing(segments(shared), endpoints).await.map_err(|e| e.chain())
}

async fn restore(shared: &Shared) -> Result<(), String> {
    let networks = &shared.ports.networks;
    let anew = networks.restore(segments(shared)).await.map_err(|e| e.chain())?;
    for (endpoint, netns) in endpoints(shared) {
        if !anew.contains(&endpoint.segment.name) {
            continue;
        }
        // It may be ending.
        if let Err(error) = networks.ensure_endpoint(&endpoint, netns).await {
            tracing::warn!(container = endpoint.container, "joining a new bridge: {}", error.chain());
        }
    }
    Ok(())
}

fn tell(shared: &Shared, disturbance: &Disturbance) {
    let by = disturbance.by.as_ref().map(|(name, process)| format!("{name} ({process})"));
    tracing::warn!(
        by = by.as_deref().unwrap_or("unknown"),
        "rules of published ports and networks were lost and are put back: {}",
        disturbance.what
    );
    let bridges = |network: &Known| network.spec.segment.kind == SegmentKind::Bridge;
    for network in shared.networks.list().into_iter().filter(bridges) {
        let mut attributes = vec![
            ("name".to_owned(), network.spec.name.clone()),
            ("type".to_owned(), network.spec.segment.kind.driver().to_owned()),
            ("reason".to_owned(), disturbance.what.clone()),
        ];
        attributes.extend(by.clone().map(|by| ("by".to_owned(), by)));
        let event = Event::now("network", "restore", &network.spec.id, attributes.into_iter().collect());
        shared.event(event);
    }
}
