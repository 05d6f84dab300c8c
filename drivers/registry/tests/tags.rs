//! Lists of tags that come in pages, and token servers that know one way to be asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
mod server;

use common::{client, name};
use contract::image::{Credentials, Registries};
use server::{Reply, Server};

fn page(tags: &str, next: &str) -> Reply {
    let links =
        [next].iter().filter(|n| !n.is_empty()).map(|n| format!("Link: <{n}>; rel=\"next\"")).collect();
    Reply::Just(200, links, format!(r#"{{"name":"r","tags":{tags}}}"#))
}

#[tokio::test]
async fn tags_are_read_page_by_page_and_only_at_their_registry() {
    let elsewhere = Server::start(|_| page(r#"["stolen"]"#, "")).await;
    let other = format!("http://{}/v2/r/tags/list", elsewhere.host);
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/r/tags/list" => page(r#"["a","b"]"#, "/v2/r/tags/list?last=b&n=2"),
        // Relative to the page that names it.
        "/v2/r/tags/list?last=b&n=2" => page(r#"["c",""]"#, "list?last=c&n=2"),
        "/v2/r/tags/list?last=c&n=2" => page("null", ""),
        "/v2/astray/tags/list" => page(r#"["d"]"#, &other),
        "/v2/round/tags/list" => page(r#"["e"]"#, "/v2/round/tags/list"),
        _ => Reply::Fair,
    })
    .await;
    let tags = async |repository| {
        let auth = Credentials { username: "u".into(), password: "p".into(), ..Default::default() };
        client().tags(&name(&server.host, repository, ""), Some(auth)).await
    };
    assert_eq!(tags("r").await.unwrap(), ["a", "b", "c"]);
    assert!(tags("astray").await.unwrap_err().text.contains("it goes on at"));
    assert!(elsewhere.requests().is_empty());
    assert_eq!(tags("round").await.unwrap(), ["e"]);
}

#[tokio::test]
async fn a_token_server_that_takes_no_post_is_asked_by_get() {
    for refusal in [404, 405] {
        let server = Server::start(move |request| {
            let path = request.path.split('?').next().unwrap_or_default();
            match (request.method.as_str(), path) {
                ("POST", "/token") => Reply::Just(refusal, Vec::new(), String::new()),
                ("GET", "/token") => Reply::Just(200, Vec::new(), r#"{"token":"right"}"#.into()),
                _ if request.authorization == "Bearer right" => page(r#"["a"]"#, ""),
                _ => Reply::Just(
                    401,
                    vec![format!(
                        "WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"s\"",
                        request.host
                    )],
                    String::new(),
                ),
            }
        })
        .await;
        let auth = Credentials { username: "u".into(), identitytoken: "kept".into(), ..Default::default() };
        assert_eq!(client().tags(&name(&server.host, "r", ""), Some(auth)).await.unwrap(), ["a"]);
        assert_eq!(server.count("POST /token"), 1);
        let got = server.requests().into_iter().find(|r| r.path.starts_with("/token?")).unwrap();
        // The identity token stands in for the password: u:kept.
        assert_eq!(got.authorization, "Basic dTprZXB0");
        assert!(got.path.contains("service=s"), "{}", got.path);
    }
}
