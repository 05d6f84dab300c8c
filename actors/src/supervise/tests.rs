use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use actix::{ActorContext, AsyncContext, System};

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn with_system<F: Future<Output = ()>>(test: impl FnOnce(Registry) -> F) {
    let system = System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    });
    let registry = Registry::new(System::current().arbiter().clone());
    system.block_on(async move {
        tokio::time::timeout(Duration::from_secs(30), test(registry)).await.expect("test hangs");
    });
}

struct Counter {
    count: u32,
    log: Arc<Mutex<Vec<String>>>,
    me: Link<Counter>,
    kept: Vec<Reply<u32>>,
}

impl Member for Counter {
    fn started(&mut self, _: &mut Ctx<Self>) {
        self.log.lock().unwrap().push(format!("+{}", self.me.name()));
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.log.lock().unwrap().push(format!("-{}", self.me.name()));
    }
}

macro_rules! message {
    ($name:ident => $result:ty, |$me:ident, $message:pat_param, $ctx:ident| $body:expr) => {
        impl Message for $name {
            type Result = $result;
        }
        impl Answer<$name> for Counter {
            fn answer(&mut self, $message: $name, $ctx: &mut Ctx<Self>) -> $result {
                let $me = self;
                $body
            }
        }
    };
}

struct Add;
message!(Add => u32, |me, _, _ctx| { me.count += 1; me.count });
struct Crash;
message!(Crash => (), |me, _, _ctx| panic!("count was {}", me.count));
struct CrashLater;
message!(CrashLater => (), |_me, _, ctx| {
    let later = async { panic!("in a spawned future") };
    ctx.spawn(actix::fut::wrap_future::<_, Hosted<Counter>>(later));
});
struct Block(mpsc::Receiver<()>);
message!(Block => (), |_me, Block(rx), _ctx| { let _ = rx.recv(); });
struct Defer(Option<Reply<u32>>);
message!(Defer => (), |me, Defer(reply), _ctx| reply.map_or((), |r| { let _ = r.send(me.count); }));
struct Keep(Reply<u32>);
message!(Keep => (), |me, Keep(reply), _ctx| me.kept.push(reply));
struct Kept;
message!(Kept => usize, |me, _, _ctx| me.kept.len());
struct Finish;
message!(Finish => (), |_me, _, ctx| ctx.stop());
struct AddToSelf;
message!(AddToSelf => bool, |me, _, _ctx| me.me.tell(Add).is_ok());
struct AddLater;
message!(AddLater => (), |me, _, _ctx| { me.me.tell_after(Duration::from_millis(30), Add); });

type Log = Arc<Mutex<Vec<String>>>;

