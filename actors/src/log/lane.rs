//! Whose turn it is with a sink's driver.

use contract::log::{Certain, Cursor, DeliverError, LogDriver};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinHandle;

/// The one open driver of a sink: whoever holds it delivers, so two deliveries never write one file. It is owned
/// above the sink and its router and outlives both.
pub type Lane = Arc<Turns>;

/// A lane's driver, and whether it is to be let go of.
#[derive(Default)]
pub struct Turns {
    opened: Mutex<Opened>,
    given_up: watch::Sender<bool>,
}

/// What a lane holds.
#[derive(Default)]
pub struct Opened {
    /// The driver, if it is open.
    pub driver: Option<Box<dyn LogDriver>>,
    /// The try that came here last: what was begun before it comes too late.
    attempt: u64,
    /// Nothing is done here any more.
    ended: bool,
    /// Somebody looks after what was delivered last.
    pub watched: bool,
    /// Where the driver stood when it was opened,
    pub began: Option<Cursor>,
    /// and what it delivered last ends here.
    pub delivered: Option<Cursor>,
    /// A cursor that is being written down, and the segment in which the last one stands.
    noting: Option<JoinHandle<()>>,
    noted: Option<u64>,
    /// The lane of the same sink before this one: it may not have come to its end.
    before: Option<Lane>,
}

impl Opened {
    /// False when something later was here before.
    pub fn is_next(&mut self, attempt: u64) -> bool {
        let next = attempt > self.attempt && !self.ended;
        self.attempt = self.attempt.max(attempt);
        next
    }

    /// Writes a cursor down that stands in this segment, after the one before it. Whoever is told of a delivery lets go of
    /// segments before that: so the first of each is waited for, the others are written while the next batch is on its way.
    /// Without a segment it is waited for in any case.
    pub async fn note(&mut self, segment: Option<u64>, noting: impl Future<Output = ()> + Send + 'static) {
        self.noted().await;
        if segment.is_some() && self.noted == segment {
            self.noting = Some(tokio::spawn(noting));
        } else {
            noting.await;
            self.noted = segment;
        }
    }

    /// Waits until nothing is being written down.
    pub async fn noted(&mut self) {
        if let Some(noting) = &mut self.noting {
            // It has told itself why it failed.
            let _told = noting.await;
            self.noting = None;
        }
    }
}

/// What was open in a lane that has ended.
pub type Last = Option<Box<dyn LogDriver>>;

impl Turns {
    /// Ends the lane and closes its driver in order. Where what was delivered ends, if that was not certain to have been read
    /// before, and is now.
    pub async fn conclude(&self, grace: Duration) -> Option<Cursor> {
        let driver = self.end(grace).await??;
        let known = driver.certain() == Certain::All;
        tokio::time::timeout(grace, driver.close()).await.ok()?.ok()?;
        if known { None } else { self.lock().await.delivered.clone() }
    }

    /// A lane whose turns come once all that is under way in another one is over.
    pub fn after(before: &Lane) -> Lane {
        let opened = Opened { before: Some(Arc::clone(before)), ..Opened::default() };
        Arc::new(Self { opened: Mutex::new(opened), given_up: watch::Sender::default() })
    }

