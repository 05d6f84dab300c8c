//! The tags of a repository (distribution-spec, "Content Discovery"), page by page.

use crate::client::RegistryClient;
use crate::fault::Fault;
use crate::session::{Request, Session, bounded, refusal};
use contract::image::{Credentials, RemoteName};
use reqwest::header::LINK;
use reqwest::{Method, Url};
use serde_json::Value;

/// Largest page taken, bytes.
const PAGE: usize = 4 << 20;
/// Pages read: a list without end ends here.
const PAGES: usize = 1000;

/// The address that a `Link` header names, seen from where it was found (RFC 5988).
fn next(link: &str, from: &Url) -> Option<Url> {
    let (target, _) = link.split_once(';').unwrap_or((link, ""));
    from.join(target.trim().trim_start_matches('<').trim_end_matches('>')).ok()
}

async fn all(session: Session) -> Result<Vec<String>, Fault> {
    let wrong = |what: String| Fault::Content(format!("the registry's list of tags is not valid: {what}"));
    let mut at = Url::parse(&session.url("tags/list")).map_err(|e| wrong(e.to_string()))?;
    let mut tags: Vec<String> = Vec::new();
    for _ in 0..PAGES {
        let response = session.send(Request::new(Method::GET, at.as_str())).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let link = response.headers().get(LINK).and_then(|l| l.to_str().ok()).and_then(|l| next(l, &at));
        let page: Value =
            serde_json::from_slice(&bounded(response, PAGE).await?).map_err(|e| wrong(e.to_string()))?;
        let found = page.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let new = found.iter().filter_map(Value::as_str).filter(|t| !t.is_empty());
        tags.extend(new.map(str::to_owned));
        match link {
            // What proves who asks is for this registry alone.
            Some(link) if link.origin() != at.origin() => return Err(wrong(format!("it goes on at {link}"))),
            Some(link) if link != at => at = link,
            _ => return Ok(tags),
        }
    }
    Err(wrong(format!("more than {PAGES} pages")))
}

impl RegistryClient {
    /// All tags, from the first of the registry's addresses that has them.
    pub(crate) async fn list_tags(
        &self,
        name: &RemoteName,
        auth: Option<Credentials>,
    ) -> Result<Vec<String>, Fault> {
        self.ask(name, auth, all).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_relative_to_this_one() {
        let from = Url::parse("https://r:5000/v2/a/tags/list").unwrap();
        let found = |link| next(link, &from).map(String::from);
        let wanted = Some("https://r:5000/v2/a/tags/list?last=b&n=2".to_owned());
        assert_eq!(found(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#), wanted);
        assert_eq!(found("<https://other/x>"), Some("https://other/x".to_owned()));
    }
}
