//! Fault injection: an armed actor panics when it next handles a message.

#[cfg(any(test, feature = "fault"))]
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts down handled messages to an injected panic.
#[derive(Debug, Default)]
pub(super) struct Fuse {
    #[cfg(any(test, feature = "fault"))]
    left: AtomicU32,
}

impl Fuse {
    #[cfg(any(test, feature = "fault"))]
    pub(super) fn arm(&self, nth: u32) {
        self.left.store(nth, Ordering::SeqCst);
    }

    /// Runs in the actor just before its real handler.
    #[cfg(any(test, feature = "fault"))]
    #[expect(clippy::panic, reason = "the panic is the purpose")]
    pub(super) fn point(&self) {
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if before == Ok(1) {
            panic!("injected fault");
        }
    }

    #[cfg(not(any(test, feature = "fault")))]
    #[inline]
    pub(super) fn point(&self) {
        let Self {} = self;
    }
}

#[cfg(any(test, feature = "fault"))]
impl super::Registry {
    /// Arms a panic at the `nth` (1 = next) message handled by each live actor whose name or kind
    /// is `target`. Returns how many actors were armed.
    pub fn inject(&self, target: &str, nth: u32) -> usize {
        let hit: Vec<_> = self.all().into_iter().filter(|v| v.name == target || v.kind == target).collect();
        for vitals in &hit {
            vitals.fuse.arm(nth);
        }
        hit.len()
    }
}
