//! Registries that lie, break off, or are none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Image, Kept, Packing, client, digest, layer, name, pull, told};
use contract::Kind;
use contract::image::{Credentials, Puller};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What the server does with a path.
#[derive(Clone)]
enum Answer {
    Body(Vec<u8>),
    Status(u16, &'static str),
    /// Announces all, sends the first bytes of what was asked for, breaks off; that often, then all.
    Breaks {
        body: Vec<u8>,
        after: usize,
        times: usize,
    },
    /// The same, but knows no ranges.
    Rangeless {
        body: Vec<u8>,
        after: usize,
        times: usize,
    },
    /// Never ends.
    Endless,
    /// Only for those who show this.
    Guarded {
        challenge: String,
        shows: String,
        body: Vec<u8>,
    },
}

struct Server {
    host: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let answers: Arc<Mutex<BTreeMap<String, Answer>>> = Arc::default();
        let asked: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
        let (shared, log) = (answers.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, shared.clone(), log.clone()));
            }
        });
        Self { host, answers, asked }
    }

    /// Serves an image under `r:t`.
    async fn of(image: &Image) -> Self {
        let server = Self::start().await;
        server.set("manifests/t", Answer::Body(image.manifest.clone()));
        server.set(&format!("manifests/{}", digest(&image.manifest)), Answer::Body(image.manifest.clone()));
        for blob in image.packed.iter().chain([&image.config]) {
            server.set(&format!("blobs/{}", digest(blob)), Answer::Body(blob.clone()));
        }
        server
    }

    fn set(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(format!("/v2/r/{path}"), answer);
    }

    /// Guards everything served so far.
    fn guard(&self, challenge: &str, shows: &str) {
        for answer in self.answers.lock().unwrap().values_mut() {
            if let Answer::Body(body) = answer.clone() {
                *answer = Answer::Guarded { challenge: challenge.into(), shows: shows.into(), body };
            }
        }
    }

    fn times(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(p, _)| *p == format!("/v2/r/{path}")).count()
    }
}

async fn serve(
    mut socket: tokio::net::TcpStream,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<(String, u64)>>>,
) -> std::io::Result<()> {
    let (mut path, mut from, mut shown) = (String::new(), 0u64, String::new());
    {
        let mut reader = BufReader::new(&mut socket);
        if reader.fill_buf().await?.first() == Some(&0x16) {
            // A TLS greeting: this is no TLS server.
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line).await? > 2 {
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            if let Some(range) = line.to_lowercase().trim().strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().unwrap();
            }
            if line.to_lowercase().starts_with("authorization: ") {
                shown = line.trim().split_once(' ').unwrap().1.to_owned();
            }
            line.clear();
        }
    }
    asked.lock().unwrap().push((path.clone(), from));
    path.truncate(path.find('?').unwrap_or(path.len()));
    let mut challenged = String::new();
    let answer = if path == "/v2/" {
        Some(Answer::Body(b"{}".to_vec()))
    } else {
        answers.lock().unwrap().get(&path).cloned()
    };
    let missing = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let (status, body, sent) = match answer {
        None => (404, missing.as_bytes().to_vec(), usize::MAX),
        Some(Answer::Status(status, body)) => (status, body.as_bytes().to_vec(), usize::MAX),
        Some(Answer::Body(body)) if from > 0 => (206, body[from as usize..].to_vec(), usize::MAX),
        Some(Answer::Body(body)) => (200, body, usize::MAX),
        Some(Answer::Breaks { body, after, times }) => {
            let next = if times > 1 {
                Answer::Breaks { body: body.clone(), after, times: times - 1 }
            } else {
                Answer::Body(body.clone())
            };
            answers.lock().unwrap().insert(path, next);
            (if from > 0 { 206 } else { 200 }, body[from as usize..].to_vec(), after)
        }
        Some(Answer::Rangeless { body, after, times }) => {
            let next = Answer::Rangeless { body: body.clone(), after, times: times.saturating_sub(1) };
            answers.lock().unwrap().insert(path, next);
            (200, body, if times > 0 { after } else { usize::MAX })
        }
        Some(Answer::Guarded { shows, body, .. }) if shown == shows => (200, body, usize::MAX),
        Some(Answer::Guarded { challenge, .. }) => {
            challenged = format!("www-authenticate: {challenge}\r\n");
            (401, Vec::new(), usize::MAX)
        }
        Some(Answer::Endless) => {
            socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            loop {
                socket.write_all(&[b' '; 65536]).await?;
            }
        }
    };
    let range = if status == 206 { format!("content-range: bytes {from}-/*\r\n") } else { String::new() };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{range}{challenged}connection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body[..body.len().min(sent)]).await?;
    socket.shutdown().await?;
    // Read to the end: a reset would take away what was sent.
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.map(|_| ())
}

