//! When what other programs took from the firewall is put back. Pure.

use contract::network::Disturbance;
use std::time::Duration;

/// How long the rest of a change is waited for. While rules are away, the host resets connections that go on.
const BRIEF: Duration = Duration::from_millis(5);
/// The same once rules were lost several times in a row: a tool that reloads its rules does it in several transactions.
const GATHER: Duration = Duration::from_millis(100);
/// Losses in a row that are answered at once.
const AT_ONCE: u32 = 4;
/// The longest wait, where somebody takes rules away again and again.
const WEARY: Duration = Duration::from_millis(500);
/// When it is looked whether all came back, and whether what was being made meanwhile is there.
const SOON: Duration = Duration::from_secs(2);
/// How often all is compared, in case notifications were lost.
const REGULAR: Duration = Duration::from_secs(60);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Containers that were found are adopted: what nobody has now is nobody's.
    Recovered,
    /// Another program changed something.
    Disturbed(Disturbance),
    /// This alarm went off.
    Alarm(u64),
    /// What is missing, in words, or why it is not known.
    Examined(Result<Vec<String>, String>),
    /// All was put back, or why not.
    Restored(Result<(), String>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Tell when this time is over; earlier alarms are void.
    Alarm(u64, Duration),
    /// Compare.
    Examine,
    /// Put back.
    Restore,
    /// All is back that was lost for this reason.
    Back(Disturbance),
    /// Something failed.
    Warn(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until the next alarm.
    Quiet,
    /// A change was heard of.
    Gathering,
    /// Comparing or putting back; `again` when a change was heard of meanwhile.
    Busy { again: bool },
}

/// Decides.
#[derive(Debug)]
pub struct Machine {
    state: State,
    recovered: bool,
    alarm: u64,
    cause: Option<Disturbance>,
    /// Times in a row that rules were lost.
    losses: u32,
}

impl Machine {
    /// With containers adopted already, or not.
    pub fn new(recovered: bool) -> Self {
        Self { state: State::Quiet, recovered, alarm: 0, cause: None, losses: 0 }
    }

    /// What to begin with.
    pub fn start(&mut self) -> Vec<Output> {
        if self.recovered { self.examine() } else { vec![self.after(REGULAR)] }
    }

    /// One step.
    pub fn step(&mut self, input: Input) -> Vec<Output> {
        match (input, self.state) {
            (Input::Recovered, state) => {
                self.recovered = true;
                if state == State::Quiet { self.examine() } else { Vec::new() }
            }
            (Input::Disturbed(disturbance), state) => {
                self.cause.get_or_insert(disturbance);
                match state {
                    State::Quiet => vec![self.gather()],
                    State::Gathering => Vec::new(),
                    State::Busy { .. } => {
                        self.state = State::Busy { again: true };
                        Vec::new()
                    }
                }
            }
            (Input::Alarm(number), _) if number != self.alarm => Vec::new(),
            (Input::Alarm(_), State::Quiet) => self.examine(),
            (Input::Alarm(_), State::Gathering) => {
                self.state = State::Busy { again: false };
                vec![Output::Restore]
            }
            (Input::Examined(Ok(missing)), State::Busy { again }) if !missing.is_empty() => {
                let cause = Disturbance { by: None, what: format!("{} was missing", missing.join(", ")) };
                self.cause.get_or_insert(cause);
                self.state = State::Busy { again };
                vec![Output::Restore]
            }
            (Input::Examined(outcome), State::Busy { again }) => {
                let warning = outcome.err().map(|e| Output::Warn(format!("comparing the firewall: {e}")));
                if warning.is_none() && !again {
                    self.losses = 0;
                }
                warning.into_iter().chain([self.rest(again, REGULAR)]).collect()
            }
            (Input::Restored(Ok(())), State::Busy { again }) => {
                self.losses = self.losses.saturating_add(1);
                let told = self.cause.take().map(Output::Back);
                told.into_iter().chain([self.rest(again, SOON)]).collect()
            }
            (Input::Restored(Err(error)), State::Busy { .. }) => {
                self.losses = self.losses.saturating_add(1);
                vec![Output::Warn(format!("putting the firewall back: {error}")), self.gather()]
            }
            (Input::Alarm(_), State::Busy { .. })
            | (Input::Examined(_) | Input::Restored(_), State::Quiet | State::Gathering) => Vec::new(),
        }
    }

    fn examine(&mut self) -> Vec<Output> {
        if !self.recovered {
            return vec![self.after(SOON)];
        }
        self.state = State::Busy { again: false };
        vec![Output::Examine]
    }

    fn rest(&mut self, again: bool, pause: Duration) -> Output {
        if again {
            return self.gather();
        }
        self.state = State::Quiet;
        self.after(pause)
    }

    fn gather(&mut self) -> Output {
        self.state = State::Gathering;
        let pause = match self.losses.checked_sub(AT_ONCE) {
            None => BRIEF,
            Some(more) => GATHER.saturating_mul(1_u32.checked_shl(more).unwrap_or(u32::MAX)),
        };
        self.after(pause.min(WEARY))
    }

    fn after(&mut self, pause: Duration) -> Output {
        self.alarm += 1;
        Output::Alarm(self.alarm, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flush() -> Disturbance {
        Disturbance { by: Some(("nft".into(), 7)), what: "the table was deleted".into() }
    }

    fn alarm(outputs: &[Output]) -> (u64, Duration) {
        outputs
            .iter()
            .find_map(|o| match o {
                Output::Alarm(n, pause) => Some((*n, *pause)),
                _ => None,
            })
            .unwrap()
    }

    #[test]
    fn what_was_flushed_is_put_back_once_told_and_looked_at_again() {
        let mut machine = Machine::new(false);
        machine.start();
        assert_eq!(machine.step(Input::Recovered), [Output::Examine]);
        machine.step(Input::Examined(Ok(vec![])));
        let (number, pause) = alarm(&machine.step(Input::Disturbed(flush())));
        assert_eq!(pause, BRIEF);
        assert_eq!(machine.step(Input::Disturbed(flush())), [], "more of the same change");
        assert_eq!(machine.step(Input::Alarm(number)), [Output::Restore]);
        let done = machine.step(Input::Restored(Ok(())));
        assert_eq!(done[0], Output::Back(flush()));
        let (number, pause) = alarm(&done);
        assert_eq!((pause, machine.step(Input::Alarm(number))), (SOON, vec![Output::Examine]));
        assert_eq!(alarm(&machine.step(Input::Examined(Ok(vec![])))).1, REGULAR);
    }

    #[test]
    fn a_change_while_putting_back_is_not_lost_and_a_loop_of_them_is_answered_slower() {
        let mut machine = Machine::new(false);
        let mut outputs = machine.step(Input::Disturbed(flush()));
        let mut pauses = Vec::new();
        for _ in 0..14 {
            let (number, pause) = alarm(&outputs);
            pauses.push(pause);
            assert_eq!(machine.step(Input::Alarm(number)), [Output::Restore]);
            assert_eq!(machine.step(Input::Disturbed(flush())), []);
            outputs = machine.step(Input::Restored(Ok(())));
        }
        assert_eq!((pauses[0], pauses[3], pauses[4], pauses[5]), (BRIEF, BRIEF, GATHER, GATHER * 2));
        assert_eq!(pauses[13], WEARY);
    }

    #[test]
    fn nothing_is_compared_before_containers_are_adopted_and_failures_are_tried_again() {
        let mut machine = Machine::new(false);
        let (number, _) = alarm(&machine.start());
        assert_eq!(alarm(&machine.step(Input::Alarm(number))).1, SOON);
        assert_eq!(machine.step(Input::Recovered), [Output::Examine]);
        assert_eq!(machine.step(Input::Examined(Ok(vec!["a rule".into()]))), [Output::Restore]);
        let failed = machine.step(Input::Restored(Err("no".into())));
        let (number, _) = alarm(&failed);
        assert_eq!(machine.step(Input::Alarm(number)), [Output::Restore]);
        let cause = Disturbance { by: None, what: "a rule was missing".into() };
        assert_eq!(machine.step(Input::Restored(Ok(())))[0], Output::Back(cause));
    }
}
