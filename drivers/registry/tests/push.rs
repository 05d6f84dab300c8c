//! Pushes: to registries that break off, lie, and lead astray.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
mod server;

use async_trait::async_trait;
use bytes::Bytes;
use common::{client, digest, layer, name, told};
use contract::archive::BlockingStream;
use contract::image::{
    KnownBlob, LayerSource, Progress, Pushed, PushedImage, PushedLayer, Pusher, RemoteName,
};
use contract::{Kind, PortError};
use server::{Reply, Server};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Source {
    layers: BTreeMap<String, Vec<u8>>,
    known: Mutex<BTreeMap<String, Vec<KnownBlob>>>,
}

impl Source {
    fn new(layers: &[Vec<u8>]) -> Arc<Self> {
        let layers = layers.iter().map(|l| (digest(l), l.clone())).collect();
        Arc::new(Self { layers, known: Mutex::default() })
    }

    fn known_of(&self, layer: &[u8]) -> Vec<KnownBlob> {
        self.known.lock().unwrap().get(&digest(layer)).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl LayerSource for Source {
    async fn open(&self, diff_id: &str) -> Result<BlockingStream, PortError> {
        match self.layers.get(diff_id) {
            Some(bytes) => Ok(Box::new(std::io::Cursor::new(bytes.clone()))),
            None => Err(PortError::new(Kind::NotFound, "no such layer")),
        }
    }

    async fn known(&self, diff_id: &str) -> Result<Vec<KnownBlob>, PortError> {
        Ok(self.known.lock().unwrap().get(diff_id).cloned().unwrap_or_default())
    }

    async fn learn(&self, diff_id: &str, blob: KnownBlob) -> Result<(), PortError> {
        self.known.lock().unwrap().entry(diff_id.to_owned()).or_default().push(blob);
        Ok(())
    }
}

async fn push(
    name: &RemoteName,
    layers: &[Vec<u8>],
    source: Arc<Source>,
) -> (Result<Pushed, PortError>, Vec<Progress>) {
    let config = serde_json::json!({"os": "linux", "rootfs": {"diff_ids": layers.iter().map(|l| digest(l)).collect::<Vec<_>>()}});
    let image = PushedImage {
        config: Bytes::from(config.to_string()),
        layers: layers.iter().map(|l| PushedLayer { diff_id: digest(l), size: l.len() as u64 }).collect(),
    };
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let lines = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            lines.push(line);
        }
        lines
    });
    let outcome = client().push(name, image, None, source, sender).await;
    (outcome, lines.await.unwrap())
}

fn noise(length: usize) -> Vec<u8> {
    let mut seed = 7u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        (seed >> 11) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn plain(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut out).unwrap();
    out
}

fn short(layer: &[u8]) -> String {
    digest(layer)[7..19].to_owned()
}

#[tokio::test]
async fn a_push_sends_what_is_lacking_once_and_says_so_as_docker_does() {
    let server = Server::start(|_| Reply::Fair).await;
    let layers = [layer("a", b"1"), layer("b", &noise(700_000)), layer("a", b"1")];
    let source = Source::new(&layers);
    let app = name(&server.host, "team/app", "1");
    let (pushed, lines) = push(&app, &layers, source.clone()).await;
    let pushed = pushed.unwrap();
    let stored = server.manifest("team/app", "1");
    assert_eq!((pushed.digest, pushed.size), (digest(&stored), stored.len() as u64));
    let manifest: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    let blobs: Vec<Vec<u8>> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| plain(&server.blob("team/app", l["digest"].as_str().unwrap())))
        .collect();
    assert_eq!(blobs, layers);
    assert_eq!(told(&lines, &short(&layers[1])), ["Preparing", "Pushing", "Pushed"]);
    assert_eq!(lines[0].id, short(&layers[2]));
    let uploads = server.count("PATCH");
    assert_eq!(uploads, 2);
    // Again: nothing goes up.
    let (again, lines) = push(&app, &layers, source.clone()).await;
    assert_eq!(again.unwrap().digest, digest(&stored));
    assert_eq!(told(&lines, &short(&layers[1])), ["Preparing", "Layer already exists"]);
    // To another repository of the same registry it is taken over.
    let (_, lines) = push(&name(&server.host, "team/other", "1"), &layers, source.clone()).await;
    assert_eq!(told(&lines, &short(&layers[1])), ["Preparing", "Mounted from team/app"]);
    assert_eq!(server.count("PATCH"), uploads);
    assert_eq!(source.known_of(&layers[0]).last().unwrap().repository, "team/other");
}

