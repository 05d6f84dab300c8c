//! What the fuzz target in `tests/fuzz` drives; not for others. Panics are findings.

use super::Transport;
use super::answer::{Verdict, answer};
use super::exchange::{Worth, id, numbered, worth};
use contract::network::Names;
use hickory_proto::op::{Message, ResponseCode};
use std::net::IpAddr;

/// Knows names that begin with an `a`, by more addresses the longer they are, and every address of an odd last bit.
struct Known;

impl Names for Known {
    fn addresses(&self, _: &str, name: &str) -> Option<Vec<IpAddr>> {
        let of = |n: u8| {
            if n.is_multiple_of(2) {
                [10, 0, 0, n].into()
            } else {
                [0xfd00, 0, 0, 0, 0, 0, 0, n.into()].into()
            }
        };
        name.starts_with('a').then(|| (0..u8::try_from(name.len()).unwrap_or(u8::MAX)).map(of).collect())
    }

    fn name(&self, _: &str, address: IpAddr) -> Option<String> {
        (contract::network::number(address) & 1 == 1)
            .then(|| format!("n-{}.net", contract::network::number(address)))
    }
}

/// Reads a container's query and a server's answer: whatever is sent back can be read, has the query's number, and fits.
pub fn dns(input: &[u8]) {
    for transport in [Transport::Udp, Transport::Tcp] {
        let told = match answer(input, "c", &Known, transport, input.len()) {
            Verdict::Answer(told) => told,
            Verdict::Forward(otherwise) => otherwise.told(ResponseCode::Refused),
            Verdict::Ignore => continue,
        };
        let read = Message::from_vec(&told);
        // The question of a query that cannot be read is told again as it is.
        let formal = told.get(3).is_some_and(|flags| flags & 0x0f == ResponseCode::FormErr.low());
        assert!(formal || read.is_ok(), "{told:?} is told to {input:?}: {read:?}");
        assert_eq!(id(&told), id(input));
        let small = Message::from_vec(input).is_ok_and(|query| query.edns.is_none());
        assert!(
            transport == Transport::Tcp || !small || told.len() <= 512,
            "{} bytes to {input:?}",
            told.len()
        );
    }
    // One half asks, the other answers.
    let (asked, answered) = input.split_at(input.len() / 2);
    let under = numbered(answered, id(asked));
    if worth(asked, &under) == Worth::Answer {
        assert!(id(&under) == id(asked) && under.len() >= 12);
    }
}

#[cfg(test)]
fn corpus() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/dns");
    std::fs::read_dir(folder).unwrap().map(|e| std::fs::read(e.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_corpus_is_answered_or_refused() {
    let inputs = corpus();
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|input| dns(input));
}

#[test]
fn what_is_like_the_corpus_is_answered_or_refused() {
    let inputs = corpus();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % u64::try_from(n.max(1)).unwrap()).unwrap()
    };
    for _ in 0..20_000 {
        let mut input = inputs[below(inputs.len())].clone();
        for _ in 0..=below(4) {
            let (at, byte) = (below(input.len() + 1), u8::try_from(below(256)).unwrap());
            match below(4) {
                0 => input.insert(at, byte),
                1 => input.truncate(at),
                2 => input.extend_from_slice(&inputs[below(inputs.len())]),
                _ if at < input.len() => input[at] = [byte, 0, 1, 0xc0, 0xff, 63, 64][below(7)],
                _ => {}
            }
        }
        dns(&input);
    }
}
