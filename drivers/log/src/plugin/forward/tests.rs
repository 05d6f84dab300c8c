use super::*;
use crate::plugin::loggers::Loggers;
use crate::plugin::places::Address;
use contract::log::{LogLine, Partial, Stream};
use std::io::Read as _;

#[tokio::test]
async fn a_plugin_that_ended_after_it_had_stopped_reading_is_not_taken_for_there() {
    let folder = tempfile::tempdir().unwrap();
    let places = Arc::new(Places { fifos: folder.path().to_owned(), mark: "t".into(), ..Places::default() });
    let mut fifo = Fifo::make(&places.fifos, "t-c-1").unwrap();
    let mut file = std::fs::File::open(fifo.path()).unwrap();
    // It reads some of what it is given again, and ends.
    let reading = std::thread::spawn(move || file.read_exact(&mut [0; 10]).unwrap());
    let (frames, mut written) = (vec![1; 100], 0);
    assert!(matches!(fifo.push(&frames, &mut written).await, Err(Trouble::Gone)));
    reading.join().unwrap();
    let plugin = Plugin::new("p", &Address::Unix(folder.path().join("p.sock")), CALL).unwrap();
    let (file, again) = (fifo.path().display().to_string(), frames.len());
    let logger = Loggers::default().of("c");
    let _turn = logger.send().await;
    let mut forwarder = Forwarder::new("p", places, logger, Value::Null);
    forwarder.read.clone_from(&frames);
    forwarder.open = Some(Session { plugin, file, fifo, frames, again, written, end: None, _turn });
    // There is no other one yet that could be told to read.
    assert!(forwarder.look_after().await.is_err());
    assert!(forwarder.open.is_none() && forwarder.read.len() == 100);
}

#[tokio::test]
async fn what_an_ended_plugin_may_have_lost_is_kept_until_another_one_has_read_it() {
    // One that had not come to it was let go of at the container's end, or forgotten about after a while.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(folder.path().join("p.sock")).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(answer).await.unwrap();
        }
    });
    let places = Arc::new(Places { fifos: folder.path().join("logging"), ..Places::default() });
    let (logger, frames) = (Loggers::default().of("c"), vec![1; 100]);
    let mut forwarder = Forwarder::new("p", Arc::clone(&places), Arc::clone(&logger), Value::Null);
    forwarder.read.clone_from(&frames);
    forwarder.at = Instant::now().checked_sub(DONE * 2).unwrap();
    let plugin = Plugin::new("p", &Address::Unix(folder.path().join("p.sock")), CALL).unwrap();
    let fifo = places.fifo("c").unwrap();
    let (file, again, end) = (fifo.path().display().to_string(), frames.len(), Some(Cursor::default()));
    let _turn = logger.send().await;
    forwarder.open = Some(Session { plugin, file, fifo, frames, again, written: 0, end, _turn });
    assert!(forwarder.look_after().await.unwrap());
    assert_eq!(forwarder.read.len(), 100);
    forwarder.rest().await;
    assert!(forwarder.open.is_none() && forwarder.read.len() == 100);
}

#[tokio::test]
async fn whoever_is_given_lines_of_an_ended_container_again_hears_of_its_end_too() {
    // The plugin had died before it did. Its successor was never told: the fifo stayed, and each further one got the lines.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("p.sock");
    let (fifos, folders) = (folder.path().join("logging"), vec![folder.path().to_owned()]);
    let places = Arc::new(Places { folders, fifos: fifos.clone(), mark: "t".into() });
    let logger = Loggers::default().of("c");
    let mut forwarder = Forwarder::new("p", Arc::clone(&places), Arc::clone(&logger), Value::Null);
    let plugin = Plugin::new("p", &Address::Unix(socket.clone()), CALL).unwrap();
    let fifo = places.fifo("c").unwrap();
    let (file, frames) = (fifo.path().display().to_string(), Vec::new());
    let _turn = logger.send().await;
    forwarder.open = Some(Session { plugin, file, fifo, frames, again: 0, written: 0, end: None, _turn });
    forwarder.read = vec![7; 100];
    forwarder.rest().await;
    assert_eq!(forwarder.read.len(), 100, "nobody heard of the end");
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    let calls = tokio::spawn(async move {
        let (mut stops, mut reading) = (0, None);
        while stops == 0 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await.unwrap();
            let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
            if let Some((_, rest)) = text.split_once("\"File\":\"").filter(|_| text.contains("StartLogging"))
            {
                let file = rest.split('"').next().unwrap().to_owned();
                reading = Some(std::thread::spawn(move || std::fs::read(file).unwrap()));
            }
            stops += usize::from(text.contains("StopLogging"));
            let body = r#"{"Implements":["LogDriver"]}"#;
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
            stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        }
        reading.unwrap().join().unwrap()
    });
    assert!(!forwarder.look_after().await.unwrap(), "nothing is left to look after");
    assert_eq!(calls.await.unwrap(), [7; 100]);
    assert!(forwarder.open.is_none());
    assert_eq!(std::fs::read_dir(fifos).unwrap().count(), 0);
}

