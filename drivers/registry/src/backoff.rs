//! Pauses between tries: each twice as long as the one before, to a bound, and no two clients' quite the same.

use crate::progress::Lines;
use std::time::Duration;

/// The longest pause before chance lengthens it, in units of waiting.
const LONGEST: u32 = 20;

/// How often something is tried.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// Without getting further.
    pub most: u32,
    /// Unit of waiting in between.
    pub pause: Duration,
}

impl Tries {
    /// Waits after so many failures in a row.
    pub async fn wait(self, failures: u32) {
        tokio::time::sleep(self.length(failures, chance())).await;
    }

    /// The same, and counts the rest of it down, as Docker does.
    pub async fn wait_telling(self, failures: u32, lines: &Lines, id: &str) {
        for (left, step) in self.countdown(self.length(failures, chance())) {
            lines.retrying(id, left).await;
            tokio::time::sleep(step).await;
        }
    }

    /// The pause, up to half longer by chance.
    fn length(self, failures: u32, chance: u8) -> Duration {
        let whole = self.pause * 2u32.saturating_pow(failures.saturating_sub(1)).min(LONGEST);
        whole + whole * u32::from(chance) / 512
    }

    /// Units left, begun ones included, and how long each is what is left.
    fn countdown(self, length: Duration) -> Vec<(u32, Duration)> {
        let (mut left, mut steps) = (length, Vec::new());
        while !left.is_zero() {
            let units = left.as_nanos().div_ceil(self.pause.as_nanos().max(1));
            let units = u32::try_from(units).unwrap_or(u32::MAX);
            let after = self.pause * units.saturating_sub(1);
            steps.push((units, left.saturating_sub(after)));
            left = after;
        }
        steps
    }
}

fn chance() -> u8 {
    let mut byte = [0];
    // Without a source of chance all wait alike.
    let _alike = getrandom::fill(&mut byte);
    let [byte] = byte;
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIES: Tries = Tries { most: 5, pause: Duration::from_secs(1) };

    #[test]
    fn pauses_double_up_to_a_bound_and_chance_adds_up_to_half() {
        let seconds =
            |chance| [1, 2, 3, 4, 5, 6, 40, u32::MAX].map(|n| TRIES.length(n, chance).as_secs_f64());
        assert_eq!(seconds(0), [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]);
        for (least, most) in seconds(0).into_iter().zip(seconds(u8::MAX)) {
            assert!(most > least * 1.49 && most < least * 1.5, "{least} {most}");
        }
    }

    #[test]
    fn what_is_counted_down_is_what_is_waited() {
        for chance in [0, 1, 100, 255] {
            let length = TRIES.length(3, chance);
            let steps = TRIES.countdown(length);
            assert_eq!(steps.iter().map(|(_, step)| *step).sum::<Duration>(), length);
            let mut left = length;
            for (told, step) in steps {
                assert_eq!(f64::from(told), left.as_secs_f64().ceil());
                left -= step;
            }
        }
        let none = Tries { pause: Duration::ZERO, ..TRIES };
        assert_eq!(none.countdown(none.length(3, 255)), []);
    }
}
