//! Lines that nobody here keeps, read from where they were sent.

use super::follow::{FollowRequest, Lines};
use super::sieve::{Flow, Sieve};
use super::spec::{Purpose, SinkSpec};
use contract::PortError;
use contract::log::{LogSource, RemoteLines, RemoteRequest, StoredLine};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Parts that wait for a slow reader.
const WAITING: usize = 8;
/// A far side that was silent for so long after the container's end has given everything.
const QUIET: Duration = Duration::from_secs(5);

/// Asks the first far side that may give lines back for them. `None` where there is none, or it does not. Following goes on
/// for as long as `goes_on`.
pub async fn read_remote(
    sinks: &[SinkSpec],
    source: &LogSource,
    request: FollowRequest,
    goes_on: impl Fn() -> bool + Send + Sync + 'static,
) -> Option<Lines> {
    let mut asked = sinks.iter().filter(|sink| sink.purpose == Purpose::Asked);
    let (sink, reader) = asked.find_map(|sink| Some((sink, sink.kind.remote()?)))?;
    let FollowRequest { since_ns, until_ns, tail, follow, .. } = request;
    let wanted = RemoteRequest { since_ns, until_ns, tail, follow };
    let mut from = reader.read(source, &sink.options, wanted).await?;
    let (to, lines) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        // What it gives beyond what was asked for.
        let mut sieve = Sieve::new(&request, 0);
        loop {
            let got = tokio::select! {
                got = next(&mut from, follow, &goes_on) => got,
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
    Some(lines)
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
    use contract::Kind;
    use contract::log::{
        BatchPolicy, LogDriver, LogDriverKind, LogLine, OptionSpec, Options, RemoteReader, Stream,
    };

    /// Gives two lines of each stream back, unless its option says that it does not.
    struct Outlet;

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
        async fn read(
            &self,
            _: &LogSource,
            options: &Options,
            request: RemoteRequest,
        ) -> Option<RemoteLines> {
            assert_eq!((request.tail, request.until_ns), (Some(9), Some(2)));
            if options.contains_key("mute") {
                return None;
            }
            let (to, lines) = mpsc::channel(9);
            for time_ns in 1..=3 {
                for stream in [Stream::Stdout, Stream::Stderr] {
                    let line =
                        LogLine { stream, time_ns, data: format!("{time_ns}\n").into(), partial: None };
                    to.send(Ok(vec![StoredLine { line, attrs: Default::default() }])).await.unwrap();
                }
            }
            Some(lines)
        }
    }

    #[tokio::test]
    async fn a_far_side_that_gives_lines_back_is_read_where_no_copy_is_kept() {
        let request =
            FollowRequest { stderr: true, tail: Some(9), until_ns: Some(2), ..FollowRequest::default() };
        let source = LogSource::default();
        let reads = SinkSpec::new(&Outlet, Options::new());
        let mut lines = read_remote(&[reads], &source, request.clone(), || true).await.unwrap();
        let mut got = Vec::new();
        while let Some(part) = lines.recv().await {
            got.extend(part.unwrap().iter().map(|l| (l.line.stream, l.line.time_ns)));
        }
        assert_eq!(got, [(Stream::Stderr, 1), (Stream::Stderr, 2)]);
        let mute = SinkSpec::new(&Outlet, [("mute".to_owned(), String::new())].into());
        assert!(read_remote(&[mute], &source, request, || true).await.is_none());
    }
}
