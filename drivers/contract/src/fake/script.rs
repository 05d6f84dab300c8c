use super::lock;
use crate::error::{Kind, PortError};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

enum Step {
    Fail(Kind, String),
    Delay(Duration),
    Hold(watch::Receiver<bool>),
}

#[derive(Default)]
struct Pages {
    steps: HashMap<&'static str, VecDeque<Step>>,
    calls: Vec<(&'static str, String)>,
}

/// What happens at the next calls of each verb; shared by all fakes of a [`super::World`].
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Pages>>);

/// Keeps a call waiting until dropped.
pub struct Hold(watch::Sender<bool>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Script {
    fn add(&self, verb: &'static str, step: Step) {
        lock(&self.0).steps.entry(verb).or_default().push_back(step);
    }

    /// The next call of `verb` not yet scripted fails.
    pub fn fail(&self, verb: &'static str, kind: Kind, text: &str) {
        self.add(verb, Step::Fail(kind, text.to_owned()));
    }

    /// It takes so long.
    pub fn delay(&self, verb: &'static str, pause: Duration) {
        self.add(verb, Step::Delay(pause));
    }

    /// It waits until the hold is dropped.
    pub fn hold(&self, verb: &'static str) -> Hold {
        let hold = watch::Sender::new(false);
        self.add(verb, Step::Hold(hold.subscribe()));
        Hold(hold)
    }

    /// How often `verb` was called about `subject`.
    pub fn calls(&self, verb: &str, subject: &str) -> usize {
        lock(&self.0).calls.iter().filter(|(v, s)| *v == verb && s == subject).count()
    }

    /// How often `verb` was called, whatever it was about.
    pub fn all_calls(&self, verb: &str) -> usize {
        lock(&self.0).calls.iter().filter(|(v, _)| *v == verb).count()
    }

    /// A fake's verb begins.
    pub(super) async fn at(&self, verb: &'static str, subject: &str) -> Result<(), PortError> {
        let step = {
            let mut pages = lock(&self.0);
            pages.calls.push((verb, subject.to_owned()));
            pages.steps.get_mut(verb).and_then(VecDeque::pop_front)
        };
        match step {
            None => Ok(()),
            Some(Step::Fail(kind, text)) => Err(PortError::new(kind, text)),
            Some(Step::Delay(pause)) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            Some(Step::Hold(mut held)) => {
                // A hold that is gone lets go as well.
                let _over = held.wait_for(|over| *over).await.is_ok();
                Ok(())
            }
        }
    }
}
