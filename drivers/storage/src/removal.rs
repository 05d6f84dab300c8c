//! `docker rmi`: which names and images go, and what forbids it, by the rules and in the words of Docker Engine 28.

use crate::index::Index;
use crate::reference::Reference;
use contract::image::{Force, ImageUser, Parents, Removal, Removed};
use contract::{ImageId, Kind, PortError};
use std::collections::BTreeSet;

/// What a removal did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Docker's answer.
    pub(crate) lines: Vec<Removed>,
    /// Configurations that nobody needs any more.
    pub(crate) configs: Vec<String>,
    /// Layers of the images that went; others may have them too.
    pub(crate) layers: Vec<String>,
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

/// Whether an image's names keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Keep,
    Go,
}

impl Index {
    /// What keeps the image from being deleted.
    fn obstacle(&self, id: &str, names: Names, users: &[ImageUser], force: Force) -> Option<PortError> {
        let refuse = |how: &str, why: String| {
            Some(conflict(format!("unable to delete {} ({how}) - {why}", short(id))))
        };
        if self.has_children(id) {
            return refuse("cannot be forced", "image has dependent child images".into());
        }
        let mut of = users.iter().filter(|u| u.image == id);
        if let Some(user) = of.clone().find(|u| u.running) {
            let why = format!("image is being used by running container {}", short(&user.container));
            return refuse("cannot be forced", why);
        }
        if force == Force::Yes {
            return None;
        }
        if names == Names::Keep && !self.names_of(id).is_empty() {
            return refuse("must be forced", "image is referenced in multiple repositories".into());
        }
        let user = of.next()?;
        let why = format!("image is being used by stopped container {}", short(&user.container));
        refuse("must be forced", why)
    }

    /// Takes a name or an image away.
    pub(crate) fn remove(&mut self, text: &str, how: &Removal) -> Result<Gone, PortError> {
        let (id, by_id) = self.find(text)?;
        let names = self.names_of(&id);
        let Removal { force, parents, users } = how;
        let mut gone = Gone::default();
        if by_id {
            let names_go = if single(&names) { Names::Go } else { Names::Keep };
            if let Some(error) = self.obstacle(&id, names_go, users, *force) {
                return Err(error);
            }
        } else {
            let mut of = users.iter().filter(|u| u.image == id);
            if let Some(user) = of.next().filter(|_| *force == Force::No && single(&names)) {
                return Err(conflict(format!(
                    "unable to remove repository reference \"{text}\" (must force) - container {} is using its referenced image {}",
                    short(&user.container),
                    short(&id)
                )));
            }
            self.untag_with_digests(Reference::parse(text)?.key(), &id, &mut gone.lines);
            // What keeps an image that lost its last name is not the asker's concern.
            if !self.names_of(&id).is_empty() || self.obstacle(&id, Names::Keep, users, *force).is_some() {
                return Ok(gone);
            }
        }
        let mut next = self.delete(&id, users, &mut gone);
        while let Some(parent) = next.filter(|_| *parents == Parents::Prune) {
            let free = self.obstacle(&parent, Names::Keep, users, Force::No).is_none();
            next = free.then(|| self.delete(&parent, users, &mut gone)).flatten();
        }
        Ok(gone)
    }

    /// Deletes an image with what is left of its names; answers its parent.
    fn delete(&mut self, id: &str, users: &[ImageUser], gone: &mut Gone) -> Option<String> {
        self.untag(self.names_of(id), &mut gone.lines);
        let parent = self.parents.get(id).filter(|p| self.images.contains_key(*p)).cloned();
        let layers = self.forget(id);
        gone.lines.push(Removed::Deleted(id.to_owned()));
        // A stopped container's root still stands on the layers.
        if users.iter().any(|u| u.image == id) {
            self.kept.insert(id.to_owned(), layers);
            return parent;
        }
        let others = self.images.values().chain(self.kept.values());
        let shared = others.map(|other| other.iter().zip(&layers).take_while(|(a, b)| a == b).count());
        let shared = shared.max().unwrap_or(0);
        let chains = crate::config::chain_ids(&layers).into_iter().skip(shared);
        gone.lines.extend(chains.rev().map(Removed::Layer));
        gone.configs.push(id.to_owned());
        gone.layers.extend(layers);
        parent
    }

