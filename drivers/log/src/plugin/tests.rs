use super::*;
use crate::local::proto::entry;
use contract::log::{LogLine, Stream};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A plugin that knows containers by the loggers that it was told to start, and has one line of each.
struct Far {
    folder: tempfile::TempDir,
    calls: Arc<Mutex<Vec<String>>>,
    serves: JoinHandle<()>,
}

impl Far {
    fn start(reads: bool) -> Self {
        let (folder, calls) = (tempfile::tempdir().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let listener = UnixListener::bind(folder.path().join("p.sock")).unwrap();
        let serves = tokio::spawn(serve(listener, reads, Arc::clone(&calls)));
        Self { folder, calls, serves }
    }

    fn places(&self) -> Places {
        let (folders, fifos) = (vec![self.folder.path().to_owned()], self.folder.path().join("logging"));
        Places { folders, fifos, mark: "t".into() }
    }

    fn kind(&self) -> &'static dyn LogDriverKind {
        Plugins::new(self.places()).kind("p").unwrap()
    }

    fn calls(&self, method: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.ends_with(method)).count()
    }

    fn fifos(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("logging")).map_or(0, Iterator::count)
    }
}

async fn serve(listener: UnixListener, reads: bool, calls: Arc<Mutex<Vec<String>>>) {
    let mut started = BTreeMap::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (method, body) = request(&mut stream).await;
        let file = body["File"].as_str().unwrap_or_default().to_owned();
        let (mut status, mut answer) = ("200 OK", b"{\"Implements\":[\"LogDriver\"]}".to_vec());
        match &method[..] {
            "/LogDriver.Capabilities" => answer = format!(r#"{{"Cap":{{"ReadLogs":{reads}}}}}"#).into(),
            "/LogDriver.StartLogging" => {
                assert!(std::fs::metadata(&file).is_ok(), "no fifo is there");
                started.insert(file, body["Info"]["ContainerID"].clone());
            }
            "/LogDriver.StopLogging" => drop(started.remove(&file)),
            "/LogDriver.ReadLogs" if started.values().any(|of| *of == body["Info"]["ContainerID"]) => {
                answer = kept();
            }
            "/LogDriver.ReadLogs" => {
                (status, answer) = ("500 Internal Server Error", b"logger does not exist".to_vec());
            }
            _ => {}
        }
        calls.lock().unwrap().push(method);
        let head =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
        stream.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap();
    }
}

async fn request(stream: &mut UnixStream) -> (String, Value) {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            let method = head.split(' ').nth(1).unwrap().to_owned();
            return (method, serde_json::from_str(body).unwrap_or_default());
        }
    }
}

fn kept() -> Vec<u8> {
    let line = LogLine { stream: Stream::Stdout, time_ns: 7, data: "kept".into(), partial: None };
    let mut body = Vec::new();
    entry(&line, false, &mut body);
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

fn source() -> LogSource {
    LogSource { container_id: "c".into(), ..LogSource::default() }
}

async fn read(kind: &dyn LogDriverKind) -> Result<Vec<u8>, PortError> {
    let reader = kind.remote().unwrap();
    let mut lines = reader.read(&source(), &Options::new(), RemoteRequest::default()).await?;
    let mut text = Vec::new();
    while let Some(part) = lines.recv().await {
        part?.iter().for_each(|stored| text.extend_from_slice(&stored.line.data));
    }
    Ok(text)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[test]
fn a_plugin_is_not_told_of_options_that_are_carried_out_here() {
    // Some refuse what they do not know: with `cache-disabled` they never started.
    let given = [
        ("loki-url", "http://h"),
        ("max-size", "1m"),
        ("mode", "non-blocking"),
        ("max-buffer-size", "1m"),
        ("overflow", "drop-oldest"),
        ("cache-disabled", "true"),
        ("rate-limit", "5/s"),
        ("multiline-pattern", "^x"),
    ];
    let options = given.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(
        told(&LogSource::default(), &options)["Config"],
        json!({
            "loki-url": "http://h", "max-size": "1m", "mode": "non-blocking", "max-buffer-size": "1m",
        })
    );
}

#[tokio::test]
async fn a_plugin_is_told_of_an_ended_container_while_its_lines_are_read() {
    let far = Far::start(true);
    let kind = far.kind();
    // It knew nothing of those that had ended before it was started anew.
    assert_eq!(read(kind).await.unwrap(), b"kept\n");
    let (one, other) = tokio::join!(read(kind), read(kind));
    assert_eq!((one.unwrap(), other.unwrap()), (b"kept\n".to_vec(), b"kept\n".to_vec()));
    let (started, stopped) = ("StartLogging", "StopLogging");
    until("each is stopped", || far.calls(stopped) == far.calls(started) && far.fifos() == 0).await;
    assert_eq!(far.calls("ReadLogs"), 3);
}

#[tokio::test]
async fn a_plugin_is_told_of_a_container_that_has_written_nothing_before_it_is_asked_for_lines() {
    let far = Far::start(true);
    let kind = far.kind();
    let mut driver = kind.open(&source(), &Options::new()).await.unwrap();
    driver.announce().await.unwrap();
    assert_eq!(read(kind).await.unwrap(), b"kept\n");
    assert_eq!((far.calls("StartLogging"), far.calls("StopLogging")), (1, 0), "one logger for both");
    driver.rest().await;
    assert_eq!((far.calls("StopLogging"), far.fifos()), (1, 0));
    assert_eq!(read(kind).await.unwrap(), b"kept\n");
    assert_eq!(far.calls("StartLogging"), 2);
}

#[tokio::test]
async fn a_plugin_that_ended_before_it_was_given_anything_is_told_to_start_again() {
    let far = Far::start(true);
    let mut driver = far.kind().open(&source(), &Options::new()).await.unwrap();
    driver.announce().await.unwrap();
    // This one never opens its fifo.
    sleep(Duration::from_millis(300)).await;
    driver.announce().await.unwrap();
    assert_eq!((far.calls("StartLogging"), far.calls("StopLogging"), far.fifos()), (2, 1, 1));
}

#[tokio::test]
async fn who_left_while_a_plugin_takes_its_time_over_others_does_not_wait_for_it() {
    // With a plugin that hangs they became ever more.
    let far = Far::start(true);
    let (places, loggers, reads) = (Arc::new(far.places()), Loggers::default(), Mutex::default());
    let kind = Kind { name: "p", places, loggers, reads };
    let logger = kind.loggers.of("c");
    let _others = logger.lent().await;
    let lines = kind.read(&source(), &Options::new(), RemoteRequest::default()).await.unwrap();
    drop(lines);
    until("it has left", || Arc::strong_count(&logger) == 2).await;
    assert_eq!(far.calls("StartLogging"), 0);
}

#[tokio::test]
async fn a_plugin_that_is_away_has_not_said_that_it_gives_nothing_back() {
    for says in [true, false] {
        let far = Far::start(says);
        let (kind, other) = (far.kind(), far.kind());
        assert_eq!(kind.remote().unwrap().reads().await.unwrap(), says);
        far.serves.abort();
        until("it has ended", || far.serves.is_finished()).await;
        assert_eq!(kind.remote().unwrap().reads().await.unwrap(), says, "as it said before");
        let error = read(kind).await.unwrap_err().chain();
        assert!(error.starts_with("error getting log reader: plugin p: "), "{error}");
        let error = other.remote().unwrap().reads().await.unwrap_err().chain();
        assert!(error.starts_with("error getting log reader: plugin p: "), "it was never asked: {error}");
    }
}
