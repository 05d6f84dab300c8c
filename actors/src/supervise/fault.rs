//! Fault injection: an armed actor panics when it next handles a message, or a chosen kind of message.

#[cfg(any(test, feature = "fault"))]
use std::sync::Mutex;

#[cfg(any(test, feature = "fault"))]
#[derive(Debug)]
struct Armed {
    left: u32,
    handler: Option<String>,
}

#[cfg(any(test, feature = "fault"))]
impl Armed {
    /// Counts the message if it is one of those; true when it was the last to be counted.
    fn burns_down_at(&mut self, name: &str) -> bool {
        // Being built is no message: it counts only where it is named.
        if self.left == 0 || self.handler.as_deref().map_or(name == "started", |h| h != name) {
            return false;
        }
        self.left -= 1;
        self.left == 0
    }
}

/// Counts down handled messages to an injected panic.
#[derive(Debug, Default)]
pub(super) struct Fuse {
    #[cfg(any(test, feature = "fault"))]
    armed: Mutex<Vec<Armed>>,
}

impl Fuse {
    #[cfg(any(test, feature = "fault"))]
    fn arm(&self, left: u32, handler: Option<&str>) {
        super::tree::lock(&self.armed).push(Armed { left, handler: handler.map(str::to_owned) });
    }

    /// Panics that are still to come.
    #[cfg(test)]
    fn left(&self) -> usize {
        super::tree::lock(&self.armed).iter().filter(|a| a.left > 0).count()
    }

    /// Messages that are to be handled before the panics that are still to come.
    #[cfg(test)]
    fn countdown(&self) -> u32 {
        super::tree::lock(&self.armed).iter().map(|a| a.left).sum()
    }

    /// Runs in the actor just before the handler of `message`, a type's full name, or before `started`.
    #[cfg(any(test, feature = "fault"))]
    #[expect(clippy::panic, reason = "the panic is the purpose")]
    pub(super) fn point(&self, message: &'static str) {
        // What a message is about is no part of its name.
        let name = message.split('<').next().unwrap_or(message);
        let name = name.rsplit("::").next().unwrap_or(name);
        let due = {
            let mut armed = super::tree::lock(&self.armed);
            let due = armed.iter_mut().fold(false, |due, one| one.burns_down_at(name) | due);
            armed.retain(|a| a.left > 0);
            due
        };
        if due {
            panic!("injected fault at {message}");
        }
    }

    #[cfg(not(any(test, feature = "fault")))]
    #[inline]
    pub(super) fn point(&self, _message: &'static str) {
        let Self {} = self;
    }
}

#[cfg(any(test, feature = "fault"))]
impl super::Registry {
    /// Arms a panic at the `nth` (1 = next) message handled by each live actor whose name or kind
    /// is `target`. Returns how many actors were armed.
    pub fn inject(&self, target: &str, nth: u32) -> usize {
        self.arm(target, None, nth)
    }

    /// The same, counting only the messages of a type with this name, or the actor's `started`.
    pub fn inject_at(&self, target: &str, handler: &str, nth: u32) -> usize {
        self.arm(target, Some(handler), nth)
    }

    fn arm(&self, target: &str, handler: Option<&str>, nth: u32) -> usize {
        let hit: Vec<_> = self.all().into_iter().filter(|v| v.name == target || v.kind == target).collect();
        for vitals in &hit {
            vitals.fuse.arm(nth, handler);
        }
        hit.len()
    }

    /// Panics that were armed in actors of this name or kind and
    /// did not come yet.
    #[cfg(test)]
    pub(crate) fn watch(&self, target: &str) -> impl Fn() -> usize + use<> {
        let hit: Vec<_> = self.all().into_iter().filter(|v| v.name == target || v.kind == target).collect();
        move || hit.iter().map(|v| v.fuse.left()).sum()
    }

    /// Messages that actors of this name or kind have to handle before the panics armed in them: who arms a distant one
    /// sees each of them pass.
    #[cfg(test)]
    pub(crate) fn countdown(&self, target: &str) -> impl Fn() -> u32 + use<> {
        let hit: Vec<_> = self.all().into_iter().filter(|v| v.name == target || v.kind == target).collect();
        move || hit.iter().map(|v| v.fuse.countdown()).sum()
    }
}
