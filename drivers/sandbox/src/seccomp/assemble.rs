//! Pieces of programs: conditions on a call's arguments, and the search for a call's number.

use super::compile::{AND, ARGUMENT, Filter, JUMP, JUMP_EQUAL, JUMP_GREATER_EQUAL, LOAD, RETURN};

const JUMP_GREATER: u16 = 0x25;

/// How an argument is compared, as 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// ≠
    NotEqual,
    /// <
    Less,
    /// ≤
    AtMost,
    /// =
    Equal,
    /// ≥
    AtLeast,
    /// >
    Greater,
    /// = after the mask.
    Masked(u64),
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u32,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// An answer when all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// The answer.
    pub answer: u32,
}

/// What becomes of a call once its number is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// One answer.
    Answer(u32),
    /// The first block that applies, else the answer.
    Judge(Vec<Block>, u32),
}

/// Where a jump leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    /// The condition holds.
    Holds,
    /// It does not.
    Fails,
}

fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}

/// A condition's code: opcode, operand, and where to when true and when false.
fn steps(condition: &Condition) -> Vec<(u16, u32, To, To)> {
    use To::{Fails, Holds, Next};
    let low_at = ARGUMENT + 8 * condition.argument;
    let (high, low) = halves(condition.value);
    let load_high = (LOAD, low_at + 4, Next, Next);
    let load_low = (LOAD, low_at, Next, Next);
    // `equal` and `more` are the outcomes for an argument that is equal to the value or greater.
    let ordered = |opcode: u16, yes: To, no: To| {
        vec![
            load_high,
            (JUMP_GREATER, high, yes, Next),
            (JUMP_EQUAL, high, Next, no),
            load_low,
            (opcode, low, yes, no),
        ]
    };
    match condition.comparison {
        Comparison::Equal => {
            vec![load_high, (JUMP_EQUAL, high, Next, Fails), load_low, (JUMP_EQUAL, low, Holds, Fails)]
        }
        Comparison::NotEqual => {
            vec![load_high, (JUMP_EQUAL, high, Next, Holds), load_low, (JUMP_EQUAL, low, Fails, Holds)]
        }
        Comparison::AtLeast => ordered(JUMP_GREATER_EQUAL, Holds, Fails),
        Comparison::Greater => ordered(JUMP_GREATER, Holds, Fails),
        Comparison::Less => ordered(JUMP_GREATER_EQUAL, Fails, Holds),
        Comparison::AtMost => ordered(JUMP_GREATER, Fails, Holds),
        Comparison::Masked(mask) => {
            let (mask_high, mask_low) = halves(mask);
            vec![
                load_high,
                (AND, mask_high, Next, Next),
                (JUMP_EQUAL, high, Next, Fails),
                load_low,
                (AND, mask_low, Next, Next),
                (JUMP_EQUAL, low, Holds, Fails),
            ]
        }
    }
}

fn block(block: &Block, out: &mut Vec<Filter>) {
    let conditions: Vec<_> = block.conditions.iter().map(steps).collect();
    let total: usize = conditions.iter().map(Vec::len).sum();
    let mut at = 0;
    for condition in conditions {
        let end = at + condition.len();
        for (code, k, yes, no) in condition {
            at += 1;
            // Six conditions of at most six instructions: every distance fits.
            let far = |to: To| match to {
                To::Next => 0,
                To::Holds => u8::try_from(end - at).unwrap_or(u8::MAX),
                // Past the answer that follows the last condition.
                To::Fails => u8::try_from(total + 1 - at).unwrap_or(u8::MAX),
            };
            out.push(Filter { code, jt: far(yes), jf: far(no), k });
        }
    }
    out.push(Filter { code: RETURN, jt: 0, jf: 0, k: block.answer });
}

/// A search by halves for the loaded number among leaves that each hold from their number on; ends in an answer.
pub fn search(leaves: &[(u32, Leaf)]) -> Vec<Filter> {
    let mut out = Vec::new();
    match leaves {
        [] => {}
        [(_, Leaf::Answer(answer))] => out.push(Filter { code: RETURN, jt: 0, jf: 0, k: *answer }),
        [(_, Leaf::Judge(blocks, otherwise))] => {
            blocks.iter().for_each(|b| block(b, &mut out));
            out.push(Filter { code: RETURN, jt: 0, jf: 0, k: *otherwise });
        }
        _ => {
            let (below, above) = leaves.split_at(leaves.len() / 2);
            let start = above.first().map_or(0, |(start, _)| *start);
            let below = search(below);
            // A conditional jump reaches 255 instructions, an unconditional one any number.
            out.push(Filter { code: JUMP_GREATER_EQUAL, jt: 0, jf: 1, k: start });
            let over = u32::try_from(below.len()).unwrap_or(u32::MAX);
            out.push(Filter { code: JUMP, jt: 0, jf: 0, k: over });
            out.extend(below);
            out.extend(search(above));
        }
    }
    out
}
