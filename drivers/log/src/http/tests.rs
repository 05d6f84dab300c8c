use super::*;
use contract::log::{Batch, LogDriver, LogLine, Stream};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What came: connection number, request line, body.
type Seen = Arc<Mutex<Vec<(u32, String, String)>>>;

/// A server that answers request after request with what it is given; then it is silent.
async fn server(answers: &[&str]) -> (Url, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap()).parse().unwrap();
    let (seen, mut answers) = (Seen::default(), answers.iter().map(|a| a.to_string()).collect::<Vec<_>>());
    answers.reverse();
    let answers = Arc::new(Mutex::new(answers));
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                loop {
                    let (mut first, mut length, mut line) = (String::new(), 0, String::new());
                    while stream.read_line(&mut line).await.is_ok_and(|n| n > 2) {
                        if first.is_empty() {
                            first = line.trim().to_owned();
                        }
                        if let Some(value) = line.strip_prefix("content-length: ") {
                            length = value.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).await.unwrap();
                    if first.is_empty() {
                        return;
                    }
                    seen.lock().unwrap().push((number, first, String::from_utf8(body).unwrap()));
                    let answer = answers.lock().unwrap().pop();
                    match answer {
                        Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                        None => std::future::pending().await,
                    }
                }
            });
        }
    });
    (url, told)
}

fn settings(url: Url, greeting: Greeting) -> Settings {
    let identity = Identity::default();
    // A busy machine takes its time over an answer.
    let timeout = Duration::from_secs(20);
    Settings { url, headers: HeaderMap::new(), identity, timeout, proxy: None, greeting }
}

/// The same for a receiver that never answers.
fn of_a_silent_one(url: Url) -> Settings {
    Settings { timeout: Duration::from_millis(500), ..settings(url, Greeting::Nothing) }
}

/// Sends the texts with commas between them and refuses what it is told to.
struct Words;

impl Protocol for Words {
    fn body(&mut self, lines: &[LogLine]) -> std::io::Result<Option<Vec<u8>>> {
        let words: Vec<&[u8]> = lines.iter().map(|line| &*line.data).collect();
        Ok((!words.is_empty()).then(|| words.join(&b","[..])))
    }

    fn verdict(&mut self, lines: &[LogLine], answer: Answer) -> Result<Verdict, DeliverError> {
        Ok(match answer {
            Answer::Refused(body, why) => {
                let at: usize = std::str::from_utf8(&body).unwrap().parse().unwrap_or(0);
                Verdict { refused: at..at + 1, why, resume: Some(at + 1) }
            }
            _ => {
                assert!(!lines.is_empty());
                Verdict::default()
            }
        })
    }
}

fn poster(settings: Settings) -> Poster<Words> {
    Poster { endpoint: settings.open().unwrap(), protocol: Words, tries: crate::tries::Tries::default() }
}

