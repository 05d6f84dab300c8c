//! `docker rmi`: which names and images go, and what forbids it, by the rules and in the words of Docker Engine 28.

use crate::index::Index;
use crate::reference::Reference;
use contract::image::Removed;
use contract::{ImageId, Kind, PortError};
use std::collections::BTreeSet;

/// How far a removal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// Conflicts stop it.
    No,
    /// Only running containers stop it.
    Yes,
}

/// A container that uses the image.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) container: String,
    pub(crate) running: bool,
}

fn repository(name: &str) -> &str {
    match name.split_once('@') {
        Some((repository, _)) => repository,
        None => name.rsplit_once(':').map_or(name, |(repository, _)| repository),
    }
}

fn is_digest_name(name: &str) -> bool {
    name.contains('@')
}

fn short(id: &str) -> String {
    ImageId::new(id).short().to_owned()
}

fn conflict(text: String) -> PortError {
    PortError::new(Kind::Conflict, format!("conflict: {text}"))
}

/// One name in all, or one tag and digests of the same repository.
fn single(names: &[String]) -> bool {
    if names.len() <= 1 {
        return names.len() == 1;
    }
    let digests: BTreeSet<&str> = names.iter().filter(|n| is_digest_name(n)).map(|n| repository(n)).collect();
    let mut tags = names.iter().filter(|n| !is_digest_name(n));
    let first = tags.next();
    if tags.next().is_some() {
        return false;
    }
    let one = first.or(names.first()).map(|n| repository(n));
    digests.len() == 1 && one.is_some_and(|r| digests.contains(r))
}

/// Other images were made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Children {
    No,
    Some,
}

/// What keeps the image from being deleted.
fn obstacle(
    id: &str,
    children: Children,
    names: &[String],
    users: &[User],
    force: Force,
) -> Option<PortError> {
    let refuse =
        |how: &str, why: String| Some(conflict(format!("unable to delete {} ({how}) - {why}", short(id))));
    if children == Children::Some {
        return refuse("cannot be forced", "image has dependent child images".into());
    }
    if let Some(user) = users.iter().find(|u| u.running) {
        let why = format!("image is being used by running container {}", short(&user.container));
        return refuse("cannot be forced", why);
    }
    if force == Force::Yes {
        return None;
    }
    if !names.is_empty() {
        return refuse("must be forced", "image is referenced in multiple repositories".into());
    }
    let user = users.first()?;
    refuse("must be forced", format!("image is being used by stopped container {}", short(&user.container)))
}

impl Index {
    /// Takes a name or an image away. `users` are the containers of the image.
    pub(crate) fn remove(
        &mut self,
        text: &str,
        force: Force,
        users: &[User],
    ) -> Result<Vec<Removed>, PortError> {
        let (id, by_id) = self.find(text)?;
        let names = self.names_of(&id);
        let mut removed = Vec::new();
        let children = if self.has_children(&id) { Children::Some } else { Children::No };
        if by_id {
            if single(&names) {
                if let Some(error) = obstacle(&id, children, &[], users, force) {
                    return Err(error);
                }
                self.untag(names, &mut removed);
            }
            if let Some(error) = obstacle(&id, children, &self.names_of(&id), users, force) {
                return Err(error);
            }
            let rest = self.names_of(&id);
            self.untag(rest, &mut removed);
        } else {
            if let Some(user) = users.first().filter(|_| force == Force::No && single(&names)) {
                return Err(conflict(format!(
                    "unable to remove repository reference \"{text}\" (must force) - container {} is using its referenced image {}",
                    short(&user.container),
                    short(&id)
                )));
            }
            self.untag_with_digests(Reference::parse(text)?.key(), &id, &mut removed);
            if !self.names_of(&id).is_empty() {
                return Ok(removed);
            }
        }
        // A stopped container's root still stands on the layers, and images made from this one name it: it stays as
        // long, without a name.
        if users.is_empty() && children == Children::No {
            self.forget(&id);
            removed.push(Removed::Deleted(id));
        }
        Ok(removed)
    }