    /// Waits for its turn.
    pub async fn lock(&self) -> MutexGuard<'_, Opened> {
        let mut opened = self.opened.lock().await;
        // Whoever stops waiting here leaves what is still to be waited for.
        while let Some(before) = opened.before.clone() {
            let mut last = before.opened.lock().await;
            last.ended = true;
            if let Some(driver) = last.driver.take() {
                let_go(driver);
            }
            last.noted().await;
            opened.before = last.before.take();
        }
        opened
    }

    /// Resolves once what is under way is to be dropped.
    pub async fn given_up(&self) {
        let mut given_up = self.given_up.subscribe();
        // The sender is in self.
        let _present = given_up.wait_for(|it| *it).await.is_ok();
    }

    /// Has the far side know of the container, unless nobody `waits` for that any more. A driver that is yet to be opened is
    /// waited for while the container `goes_on`.
    pub async fn announce(
        &self,
        goes_on: &(impl Fn() -> bool + Sync),
        waits: &(impl Fn() -> bool + Sync),
    ) -> Result<(), DeliverError> {
        for _ in 0..TRIES {
            let mut opened = self.lock().await;
            // A far side that hangs takes its time over each, and what is delivered waits behind them.
            if !waits() {
                break;
            }
            if let Some(mut driver) = opened.driver.take() {
                let told = tokio::select! {
                    told = driver.announce() => told,
                    () = self.given_up() => {
                        let_go(driver);
                        return Ok(());
                    }
                };
                opened.driver = Some(driver);
                return told;
            }
            if opened.ended || !goes_on() {
                break;
            }
            drop(opened);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Lets the driver rest. One that hangs in that is dropped with the lane's end, as one that delivers.
    pub async fn rest(&self) {
        let mut opened = self.lock().await;
        let Some(mut driver) = opened.driver.take() else { return };
        let rests = tokio::select! {
            () = driver.rest() => true,
            () = self.given_up() => false,
        };
        if rests {
            opened.driver = Some(driver);
        } else {
            let_go(driver);
        }
    }

    /// Ends the lane: nothing is delivered here afterwards. What is under way has `grace` to come to its end and is dropped
    /// then. `None` if it cannot be dropped and goes on, as a cursor does that is still being written down: come late, it would
    /// replace the one at which somebody else begins.
    pub async fn end(&self, grace: Duration) -> Option<Last> {
        let mut opened = match tokio::time::timeout(grace, self.lock()).await {
            Ok(opened) => opened,
            Err(_) => {
                self.given_up.send_replace(true);
                tokio::time::timeout(grace, self.lock()).await.ok()?
            }
        };
        opened.ended = true;
        let driver = opened.driver.take();
        if tokio::time::timeout(grace, opened.noted()).await.is_err() {
            if let Some(driver) = driver {
                let_go(driver);
            }
            return None;
        }
        Some(driver)
    }
}

/// So often a driver is looked for that is being opened, with so long a pause.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// How long a far side may take to hear of it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Lets go of a driver that is not used again. Some far sides have to be told that nothing more comes; nobody waits for it.
pub fn let_go(driver: Box<dyn LogDriver>) {
    // A file is to be let go of before it is opened again, and its driver's panic is none of the far side's business.
    if driver.cursor().is_some() || std::thread::panicking() {
        return;
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            match tokio::time::timeout(FAREWELL, driver.close()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a driver that was let go of could not be closed"),
                Err(_) => tracing::debug!("a driver that was let go of did not close in time"),
            }
        });
    }
}

