//! A data root in memory, for disks that are small or fast.

use crate::place::Place;

/// A tmpfs of so many megabytes, and as many files as it has room for, where a place's daemon has its data; taken away
/// with the value.
#[derive(Debug)]
pub struct InMemory<'a>(&'a Place);

impl<'a> InMemory<'a> {
    /// Mounts it.
    #[track_caller]
    pub fn mount(place: &'a Place, megabytes: u32) -> Self {
        let data = place.path("data");
        std::fs::create_dir(&data).expect("make the data root");
        let size = format!("size={megabytes}m,nr_inodes=0");
        place.run("mount", ["-t", "tmpfs", "-o", &size, "small", data.to_str().expect("a plain path")]).ok();
        Self(place)
    }
}

impl Drop for InMemory<'_> {
    fn drop(&mut self) {
        let data = self.0.path("data");
        let _left = self.0.run("umount", ["-l", data.to_str().unwrap_or_default()]);
    }
}