fn batch(words: &[&'static str]) -> Batch {
    let line = |word: &&'static str| LogLine {
        stream: Stream::Stdout,
        time_ns: 0,
        data: (*word).into(),
        partial: None,
    };
    Batch { lines: words.iter().map(line).collect(), ..Batch::default() }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn refusal(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\nretry-after: 7\r\n\r\nwhy?")
}

fn bodies(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().iter().map(|(_, _, body)| body.clone()).collect()
}

#[tokio::test]
async fn one_connection_carries_all_posts() {
    let (url, seen) = server(&[OK, "HTTP/1.1 204 No Content\r\n\r\n", OK]).await;
    let mut poster = poster(settings(url, Greeting::Nothing));
    for word in ["a", "b", "c"] {
        poster.deliver(&batch(&[word])).await.unwrap();
    }
    poster.deliver(&batch(&[])).await.unwrap();
    let wanted = ["a", "b", "c"].map(|w| (0, "POST /push HTTP/1.1".to_owned(), w.to_owned()));
    assert_eq!(*seen.lock().unwrap(), wanted);
}

#[tokio::test]
async fn answers_that_say_nothing_about_lines_are_tried_again() {
    for status in ["429 Too Many Requests", "503 Busy", "500 Oops", "401 Who", "404 Where", "302 Else"] {
        let (url, _) = server(&[&refusal(status)]).await;
        let error = poster(settings(url, Greeting::Nothing)).deliver(&batch(&["a"])).await.unwrap_err();
        let DeliverError::Retry { source, after } = error else { panic!("{status}: {error}") };
        assert_eq!(after, Some(Duration::from_secs(7)), "{status}");
        assert!(source.to_string().ends_with("why?"), "{source}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_silent_or_away_is_tried_again() {
    let (url, _) = server(&[]).await;
    let silent = poster(of_a_silent_one(url)).deliver(&batch(&["a"])).await.unwrap_err();
    assert!(matches!(silent, DeliverError::Retry { after: None, .. }), "{silent}");
    let away = "http://user:secret@127.0.0.1:1/".parse().unwrap();
    let away = poster(settings(away, Greeting::Nothing)).deliver(&batch(&["a"])).await.unwrap_err();
    let DeliverError::Retry { source, .. } = away else { panic!("{away}") };
    let text = source.to_string();
    assert!(text.contains("Connection refused") && !text.contains("secret"), "{text}");
    assert!(text.starts_with("127.0.0.1:1: "), "who was asked: {text}");
}

#[tokio::test]
async fn what_is_too_large_goes_in_halves_and_only_one_line_is_given_up() {
    let large = refusal("413 Payload Too Large");
    let (url, seen) = server(&[&large, &large, OK, &large, OK]).await;
    let error = poster(settings(url, Greeting::Nothing)).deliver(&batch(&["a", "b", "c", "d"])).await;
    let DeliverError::Reject { lines, .. } = error.unwrap_err() else { panic!() };
    assert_eq!(lines, [1]);
    assert_eq!(bodies(&seen), ["a,b,c,d", "a,b", "a", "b", "c,d"]);
}

#[tokio::test]
async fn a_post_that_took_too_long_comes_again_in_smaller_ones() {
    let (silent, _) = server(&[]).await;
    let mut poster = poster(of_a_silent_one(silent));
    let slow = poster.deliver(&batch(&["a", "b", "c", "d", "e", "f"])).await;
    assert!(matches!(slow, Err(DeliverError::Retry { .. })));
    assert_eq!(poster.endpoint.most, 3);
    let (url, seen) = server(&[OK, OK, OK]).await;
    poster.endpoint.client = settings(url.clone(), Greeting::Nothing).open().unwrap().client;
    poster.endpoint.settings.url = url;
    poster.deliver(&batch(&["a", "b", "c", "d", "e", "f"])).await.unwrap();
    poster.deliver(&batch(&["g", "h", "i", "j"])).await.unwrap();
    assert_eq!(bodies(&seen), ["a,b,c", "d,e,f", "g,h,i,j"]);
}

#[tokio::test]
async fn halves_that_arrived_are_not_among_the_lines_that_are_given_up() {
    let (large, busy) = (refusal("413 Payload Too Large"), refusal("503 Busy"));
    // The receiver takes the first half in one try, and none in the last one.
    let (url, seen) = server(&[&large, OK, &busy, &busy]).await;
    let mut poster = poster(settings(url, Greeting::Nothing));
    poster.tries.most = Some(1);
    let words = batch(&["a", "b", "c", "d"]);
    assert!(matches!(poster.deliver(&words).await, Err(DeliverError::Retry { .. })));
    let DeliverError::Reject { lines, .. } = poster.deliver(&words).await.unwrap_err() else { panic!() };
    assert_eq!(lines, [2, 3]);
    assert_eq!(bodies(&seen), ["a,b,c,d", "a,b", "c,d", "a,b,c,d"]);
}

#[tokio::test]
async fn what_follows_a_refused_line_is_sent() {
    let wrong = "HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\n1";
    let (url, seen) = server(&[wrong, OK]).await;
    let error = poster(settings(url, Greeting::Nothing)).deliver(&batch(&["a", "b", "c"])).await;
    let DeliverError::Reject { lines, .. } = error.unwrap_err() else { panic!() };
    assert_eq!(lines, [1]);
    assert_eq!(bodies(&seen), ["a,b,c", "c"]);
}

#[tokio::test]
async fn a_receiver_is_greeted_once_where_it_was_asked_for() {
    let (url, seen) = server(&[&refusal("403 No"), OK, OK, OK]).await;
    let mut poster = poster(settings(url, Greeting::Options));
    let error = poster.deliver(&batch(&["a"])).await.unwrap_err();
    let DeliverError::Retry { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.to_string(), "failed to verify connection - 403 Forbidden - why?");
    poster.deliver(&batch(&["a"])).await.unwrap();
    poster.deliver(&batch(&["b"])).await.unwrap();
    let methods: Vec<String> =
        seen.lock().unwrap().iter().map(|(_, line, _)| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["OPTIONS", "OPTIONS", "POST", "POST"]);
}

#[tokio::test]
async fn whoever_reads_answers_by_itself_gets_them_as_they_came() {
    let (url, seen) = server(&[&refusal("400 No"), OK]).await;
    let mut endpoint = settings(url, Greeting::Nothing).open().unwrap();
    let said = endpoint.post_with(HeaderMap::new(), b"a".to_vec()).await.unwrap();
    assert_eq!((said.status, said.after), (StatusCode::BAD_REQUEST, Some(Duration::from_secs(7))));
    assert_eq!(said.body, "why?");
    assert!(endpoint.post_with(HeaderMap::new(), b"b".to_vec()).await.unwrap().status.is_success());
    assert!(endpoint.post_with(HeaderMap::new(), b"c".to_vec()).await.is_err());
    assert!(endpoint.has_timed_out());
    assert_eq!(bodies(&seen), ["a", "b", "c"]);
}

#[test]
fn pauses_are_seconds_or_dates() {
    let of = |text: &str| {
        let headers = [(RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
        pause(&headers, httpdate::parse_http_date("Fri, 01 Mar 2024 10:00:00 GMT").unwrap())
    };
    assert_eq!(of("120"), Some(Duration::from_secs(120)));
    assert_eq!(of("Fri, 01 Mar 2024 10:00:30 GMT"), Some(Duration::from_secs(30)));
    assert_eq!(of("Fri, 01 Mar 2024 09:00:00 GMT"), None);
    assert_eq!(of("soon"), None);
}
