//! Mount options in their text form (mount(8), runtime-spec).

use super::Propagation;
use super::detached::Reach;
use rustix::mount::MountAttrFlags as Flags;

/// What the words mean.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// For the mount itself.
    pub flags: Flags,
    /// For it and all below.
    pub tree_flags: Flags,
    /// Its propagation.
    pub propagation: Propagation,
    /// Which mounts of a tree have that propagation.
    pub reach: Reach,
    /// The rest, for the file system.
    pub data: String,
}

impl Options {
    /// Reads them; later words win.
    pub fn parse(words: &[String]) -> Self {
        let (mut flags, mut tree_flags) = (Flags::empty(), Flags::empty());
        let (mut propagation, mut reach) = (Propagation::Private, Reach::Tree);
        let mut data: Vec<&str> = Vec::new();
        for word in words {
            match word.as_str() {
                "ro" => flags |= Flags::MOUNT_ATTR_RDONLY,
                "rro" => tree_flags |= Flags::MOUNT_ATTR_RDONLY,
                "rw" => flags &= !Flags::MOUNT_ATTR_RDONLY,
                "nosuid" => flags |= Flags::MOUNT_ATTR_NOSUID,
                "suid" => flags &= !Flags::MOUNT_ATTR_NOSUID,
                "nodev" => flags |= Flags::MOUNT_ATTR_NODEV,
                "dev" => flags &= !Flags::MOUNT_ATTR_NODEV,
                "noexec" => flags |= Flags::MOUNT_ATTR_NOEXEC,
                "exec" => flags &= !Flags::MOUNT_ATTR_NOEXEC,
                "noatime" => flags = (flags - Flags::MOUNT_ATTR_STRICTATIME) | Flags::MOUNT_ATTR_NOATIME,
                "strictatime" => flags = (flags - Flags::MOUNT_ATTR_NOATIME) | Flags::MOUNT_ATTR_STRICTATIME,
                "atime" => flags &= !Flags::MOUNT_ATTR_NOATIME,
                "nostrictatime" => flags &= !Flags::MOUNT_ATTR_STRICTATIME,
                "nodiratime" => flags |= Flags::MOUNT_ATTR_NODIRATIME,
                "diratime" => flags &= !Flags::MOUNT_ATTR_NODIRATIME,
                // The kernel's default, and what `bind` mounts are by their type.
                "defaults" | "relatime" | "norelatime" | "bind" | "rbind" => {}
                "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" => {
                    propagation = match word.trim_start_matches('r') {
                        "slave" => Propagation::Slave,
                        "shared" => Propagation::Shared,
                        _ => Propagation::Private,
                    };
                    reach = if word.starts_with('r') { Reach::Tree } else { Reach::One };
                }
                other => data.push(other),
            }
        }
        Self { flags, tree_flags, propagation, reach, data: data.join(",") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_wins_and_unknown_ones_are_the_file_systems() {
        let words = ["nosuid", "noexec", "exec", "size=1m", "rslave", "mode=1777"].map(str::to_owned);
        let options = Options::parse(&words);
        assert_eq!(options.flags, Flags::MOUNT_ATTR_NOSUID);
        assert_eq!((options.propagation, options.reach), (Propagation::Slave, Reach::Tree));
        assert_eq!(options.data, "size=1m,mode=1777");
    }
}