fn counter(name: &str, log: &Log) -> ChildSpec<Counter> {
    let log = log.clone();
    let mut spec = ChildSpec::new(name, "counter", move |me| Counter {
        count: 10,
        log: log.clone(),
        me,
        kept: Vec::new(),
    });
    spec.backoff = Backoff { min: Duration::from_millis(5), max: Duration::from_millis(10) };
    spec
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

async fn why(link: &Link<Counter>) -> Why {
    link.ask(Crash, SOON).await.unwrap_err().why
}

fn row(registry: &Registry, name: &str) -> ActorInfo {
    registry.snapshot().into_iter().find(|a| a.name == name).expect("no such actor")
}

#[test]
fn links_cross_threads() {
    fn assert<T: Send + Sync + Clone + 'static>() {}
    assert::<Link<Counter>>();
    assert::<Registry>();
    assert::<RootHandle>();
}

#[test]
fn a_panicked_actor_is_built_fresh_and_its_link_still_works() {
    with_system(|registry| async move {
        let link = spawn(counter("c", &Log::default()), &registry);
        assert_eq!(link.ask(Add, SOON).await, Ok(11));
        assert_eq!(why(&link).await, Why::Restarting);
        until("respawned", || link.incarnation() == 1).await;
        assert_eq!(link.ask(Add, SOON).await, Ok(11));
        let info = row(&registry, "c");
        assert_eq!((info.state, info.respawns), (State::Running, 1));
        let text = info.last_panic.unwrap();
        assert!(text.starts_with("count was 11 (") && text.contains("tests.rs:"), "{text}");
    });
}

#[test]
fn a_panic_in_a_spawned_future_counts() {
    with_system(|registry| async move {
        let link = spawn(counter("c", &Log::default()), &registry);
        link.ask(CrashLater, SOON).await.unwrap();
        until("respawned", || link.incarnation() == 1).await;
        assert_eq!(link.ask(Add, SOON).await, Ok(11));
        assert!(row(&registry, "c").last_panic.unwrap().contains("in a spawned future"));
    });
}

#[test]
fn an_injected_fault_hits_the_chosen_message() {
    with_system(|registry| async move {
        let link = spawn(counter("c", &Log::default()), &registry);
        assert_eq!(registry.inject("counter", 2), 1);
        assert_eq!(link.ask(Add, SOON).await, Ok(11));
        assert_eq!(link.ask(Add, SOON).await.unwrap_err().why, Why::Restarting);
        until("respawned", || link.incarnation() == 1).await;
        assert_eq!(link.ask(Add, SOON).await, Ok(11));
    });
}

#[test]
fn beyond_its_limit_an_actor_gives_up_or_parks() {
    with_system(|registry| async move {
        for over_limit in [OverLimit::GiveUp, OverLimit::Park] {
            let mut spec = counter("c", &Log::default());
            spec.intensity.max_respawns = 1;
            spec.backoff.max = Duration::from_millis(300);
            spec.over_limit = over_limit;
            let link = spawn(spec, &registry);
            why(&link).await;
            until("respawned", || link.incarnation() == 1).await;
            why(&link).await;
            match over_limit {
                OverLimit::GiveUp => {
                    assert_eq!(link.ended().await, Ended::GaveUp);
                    assert_eq!(why(&link).await, Why::GaveUp);
                    assert_eq!(row(&registry, "c").state, State::GaveUp);
                }
                OverLimit::Park => {
                    until("parked", || link.state() == State::Parked).await;
                    assert_eq!(why(&link).await, Why::Restarting);
                    until("retried", || link.incarnation() == 2).await;
                    assert_eq!(link.ask(Add, SOON).await, Ok(11));
                    why(&link).await;
                    until("parked again", || link.state() == State::Parked).await;
                    link.stop();
                    assert_eq!(link.ended().await, Ended::Stopped);
                }
            }
        }
    });
}

#[test]
fn a_factory_that_panics_uses_up_the_limit() {
    with_system(|registry| async move {
        let mut spec: ChildSpec<Counter> = ChildSpec::new("c", "counter", |_| panic!("no state"));
        spec.intensity.max_respawns = 2;
        spec.backoff.min = Duration::ZERO;
        let link = spawn(spec, &registry);
        assert_eq!(link.ended().await, Ended::GaveUp);
        let info = row(&registry, "c");
        assert_eq!(info.respawns, 2);
        assert!(info.last_panic.unwrap().contains("no state"));
    });
}

#[test]
fn a_full_mailbox_and_a_late_answer_are_told_apart() {
    with_system(|registry| async move {
        let arbiter = actix::Arbiter::new();
        let mut spec = counter("c", &Log::default());
        spec.mailbox = 2;
        spec.arbiter = Some(arbiter.handle());
        let link = spawn(spec, &registry);
        link.ask(Add, SOON).await.unwrap();
        let (release, blocked) = mpsc::channel();
        link.tell(Block(blocked)).unwrap();
        until("blocked", || row(&registry, "c").mailbox == 0).await;
        let late = link.ask(Add, Duration::from_millis(30)).await.unwrap_err();
        assert_eq!(late, Unavailable { actor: "c".into(), why: Why::TimedOut });
        link.tell(Add).unwrap();
        assert_eq!(row(&registry, "c").mailbox, 2);
        assert_eq!(link.tell(Add).unwrap_err().why, Why::Full);
        assert_eq!(link.ask(Add, Duration::from_millis(30)).await.unwrap_err().why, Why::Full);
        assert_eq!(link.tell(Add).unwrap_err().to_string(), "c has too many messages waiting");
        drop(release);
        // The ask nobody waits for any more was not executed: 10, Add, Add, Add.
        assert_eq!(link.ask(Add, SOON).await, Ok(13));
        link.stop();
        link.ended().await;
        arbiter.stop();
    });
}

#[test]
fn threads_may_call_at_once_and_blocking_counts_add_up() {
    with_system(|registry| async move {
        let link = spawn(counter("c", &Log::default()), &registry);
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let link = link.clone();
                tokio::spawn(async move {
                    for _ in 0..500 {
                        link.ask(Add, SOON).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(link.call(|r| Defer(Some(r)), SOON).await, Ok(1010));
        assert_eq!(row(&registry, "c").mailbox, 0);
    });
}

#[test]
fn a_dropped_reply_is_an_error_and_an_actor_may_tell_itself() {
    with_system(|registry| async move {
        let mut spec = counter("c", &Log::default());
        spec.mailbox = 1;
        let link = spawn(spec, &registry);
        let dropped = link
            .call(
                |r: Reply<u32>| {
                    drop(r);
                    Defer(None)
                },
                SOON,
            )
            .await;
        assert_eq!(dropped.unwrap_err().why, Why::Restarting);
        assert_eq!(link.ask(AddToSelf, SOON).await, Ok(true));
        assert_eq!(link.ask(Add, SOON).await, Ok(12));
        link.ask(AddLater, SOON).await.unwrap();
        while link.call(|r| Defer(Some(r)), SOON).await != Ok(13) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(link.ask(Add, SOON).await, Ok(14));
    });
}

/// Whatever a caller waits for, for ever if need be, it hears of the panic: an answer the actor keeps for later, a message
/// behind the fatal one, room in the mailbox.
#[test]
fn callers_without_a_deadline_hear_of_a_panic() {
    with_system(|registry| async move {
        let arbiter = actix::Arbiter::new();
        let mut spec = counter("c", &Log::default());
        spec.mailbox = 2;
        spec.arbiter = Some(arbiter.handle());
        let link = spawn(spec, &registry);
        let kept = link.clone();
        let kept = tokio::spawn(async move { kept.call(Keep, Duration::MAX).await });
        while link.ask(Kept, SOON).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        let (release, blocked) = mpsc::channel();
        link.tell(Block(blocked)).unwrap();
        until("blocked", || row(&registry, "c").mailbox == 0).await;
        link.tell(Crash).unwrap();
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let link = link.clone();
                tokio::spawn(async move { link.call(Keep, Duration::MAX).await })
            })
            .collect();
        until("full", || row(&registry, "c").mailbox == 2).await;
        drop(release);
        assert_eq!(kept.await.unwrap().unwrap_err().why, Why::Restarting);
        let mut heard = 0;
        for call in calls {
            // Those who got in after the rebuilding wait for the next one.
            if let Ok(answer) = tokio::time::timeout(Duration::from_secs(1), call).await {
                assert_eq!(answer.unwrap().unwrap_err().why, Why::Restarting);
                heard += 1;
            }
        }
        assert!(heard >= 1);
        link.stop();
        link.ended().await;
        arbiter.stop();
    });
}

#[test]
fn timers_die_with_their_incarnation() {
    with_system(|registry| async move {
        let link = spawn(counter("c", &Log::default()), &registry);
        link.ask(AddLater, SOON).await.unwrap();
        why(&link).await;
        until("respawned", || link.incarnation() == 1).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
        assert_eq!(link.ask(Add, SOON).await, Ok(11));
    });
}

#[test]
fn ended_actors_leave_the_tree_and_say_so() {
    with_system(|registry| async move {
        let link = spawn(counter("t", &Log::default()).temporary(), &registry);
        why(&link).await;
        assert_eq!(link.ended().await, Ended::GaveUp);
        let by_itself = spawn(counter("p", &Log::default()), &registry);
        by_itself.tell(Finish).unwrap();
        assert_eq!(by_itself.ended().await, Ended::Stopped);
        assert_eq!(why(&by_itself).await, Why::Stopped);
        assert!(registry.snapshot().is_empty());
    });
}

#[test]
fn children_end_with_their_parent_unless_they_outlive_it() {
    with_system(|registry| async move {
        let log = Log::default();
        let parent = spawn(counter("p", &log), &registry);
        let child = spawn(counter("c", &log).under("p"), &registry);
        let grandchild = spawn(counter("g", &log).under("c"), &registry);
        let mut free = counter("f", &log).under("p");
        free.outlives_parent = true;
        let free = spawn(free, &registry);
        for link in [&child, &grandchild, &free] {
            link.ask(Add, SOON).await.unwrap();
        }
        why(&parent).await;
        assert_eq!(child.ended().await, Ended::Stopped);
        assert_eq!(grandchild.ended().await, Ended::Stopped);
        until("respawned", || parent.incarnation() == 1).await;
        assert_eq!(free.ask(Add, SOON).await, Ok(12));
        let again = spawn(counter("c", &log).under("p"), &registry);
        assert_eq!(again.ask(Add, SOON).await, Ok(11));
        assert_eq!(why(&child).await, Why::Stopped);
    });
}

#[test]
fn a_name_used_again_waits_for_the_old_actor() {
    with_system(|registry| async move {
        let log = Log::default();
        let old = spawn(counter("c", &log), &registry);
        old.ask(Add, SOON).await.unwrap();
        let new = spawn(counter("c", &log), &registry);
        assert_eq!(new.ask(Add, SOON).await, Ok(11));
        assert_eq!(*log.lock().unwrap(), ["+c", "-c", "+c"]);
        assert_eq!(registry.snapshot().len(), 1);
    });
}

#[test]
fn the_root_rebuilds_a_crashed_child_and_those_after_it() {
    with_system(|registry| async move {
        let log = Log::default();
        let quick = Backoff { min: Duration::from_millis(5), max: Duration::from_millis(5) };
        let limit = Intensity { max_respawns: 2, window: Duration::from_secs(60) };
        let mut root = Root::new(&registry, limit, quick);
        let links = ["a", "b", "c"].map(|name| root.add(counter(name, &log)));
        let handle = root.start();
        for link in &links {
            assert_eq!(link.ask(Add, SOON).await, Ok(11));
        }
        assert_eq!(*log.lock().unwrap(), ["+a", "+b", "+c"]);
        log.lock().unwrap().clear();

        why(&links[1]).await;
        until("rebuilt", || links[2].incarnation() == 1).await;
        assert_eq!(links[0].ask(Add, SOON).await, Ok(12));
        assert_eq!(links[1].ask(Add, SOON).await, Ok(11));
        assert_eq!(links[2].ask(Add, SOON).await, Ok(11));
        assert_eq!(*log.lock().unwrap(), ["-b", "-c", "+b", "+c"]);

        why(&links[2]).await;
        until("rebuilt", || links[2].incarnation() == 2).await;
        links[2].ask(Add, SOON).await.unwrap();
        assert_eq!(links[1].incarnation(), 1);
        why(&links[0]).await;
        handle.gave_up().await;
        assert_eq!(why(&links[2]).await, Why::GaveUp);
    });
}

#[test]
fn stopping_the_root_ends_children_in_reverse() {
    with_system(|registry| async move {
        let log = Log::default();
        let mut root = Root::new(&registry, Intensity::default(), Backoff::default());
        let links = ["a", "b"].map(|name| root.add(counter(name, &log)));
        let handle = root.start();
        for link in &links {
            link.ask(Add, SOON).await.unwrap();
        }
        handle.stop().await;
        assert_eq!(*log.lock().unwrap(), ["+a", "+b", "-b", "-a"]);
        assert_eq!(why(&links[0]).await, Why::Stopped);
        assert!(registry.snapshot().is_empty());
    });
}

#[test]
fn the_snapshot_is_readable_as_json() {
    with_system(|registry| async move {
        let link = spawn(counter("c", &Log::default()).under("root"), &registry);
        link.ask(Add, SOON).await.unwrap();
        let json = serde_json::to_value(registry.snapshot()).unwrap();
        assert_eq!(json[0]["name"], "c");
        assert_eq!(json[0]["parent"], "root");
        assert_eq!(json[0]["state"], "running");
        assert_eq!(json[0]["mailbox_capacity"], 256);
        assert!(json[0]["uptime_ms"].is_u64());
    });
}
