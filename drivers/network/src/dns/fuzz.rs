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
        assert!(read.is_ok(), "{told:?} is told to {input:?}: {read:?}");
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

#[test]
fn the_corpus_is_answered_or_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/dns");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|path| dns(&std::fs::read(path).unwrap()));
}
