//! Lines that nobody here keeps, read from where they were sent.

use super::follow::{FollowRequest, Lines};
use super::sieve::{Flow, Sieve};
use super::spec::{Purpose, SinkSpec};
use contract::log::{DeliverError, LogSource, RemoteLines, RemoteRequest, StoredLine};
use contract::{Kind, PortError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Parts that wait for a slow reader.
const WAITING: usize = 8;
/// A far side that was silent for so long after the container's end has given everything.
const QUIET: Duration = Duration::from_secs(5);

/// Asks the first far side that may give lines back for them. `None` where there is none, or it does not. The container runs,
/// and following goes on, for as long as `goes_on`.
pub async fn read_remote(
    sinks: &[SinkSpec],
    source: &LogSource,
    request: FollowRequest,
    goes_on: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Option<Lines>, PortError> {
    let mut asked = sinks.iter().filter(|sink| sink.purpose == Purpose::Asked);
    let found = asked.find_map(|sink| Some((sink, sink.kind.remote()?)));
    let Some((sink, reader)) = found else { return Ok(None) };
    if !reader.reads().await? {
        return Ok(None);
    }
    let goes_on = Arc::new(goes_on);
    if goes_on() {
        announce(sink, Arc::clone(&goes_on)).await?;
    }
    let FollowRequest { since_ns, until_ns, tail, follow, .. } = request;
    let wanted = RemoteRequest { since_ns, until_ns, tail, follow };
    let mut from = reader.read(source, &sink.options, wanted).await?;
    let (to, lines) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        // What it gives beyond what was asked for.
        let mut sieve = Sieve::new(&request, 0);
        loop {
            let got = tokio::select! {
                got = next(&mut from, follow, &*goes_on) => got,
                () = to.closed() => return,
            };
            let (given, flow) = match got {
                None => return,
                Some(Ok(lines)) => sieve.choose(Arc::new(lines)),
                Some(Err(error)) => {
                    // Whoever asked may have left.
                    to.send(Err(error)).await.ok();
                    return;
                }
            };
            if (!given.is_empty() && to.send(Ok(given)).await.is_err()) || flow == Flow::Ends {
                return;
            }
        }
    });
    Ok(Some(lines))
}

