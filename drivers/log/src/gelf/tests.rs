use super::*;
use contract::log::LogLine;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;

async fn driver(address: String, more: &[(&str, &str)]) -> Box<dyn LogDriver> {
    let mut options: Options = more.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    options.insert("gelf-address".into(), address);
    Gelf.validate(&options).unwrap();
    Gelf.open(&LogSource::default(), &options).await.unwrap()
}

fn batch(texts: &[&'static str]) -> Batch {
    let line = |text: &&'static str| LogLine {
        stream: contract::log::Stream::Stdout,
        time_ns: 0,
        data: (*text).into(),
        partial: None,
    };
    Batch { lines: texts.iter().map(line).collect(), ..Batch::default() }
}

fn texts(bytes: &[u8]) -> Vec<String> {
    let whole = bytes.strip_suffix(&[0]).expect("messages end with NUL");
    let message = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    whole.split(|b| *b == 0).map(|m| message(m)["short_message"].as_str().unwrap().to_owned()).collect()
}

async fn read(listener: &TcpListener, wanted: usize) -> (tokio::net::TcpStream, Vec<String>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    while bytes.iter().filter(|b| **b == 0).count() < wanted {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    (stream, texts(&bytes))
}

#[tokio::test]
async fn messages_over_tcp_end_with_nul_and_empty_lines_are_left_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut driver = driver(format!("tcp://{}", listener.local_addr().unwrap()), &[]).await;
    driver.deliver(&batch(&["a", "", "b"])).await.unwrap();
    driver.deliver(&batch(&[""])).await.unwrap();
    let (stream, got) = read(&listener, 2).await;
    assert_eq!(got, ["a", "b"]);
    let closing = tokio::spawn(driver.close());
    let mut rest = Vec::new();
    let mut stream = stream;
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    drop(stream);
    closing.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_receiver_may_not_have_read_is_sent_to_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut driver = driver(format!("tcp://{}", listener.local_addr().unwrap()), &[]).await;
    driver.deliver(&batch(&["a"])).await.unwrap();
    driver.deliver(&batch(&["b"])).await.unwrap();
    // Nothing was read, so closing resets.
    drop(listener.accept().await.unwrap());
    while driver.deliver(&batch(&["c"])).await.is_err() {}
    let (_, got) = read(&listener, 3).await;
    assert_eq!(got[..3], ["a", "b", "c"]);
}

#[tokio::test]
async fn lines_are_given_up_over_tcp_only_after_the_tries_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let options = [("gelf-tcp-max-reconnect", "1"), ("gelf-tcp-reconnect-delay", "2")];
    let mut driver = driver(address, &options).await;
    let first = driver.deliver(&batch(&["a"])).await.unwrap_err();
    assert!(matches!(first, DeliverError::Retry { after: Some(d), .. } if d == Duration::from_secs(2)));
    let second = driver.deliver(&batch(&["a"])).await.unwrap_err();
    assert!(matches!(second, DeliverError::Reject { lines, .. } if lines == [0]));
}

#[tokio::test]
async fn datagrams_that_nobody_hears_are_sent_again() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = receiver.local_addr().unwrap();
    drop(receiver);
    let mut driver = driver(format!("udp://{at}"), &[("gelf-compression-type", "none")]).await;
    assert!(matches!(driver.deliver(&batch(&["a"])).await, Err(DeliverError::Retry { .. })));
    let receiver = UdpSocket::bind(at).await.unwrap();
    driver.deliver(&batch(&["a"])).await.unwrap();
    let mut bytes = [0; 2000];
    let length = timeout(Duration::from_secs(20), receiver.recv(&mut bytes)).await.unwrap().unwrap();
    let message: serde_json::Value = serde_json::from_slice(&bytes[..length]).unwrap();
    assert_eq!(message["short_message"], "a");
}
