//! What every driver must do, and what each promises beyond that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use contract::log::*;
use gantry_log::{catalogue, find};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt;

fn source(folder: &Path) -> LogSource {
    LogSource {
        container_id: "0123456789abcdef0123".into(),
        container_name: "web".into(),
        directory: folder.to_owned(),
        ..Default::default()
    }
}

fn line(n: u64, text: &[u8]) -> LogLine {
    let time_ns = 1_700_000_000_000_000_000 + n as i64;
    LogLine { stream: Stream::Stdout, time_ns, data: text.to_vec().into(), partial: None }
}

/// Lines `from..to`, where the spool offset is the line's number.
fn batch(from: u64, to: u64) -> Batch {
    let at = |offset| Mark { at: Position { segment: 1, offset }, ..Default::default() };
    Batch {
        lines: (from..to).map(|n| line(n, format!("line {n}").as_bytes())).collect(),
        end: Cursor { stdout: at(to), stderr: at(to), pace: None },
        suppressed: 0,
    }
}

fn options(pairs: &[(&str, &str)]) -> Options {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

const ALL: ReadRequest = ReadRequest { since_ns: None, until_ns: None, tail: None, after: None };

async fn read(kind: &str, folder: &Path, request: ReadRequest) -> (Vec<String>, Cursor) {
    let reader = find(kind).unwrap().reader().unwrap();
    let mut reading = reader.read(&source(folder), &Options::new(), request).await.unwrap();
    let mut out = Vec::new();
    while let Some(piece) = reading.pieces.recv().await {
        match piece.unwrap() {
            Piece::Lines(lines) => {
                out.extend(lines.iter().map(|l| String::from_utf8(l.line.data.to_vec()).unwrap()))
            }
            Piece::Hole(_) => {}
        }
    }
    (out, reading.cursor)
}

fn expected(from: u64, to: u64) -> Vec<String> {
    (from..to).map(|n| format!("line {n}\n")).collect()
}

/// The address of a receiver that takes everything and says nothing.
async fn swallowing() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
    });
    address
}

