//! A data root's disk that is filled to the last byte, and freed.

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::path::PathBuf;

/// A file that takes all room there is.
#[derive(Debug)]
pub(super) struct Filler {
    path: PathBuf,
    full: bool,
}

impl Filler {
    pub(super) fn on(data: PathBuf) -> Self {
        Self { path: data.join("filler"), full: false }
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    #[track_caller]
    pub(super) fn fill(&mut self) {
        let file = File::create(&self.path).expect("make the file that fills the disk");
        let mut length = 0;
        for piece in [64 << 20, 1 << 20, 4096] {
            // Until nothing of this size fits.
            while fallocate(&file, FallocateFlags::empty(), length, piece).is_ok() {
                length += piece;
            }
        }
        self.full = true;
    }

    #[track_caller]
    pub(super) fn free(&mut self) {
        std::fs::remove_file(&self.path).expect("free the disk");
        self.full = false;
    }
}