    /// With a repository's last tag of an image its digests go too.
    fn untag_with_digests(&mut self, name: String, id: &str, removed: &mut Vec<Removed>) {
        let (of, was_tag) = (repository(&name).to_owned(), !is_digest_name(&name));
        self.untag(vec![name], removed);
        let same: Vec<String> = self.names_of(id).into_iter().filter(|n| repository(n) == of).collect();
        if was_tag && same.iter().all(|n| is_digest_name(n)) {
            self.untag(same, removed);
        }
    }

    fn untag(&mut self, names: Vec<String>, removed: &mut Vec<Removed>) {
        for name in names {
            self.names.remove(&name);
            removed.push(Removed::Untagged(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: bool = true;

    fn id() -> String {
        format!("sha256:{}", "ab".repeat(32))
    }

    fn index(names: &[&str]) -> Index {
        let mut index = Index::default();
        let names: Vec<String> = names.iter().map(|n| n.replace('@', &format!("@{}", id()))).collect();
        index.add(&id(), vec!["l1".into()], &names, 7);
        index
    }

    fn users(running: bool) -> Vec<User> {
        vec![User { container: "c".repeat(64), running }]
    }

    #[test]
    fn a_name_in_use_goes_only_by_force_and_the_image_stays() {
        let mut index = index(&["busybox:latest", "busybox@"]);
        let refused = index.remove("busybox", Force::No, &users(RUNNING)).unwrap_err();
        assert_eq!(
            refused.text,
            "conflict: unable to remove repository reference \"busybox\" (must force) - container cccccccccccc is using its referenced image abababababab"
        );
        assert_eq!(index.remove("busybox", Force::Yes, &users(RUNNING)).unwrap().len(), 2);
        assert_eq!(index.images.len(), 1);
    }

    #[test]
    fn an_id_in_use_says_by_which_kind_of_container() {
        for (running, force, text) in [
            (true, Force::Yes, "(cannot be forced) - image is being used by running container cccccccccccc"),
            (true, Force::No, "(cannot be forced) - image is being used by running container cccccccccccc"),
            (false, Force::No, "(must be forced) - image is being used by stopped container cccccccccccc"),
        ] {
            let refused = index(&["busybox:latest"]).remove("abab", force, &users(running)).unwrap_err();
            assert_eq!(refused.text, format!("conflict: unable to delete abababababab {text}"));
        }
        assert!(index(&["busybox:latest"]).remove("abab", Force::Yes, &users(false)).is_ok());
    }

    #[test]
    fn a_second_name_lets_the_first_go_even_while_in_use() {
        let mut index = index(&["busybox:latest", "other:1"]);
        assert_eq!(
            index.remove("busybox", Force::No, &users(RUNNING)).unwrap(),
            [Removed::Untagged("busybox:latest".into())]
        );
    }

    #[test]
    fn an_id_with_names_in_several_repositories_goes_only_by_force() {
        for names in [&["a:1", "b:1"][..], &["a:1", "a:2"], &["a:1", "b@"]] {
            let refused = index(names).remove("abab", Force::No, &[]).unwrap_err();
            assert_eq!(
                refused.text,
                "conflict: unable to delete abababababab (must be forced) - image is referenced in multiple repositories"
            );
            let removed = index(names).remove("abab", Force::Yes, &[]).unwrap();
            assert_eq!(removed.last(), Some(&Removed::Deleted(id())));
        }
        for names in [&[][..], &["a:1"], &["a@"], &["a:1", "a@"]] {
            assert!(index(names).remove("abab", Force::No, &[]).is_ok(), "{names:?}");
        }
    }

    #[test]
    fn the_last_name_takes_the_image_along() {
        let mut index = index(&["busybox:latest", "busybox@", "other:1"]);
        assert_eq!(index.remove("busybox:latest", Force::No, &[]).unwrap().len(), 2);
        assert_eq!(
            index.remove("other:1", Force::No, &[]).unwrap(),
            [Removed::Untagged("other:1".into()), Removed::Deleted(id())]
        );
        assert_eq!(index.find("other:1").unwrap_err().text, "No such image: other:1");
        assert_eq!(index.find("gone").unwrap_err().text, "No such image: gone:latest");
    }
}
