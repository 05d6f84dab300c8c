//! What a query is answered, purely.

use super::Transport;
use contract::network::Names;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::net::{IpAddr, Ipv4Addr};

/// Seconds an answer may be kept (moby `respTTL`).
const TTL: u32 = 600;
/// The size of a datagram for those who name none (RFC 1035).
const DATAGRAM: u16 = 512;

/// What becomes of a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This is the answer.
    Answer(Vec<u8>),
    /// Others may know; this is to be told when they do not.
    Forward(Vec<u8>),
    /// It is no query.
    Ignore,
}

/// Answers a query of a container; `turn` moves a list of addresses on, so that each comes first in its turn.
pub fn answer(
    bytes: &[u8],
    container: &str,
    names: &dyn Names,
    transport: Transport,
    turn: usize,
) -> Verdict {
    let query = match Message::from_vec(bytes) {
        Ok(query) if query.metadata.message_type == MessageType::Query => query,
        Ok(_) => return Verdict::Ignore,
        Err(_) => return malformed(bytes),
    };
    if query.metadata.op_code != OpCode::Query {
        return told(&refusal(&query, ResponseCode::NotImp));
    }
    let Some(question) = query.queries.first() else {
        return told(&refusal(&query, ResponseCode::FormErr));
    };
    let text = text(question.name());
    let found = match question.query_type() {
        RecordType::A => names.addresses(container, &text).map(|addresses| {
            let of_family = |a| match a {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            };
            let addresses: Vec<Ipv4Addr> = addresses.into_iter().filter_map(of_family).collect();
            let first = turn.checked_rem(addresses.len()).unwrap_or(0);
            let in_turn = addresses.iter().cycle().skip(first).take(addresses.len());
            in_turn.map(|a| record(question.name(), RData::A(rdata::A(*a)))).collect()
        }),
        // A name that is known has no other addresses: nobody else is to be asked for it.
        RecordType::AAAA | RecordType::MX => names.addresses(container, &text).map(|_| Vec::new()),
        RecordType::PTR => reverse(&text).and_then(|a| names.name(container, a.into())).and_then(|full| {
            let labels = full.split('.').map(str::as_bytes);
            let mut target = Name::from_labels(labels).ok()?;
            target.set_fqdn(true);
            Some(vec![record(question.name(), RData::PTR(rdata::PTR(target)))])
        }),
        _ => None,
    };
    let Some(records) = found else {
        return match refusal(&query, ResponseCode::ServFail).to_vec() {
            Ok(bytes) => Verdict::Forward(bytes),
            Err(_) => Verdict::Ignore,
        };
    };
    let mut response = refusal(&query, ResponseCode::NoError);
    response.add_answers(records);
    if let Some(edns) = &query.edns {
        let mut own = Edns::new();
        own.set_max_payload(edns.max_payload().max(DATAGRAM));
        response.set_edns(own);
    }
    let limit = usize::from(query.max_payload().max(DATAGRAM));
    match response.to_vec() {
        Ok(bytes) if transport == Transport::Udp && bytes.len() > limit => told(&response.truncate()),
        Ok(bytes) => Verdict::Answer(bytes),
        Err(_) => told(&refusal(&query, ResponseCode::ServFail)),
    }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

/// A response without records.
fn refusal(query: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.response_code = code;
    response.add_queries(query.queries.iter().cloned());
    response
}

fn told(message: &Message) -> Verdict {
    message.to_vec().map_or(Verdict::Ignore, Verdict::Answer)
}

/// Too short for a header is no query at all.
fn malformed(bytes: &[u8]) -> Verdict {
    const HEADER: usize = 12;
    const RESPONSE: u8 = 0x80;
    match bytes {
        [high, low, flags, ..] if bytes.len() >= HEADER && flags & RESPONSE == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            told(&Message::error_msg(id, OpCode::Query, ResponseCode::FormErr))
        }
        _ => Verdict::Ignore,
    }
}