#[tokio::test]
async fn every_driver_opens_without_connecting_and_takes_odd_lines() {
    for kind in catalogue() {
        let folder = tempfile::tempdir().unwrap();
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut opts = Options::new();
        if kind.name() == "syslog" {
            opts.insert("syslog-address".into(), format!("udp://{}", socket.local_addr().unwrap()));
        }
        if kind.name() == "fluentd" {
            opts.insert("fluentd-address".into(), swallowing().await);
        }
        if kind.name() == "gelf" {
            opts.insert("gelf-address".into(), format!("udp://{}", socket.local_addr().unwrap()));
        }
        if matches!(kind.name(), "journald" | "splunk" | "loki" | "otlp" | "awslogs" | "gcplogs") {
            // The journal is where it is, and a service has to answer: the end-to-end tests start them.
            continue;
        }
        kind.validate(&opts).unwrap();
        let mut driver = kind.open(&source(folder.path()), &opts).await.unwrap();
        let partial = Some(Partial { id: "a".repeat(64), ordinal: 1, last: false });
        let mut odd = batch(0, 1);
        odd.lines.push(line(1, b""));
        odd.lines.push(line(2, b"\xff\x00\xfe"));
        odd.lines.push(LogLine { partial, ..line(3, &[b'x'; 16 * 1024]) });
        driver.deliver(&odd).await.unwrap();
        driver.deliver(&Batch { lines: Vec::new(), end: batch(0, 9).end, suppressed: 0 }).await.unwrap();
        if let Some(cursor) = driver.cursor() {
            assert_eq!(cursor, batch(0, 9).end);
        }
        tokio::time::timeout(Duration::from_secs(10), driver.close()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn file_drivers_read_back_all_the_tail_and_a_span_over_rotated_files() {
    for (kind, compress) in [("json-file", "true"), ("json-file", "false"), ("local", "true")] {
        let folder = tempfile::tempdir().unwrap();
        let opts = options(&[("max-size", "2k"), ("max-file", "50"), ("compress", compress)]);
        let mut driver = find(kind).unwrap().open(&source(folder.path()), &opts).await.unwrap();
        for n in 0..10 {
            driver.deliver(&batch(n * 30, n * 30 + 30)).await.unwrap();
            let (lines, cursor) = read(kind, folder.path(), ALL).await;
            assert_eq!((lines, cursor), (expected(0, n * 30 + 30), batch(0, n * 30 + 30).end));
        }
        for tail in [0, 1, 7, 100, 299, 300, 1000] {
            let (lines, _) = read(kind, folder.path(), ReadRequest { tail: Some(tail), ..ALL }).await;
            assert_eq!(lines, expected(300u64.saturating_sub(tail as u64), 300), "{kind} tail {tail}");
        }
        let at = |n| Some(line(n, b"").time_ns);
        let span = ReadRequest { since_ns: at(100), until_ns: at(119), ..ALL };
        assert_eq!(read(kind, folder.path(), span).await.0, expected(100, 120));
    }
}

#[tokio::test]
async fn a_file_driver_that_takes_over_later_lines_keeps_what_it_had() {
    for kind in ["json-file", "local"] {
        let folder = tempfile::tempdir().unwrap();
        let open = async || find(kind).unwrap().open(&source(folder.path()), &Options::new()).await;
        open().await.unwrap().deliver(&batch(0, 10)).await.unwrap();
        let mut driver = open().await.unwrap();
        driver.begin_at(&batch(0, 70).end).await.unwrap();
        assert_eq!(driver.cursor(), Some(batch(0, 70).end));
        // Killed before it delivered anything.
        let mut driver = open().await.unwrap();
        assert_eq!(driver.cursor(), Some(batch(0, 70).end), "{kind}");
        driver.deliver(&batch(70, 75)).await.unwrap();
        let all: Vec<String> = [expected(0, 10), expected(70, 75)].concat();
        assert_eq!(read(kind, folder.path(), ALL).await, (all, batch(0, 75).end));
    }
}

#[tokio::test]
async fn json_file_keeps_only_as_many_files_as_allowed_and_skips_corrupt_records() {
    let folder = tempfile::tempdir().unwrap();
    let opts = options(&[("max-size", "1k"), ("max-file", "3")]);
    let mut driver = find("json-file").unwrap().open(&source(folder.path()), &opts).await.unwrap();
    driver.deliver(&batch(0, 200)).await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let log = "0123456789abcdef0123-json.log";
    assert_eq!(names, [log.to_string(), format!("{log}.1"), format!("{log}.2"), "json-file.cursor".into()]);
    let rotated = folder.path().join(format!("{log}.1"));
    let text = std::fs::read_to_string(&rotated).unwrap();
    std::fs::write(&rotated, text.replacen("{\"log\"", "{\"lo!!", 1)).unwrap();
    let (lines, _) = read("json-file", folder.path(), ALL).await;
    assert!(lines.len() > 20 && lines.last().unwrap() == "line 199\n");
}

#[tokio::test]
async fn json_file_bytes_are_dockers() {
    let folder = tempfile::tempdir().unwrap();
    let mut from = source(folder.path());
    from.labels = [("app".to_string(), "<web>".to_string())].into();
    let opts = options(&[("labels", "app"), ("tag", "{{.Name}}")]);
    let mut driver = find("json-file").unwrap().open(&from, &opts).await.unwrap();
    driver.deliver(&batch(0, 2)).await.unwrap();
    let path = find("json-file").unwrap().path(&from).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\"log\":\"line 0\\n\",\"stream\":\"stdout\",\"attrs\":{\"app\":\"\\u003cweb\\u003e\",\"tag\":\"web\"},\"time\":\"2023-11-14T22:13:20Z\"}\n\
         {\"log\":\"line 1\\n\",\"stream\":\"stdout\",\"attrs\":{\"app\":\"\\u003cweb\\u003e\",\"tag\":\"web\"},\"time\":\"2023-11-14T22:13:20.000000001Z\"}\n"
    );
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_kill_at_any_byte_of_a_write_leaves_each_line_once(
        before in 1u64..60, lost in 1u64..60, cut in 0.0f64..1.0, rotated: bool, local: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kind = if local { "local" } else { "json-file" };
            let size = if rotated { "1k" } else { "10m" };
            let opts = options(&[("max-size", size), ("max-file", "100"), ("compress", "false")]);
            let folder = tempfile::tempdir().unwrap();
            let (a, b) = (folder.path().join("a"), folder.path().join("b"));
            std::fs::create_dir_all(&a).unwrap();
            let log = |d: &Path| if local { d.join("local-logs/container.log") } else { d.join("0123456789abcdef0123-json.log") };
            let kind_of = find(kind).unwrap();
            let mut driver = kind_of.open(&source(&a), &opts).await.unwrap();
            driver.deliver(&batch(0, before)).await.unwrap();
            copy(&a, &b);
            // The kill hits while the next batch is being written: any prefix of it stands behind the commit.
            let kept = std::fs::metadata(log(&b)).unwrap().len();
            let mut torn = std::fs::read(log(&b)).unwrap();
            let extra = (cut * 5000.0) as usize;
            torn.extend(torn.clone().iter().cycle().take(extra).copied());
            if !torn.is_empty() { std::fs::write(log(&b), &torn).unwrap(); }
            assert_eq!(read(kind, &b, ALL).await.0, expected(0, before));
            let mut driver = kind_of.open(&source(&b), &opts).await.unwrap();
            assert_eq!(std::fs::metadata(log(&b)).unwrap().len(), kept);
            assert_eq!(driver.cursor(), Some(batch(0, before).end));
            driver.deliver(&batch(before, before + lost)).await.unwrap();
            assert_eq!(read(kind, &b, ALL).await, (expected(0, before + lost), batch(0, before + lost).end));
        });
    }
}