#[tokio::test]
async fn a_plugin_that_is_given_up_while_it_starts_is_told_to_stop() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(folder.path().join("p.sock")).unwrap();
    let (asked, starts) = tokio::sync::oneshot::channel();
    let calls = tokio::spawn(async move {
        let (mut calls, mut hung, mut asked) = (Vec::new(), Vec::new(), Some(asked));
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await.unwrap();
            let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
            calls.push(text.split(' ').nth(1).unwrap_or_default().to_owned());
            if text.contains("StartLogging") {
                hung.push(stream);
                if let Some(asked) = asked.take() {
                    asked.send(()).unwrap();
                }
                continue;
            }
            let body = r#"{"Implements":["LogDriver"]}"#;
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
            stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        }
        calls
    });
    let (fifos, folders) = (folder.path().join("logging"), vec![folder.path().to_owned()]);
    let places = Arc::new(Places { folders, fifos: fifos.clone(), mark: "t".into() });
    let logger = Loggers::default().of("c");
    let mut forwarder = Box::new(Forwarder::new("p", places, logger, Value::Null));
    let line = LogLine { stream: Stream::Stdout, time_ns: 1, data: "hi".into(), partial: None };
    let batch = Batch { lines: vec![line], ..Batch::default() };
    tokio::select! {
        delivered = forwarder.deliver(&batch) => panic!("it did not wait for the plugin: {delivered:?}"),
        asked = starts => asked.unwrap(),
    }
    forwarder.close().await.unwrap();
    let told = ["/Plugin.Activate", "/LogDriver.StartLogging", "/LogDriver.StopLogging"];
    assert_eq!(calls.await.unwrap(), told);
    assert_eq!(std::fs::read_dir(fifos).unwrap().count(), 0);
}

#[test]
fn a_frame_is_dockers_log_entry_behind_its_length() {
    let mut line = LogLine { stream: Stream::Stderr, time_ns: 300, data: "hi".into(), partial: None };
    let mut out = Vec::new();
    frame(&line, &mut out);
    assert_eq!(out, b"\0\0\0\x0f\x0a\x06stderr\x10\xac\x02\x1a\x02hi");
    // Docker marks the last piece as partial, too.
    line.partial = Some(Partial { id: "x".into(), ordinal: 2, last: true });
    let mut out = Vec::new();
    frame(&line, &mut out);
    assert_eq!(
        out,
        b"\0\0\0\x1a\x0a\x06stderr\x10\xac\x02\x1a\x02hi\x20\x01\x2a\x07\x08\x01\x12\x01x\x18\x02"
    );
}

#[test]
fn the_last_whole_frames_are_kept() {
    let sized = |n: usize| [&(n as u32).to_be_bytes()[..], &vec![b'x'; n]].concat();
    let mut read = Vec::new();
    keep(&mut read, &[sized(1), sized(2)].concat());
    assert_eq!(read, [sized(1), sized(2)].concat());
    keep(&mut read, &sized(KEPT - 10));
    assert_eq!(read, [sized(2), sized(KEPT - 10)].concat());
    keep(&mut read, &sized(2 * KEPT));
    assert_eq!(read, b"");
}
