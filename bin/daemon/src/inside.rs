//! This program as the short-lived process that enters a container to copy files in or out. It has one thread, no
//! configuration and no actors, and loads nothing once it is inside.

use contract::archive::{Put, Report, Work};
use contract::{Kind, PortError};
use runtime::{Order, VERB};
use std::io::{Write as _, stderr, stdin, stdout};
use std::process::ExitCode;
use storage::transfer::{Inside, report};

/// The order, if this process was started for one.
pub fn order() -> Option<String> {
    let mut args = std::env::args().skip(1);
    (args.next()? == VERB).then(|| args.next()).flatten()
}

/// Carries it out. What goes wrong is reported as a line, or behind one that was already written on stderr.
pub fn run(order: &str) -> ExitCode {
    match carry_out(order) {
        Ok(()) => ExitCode::SUCCESS,
        Err((error, told)) => {
            let failed = Report::Failed { kind: error.kind, text: error.chain() };
            // With nobody left to hear it there is nothing more to do.
            let _unheard = match told {
                false => report(&mut stdout(), &failed).is_err(),
                true => writeln!(stderr(), "{}", error.chain()).is_err(),
            };
            ExitCode::FAILURE
        }
    }
}

/// The error, and whether something was reported before.
fn carry_out(order: &str) -> Result<(), (PortError, bool)> {
    let bug = |e: &dyn std::fmt::Display| (PortError::new(Kind::Bug, e.to_string()), false);
    let order: Order = serde_json::from_str(order).map_err(|e| bug(&e))?;
    let entered = sandbox::view::enter(&order.view).map_err(|e| bug(&e))?;
    let inside = Inside::new(entered.root, entered.below, entered.descriptors).beside(entered.sources);
    let owner = owner(&inside, &order.work).map_err(|e| (e, false))?;
    inside.perform(&order.work, owner, stdin(), stdout()).map_err(|e| (e, inside.has_told()))
}

/// Numbers of the user who gets what is written, by the container's own files.
fn owner(inside: &Inside, work: &Work) -> Result<Option<(u32, u32)>, PortError> {
    let Work::Write(Put { owner: Some(user), .. }) = work else { return Ok(None) };
    let (users, groups) = (inside.text("/etc/passwd"), inside.text("/etc/group"));
    let found = sandbox::look_up(user, "", &users, &groups);
    found.map(|u| Some((u.uid, u.gid))).map_err(|e| PortError::new(Kind::Invalid, e.to_string()))
}
