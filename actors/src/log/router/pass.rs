//! Reads what a sink is not given, so that it is known what that was.

use super::machine::Pass;
use crate::log::cut::{Cut, cut};
use crate::log::gap::{Ahead, Gaps};
use crate::log::record::container_lines;
use contract::PortError;
use contract::log::{BatchPolicy, Loss};
use contract::runtime::Spool;

/// Bytes of lines passed over in one step, where it does not matter where exactly it ends.
const STEP: usize = 1 << 20;

/// Passes over lines; answers which, and what among them told of others that are not there.
pub async fn pass_over(
    spool: &dyn Spool,
    pass: &Pass,
    policy: &BatchPolicy,
    seed: u64,
) -> Result<(Loss, Gaps), PortError> {
    let ahead = Ahead { losses: Vec::new(), until: pass.until.clone() };
    let wide = BatchPolicy { max_bytes: STEP.max(policy.max_bytes), max_lines: 1 << 14, ..policy.clone() };
    let mut from = pass.from.clone();
    while let Some(keep) = pass.keep {
        let kept = cut(spool, (&from, &ahead), policy, seed).await?;
        if kept.batch.end.top() > keep || kept.batch.end.is_at(&from) {
            break;
        }
        from.clone_from(&kept.batch.end);
    }
    let mut loss = Loss { to: from.clone(), from, ..Loss::default() };
    let mut gaps = Gaps::default();
    while pass.to.is_none_or(|to| loss.to.top() < to) {
        let mut next = cut(spool, (&loss.to, &ahead), &wide, seed).await?;
        if pass.to.is_some_and(|to| next.batch.end.top() > to) {
            next = cut(spool, (&loss.to, &ahead), policy, seed).await?;
        }
        let stays = next.batch.end.is_at(&loss.to);
        count(&mut loss, &next, policy);
        gaps = gaps + next.gaps;
        gaps.suppressed += next.batch.suppressed;
        loss.to.clone_from(&next.batch.end);
        if next.last || stays {
            break;
        }
    }
    Ok((loss, gaps))
}

fn count(loss: &mut Loss, cut: &Cut, policy: &BatchPolicy) {
    let lines = &cut.batch.lines;
    let bytes: u64 = lines.iter().map(|line| line.data.len() as u64).sum();
    if let Some(first) = lines.first().filter(|_| loss.lines + loss.bytes == 0) {
        loss.time_ns = first.time_ns;
    }
    loss.lines += container_lines(lines, policy).saturating_sub(cut.gaps.markers);
    // What had no room in the spool is missing here, too.
    loss.bytes += bytes.saturating_sub(cut.gaps.bytes) + cut.gaps.unspooled;
}