#[tokio::test]
async fn syslog_sends_over_udp_unixgram_unix_and_tcp_and_reconnects() {
    let folder = tempfile::tempdir().unwrap();
    let kind = find("syslog").unwrap();
    let open = async |address: String| {
        let opts = options(&[("syslog-address", &address), ("tag", "t"), ("syslog-format", "rfc5424micro")]);
        kind.open(&source(folder.path()), &opts).await.unwrap()
    };
    let mut two = batch(0, 2);
    two.lines.insert(1, line(9, b""));
    let mut buffer = vec![0; 4096];

    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    open(format!("udp://{}", udp.local_addr().unwrap())).await.deliver(&two).await.unwrap();
    for n in 0..2 {
        let size = udp.recv(&mut buffer).await.unwrap();
        let text = std::str::from_utf8(&buffer[..size]).unwrap();
        assert!(text.starts_with("<30>1 2023-") && text.ends_with(&format!(" t - line {n}\n")), "{text}");
    }

    let path = folder.path().join("gram");
    let gram = tokio::net::UnixDatagram::bind(&path).unwrap();
    open(format!("unixgram://{}", path.display())).await.deliver(&two).await.unwrap();
    let size = gram.recv(&mut buffer).await.unwrap();
    assert!(buffer[..size].ends_with(b"line 0\n"));

    let path = folder.path().join("stream");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut driver = open(format!("unix://{}", path.display())).await;
    driver.deliver(&two).await.unwrap();
    let closing = tokio::spawn(driver.close());
    let mut text = String::new();
    listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.lines().count(), 2);
    closing.await.unwrap().unwrap();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut driver = open(format!("tcp://{address}")).await;
    driver.deliver(&two).await.unwrap();
    drop(listener.accept().await.unwrap());
    tokio::time::sleep(Duration::from_millis(50)).await;
    driver.deliver(&two).await.unwrap();
    let closing = tokio::spawn(driver.close());
    let mut text = String::new();
    listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
    // What the first receiver had not read comes again.
    assert_eq!(text.lines().count(), 4);
    closing.await.unwrap().unwrap();
    drop(listener);
    let mut driver = open(format!("tcp://{address}")).await;
    assert!(matches!(driver.deliver(&two).await, Err(DeliverError::Retry { .. })));
}

#[tokio::test]
async fn a_receiver_that_closes_late_is_waited_for_as_long_as_whoever_asks_waits() {
    // It was said to be unknown whether it had read anything after a second, whatever time there was.
    for kind in ["syslog", "gelf", "fluentd"] {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let kind = find(kind).unwrap();
        let opts = Options::from([(format!("{}-address", kind.name()), address)]);
        let mut driver = kind.open(&source(folder.path()), &opts).await.unwrap();
        driver.deliver(&batch(0, 1)).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let reads = tokio::spawn(async move {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1200)).await;
            all.len()
        });
        driver.may_end_within(Duration::from_secs(20));
        let closed = driver.close().await;
        assert!(closed.is_ok(), "{}: {closed:?}", kind.name());
        assert!(reads.await.unwrap() > 0);
    }
}
