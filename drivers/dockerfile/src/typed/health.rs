//! `HEALTHCHECK`: the command that tells whether a container is well, and how often to ask.

use super::duration::duration_ns;
use super::flags::Flags;
use super::{at_least_one, plain};
use crate::error::Fault;
use crate::instruction::Health;
use crate::syntax::{Arguments, Node};

pub(super) fn check(node: &Node) -> Result<Health, Fault> {
    at_least_one(node, "HEALTHCHECK")?;
    let (kind, command) = plain(node).split_first().ok_or(Fault::AtLeastOne("HEALTHCHECK"))?;
    let kind = kind.to_uppercase();
    if kind == "NONE" {
        return match command {
            [] => Ok(Health { test: vec![kind], ..Health::default() }),
            _ => Err(Fault::HealthNone),
        };
    }
    let known = ["interval", "timeout", "start-period", "start-interval", "retries"];
    let mut flags = Flags::read(&node.flags, &known)?;
    if kind != "CMD" {
        return Err(Fault::HealthKind(kind));
    }
    if command.is_empty() {
        return Err(Fault::HealthCommand);
    }
    let exec = matches!(node.arguments, Arguments::Json(_));
    let first = if exec { "CMD" } else { "CMD-SHELL" };
    let mut interval = |name: &'static str| match flags.take(name).filter(|v| !v.is_empty()) {
        None => Ok(0),
        Some(text) => match duration_ns(&text).map_err(Fault::Duration)? {
            0 => Ok(0),
            ..1_000_000 => Err(Fault::ShortInterval(name)),
            ns => Ok(ns),
        },
    };
    Ok(Health {
        test: [vec![first.to_owned()], command.to_vec()].concat(),
        interval: interval("interval")?,
        timeout: interval("timeout")?,
        start_period: interval("start-period")?,
        start_interval: interval("start-interval")?,
        retries: retries(flags.take("retries"))?,
    })
}

fn retries(given: Option<String>) -> Result<i32, Fault> {
    let Some(text) = given.filter(|v| !v.is_empty()) else {
        return Ok(0);
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    match text.parse::<i32>() {
        Ok(n) if n < 0 => Err(Fault::NegativeRetries(n)),
        Ok(n) => Ok(n),
        Err(_) if number => Err(Fault::Number { text, why: "value out of range" }),
        Err(_) => Err(Fault::Number { text, why: "invalid syntax" }),
    }
}
