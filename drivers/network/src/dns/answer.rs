//! What a query is answered, purely.

use super::Transport;
use super::exchange::failure;
use contract::network::Names;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, rdata};
use std::net::{IpAddr, Ipv6Addr};

/// Seconds an answer may be kept (moby `respTTL`).
const TTL: u32 = 600;
/// The size of a datagram for those who name none (RFC 1035).
const DATAGRAM: u16 = 512;
/// The size of datagrams that are read here without loss.
const RECEIVED: u16 = 4096;

/// What becomes of a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This is the answer.
    Answer(Vec<u8>),
    /// Others may know; the answers for when they do not, and for when they are not even asked.
    Forward(Otherwise),
    /// It is no query.
    Ignore,
}

/// Answers to a query that others were to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otherwise {
    /// A name without a dot: where its user has domains tried behind such names, it is not for the world.
    pub single: bool,
    failure: Box<Message>,
}

impl Otherwise {
    /// The same with another code.
    pub fn told(&self, code: ResponseCode) -> Vec<u8> {
        let mut message = Message::clone(&self.failure);
        message.metadata.response_code = code;
        message.to_vec().unwrap_or_default()
    }
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
        Err(_) => return broken(bytes, ResponseCode::FormErr),
    };
    if query.metadata.op_code != OpCode::Query {
        return told(&refusal(&query, ResponseCode::NotImp));
    }
    // More than one has no meaning (RFC 9619).
    let [question] = query.queries.as_slice() else {
        return told(&refusal(&query, ResponseCode::FormErr));
    };
    let text = text(question.name());
    let known = || names.addresses(container, &text);
    let of_family = |is: fn(&IpAddr) -> bool| {
        let addresses: Vec<IpAddr> = known()?.into_iter().filter(is).collect();
        let first = turn.checked_rem(addresses.len()).unwrap_or(0);
        let in_turn = addresses.iter().cycle().skip(first).take(addresses.len());
        Some(in_turn.map(|a| record(question.name(), address(*a))).collect())
    };
    let found = match question.query_type() {
        _ if question.query_class() != DNSClass::IN => None,
        RecordType::A => of_family(IpAddr::is_ipv4),
        RecordType::AAAA => of_family(IpAddr::is_ipv6),
        RecordType::PTR => reverse(&text).and_then(|a| names.name(container, a)).and_then(|full| {
            let labels = full.split('.').map(str::as_bytes);
            let mut target = Name::from_labels(labels).ok()?;
            target.set_fqdn(true);
            Some(vec![record(question.name(), RData::PTR(rdata::PTR(target)))])
        }),
        // There is nothing else of a name that is known: the world is not asked, which would deny that it exists.
        _ => known().map(|_| Vec::new()),
    };
    let Some(records) = found else {
        let single = matches!(question.query_type(), RecordType::A | RecordType::AAAA) && !text.contains('.');
        let failure = Box::new(refusal(&query, ResponseCode::ServFail));
        return Verdict::Forward(Otherwise { single, failure });
    };
    let mut response = refusal(&query, ResponseCode::NoError);
    response.add_answers(records);
    let limit = usize::from(query.max_payload().max(DATAGRAM));
    match response.to_vec() {
        Ok(bytes) if transport == Transport::Udp && bytes.len() > limit => told(&response.truncate()),
        Ok(bytes) => Verdict::Answer(bytes),
        Err(_) => told(&refusal(&query, ResponseCode::ServFail)),
    }
}

fn address(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(four) => RData::A(rdata::A(four)),
        IpAddr::V6(six) => RData::AAAA(rdata::AAAA(six)),
    }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

/// A response without records; extended where the query is (RFC 6891).
fn refusal(query: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.response_code = code;
    response.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut own = Edns::new();
        own.set_max_payload(RECEIVED);
        response.set_edns(own);
    }
    response
}

fn told(message: &Message) -> Verdict {
    message.to_vec().map_or(Verdict::Ignore, Verdict::Answer)
}

/// What is told where answering itself failed, or the query's form is wrong.
pub fn broken(bytes: &[u8], code: ResponseCode) -> Verdict {
    failure(bytes, code.low()).map_or(Verdict::Ignore, Verdict::Answer)
}

/// Labels as they are: names of containers have underscores.
fn text(name: &Name) -> String {
    let labels: Vec<_> = name.iter().map(String::from_utf8_lossy).collect();
    labels.join(".")
}