    /// Forgets what was kept of images that were deleted under containers, but for the images that `used` names.
    pub(crate) fn release_kept(&mut self, used: impl Fn(&str) -> bool) -> Gone {
        let mut gone = Gone::default();
        self.kept.retain(|id, layers| {
            let used = used(id);
            if !used {
                gone.configs.push(id.clone());
                gone.layers.append(layers);
            }
            used
        });
        gone
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

    fn other(name: char) -> String {
        format!("sha256:{}", name.to_string().repeat(64))
    }

    fn index(names: &[&str]) -> Index {
        let mut index = Index::default();
        let names: Vec<String> = names.iter().map(|n| n.replace('@', &format!("@{}", id()))).collect();
        index.add(&id(), vec![other('1')], &names, 7);
        index
    }

    fn user(image: &str, running: bool) -> ImageUser {
        ImageUser { image: image.into(), container: "c".repeat(64), running }
    }

    fn how(force: Force, users: &[ImageUser]) -> Removal {
        Removal { force, parents: Parents::Prune, users: users.to_vec() }
    }

    fn removed(index: &mut Index, name: &str, force: Force, users: &[ImageUser]) -> Vec<String> {
        let lines = index.remove(name, &how(force, users)).unwrap().lines;
        let line = |line| match line {
            Removed::Untagged(name) => format!("untagged {name}"),
            Removed::Deleted(id) => format!("deleted {}", short(&id)),
            Removed::Layer(chain) => format!("layer {}", short(&chain)),
        };
        lines.into_iter().map(line).collect()
    }

    fn refusal(index: &mut Index, name: &str, force: Force, users: &[ImageUser]) -> String {
        index.remove(name, &how(force, users)).unwrap_err().text
    }

    #[test]
    fn a_name_in_use_goes_only_by_force_and_the_image_stays() {
        let (mut index, users) = (index(&["busybox:latest", "busybox@"]), [user(&id(), RUNNING)]);
        assert_eq!(
            refusal(&mut index, "busybox", Force::No, &users),
            "conflict: unable to remove repository reference \"busybox\" (must force) - container cccccccccccc is using its referenced image abababababab"
        );
        assert_eq!(removed(&mut index, "busybox", Force::Yes, &users).len(), 2);
        assert_eq!(index.images.len(), 1);
    }

    #[test]
    fn an_id_in_use_says_by_which_kind_of_container() {
        for (running, force, text) in [
            (true, Force::Yes, "(cannot be forced) - image is being used by running container cccccccccccc"),
            (true, Force::No, "(cannot be forced) - image is being used by running container cccccccccccc"),
            (false, Force::No, "(must be forced) - image is being used by stopped container cccccccccccc"),
        ] {
            let refused = refusal(&mut index(&["busybox:latest"]), "abab", force, &[user(&id(), running)]);
            assert_eq!(refused, format!("conflict: unable to delete abababababab {text}"));
        }
    }

    #[test]
    fn what_is_deleted_under_a_stopped_container_is_kept_until_that_goes() {
        for name in ["abab", "busybox"] {
            let (mut index, users) = (index(&["busybox:latest"]), [user(&id(), false)]);
            assert_eq!(
                removed(&mut index, name, Force::Yes, &users),
                ["untagged busybox:latest", "deleted abababababab"]
            );
            assert!(index.find("abab").is_err());
            assert!(index.unused([&other('1')]).is_empty());
            assert_eq!(index.release_kept(|_| true), Gone::default());
            let gone = index.release_kept(|_| false);
            assert_eq!((gone.configs, gone.layers), (vec![id()], vec![other('1')]));
            assert_eq!(index.unused([&other('1')]), [other('1')]);
        }
    }

    #[test]
    fn a_second_name_lets_the_first_go_even_while_in_use() {
        let (mut index, users) = (index(&["busybox:latest", "other:1"]), [user(&id(), RUNNING)]);
        assert_eq!(removed(&mut index, "busybox", Force::No, &users), ["untagged busybox:latest"]);
    }

    #[test]
    fn an_id_with_names_in_several_repositories_goes_only_by_force() {
        for names in [&["a:1", "b:1"][..], &["a:1", "a:2"], &["a:1", "b@"]] {
            assert_eq!(
                refusal(&mut index(names), "abab", Force::No, &[]),
                "conflict: unable to delete abababababab (must be forced) - image is referenced in multiple repositories"
            );
            let lines = removed(&mut index(names), "abab", Force::Yes, &[]);
            assert_eq!(lines.last().unwrap(), "layer 111111111111");
        }
        for names in [&[][..], &["a:1"], &["a@"], &["a:1", "a@"]] {
            assert!(index(names).remove("abab", &how(Force::No, &[])).is_ok(), "{names:?}");
        }
    }

    #[test]
    fn the_last_name_takes_the_image_along() {
        let mut index = index(&["busybox:latest", "busybox@", "other:1"]);
        assert_eq!(removed(&mut index, "busybox:latest", Force::No, &[]).len(), 2);
        assert_eq!(
            removed(&mut index, "other:1", Force::No, &[]),
            ["untagged other:1", "deleted abababababab", "layer 111111111111"]
        );
        assert_eq!(index.find("other:1").unwrap_err().text, "No such image: other:1");
        assert_eq!(index.find("gone").unwrap_err().text, "No such image: gone:latest");
    }

    /// `base` ← `d…` ← `e…`, the middle one without a name.
    fn family() -> Index {
        let mut index = index(&["base:1"]);
        index.add(&other('d'), vec![other('1'), other('2')], &[], 7);
        index.add(&other('e'), vec![other('1'), other('2'), other('3')], &["top:1".into()], 7);
        index.parents.insert(other('d'), id());
        index.parents.insert(other('e'), other('d'));
        index
    }

    #[test]
    fn nameless_parents_go_with_their_last_child_and_named_ones_stay() {
        let mut index = family();
        let chain = |n: usize| {
            let all = crate::config::chain_ids(&[other('1'), other('2'), other('3')]);
            format!("layer {}", short(&all[n]))
        };
        assert_eq!(
            removed(&mut index, "top:1", Force::No, &[]),
            ["untagged top:1", "deleted eeeeeeeeeeee", &chain(2), "deleted dddddddddddd", &chain(1)]
        );
        assert!(index.images.contains_key(&id()));
        let mut index = family();
        let keep = Removal { parents: Parents::Keep, ..how(Force::No, &[]) };
        assert_eq!(index.remove("top:1", &keep).unwrap().configs, [other('e')]);
        let mut index = family();
        assert_eq!(
            index.remove("top:1", &how(Force::No, &[user(&other('d'), false)])).unwrap().configs.len(),
            1
        );
    }

    #[test]
    fn an_image_with_children_loses_its_name_and_nothing_else() {
        let mut index = family();
        for force in [Force::No, Force::Yes] {
            for name in [id(), other('d')] {
                let text = refusal(&mut index, &name, force, &[]);
                assert!(text.ends_with(" (cannot be forced) - image has dependent child images"), "{text}");
            }
        }
        assert_eq!(removed(&mut index, "base:1", Force::No, &[]), ["untagged base:1"]);
        assert_eq!(index.images.len(), 3);
        assert_eq!(index.remove("top:1", &how(Force::No, &[])).unwrap().configs.len(), 3);
        assert_eq!(index, Index { tagged: index.tagged.clone(), ..Index::default() });
        assert!(index.tagged.is_empty());
    }
}