fn image() -> Image {
    Image::new(vec![(layer("a", &[1; 5000]), Packing::Gzip), (layer("b", &vec![2; 400_000]), Packing::None)])
}

/// The pull fails with these words, and nothing but what a next one can go on with is left.
async fn fails(server: &Server, words: &str) -> contract::PortError {
    let sink = Kept::new();
    let error = pull(&client(), &name(&server.host, "r", "t"), None, sink.clone()).await.0.expect_err(words);
    assert!(error.chain().contains(words), "{:?} does not say {words:?}", error.chain());
    assert_eq!(sink.partial(), []);
    error
}

#[tokio::test]
async fn digests_that_do_not_match_are_refused() {
    let image = image();
    let blob = |i: usize| format!("blobs/{}", digest(&image.packed[i]));
    let server = Server::of(&image).await;
    let mut wrong = image.packed[1].clone();
    wrong[1000] ^= 1;
    server.set(&blob(1), Answer::Body(wrong));
    fails(&server, &format!("filesystem layer verification failed for digest {}", digest(&image.packed[1])))
        .await;
    assert_eq!(server.times(&blob(1)), 1, "asking again would bring the same");

    let server = Server::of(&image).await;
    server.set(&format!("blobs/{}", digest(&image.config)), Answer::Body(b"{}".to_vec()));
    fails(&server, "image config verification failed for digest").await;

    let server = Server::of(&image).await;
    let by_digest = digest(&image.manifest);
    server.set(&format!("manifests/{by_digest}"), Answer::Body(b"{\"config\":{}}".to_vec()));
    let outcome = pull(&client(), &name(&server.host, "r", &by_digest), None, Kept::new()).await.0;
    assert_eq!(outcome.unwrap_err().text, format!("manifest verification failed for digest {by_digest}"));
}

#[tokio::test]
async fn blobs_longer_or_shorter_than_announced_are_refused() {
    let image = image();
    let path = format!("blobs/{}", digest(&image.packed[1]));
    let server = Server::of(&image).await;
    server.set(&path, Answer::Endless);
    fails(&server, "filesystem layer verification failed").await;

    let server = Server::of(&image).await;
    server.set(&path, Answer::Body(image.packed[1][..100].to_vec()));
    let sink = Kept::new();
    let error = pull(&client(), &name(&server.host, "r", "t"), None, sink).await.0.unwrap_err();
    assert!(error.text.contains("unexpected EOF"), "{}", error.text);
    assert_eq!(error.kind, Kind::Unavailable);
}

#[tokio::test]
async fn sizes_no_disk_has_are_refused_before_anything_is_asked_for() {
    let image = image();
    let server = Server::of(&image).await;
    let length = format!("\"size\":{}", image.packed[1].len());
    let manifest =
        String::from_utf8(image.manifest.clone()).unwrap().replace(&length, "\"size\":4611686018427387904");
    server.set("manifests/t", Answer::Body(manifest.into_bytes()));
    assert_eq!(fails(&server, "no space left on device").await.kind, Kind::Exhausted);
    assert_eq!(server.times(&format!("blobs/{}", digest(&image.packed[1]))), 0);
}

#[tokio::test]
async fn bodies_without_end_are_not_held_in_memory() {
    let image = image();
    for path in ["manifests/t".to_owned(), format!("blobs/{}", digest(&image.config))] {
        let server = Server::of(&image).await;
        server.set(&path, Answer::Endless);
        fails(&server, "is larger than").await;
    }
}

