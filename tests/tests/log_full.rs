//! Logs on a disk without room.

use gantry_tests::{Builder, Filler, InMemory, Ledger, Place, eventually};

#[test]
fn what_a_container_wrote_before_it_ended_on_a_full_disk_is_there_when_the_disk_is_freed() {
    let place = Place::new();
    let disk = InMemory::mount(&place, 64);
    let gantry = Builder::at(&place).start();
    let ledger = Ledger::new(&gantry);
    gantry.docker(ledger.writer("web", &[], 5_000)).ok();
    let mut filler = Filler::on(gantry.data());
    eventually("it writes", || (ledger.taken("web").first()? > &100).then_some(()));
    filler.fill();
    // What no disk takes waits in the pipes, and then the writer waits.
    let mut last = 0;
    eventually("it is held up", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = ledger.taken("web")[0];
        (std::mem::replace(&mut last, now) == now).then_some(())
    });
    gantry.docker(["kill", "web"]).ok();
    gantry.until_exited("web");
    filler.free();
    eventually("nothing is owed", || {
        let sinks = gantry.api("GET", "/gantry/logs?container=web", None).json();
        (sinks[0]["Lag"]["Lines"] == 0).then_some(())
    });
    ledger.check_json(&gantry, "web");
    drop(gantry);
    drop(disk);
}
