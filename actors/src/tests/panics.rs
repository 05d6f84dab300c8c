//! Every actor panics at every handler, and a container's whole life goes on around it.

use super::stage::*;
use crate::container::messages::WaitCondition;
use crate::{AttachRequest, LogsRequest, Status};
use contract::runtime::ExecSpec;
use contract::{ContainerId, Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// One panic: in actors of this kind, at this handler (or any, if empty), at the nth message.
type Fault = (&'static str, &'static str, u32);

/// Arms what can be armed now; answers how many panics are still to come.
struct Faults {
    faults: Vec<Fault>,
    watched: Vec<Box<dyn Fn() -> usize>>,
}

impl Faults {
    fn arm(&mut self, d: &Daemon) {
        // Only the last of the containers is restarted by a policy.
        let early = d.find("kept").is_err();
        let (due, later) = std::mem::take(&mut self.faults).into_iter().partition(|(kind, handler, _)| {
            d.actors().iter().any(|a| a.kind == *kind) && !(*handler == "RestartDue" && early)
        });
        self.faults = later;
        let due: Vec<Fault> = due;
        for (kind, handler, nth) in due {
            let armed = match handler {
                "" => d.inject(kind, nth),
                handler => d.inject_at(kind, handler, nth),
            };
            if armed > 0 {
                let left = d.registry.watch(kind);
                // Several are armed; it comes in one of them.
                let all = left();
                self.watched.push(Box::new(move || usize::from(left() == all)));
            }
        }
    }

    fn left(&self) -> usize {
        self.faults.len() + self.watched.iter().map(|left| left()).sum::<usize>()
    }
}

/// Removes whatever state it is in, however often that takes.
async fn removed(d: &Daemon, id: &ContainerId) {
    let removal = again(|| d.remove(id, true, false)).await;
    if let Err(error) = removal {
        // An earlier try may have done it, or be doing it.
        assert!(matches!(error.kind, Kind::NotFound | Kind::Conflict), "{}", error.text);
    }
    d.gone(id).await;
}

/// A container's life with all that can be done to it.
async fn life(d: Arc<Daemon>, mut faults: Faults) {
    faults.arm(&d);
    let world = Arc::clone(&d.stage.world);
    let id = again(|| d.create(Some("web".into()), spec())).await.unwrap();
    // A create whose answer is lost may have been carried out; it must not be there twice.
    assert_eq!(d.list().iter().filter(|s| s.state.name == "web").count(), 1);
    let gone = tokio::spawn(again(|| d.wait(&id, WaitCondition::Removed)).await.unwrap());
    let next = tokio::spawn(again(|| d.wait(&id, WaitCondition::NextExit)).await.unwrap());
    let mut attached =
        d.attach(&id, AttachRequest { stdin: true, logs: false, past_only: false }).await.unwrap();
    faults.arm(&d);
    again(|| d.adopt(&id, None)).await.unwrap();
    again(|| d.start(&id)).await.unwrap();
    d.comes_to(&id, Status::Running).await;
    assert_eq!(world.runtime.starts(id.as_str()), 1, "a start is not doubled");
    faults.arm(&d);
    for n in 0..20 {
        world.runtime.write(id.as_str(), &format!("{n}\n"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let follow = LogsRequest { stdout: true, stderr: true, follow: true, ..LogsRequest::default() };
    let mut lines = d.logs(&id, follow).await.unwrap();

    let asked = ExecSpec { args: vec!["true".into()], output: true, ..ExecSpec::default() };
    let exec = d.exec_create(&id, asked).unwrap();
    d.exec_run(&exec, true).await.unwrap();
    assert!(d.exec_inspect(&exec).await.unwrap().running);
    world.runtime.exec_exit(id.as_str(), exec.as_str(), 3);
    d.exec_ended(&exec).await;
    assert_eq!(d.exec_inspect(&exec).await.unwrap().exit_code, Some(3));

    if let Err(error) = again(|| d.rename(&id, "site")).await {
        assert!(error.text.contains("same name"), "{}", error.text);
    }
    assert_eq!(d.find("site").unwrap().spec.id, id.as_str());
    for frozen in [true, false] {
        let outcome = again(|| async { if frozen { d.pause(&id).await } else { d.unpause(&id).await } });
        if let Err(error) = outcome.await {
            assert_eq!(error.kind, Kind::Conflict, "{}", error.text);
        }
        d.comes_to(&id, if frozen { Status::Paused } else { Status::Running }).await;
    }
    again(|| d.kill(&id, "USR1")).await.unwrap();
    assert!(world.runtime.runs(id.as_str()));
    again(|| d.restart(&id, None, None)).await.unwrap();
    d.comes_to(&id, Status::Running).await;
    let code = tokio::time::timeout(Duration::from_secs(20), next).await.expect("a waiter hangs");
    assert_eq!(code.unwrap().unwrap(), 143);
    for _ in 0..20 {
        assert!(attached.output.recv().await.is_some());
    }
    assert_eq!(attached.output.recv().await, None, "an attachment ends with the run it was made for");
    let followed = async { while lines.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), followed).await.expect("a follower hangs");

    for n in 20..40 {
        world.runtime.write(id.as_str(), &format!("{n}\n"));
    }
    again(|| d.stop(&id, Some(0), None)).await.unwrap();
    d.comes_to(&id, Status::Exited).await;
    again(|| d.start(&id)).await.unwrap();
    again(|| d.kill(&id, "KILL")).await.ok();
    d.comes_to(&id, Status::Exited).await;
    let all: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    until("every line once", || d.stage.file.lines(id.as_str()) == all).await;
    let stored = LogsRequest { stdout: true, stderr: true, ..LogsRequest::default() };
    let mut stored = d.logs(&id, stored).await.unwrap();
    assert_eq!(count(&mut stored).await, 40);

    policy_life(&d, &mut faults).await;
    removed(&d, &id).await;
    let code =
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("a waiter hangs").unwrap().unwrap();
    assert!(matches!(code, 137 | 143), "{code}");
    let heir = again(|| d.create(Some("site".into()), spec())).await.unwrap();
    removed(&d, &heir).await;
    again(|| d.pull("busybox", None, None, mpsc::channel(8).0)).await.unwrap();
    again(|| d.subscribe()).await.unwrap();
    assert_eq!(faults.left(), 0, "not every panic came");
    d.bare().await;
}

async fn count<T>(lines: &mut mpsc::Receiver<T>) -> usize {
    let mut count = 0;
    while lines.recv().await.is_some() {
        count += 1;
    }
    count
}

/// A container that ignores its stop signal and is restarted by its policy, and one that removes itself.
async fn policy_life(d: &Arc<Daemon>, faults: &mut Faults) {
    let world = d.world();
    world.runtime.ignore(&[15]);
    let id = again(|| d.create(Some("kept".into()), policy("on-failure"))).await.unwrap();
    let brief = again(|| d.create(Some("brief".into()), removed_at_its_end())).await.unwrap();
    faults.arm(d);
    again(|| d.start(&id)).await.unwrap();
    d.comes_to(&id, Status::Running).await;
    world.runtime.exit(id.as_str(), 1);
    until("restarted by policy", || world.runtime.runs(id.as_str())).await;
    d.comes_to(&id, Status::Running).await;
    // Whoever gets no answer asks again; its process ignores what it is sent before the kill.
    again(|| d.stop(&id, Some(0), None)).await.unwrap();
    d.comes_to(&id, Status::Exited).await;
    again(|| d.start(&brief)).await.unwrap();
    d.comes_to(&brief, Status::Running).await;
    world.runtime.exit(brief.as_str(), 0);
    d.gone(&brief).await;
    world.runtime.ignore(&[]);
    removed(d, &id).await;
}

fn survives(faults: &[Fault]) {
    let faults = faults.to_vec();
    println!("{faults:?}");
    daemon(|d| life(d, Faults { faults, watched: Vec::new() }));
}

#[test]
fn without_a_panic_the_life_is_whole() {
    survives(&[]);
}

#[test]
fn a_container_panics_at_every_request() {
    for handler in
        ["Wait", "Known", "Start", "Renamed", "Freeze", "Kill", "Restart", "Stop", "Remove", "ExecChanged"]
    {
        survives(&[("container", handler, 1)]);
    }
}

#[test]
fn a_container_panics_at_every_result() {
    for handler in ["StartDone", "Exited", "Frozen", "GraceOver", "RestartDue", "RemoveDone"] {
        survives(&[("container", handler, 1)]);
    }
}

#[test]
fn a_container_panics_while_it_comes_back() {
    for handler in ["started", "Adopted"] {
        for first in ["Start", "StartDone", "Exited"] {
            survives(&[("container", first, 1), ("container", handler, 1)]);
        }
    }
    // Its record is gone by the time it looks for it.
    survives(&[("container", "RemoveDone", 1), ("container", "Gone", 1)]);
}

#[test]
fn the_directory_and_the_addresses_panic_at_every_handler() {
    for fault in [("containers", "ClaimName", 1), ("containers", "Adopt", 1), ("containers", "Adopt", 2)] {
        survives(&[fault]);
    }
    for fault in [("network", "Reserve", 1), ("network", "Reserve", 2), ("network", "Release", 1)] {
        survives(&[fault]);
    }
}

#[test]
fn events_panic_at_every_handler_and_everything_after_them_is_rebuilt() {
    for fault in [
        ("events", "Subscribe", 1),
        ("events", "Publish", 1),
        ("events", "Publish", 5),
        ("events", "Publish", 12),
    ] {
        survives(&[fault]);
    }
}

#[test]
fn images_panic_at_every_handler() {
    survives(&[("images", "CarrierFor", 1)]);
}

#[test]
fn a_router_panics_at_every_report_and_question() {
    for nth in 1..14 {
        survives(&[("router", "Report", nth)]);
    }
    survives(&[("router", "Drain", 1)]);
    survives(&[("router", "Report", 3), ("router", "started", 1)]);
}

#[test]
fn a_sink_panics_at_every_handler() {
    for fault in [("sink", "Deliver", 1), ("sink", "Deliver", 2), ("sink", "Deliver", 5)] {
        survives(&[fault]);
    }
    survives(&[("sink", "Deliver", 1), ("sink", "Open", 1)]);
    survives(&[("sink", "Deliver", 2), ("sink", "started", 1)]);
}

#[test]
fn a_pull_panics_at_every_handler_and_its_askers_hear_of_it() {
    for handler in ["Join", "Line", "Finished"] {
        daemon(|d| async move {
            let held = d.world().script.hold("pull");
            let asker = d.clone();
            let asked =
                tokio::spawn(async move { asker.pull("busybox", None, None, mpsc::channel(8).0).await });
            until("it pulls", || d.world().script.calls("pull", "busybox") == 1).await;
            let watch = d.registry.watch("pull");
            assert_eq!(d.inject_at("pull", handler, 1), 1);
            let second = d.clone();
            let second =
                tokio::spawn(async move { second.pull("busybox", None, None, mpsc::channel(8).0).await });
            if handler == "Join" {
                until("the second one joins", || watch() == 0).await;
            }
            drop(held);
            for asked in [asked, second] {
                if let Err(error) = asked.await.unwrap() {
                    assert_eq!(error.kind, Kind::Unavailable);
                }
            }
            if handler != "Line" {
                assert_eq!(watch(), 0, "{handler}");
            }
            again(|| d.pull("busybox", None, None, mpsc::channel(8).0)).await.unwrap();
            d.find_image("busybox").await.unwrap();
        });
    }
}
