//! Which images and names a save is about, as Docker reads its arguments.

use crate::index::Index;
use crate::reference::Reference;
use contract::{Kind, PortError};

/// An image, and the names it is saved under.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) id: String,
    pub(super) names: Vec<Reference>,
}

fn missing(text: String) -> PortError {
    PortError::new(Kind::NotFound, text)
}

/// A name without tag stands for all tags; an id for the image without a name.
pub(super) fn choose(index: &Index, names: &[String]) -> Result<Vec<Chosen>, PortError> {
    let mut out: Vec<Chosen> = Vec::new();
    let mut add = |id: &str, name: Option<Reference>| {
        let at = out.iter().position(|c| c.id == id).unwrap_or_else(|| {
            out.push(Chosen { id: id.to_owned(), names: Vec::new() });
            out.len() - 1
        });
        if let Some(chosen) = out.get_mut(at)
            && let Some(name) = name.filter(|n| !chosen.names.contains(n))
        {
            chosen.names.push(name);
        }
    };
    for name in names {
        let by_id = |text: &str| match index.find(text) {
            Ok((id, true)) => Ok(id),
            Ok((_, false)) => Err(missing(format!("No such image: {text}"))),
            Err(e) if e.kind == Kind::NotFound => Err(missing(format!("No such image: {text}"))),
            Err(e) => Err(e),
        };
        let is_id = index.images.contains_key(name)
            || (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
        if is_id || name.starts_with("sha256:") {
            add(&by_id(name)?, None);
            continue;
        }
        let reference = Reference::parse(name)?;
        if reference.tag.is_some() || reference.digest.is_some() {
            let id = index.names.get(&reference.key());
            let id = id.ok_or_else(|| missing("reference does not exist".into()))?;
            add(id, Some(reference).filter(|r| r.digest.is_none()).map(whole));
            continue;
        }
        let mut found = false;
        for (known, id) in &index.names {
            let known = Reference::parse(known)?;
            if known.familiar() == reference.familiar() {
                found = true;
                add(id, Some(known).filter(|r| r.digest.is_none()));
            }
        }
        if !found {
            add(&by_id(name)?, None);
        }
    }
    Ok(out)
}

fn whole(reference: Reference) -> Reference {
    Reference { digest: None, ..reference }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        let id = |c: &str| format!("sha256:{}", c.repeat(64));
        let digest = format!("a@sha256:{}", "d".repeat(64));
        index.add(&id("1"), vec!["l".into()], &["a:1".into(), "a:2".into(), "b:1".into(), digest], 1);
        index.add(&id("2"), vec!["l".into()], &["a:3".into(), "reg:5000/x:y".into()], 1);
        index
    }

    fn shown(names: &[&str]) -> Result<Vec<String>, PortError> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let list = choose(&index(), &names)?;
        let tags = |c: &Chosen| c.names.iter().map(Reference::tagged).collect::<Vec<_>>().join(",");
        Ok(list.iter().map(|c| format!("{} {}", &c.id[7..8], tags(c))).collect())
    }

    #[test]
    fn names_without_tag_stand_for_all_tags_and_ids_for_none() {
        assert_eq!(shown(&["a"]).unwrap(), ["1 a:1,a:2", "2 a:3"]);
        assert_eq!(shown(&["a:2", "b:1", "a:2"]).unwrap(), ["1 a:2,b:1"]);
        assert_eq!(shown(&["1111", "sha256:2222"]).unwrap(), ["1 ", "2 "]);
        assert_eq!(shown(&[&"1".repeat(64), "a:1"]).unwrap(), ["1 a:1"]);
        assert_eq!(shown(&[&format!("a@sha256:{}", "d".repeat(64))]).unwrap(), ["1 "]);
        assert_eq!(shown(&["reg:5000/x"]).unwrap(), ["2 reg:5000/x:y"]);
    }

    #[test]
    fn what_is_missing_is_said_in_dockers_words() {
        for (name, text) in [
            ("c", "No such image: c"),
            ("c:1", "reference does not exist"),
            ("sha256:99", "No such image: sha256:99"),
        ] {
            let error = shown(&["a:1", name]).unwrap_err();
            assert_eq!((error.kind, error.text.as_str()), (Kind::NotFound, text));
        }
        assert_eq!(shown(&["A"]).unwrap_err().kind, Kind::Invalid);
    }
}