/// `2.0.18.172.in-addr.arpa`, or 32 digits before `ip6.arpa` (RFC 3596).
fn reverse(text: &str) -> Option<IpAddr> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_suffix(".in-addr.arpa") {
        let forward: Vec<&str> = digits.rsplit('.').collect();
        return forward.join(".").parse().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = lower.strip_suffix(".ip6.arpa")?.rsplit('.').collect();
    if digits.len() != 32 || digits.iter().any(|d| d.len() != 1) {
        return None;
    }
    u128::from_str_radix(&digits.concat(), 16).ok().map(|n| Ipv6Addr::from(n).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;

    const SIX: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

    struct Known;

    impl Names for Known {
        fn addresses(&self, container: &str, name: &str) -> Option<Vec<IpAddr>> {
            match (container, name) {
                ("c", "db_1" | "DB_1") => {
                    Some(vec![IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3])])
                }
                ("c", "both") => Some(vec![IpAddr::from([10, 0, 0, 2]), SIX.into()]),
                ("c", "many") => Some((0..100).map(|n| IpAddr::from([10, 0, 1, n])).collect()),
                _ => None,
            }
        }

        fn name(&self, _: &str, address: IpAddr) -> Option<String> {
            [IpAddr::from([10, 0, 0, 2]), SIX.into()].contains(&address).then(|| "db_1.my_net".to_owned())
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
        for kind in [RecordType::AAAA, RecordType::MX, RecordType::TXT, RecordType::SRV, RecordType::HTTPS] {
            let none = asked(&query("DB_1", kind), Transport::Udp, 0).unwrap();
            assert_eq!(
                (none.metadata.response_code, none.answers.len()),
                (ResponseCode::NoError, 0),
                "{kind}"
            );
        }
    }

    #[test]
    fn each_family_is_asked_for_by_itself() {
        let of = |kind| data(&asked(&query("both", kind), Transport::Udp, 0).unwrap());
        assert_eq!(
            (of(RecordType::A), of(RecordType::AAAA)),
            (vec!["10.0.0.2".to_owned()], vec![SIX.to_string()])
        );
    }

    #[test]
    fn an_extended_query_has_an_extended_answer() {
        let mut message = Message::from_vec(&query("many", RecordType::A)).unwrap();
        let mut edns = Edns::new();
        edns.set_max_payload(4000);
        message.set_edns(edns);
        let answer = asked(&message.to_vec().unwrap(), Transport::Udp, 0).unwrap();
        assert_eq!((answer.metadata.truncation, answer.answers.len()), (false, 100));
        assert_eq!(answer.edns.map(|e| e.max_payload()), Some(RECEIVED));
        assert!(asked(&query("db_1", RecordType::A), Transport::Udp, 0).unwrap().edns.is_none());
    }

    #[test]
    fn an_address_has_a_name_again() {
        let found = asked(&query("2.0.0.10.in-addr.arpa", RecordType::PTR), Transport::Udp, 0).unwrap();
        assert_eq!(data(&found), ["db_1.my_net."]);
        let six = format!("2.{}d.f.IP6.arpa", "0.".repeat(29));
        let found = asked(&query(&six, RecordType::PTR), Transport::Udp, 0).unwrap();
        assert_eq!(data(&found), ["db_1.my_net."]);
        for odd in [
            "2.0.ip6.arpa".to_owned(),
            six.replacen("2.", "x.", 1),
            six.replacen("2.", "+.", 1),
            six.replacen("2.", "22.", 1),
        ] {
            assert_eq!(reverse(&odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_not_known_is_for_others_and_nonsense_for_nobody() {
        for bytes in [
            query("example.com", RecordType::A),
            query("9.0.0.10.in-addr.arpa", RecordType::PTR),
            query("lone", RecordType::AAAA),
        ] {
            let Err(Verdict::Forward(otherwise)) = asked(&bytes, Transport::Udp, 0) else {
                panic!("{bytes:?}")
            };
            assert_eq!(otherwise.single, bytes == query("lone", RecordType::AAAA));
            let told = Message::from_vec(&otherwise.told(ResponseCode::ServFail)).unwrap();
            assert_eq!((told.metadata.id, told.metadata.response_code), (7, ResponseCode::ServFail));
        }
        // A class of its own is no name of ours.
        let mut chaos = query("db_1", RecordType::A);
        *chaos.last_mut().unwrap() = 3;
        assert!(matches!(asked(&chaos, Transport::Udp, 0), Err(Verdict::Forward(_))));
        let mut two = Message::from_vec(&query("db_1", RecordType::A)).unwrap();
        let again = two.queries[0].clone();
        two.add_query(again);
        let told = asked(&two.to_vec().unwrap(), Transport::Udp, 0).unwrap();
        assert_eq!(told.metadata.response_code, ResponseCode::FormErr);
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