#[tokio::test]
async fn a_layer_that_its_owner_gives_out_is_named_and_not_sent() {
    let server = Server::start(|_| Reply::Fair).await;
    let layers = [layer("ours", b"1"), layer("theirs", b"2")];
    let source = Source::new(&layers);
    let theirs = KnownBlob {
        digest: digest(b"packed"),
        size: 6,
        media_type: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into(),
        host: "elsewhere".into(),
        repository: "base".into(),
        urls: vec!["https://owner.example/layer".into()],
    };
    source.learn(&digest(&layers[1]), theirs.clone()).await.unwrap();
    let (pushed, lines) = push(&name(&server.host, "app", "1"), &layers, source).await;
    pushed.unwrap();
    assert_eq!(told(&lines, &short(&layers[1])), ["Preparing", "Skipped foreign layer"]);
    assert_eq!(server.count("PATCH"), 1);
    let manifest: serde_json::Value = serde_json::from_slice(&server.manifest("app", "1")).unwrap();
    let named = &manifest["layers"][1];
    assert_eq!(
        (&named["digest"], &named["urls"][0]),
        (&theirs.digest.into(), &theirs.urls[0].clone().into())
    );
    assert!(manifest["layers"][0].get("urls").is_none());
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_where_the_registry_stands() {
    let big = layer("big", &noise(20_000_000));
    let cuts = Mutex::new(vec![3_000_000usize, 9_000_000]);
    let server = Server::start(move |request| {
        if request.method == "PATCH"
            && let Some(cut) = cuts.lock().unwrap().pop()
        {
            return Reply::CutAfter(cut);
        }
        Reply::Fair
    })
    .await;
    let source = Source::new(std::slice::from_ref(&big));
    let (pushed, lines) =
        push(&name(&server.host, "app", "1"), std::slice::from_ref(&big), source.clone()).await;
    pushed.unwrap();
    let known = source.known_of(&big);
    let stored = server.blob("app", &known[0].digest);
    assert_eq!((plain(&stored), stored.len() as u64), (big.clone(), known[0].size));
    assert!(told(&lines, &short(&big)).contains(&"Retrying in 1 second".to_owned()));
    // What had arrived did not go up a second time.
    let sent: usize = server.requests().iter().filter(|r| r.method == "PATCH").map(|r| r.length).sum();
    assert_eq!(sent, stored.len());
}

#[tokio::test]
async fn an_upload_the_registry_forgets_begins_anew() {
    let one = layer("x", &noise(300_000));
    let lost = Mutex::new(2);
    let server = Server::start(move |request| {
        let mut left = lost.lock().unwrap();
        if request.method == "PATCH" && *left > 0 {
            *left -= 1;
            return Reply::Error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        Reply::Fair
    })
    .await;
    let source = Source::new(std::slice::from_ref(&one));
    let (pushed, _) = push(&name(&server.host, "app", "1"), std::slice::from_ref(&one), source.clone()).await;
    pushed.unwrap();
    assert_eq!(plain(&server.blob("app", &source.known_of(&one)[0].digest)), one);
    assert_eq!(server.count("POST"), 4);
}

#[tokio::test]
async fn places_that_lead_nowhere_are_refused() {
    for place in ["", "file:///etc/passwd", "http://", "gopher://x/"] {
        let server = Server::start(move |r| match r.method.as_str() {
            "POST" => Reply::Accepted(place.to_owned()),
            _ => Reply::Fair,
        })
        .await;
        let one = layer("x", b"1");
        let outcome = push(
            &name(&server.host, "app", "1"),
            std::slice::from_ref(&one),
            Source::new(std::slice::from_ref(&one)),
        )
        .await
        .0;
        let text = outcome.unwrap_err().text;
        assert!(text.starts_with("the registry names a wrong place for an upload"), "{place}: {text}");
    }
}

#[tokio::test]
async fn a_registry_that_never_takes_it_is_given_up() {
    for reply in [500u16, 503, 404, 413, 416] {
        let server = Server::start(move |r| match r.method.as_str() {
            "PATCH" => Reply::Error(reply, ""),
            _ => Reply::Fair,
        })
        .await;
        let one = layer("x", &noise(200_000));
        let outcome = push(
            &name(&server.host, "app", "1"),
            std::slice::from_ref(&one),
            Source::new(std::slice::from_ref(&one)),
        )
        .await
        .0;
        let text = outcome.unwrap_err().text;
        assert!(text.starts_with(&format!("received unexpected HTTP status: {reply}")), "{text}");
        assert!(server.count("PATCH") <= 5);
    }
}

#[tokio::test]
async fn redirects_without_end_end() {
    let server = Server::start(|r| match r.method.as_str() {
        "PATCH" | "POST" => Reply::Redirect(r.path.clone()),
        _ => Reply::Fair,
    })
    .await;
    let one = layer("x", b"1");
    let outcome = push(
        &name(&server.host, "app", "1"),
        std::slice::from_ref(&one),
        Source::new(std::slice::from_ref(&one)),
    )
    .await
    .0;
    outcome.unwrap_err();
    assert!(server.count("POST") <= 60);
}

#[tokio::test]
async fn refusals_are_told_in_dockers_words() {
    for (status, code, text) in [
        (401, "UNAUTHORIZED", "unauthorized: authentication required"),
        (403, "DENIED", "denied: requested access to the resource is denied"),
        (401, "", "unauthorized: authentication required"),
        (403, "", "denied: requested access to the resource is denied"),
        (429, "TOOMANYREQUESTS", "toomanyrequests: toomanyrequests"),
    ] {
        let server = Server::start(move |r| match r.method.as_str() {
            "POST" => Reply::Error(status, code),
            _ => Reply::Fair,
        })
        .await;
        let one = layer("x", b"1");
        let outcome = push(
            &name(&server.host, "app", "1"),
            std::slice::from_ref(&one),
            Source::new(std::slice::from_ref(&one)),
        )
        .await
        .0;
        assert_eq!(outcome.unwrap_err().text, text);
        assert_eq!(server.count("POST"), 1, "{code}");
    }
}

#[tokio::test]
async fn a_layer_that_is_not_what_it_was_ends_the_push_before_its_manifest() {
    let server = Server::start(|_| Reply::Fair).await;
    let (one, other) = (layer("x", b"1"), layer("y", b"2"));
    let source = Source::new(std::slice::from_ref(&one));
    let outcome = push(&name(&server.host, "app", "1"), &[one, other], source).await.0;
    assert_eq!(outcome.unwrap_err().text, "no such layer");
    assert_eq!(server.count("PUT /v2/app/manifests/1"), 0);
}