/// Between two looks after what was delivered last: at least and at most.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Sees to it that the last lines, too, come again when their connection broke: only a further one would notice. Tells of
/// the end of those that are certain to have been read at last.
pub fn look_after<F: Future<Output = ()> + Send>(
    of: Lane,
    sink: String,
    read: impl Fn(Cursor) -> F + Send + 'static,
) {
    tokio::spawn(async move {
        let [shortest, longest] = LOOKS;
        let (mut pause, mut seen) = (shortest, 0);
        loop {
            tokio::time::sleep(pause).await;
            let mut lane = of.lock().await;
            // Set again below, so that one that panics is looked after by another, with the next delivery.
            lane.watched = false;
            let Some(mut driver) = lane.driver.take() else { return };
            let looked = tokio::select! {
                looked = driver.look_after() => looked,
                () = of.given_up() => return let_go(driver),
            };
            let certain = driver.certain() == Certain::All;
            lane.driver = Some(driver);
            if certain && let Some(delivered) = lane.delivered.clone() {
                lane.noted().await;
                read(delivered).await;
            }
            pause = if lane.attempt == seen { (pause * 2).min(longest) } else { shortest };
            seen = lane.attempt;
            match looked {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => tracing::debug!(sink, %error, "what may be unread could not be sent again"),
            }
            lane.watched = true;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use contract::log::Batch;

    /// Never comes to rest. Tells when it is closed.
    struct Hangs(Arc<tokio::sync::Notify>);

    #[async_trait]
    impl LogDriver for Hangs {
        async fn deliver(&mut self, _: &Batch) -> Result<(), DeliverError> {
            Ok(())
        }

        async fn rest(&mut self) {
            std::future::pending().await
        }

        async fn close(self: Box<Self>) -> Result<(), DeliverError> {
            self.0.notify_one();
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_driver_that_hangs_in_resting_does_not_keep_its_lane_from_ending_and_is_closed() {
        let (lane, closed) = (Lane::default(), Arc::new(tokio::sync::Notify::new()));
        lane.lock().await.driver = Some(Box::new(Hangs(Arc::clone(&closed))));
        let rests = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.rest().await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(lane.end(Duration::from_millis(50)).await, Some(None)));
        rests.await.unwrap();
        closed.notified().await;
    }

    #[tokio::test]
    async fn a_cursor_in_a_further_segment_is_written_down_before_others_hear_of_it_the_rest_meanwhile_in_order()
     {
        let (written, may) =
            (Arc::new(std::sync::Mutex::new(Vec::new())), Arc::new(tokio::sync::Semaphore::new(1)));
        let write = |number: u32| {
            let (written, may) = (Arc::clone(&written), Arc::clone(&may));
            async move {
                may.acquire().await.unwrap().forget();
                written.lock().unwrap().push(number);
            }
        };
        let mut opened = Opened::default();
        opened.note(Some(7), write(1)).await;
        assert_eq!(*written.lock().unwrap(), [1]);
        opened.note(Some(7), write(2)).await;
        assert_eq!(*written.lock().unwrap(), [1], "the next batch does not wait for it");
        let next = opened.note(Some(7), write(3));
        assert!(tokio::time::timeout(Duration::from_millis(20), next).await.is_err(), "out of order");
        may.add_permits(2);
        opened.note(Some(8), write(4)).await;
        assert_eq!(*written.lock().unwrap(), [1, 2, 4]);
        may.add_permits(2);
        for number in [5, 6] {
            opened.note(None, write(number)).await;
            assert_eq!(written.lock().unwrap().last(), Some(&number), "it is counted on");
        }
    }

    #[tokio::test]
    async fn a_lane_whose_cursor_is_still_being_written_has_no_end_and_its_driver_is_closed() {
        // A disk that hung wrote it over the one at which the sink of another wish was to begin.
        let (lane, closed) = (Lane::default(), Arc::new(tokio::sync::Notify::new()));
        let short = Duration::from_millis(10);
        let mut opened = lane.lock().await;
        opened.driver = Some(Box::new(Hangs(Arc::clone(&closed))));
        opened.note(Some(7), std::future::ready(())).await;
        opened.note(Some(7), std::future::pending()).await;
        drop(opened);
        assert!(lane.end(short).await.is_none());
        closed.notified().await;
        assert!(Turns::after(&lane).end(short).await.is_none());
    }

    #[tokio::test]
    async fn a_driver_of_a_lane_that_had_no_end_is_closed_by_the_next() {
        let (first, closed) = (Lane::default(), Arc::new(tokio::sync::Notify::new()));
        first.lock().await.driver = Some(Box::new(Hangs(Arc::clone(&closed))));
        assert!(Turns::after(&first).lock().await.driver.is_none());
        closed.notified().await;
    }

    #[tokio::test]
    async fn a_lane_after_one_that_has_not_ended_waits_until_what_is_under_way_there_is_over() {
        let (first, short) = (Lane::default(), Duration::from_millis(10));
        let writing = first.lock().await;
        assert!(first.end(short).await.is_none());
        let second = Turns::after(&first);
        assert!(second.end(short).await.is_none(), "it is not to be written to twice");
        let third = Turns::after(&second);
        assert!(tokio::time::timeout(short, third.lock()).await.is_err());
        drop(writing);
        assert!(third.lock().await.is_next(1));
        assert!(!first.lock().await.is_next(9) && !second.lock().await.is_next(9));
    }
}
