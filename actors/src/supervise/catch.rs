//! Catching an actor's panic, with its text and place, logged once instead of printed.

use std::{
    any::Any,
    cell::RefCell,
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    pin::Pin,
    sync::Once,
};

#[derive(Default)]
struct Scene {
    actor: Option<String>,
    text: Option<String>,
}

thread_local! {
    static SCENE: RefCell<Scene> = RefCell::default();
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without text".to_owned())
}

/// Replaces the default panic print, for panics inside an actor only, by one log line.
/// Panics elsewhere still reach the previous hook. Called by [`super::spawn`]; idempotent.
pub fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !note(info) {
                previous(info);
            }
        }));
    });
}

fn note(info: &PanicHookInfo<'_>) -> bool {
    let noted = SCENE.try_with(|scene| {
        let mut scene = scene.try_borrow_mut().ok()?;
        let actor = scene.actor.clone()?;
        let text = payload_text(info.payload());
        let text = match info.location() {
            Some(at) => format!("{text} ({}:{}:{})", at.file(), at.line(), at.column()),
            None => text,
        };
        scene.text = Some(text.clone());
        Some((actor, text))
    });
    // Logged after the borrow ends: a subscriber that panics re-enters the hook.
    match noted.ok().flatten() {
        Some((actor, text)) => {
            tracing::error!(actor, panic = text, "actor panicked");
            true
        }
        None => false,
    }
}

/// Runs `f` as `actor`; a panic becomes its text.
pub(super) fn guarded<T>(actor: &str, f: impl FnOnce() -> T) -> Result<T, String> {
    let outer = SCENE.with_borrow_mut(|s| s.actor.replace(actor.to_owned()));
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    let text = SCENE.with_borrow_mut(|s| {
        s.actor = outer;
        s.text.take()
    });
    result.map_err(|payload| text.unwrap_or_else(|| payload_text(payload.as_ref())))
}

/// Drives `future` as `actor`; a panic in any poll ends it with the text.
pub(super) async fn guarded_future<F: Future + ?Sized>(
    actor: &str,
    mut future: Pin<&mut F>,
) -> Result<F::Output, String> {
    poll_fn(|cx| match guarded(actor, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(text) => std::task::Poll::Ready(Err(text)),
    })
    .await
}
