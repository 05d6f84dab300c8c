//! Random sequences of what users do with containers and networks, the daemon's death among it. After each, what is shown
//! and what the kernel does agree with what should be; after all is removed, nothing remains.
//!
//! `GANTRY_SEQUENCES` says how many (`make chaos`: 500); a sequence that failed is repeated by the seed it names.

mod act;
mod kernel;
mod model;
mod outcome;
mod script;
mod seen;

use act::{Answered, ask, fits};
use gantry_tests::{Caller, Daemon, Random, Residue};
use model::{Op, World};
use script::{Step, Writer};
use seen::{Seen, remove_all};
use std::time::{Duration, Instant};

/// How long the daemon may take until it shows what should be: those that remove themselves do so behind the answer.
const SETTLING: Duration = Duration::from_secs(20);

/// How many sequences are made where `GANTRY_SEQUENCES` does not say.
const FEW: u64 = 12;

/// What happened so far, for whoever looks for the reason of a failure.
struct Tale {
    seed: u64,
    lines: Vec<String>,
}

impl Drop for Tale {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, lines) = (self.seed, self.lines.join("\n"));
            eprintln!("--- to repeat: GANTRY_SEED={seed} GANTRY_SEQUENCES=1\n{lines}\n---");
        }
    }
}

#[test]
fn whatever_is_done_with_networks_is_shown_as_it_is_and_leaves_nothing() {
    let count =
        std::env::var("GANTRY_SEQUENCES").map_or(FEW, |n| n.parse().expect("GANTRY_SEQUENCES is a number"));
    let first = Random::seeded().seed();
    let mut gantry = Daemon::start();
    warm_up(&gantry);
    let before = Residue::at_rest(&gantry);
    let begin = Instant::now();
    let mut steps = 0;
    for seed in (first..).take(count as usize) {
        let mut tale = Tale { seed, lines: Vec::new() };
        steps += sequence(&mut gantry, &mut tale);
        remove_all(&gantry);
        before.assert_restored(&gantry);
    }
    eprintln!("{count} sequences of {steps} steps in {:?}", begin.elapsed());
}

/// What a daemon makes once and keeps is there before anything is compared.
fn warm_up(gantry: &Daemon) {
    gantry.docker(["network", "create", "warm"]).ok();
    gantry
        .docker(["run", "--rm", "--network", "warm", "-p", "7001:80", "-p", "7001:80/udp", "busybox", "true"])
        .ok();
    gantry.docker(["run", "--rm", "-p", "7001:80", "busybox", "true"]).ok();
    gantry.docker(["network", "rm", "warm"]).ok();
    gantry.docker(["ps"]).ok();
}

fn sequence(gantry: &mut Daemon, tale: &mut Tale) -> u64 {
    let mut random = Random::from_seed(tale.seed);
    let length = 8 + random.below(16);
    let mut writer = Writer { random: &mut random, births: 0 };
    let mut world = World::new();
    for _ in 0..length {
        let step = writer.step(&world);
        tale.lines.push(format!("{step:?}"));
        let candidates = perform(gantry, &world, &step, tale);
        world = settle(&gantry.caller(), candidates);
    }
    let seen = Seen::now(&gantry.caller()).expect("nothing changes any more");
    kernel::answers(gantry, &world, &seen);
    length
}

/// Does it; answers the worlds that may be the case now.
#[track_caller]
fn perform(gantry: &mut Daemon, world: &World, step: &Step, tale: &mut Tale) -> Vec<World> {
    let daemon = gantry.caller();
    match step {
        Step::One(op) => {
            let answered = ask(&daemon, op);
            tale.lines.push(format!("  {}", told(&answered)));
            possible(world, op, &answered)
        }
        Step::Both(one, other) => {
            let (first, second) = std::thread::scope(|scope| {
                let first = scope.spawn(|| ask(&daemon, one));
                let second = ask(&daemon, other);
                (first.join().expect("ask"), second)
            });
            tale.lines.push(format!("  {} | {}", told(&first), told(&second)));
            let then = |a: (&Op, &Answered), b: (&Op, &Answered)| {
                let after_one = possible(world, a.0, a.1);
                let mut all: Vec<World> = after_one.iter().flat_map(|w| possible(w, b.0, b.1)).collect();
                // Two who end one container both hear of its end.
                if let (Op::Kill(one) | Op::Stop(one), Op::Kill(other) | Op::Stop(other)) = (a.0, b.0)
                    && one == other
                {
                    all.extend(after_one);
                }
                all
            };
            let mut all = then((one, &first), (other, &second));
            all.extend(then((other, &second), (one, &first)));
            all
        }
        Step::Killed(op, after) => {
            let answered = std::thread::scope(|scope| {
                let asked = scope.spawn(|| ask(&daemon, op));
                std::thread::sleep(Duration::from_micros(*after));
                gantry.kill();
                asked.join().expect("ask")
            });
            tale.lines.push(format!("  {}", told(&answered)));
            gantry.start_again();
            let left = match &answered {
                Some(_) => possible(world, op, &answered),
                None => world.broken_off(op),
            };
            left.into_iter().map(World::restarted).collect()
        }
        Step::Crash => {
            gantry.crash();
            vec![world.clone().restarted()]
        }
        Step::CrashTwice(after) => {
            gantry.kill();
            gantry.die_starting(Duration::from_micros(*after));
            gantry.start_again();
            vec![world.clone().restarted()]
        }
    }
}

fn told(answered: &Answered) -> String {
    answered.as_ref().map_or("no answer".into(), |a| format!("{} {}", a.status, a.text().trim_end()))
}

fn possible(world: &World, op: &Op, answered: &Answered) -> Vec<World> {
    let outcomes = world.after(op).into_iter();
    outcomes.filter(|o| fits(answered, o.expected)).map(|o| o.world).collect()
}

/// Waits until the daemon shows one of these.
#[track_caller]
fn settle(daemon: &Caller, candidates: Vec<World>) -> World {
    assert!(!candidates.is_empty(), "no such answer was expected");
    let deadline = Instant::now() + SETTLING;
    loop {
        if let Some(seen) = Seen::now(daemon) {
            let mut differing = Vec::new();
            for mut world in candidates.clone() {
                match seen.differs(&world) {
                    Some(difference) => differing.push(difference),
                    None => {
                        seen.tell(&mut world);
                        return world;
                    }
                }
            }
            assert!(Instant::now() < deadline, "{}\nseen: {seen:?}", differing.join("\nor "));
        }
        assert!(Instant::now() < deadline, "it never comes to rest");
        std::thread::sleep(Duration::from_millis(10));
    }
}