/// Has the far side know of a container that runs and may have written nothing yet. Who asked may leave meanwhile: the driver
/// stays, and what it has begun comes to its end; what it has not begun it leaves.
async fn announce(
    sink: &SinkSpec,
    goes_on: Arc<impl Fn() -> bool + Send + Sync + 'static>,
) -> Result<(), PortError> {
    let lane = sink.lane.clone();
    // Goes with whoever asked.
    let (asked, _asks) = oneshot::channel::<()>();
    let announced = tokio::spawn(async move {
        let announced = lane.announce(&*goes_on, &|| !asked.is_closed()).await;
        if !goes_on() {
            // The far side may have been told of the container's end before.
            lane.rest().await;
        }
        announced
    });
    match announced.await {
        Ok(Err(
            DeliverError::Retry { source, .. }
            | DeliverError::Reject { source, .. }
            | DeliverError::Fatal { source },
        )) => Err(PortError::caused(Kind::Bug, "error getting log reader", source)),
        // One that panicked is opened anew.
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

async fn next(
    from: &mut RemoteLines,
    follow: bool,
    goes_on: &(impl Fn() -> bool + Sync),
) -> Option<Result<Vec<StoredLine>, PortError>> {
    loop {
        let wait = !follow || goes_on();
        match tokio::time::timeout(QUIET, from.recv()).await {
            Ok(got) => return got,
            Err(_) if wait => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use contract::log::{
        Batch, BatchPolicy, LogDriver, LogDriverKind, LogLine, OptionSpec, Options, RemoteReader, Stream,
    };
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Gives two lines of each stream back, unless it says that it does not.
    struct Outlet {
        reads: bool,
    }

    #[async_trait]
    impl LogDriverKind for Outlet {
        fn name(&self) -> &'static str {
            "outlet"
        }

        fn options(&self) -> &'static [OptionSpec] {
            &[]
        }

        fn validate(&self, _: &Options) -> Result<(), PortError> {
            Ok(())
        }

        fn batching(&self, _: &Options) -> BatchPolicy {
            BatchPolicy::default()
        }

        async fn open(&self, _: &LogSource, _: &Options) -> Result<Box<dyn LogDriver>, PortError> {
            Err(PortError::new(Kind::Bug, "it is not opened here"))
        }

        fn remote(&self) -> Option<&dyn RemoteReader> {
            Some(self)
        }
    }

    #[async_trait]
    impl RemoteReader for Outlet {
        async fn reads(&self) -> Result<bool, PortError> {
            Ok(self.reads)
        }

        async fn read(
            &self,
            _: &LogSource,
            _: &Options,
            request: RemoteRequest,
        ) -> Result<RemoteLines, PortError> {
            assert_eq!((request.tail, request.until_ns), (Some(9), Some(2)));
            let (to, lines) = mpsc::channel(9);
            for time_ns in 1..=3 {
                for stream in [Stream::Stdout, Stream::Stderr] {
                    let line =
                        LogLine { stream, time_ns, data: format!("{time_ns}\n").into(), partial: None };
                    to.send(Ok(vec![StoredLine { line, attrs: Default::default() }])).await.unwrap();
                }
            }
            Ok(lines)
        }
    }

    /// Counts how often its far side was told of the container, and of its end.
    #[derive(Clone, Default)]
    struct Told {
        of: Arc<AtomicUsize>,
        of_end: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl LogDriver for Told {
        async fn announce(&mut self) -> Result<(), DeliverError> {
            match self.of.fetch_add(1, Ordering::Relaxed) {
                9 => Err(DeliverError::Retry { source: "no room".into(), after: None }),
                _ => Ok(()),
            }
        }

        async fn deliver(&mut self, _: &Batch) -> Result<(), DeliverError> {
            Ok(())
        }

        async fn rest(&mut self) {
            self.of_end.fetch_add(1, Ordering::Relaxed);
        }

        async fn close(self: Box<Self>) -> Result<(), DeliverError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_far_side_hears_of_a_container_that_runs_before_it_is_asked_for_its_lines() {
        let sink = SinkSpec::new(&Outlet { reads: true }, Options::new());
        let (driver, source) = (Told::default(), LogSource::default());
        let counts = || (driver.of.load(Ordering::Relaxed), driver.of_end.load(Ordering::Relaxed));
        let request = FollowRequest { tail: Some(9), until_ns: Some(2), ..FollowRequest::default() };
        let sinks = std::slice::from_ref(&sink);
        // Its driver is opened a little later.
        let opened = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            sink.lane.lock().await.driver = Some(Box::new(driver.clone()));
        };
        let (read, ()) = tokio::join!(read_remote(sinks, &source, request.clone(), || true), opened);
        assert!(read.unwrap().is_some());
        assert_eq!(counts(), (1, 0));
        read_remote(sinks, &source, request.clone(), || false).await.unwrap();
        assert_eq!(counts(), (1, 0), "nobody tells it of one that has ended");
        let asked = AtomicUsize::default();
        let ends = move || asked.fetch_add(1, Ordering::Relaxed) == 0;
        read_remote(sinks, &source, request.clone(), ends).await.unwrap();
        assert_eq!(counts(), (2, 1), "the container has ended meanwhile");
        driver.of.store(9, Ordering::Relaxed);
        let error = read_remote(sinks, &source, request, || true).await.unwrap_err();
        assert_eq!(error.chain(), "error getting log reader: no room");
    }

    #[tokio::test]
    async fn who_left_before_the_far_side_had_time_for_it_does_not_have_it_told_of_the_container() {
        // With each that asked, what is delivered waited longer for a far side that hangs.
        let sink = SinkSpec::new(&Outlet { reads: true }, Options::new());
        let (driver, source) = (Told::default(), LogSource::default());
        let mut delivers = sink.lane.lock().await;
        let asks = read_remote(std::slice::from_ref(&sink), &source, FollowRequest::default(), || true);
        assert!(tokio::time::timeout(Duration::from_millis(50), asks).await.is_err());
        delivers.driver = Some(Box::new(driver.clone()));
        drop(delivers);
        assert!(sink.lane.lock().await.driver.is_some());
        assert_eq!(driver.of.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_far_side_that_gives_lines_back_is_read_where_no_copy_is_kept() {
        let request =
            FollowRequest { stderr: true, tail: Some(9), until_ns: Some(2), ..FollowRequest::default() };
        let source = LogSource::default();
        let reads = SinkSpec::new(&Outlet { reads: true }, Options::new());
        let lines = read_remote(&[reads], &source, request.clone(), || false).await;
        let mut lines = lines.unwrap().unwrap();
        let mut got = Vec::new();
        while let Some(part) = lines.recv().await {
            got.extend(part.unwrap().iter().map(|l| (l.line.stream, l.line.time_ns)));
        }
        assert_eq!(got, [(Stream::Stderr, 1), (Stream::Stderr, 2)]);
        let mute = SinkSpec::new(&Outlet { reads: false }, Options::new());
        assert!(read_remote(&[mute], &source, request, || true).await.unwrap().is_none());
    }
}
