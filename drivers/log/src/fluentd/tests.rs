use super::*;
use contract::log::LogLine;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn driver(listener: &TcpListener, more: &[(&str, &str)]) -> Box<dyn LogDriver> {
    let mut options: Options = more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    options.insert("fluentd-address".into(), listener.local_addr().unwrap().to_string());
    Fluentd.validate(&options).unwrap();
    Fluentd.open(&LogSource::default(), &options).await.unwrap()
}

fn batch(lines: usize) -> Batch {
    let stream = contract::log::Stream::Stdout;
    let line = LogLine { stream, time_ns: 0, data: "x".into(), partial: None };
    Batch { lines: vec![line; lines], ..Batch::default() }
}

#[derive(Deserialize)]
struct Asked {
    size: usize,
    chunk: String,
}

/// What so many messages ask for.
async fn asked(stream: &mut TcpStream, count: usize) -> Vec<Asked> {
    let (mut bytes, mut all) = (Vec::new(), Vec::new());
    while all.len() < count {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        loop {
            let mut rest = bytes.as_slice();
            let message = rmp_serde::from_read::<_, (String, IgnoredAny, Asked)>(&mut rest);
            let Ok((_, _, asked)) = message else { break };
            all.push(asked);
            let used = bytes.len() - rest.len();
            bytes.drain(..used);
        }
    }
    all
}

async fn confirm(stream: &mut TcpStream, asked: &Asked) {
    let mut answer = Vec::new();
    rmp::encode::write_map_len(&mut answer, 1).unwrap();
    rmp::encode::write_str(&mut answer, "ack").unwrap();
    rmp::encode::write_str(&mut answer, &asked.chunk).unwrap();
    stream.write_all(&answer).await.unwrap();
}

const ACKNOWLEDGED: [(&str, &str); 2] = [("fluentd-request-ack", "true"), ("fluentd-max-retries", "1")];

#[tokio::test]
async fn chunks_that_were_confirmed_are_neither_sent_again_nor_given_up() {
    // All lines of the batch counted as refused, and all were sent again before.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut driver = driver(&listener, &ACKNOWLEDGED).await;
    let receiver = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let both = asked(&mut first, 2).await;
        confirm(&mut first, &both[1]).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        let again = asked(&mut second, 1).await;
        drop(second);
        let (mut third, _) = listener.accept().await.unwrap();
        let next = asked(&mut third, 2).await;
        for one in &next {
            confirm(&mut third, one).await;
        }
        let sizes = |all: &[Asked]| all.iter().map(|one| one.size).collect::<Vec<_>>();
        [sizes(&both), sizes(&again), sizes(&next)]
    });
    let lines = LINES + 3;
    let first = driver.deliver(&batch(lines)).await;
    assert!(matches!(first, Err(DeliverError::Retry { .. })), "{first:?}");
    match driver.deliver(&batch(lines)).await {
        Err(DeliverError::Reject { lines, .. }) => assert_eq!(lines, (0..LINES).collect::<Vec<_>>()),
        other => panic!("{other:?}"),
    }
    // The next batch is none of that.
    driver.deliver(&batch(lines)).await.unwrap();
    assert_eq!(receiver.await.unwrap(), [vec![LINES, 3], vec![LINES], vec![LINES, 3]]);
}

#[tokio::test]
async fn what_arrived_of_one_batch_is_not_taken_for_a_part_of_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut driver = driver(&listener, &[("fluentd-request-ack", "true")]).await;
    let receiver = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let both = asked(&mut first, 2).await;
        confirm(&mut first, &both[0]).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        let next = asked(&mut second, 2).await;
        for one in &next {
            confirm(&mut second, one).await;
        }
        next.iter().map(|one| one.size).collect::<Vec<_>>()
    });
    assert!(driver.deliver(&batch(LINES + 3)).await.is_err());
    driver.deliver(&batch(LINES + 4)).await.unwrap();
    assert_eq!(receiver.await.unwrap(), [LINES, 4]);
}