#[tokio::test]
async fn manifests_that_are_none_are_refused() {
    let image = image();
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let server = Server::of(&image).await;
    let layer = text.split("\"layers\":[").nth(1).unwrap().split('}').next().unwrap().to_owned() + "}";
    let many = vec![layer.as_str(); 129].join(",");
    for (manifest, words) in [
        ("junk".to_owned(), "is not valid"),
        ("[]".into(), "unsupported manifest format"),
        (text.replacen('{', r#"{"manifests":[],"#, 1), "unsupported manifest format"),
        (r#"{"schemaVersion":1,"fsLayers":[]}"#.into(), "schema 1 support has been removed"),
        (text.replace("oci.image.config.v1", "cncf.helm.config.v1"), "Encountered remote"),
        (text.replace("vnd.oci.image.layer.v1.tar\"", "vnd.x\""), "unsupported media type"),
        (text.replace("sha256:", "sha512:"), "unsupported digest"),
        (text.replace("sha256:", "sha256:../../"), "unsupported digest"),
        (text.replace("\"layers\":[", &format!("\"layers\":[{layer},")), "don't match image configuration"),
        (format!("{{\"config\":{{}},\"layers\":[{many}]}}"), "max depth exceeded"),
        (r#"{"manifests":[]}"#.into(), "no matching manifest for linux/"),
    ] {
        server.set("manifests/t", Answer::Body(manifest.into_bytes()));
        assert!(matches!(fails(&server, words).await.kind, Kind::Invalid | Kind::NotFound));
    }
}

#[tokio::test]
async fn indexes_inside_indexes_end() {
    let server = Server::start().await;
    let mut inner = r#"{"manifests":[]}"#.to_owned();
    for _ in 0..6 {
        server.set(
            &format!("manifests/{}", digest(inner.as_bytes())),
            Answer::Body(inner.clone().into_bytes()),
        );
        inner = format!(r#"{{"manifests":[{{"digest":"{}","size":1}}]}}"#, digest(inner.as_bytes()));
    }
    server.set("manifests/t", Answer::Body(inner.into_bytes()));
    fails(&server, "no matching manifest").await;
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    let image = image();
    let path = format!("blobs/{}", digest(&image.packed[1]));
    let server = Server::of(&image).await;
    // More often than the tries one gets without getting on.
    server.set(&path, Answer::Breaks { body: image.packed[1].clone(), after: 50_000, times: 7 });
    let sink = Kept::new();
    let (outcome, lines) = pull(&client(), &name(&server.host, "r", "t"), None, sink.clone()).await;
    outcome.unwrap();
    assert_eq!(sink.layers.lock().unwrap().len(), 2);
    let asked: Vec<u64> =
        server.asked.lock().unwrap().iter().filter(|(p, _)| p.ends_with(&path)).map(|(_, f)| *f).collect();
    assert_eq!(asked, [0, 50_000, 100_000, 150_000, 200_000, 250_000, 300_000, 350_000]);
    assert!(told(&lines, &image.short(1)).contains(&"Retrying in 1 second".to_owned()));
    assert_eq!(sink.partial(), []);
}

#[tokio::test]
async fn a_server_without_ranges_starts_over() {
    let image = image();
    let server = Server::of(&image).await;
    let body = image.packed[1].clone();
    server.set(&format!("blobs/{}", digest(&body)), Answer::Rangeless { body, after: 50_000, times: 2 });
    let sink = Kept::new();
    pull(&client(), &name(&server.host, "r", "t"), None, sink.clone()).await.0.unwrap();
    assert_eq!(sink.layers.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_killed_pull_left_is_used_if_it_is_right_and_replaced_if_not() {
    let image = image();
    let path = format!("blobs/{}", digest(&image.packed[1]));
    for (left, asked) in [
        (image.packed[1][..100_000].to_vec(), vec![100_000]),
        (image.packed[1].clone(), vec![]),
        (vec![0; 100_000], vec![100_000, 0]),
        (vec![0; image.packed[1].len()], vec![0]),
        (vec![0; image.packed[1].len() + 1], vec![0]),
    ] {
        let server = Server::of(&image).await;
        let sink = Kept::new();
        std::fs::write(sink.folder.path().join(digest(&image.packed[1]).replace(':', "-")), left).unwrap();
        pull(&client(), &name(&server.host, "r", "t"), None, sink.clone()).await.0.unwrap();
        let log: Vec<u64> = server
            .asked
            .lock()
            .unwrap()
            .iter()
            .filter(|(p, _)| p.ends_with(&path))
            .map(|(_, f)| *f)
            .collect();
        assert_eq!(log, asked);
        assert_eq!(sink.partial(), []);
    }
}

#[tokio::test]
async fn a_blob_the_registry_has_not_is_asked_for_once() {
    let image = image();
    let path = format!("blobs/{}", digest(&image.packed[0]));
    let server = Server::of(&image).await;
    server.set(
        &path,
        Answer::Status(404, r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#),
    );
    fails(&server, "blob unknown: blob unknown to registry").await;
    assert_eq!(server.times(&path), 1);
    let server = Server::of(&image).await;
    server.set(&path, Answer::Status(503, "busy"));
    let error = pull(&client(), &name(&server.host, "r", "t"), None, Kept::new()).await.0.unwrap_err();
    assert_eq!(error.text, "received unexpected HTTP status: 503 Service Unavailable");
    assert_eq!(server.times(&path), 5);
}

#[tokio::test]
async fn unreachable_and_refusing_registries_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = pull(&client(), &name(&closed.to_string(), "r", "t"), None, Kept::new()).await.0.unwrap_err();
    assert_eq!(
        error.text,
        format!("Get \"http://{closed}/v2/\": dial tcp {closed}: connect: connection refused")
    );
    let server = Server::start().await;
    let missing = name(&server.host, "r", "t");
    let error = pull(&client(), &missing, None, Kept::new()).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert_eq!(
        error.text,
        format!("manifest for {}/r:t not found: manifest unknown: manifest unknown", server.host)
    );
    server.set("manifests/t", Answer::Status(403, r#"{"errors":[{"code":"DENIED","message":"no"}]}"#));
    let error = pull(&client(), &missing, None, Kept::new()).await.0.unwrap_err();
    assert!(error.text.starts_with("pull access denied for"), "{}", error.text);
}

#[tokio::test]
async fn two_pulls_of_the_same_layers_fetch_each_once() {
    let image = image();
    let server = Server::of(&image).await;
    let (client, sink, name) = (client(), Kept::new(), name(&server.host, "r", "t"));
    let (one, two) =
        tokio::join!(pull(&client, &name, None, sink.clone()), pull(&client, &name, None, sink.clone()));
    assert!(one.0.is_ok() && two.0.is_ok());
    for packed in &image.packed {
        assert_eq!(server.times(&format!("blobs/{}", digest(packed))), 1);
    }
}

#[tokio::test]
async fn challenges_are_answered_with_what_the_client_gave() {
    let image = image();
    let auth = |user: &str, identity: &str| {
        Some(Credentials {
            username: user.into(),
            password: "pass".into(),
            identitytoken: identity.into(),
            ..Credentials::default()
        })
    };
    let attempt = async |server: &Server, auth: Option<Credentials>| {
        let (sender, mut lines) = tokio::sync::mpsc::channel(16);
        let drain = tokio::spawn(async move { while lines.recv().await.is_some() {} });
        let outcome = client().pull(&name(&server.host, "r", "t"), None, auth, Kept::new(), sender).await;
        drain.await.unwrap();
        outcome.map(|p| p.digest).map_err(|e| e.text)
    };
    let server = Server::of(&image).await;
    server.guard("Basic realm=\"x\"", "Basic bWU6cGFzcw==");
    assert_eq!(attempt(&server, auth("me", "")).await.unwrap(), digest(&image.manifest));
    assert_eq!(attempt(&server, auth("you", "")).await.unwrap_err(), "unauthorized: authentication required");
    let url = format!("http://{}/v2/r/manifests/t", server.host);
    assert_eq!(
        attempt(&server, None).await.unwrap_err(),
        format!("Head \"{url}\": no basic auth credentials")
    );

    let server = Server::of(&image).await;
    let realm = format!("Bearer realm=\"http://{}/v2/r/token\",service=\"the, service\"", server.host);
    server.guard(&realm, "Bearer abc");
    let token = |body: &str| Answer::Body(body.as_bytes().to_vec());
    server.set("token", token(r#"{"token":"abc"}"#));
    for auth in [None, auth("me", ""), auth("", "refresh")] {
        assert_eq!(attempt(&server, auth).await.unwrap(), digest(&image.manifest));
    }
    let asked =
        server.asked.lock().unwrap().iter().map(|(p, _)| p.clone()).find(|p| p.contains("token")).unwrap();
    assert_eq!(asked, "/v2/r/token?scope=repository%3Ar%3Apull&service=the%2C+service");
    server.set("token", token(r#"{"token":"wrong"}"#));
    assert_eq!(attempt(&server, None).await.unwrap_err(), "unauthorized: authentication required");
    server.set("token", token("{}"));
    assert!(attempt(&server, None).await.unwrap_err().contains("did not include a token"));
    server.set("token", Answer::Endless);
    assert!(attempt(&server, None).await.unwrap_err().contains("larger than"));
    server.set(
        "manifests/t",
        Answer::Guarded {
            challenge: "Bearer realm=\"file:///etc/passwd\"".into(),
            shows: "x".into(),
            body: vec![],
        },
    );
    assert!(attempt(&server, None).await.unwrap_err().contains("invalid token auth challenge realm"));
}