/// Labels as they are: names of containers have underscores.
fn text(name: &Name) -> String {
    let labels: Vec<_> = name.iter().map(String::from_utf8_lossy).collect();
    labels.join(".")
}

/// `2.0.18.172.in-addr.arpa`.
fn reverse(text: &str) -> Option<Ipv4Addr> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.strip_suffix(".in-addr.arpa")?;
    let forward: Vec<&str> = digits.rsplit('.').collect();
    forward.join(".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;

    struct Known;

    impl Names for Known {
        fn addresses(&self, container: &str, name: &str) -> Option<Vec<IpAddr>> {
            match (container, name) {
                ("c", "db_1") => Some(vec![IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3])]),
                ("c", "many") => Some((0..100).map(|n| IpAddr::from([10, 0, 1, n])).collect()),
                _ => None,
            }
        }

        fn name(&self, _: &str, address: IpAddr) -> Option<String> {
            (address == IpAddr::from([10, 0, 0, 2])).then(|| "db_1.my_net".to_owned())
        }
    }

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let labels = name.split('.').map(str::as_bytes);
        let mut name = Name::from_labels(labels).unwrap();
        name.set_fqdn(true);
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name, kind));
        message.to_vec().unwrap()
    }

    fn asked(bytes: &[u8], transport: Transport, turn: usize) -> Result<Message, Verdict> {
        match answer(bytes, "c", &Known, transport, turn) {
            Verdict::Answer(bytes) => Ok(Message::from_vec(&bytes).unwrap()),
            other => Err(other),
        }
    }

    fn data(message: &Message) -> Vec<String> {
        message.answers.iter().map(|r| r.data.to_string()).collect()
    }

    #[test]
    fn addresses_take_turns_and_a_known_name_has_no_others() {
        let bytes = query("db_1", RecordType::A);
        let first = asked(&bytes, Transport::Udp, 0).unwrap();
        assert_eq!(
            (first.metadata.id, data(&first)),
            (7, vec!["10.0.0.2".to_owned(), "10.0.0.3".to_owned()])
        );
        assert_eq!(data(&asked(&bytes, Transport::Udp, 1).unwrap()), ["10.0.0.3", "10.0.0.2"]);
        let none = asked(&query("db_1", RecordType::AAAA), Transport::Udp, 0).unwrap();
        assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NoError, 0));
    }

    #[test]
    fn an_address_has_a_name_again() {
        let found = asked(&query("2.0.0.10.in-addr.arpa", RecordType::PTR), Transport::Udp, 0).unwrap();
        assert_eq!(data(&found), ["db_1.my_net."]);
    }

    #[test]
    fn what_is_not_known_is_for_others_and_nonsense_for_nobody() {
        for bytes in [
            query("example.com", RecordType::A),
            query("9.0.0.10.in-addr.arpa", RecordType::PTR),
            query("db_1", RecordType::TXT),
        ] {
            assert!(matches!(asked(&bytes, Transport::Udp, 0), Err(Verdict::Forward(_))));
        }
        let mut response = query("db_1", RecordType::A);
        response[2] |= 0x80;
        assert_eq!(asked(&response, Transport::Udp, 0).unwrap_err(), Verdict::Ignore);
        assert_eq!(asked(&[1, 2, 3], Transport::Udp, 0).unwrap_err(), Verdict::Ignore);
        let mut cut = query("db_1", RecordType::A);
        cut.truncate(14);
        let told = asked(&cut, Transport::Udp, 0).unwrap();
        assert_eq!((told.metadata.id, told.metadata.response_code), (7, ResponseCode::FormErr));
    }

    #[test]
    fn a_long_answer_is_cut_in_a_datagram_alone() {
        let bytes = query("many", RecordType::A);
        assert!(asked(&bytes, Transport::Udp, 0).unwrap().metadata.truncation);
        let whole = asked(&bytes, Transport::Tcp, 0).unwrap();
        assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 100));
    }
}
