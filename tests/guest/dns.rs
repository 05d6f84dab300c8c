//! A DNS server that misbehaves as it is told, and clients that look closely.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

const HEADER: usize = 12;

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|l| !l.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

/// The name that begins at a place, which is not compressed, and where it ends.
fn name_at(message: &[u8], mut at: usize) -> (String, usize) {
    let mut name = Vec::new();
    while message[at] != 0 {
        let length = usize::from(message[at]);
        name.push(String::from_utf8_lossy(&message[at + 1..at + 1 + length]).into_owned());
        at += length + 1;
    }
    (name.join("."), at + 1)
}

fn framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = (message.len() as u16).to_be_bytes().to_vec();
    out.extend(message);
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Over {
    Udp,
    Tcp,
}

/// The rule for a name, or for all of its domain.
fn rule_for<'a>(rules: &'a HashMap<String, String>, query: &[u8]) -> Option<&'a String> {
    let name = name_at(query, HEADER).0.to_lowercase();
    let domain = name.split_once('.').map(|(_, domain)| format!("*.{domain}")).unwrap_or_default();
    rules.get(&name).or_else(|| rules.get(&domain))
}

/// What is sent for a query, in this order; nothing where the server keeps silent.
fn answers(rules: &HashMap<String, String>, query: &[u8], over: Over, from: SocketAddr) -> Vec<Vec<u8>> {
    let (name, end) = name_at(query, HEADER);
    let kind = u16::from_be_bytes([query[end], query[end + 1]]);
    let extended = query[11] == 1;
    println!("{} {name} {kind} from {}", if over == Over::Udp { "udp" } else { "tcp" }, from.ip());
    let message = |code: u8, cut: bool, addresses: &[IpAddr]| {
        let mut out = query[..2].to_vec();
        out.extend([0x81 | if cut { 2 } else { 0 }, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
        out.extend(&query[HEADER..end + 4]);
        for address in addresses {
            let (kind, data) = match address {
                IpAddr::V4(a) => (1, a.octets().to_vec()),
                IpAddr::V6(a) => (28, a.octets().to_vec()),
            };
            out.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
            out.extend(data);
        }
        out
    };
    let of_kind = |text: &str| -> Vec<IpAddr> {
        let all = text.split(',').map(|a| a.parse::<IpAddr>().expect("an address"));
        all.filter(|a| kind == if a.is_ipv4() { 1 } else { 28 }).collect()
    };
    let Some(rule) = rule_for(rules, query) else { return vec![message(3, false, &[])] };
    match rule.split(':').collect::<Vec<_>>().as_slice() {
        ["servfail"] => vec![message(2, false, &[])],
        ["refused"] => vec![message(5, false, &[])],
        ["silent"] => vec![],
        ["long"] if over == Over::Udp => vec![message(0, true, &[])],
        ["long"] => {
            let many: Vec<IpAddr> = (0..200).map(|n| IpAddr::from([192, 0, 2, n])).collect();
            vec![message(0, false, &many)]
        }
        ["slow", ms] => {
            std::thread::sleep(Duration::from_millis(ms.parse().expect("a number")));
            vec![message(0, false, &of_kind("192.0.2.50"))]
        }
        // Another's number, another's question, then the answer.
        ["forged"] => {
            let good = message(0, false, &of_kind("192.0.2.60"));
            let forged = message(0, false, &of_kind("192.0.2.66"));
            let (mut number, mut question) = (forged.clone(), forged);
            number[0] ^= 0x55;
            question[HEADER + 1] ^= 1;
            vec![number, question, good]
        }
        ["edns"] if extended => vec![message(0, false, &of_kind("192.0.2.70"))],
        ["edns"] => vec![message(3, false, &[])],
        _ => vec![message(0, false, &of_kind(rule))],
    }
}

/// Does as it is told, for ever.
pub fn serve(bind: &str, rules: &[&str]) {
    let rules = rules.chunks(2).map(|r| (r[0].to_owned(), r[1].to_owned()));
    let rules: Arc<HashMap<String, String>> = Arc::new(rules.collect());
    let listener = TcpListener::bind(bind).expect("listen");
    let socket = Arc::new(UdpSocket::bind(bind).expect("bind"));
    let by_stream = Arc::clone(&rules);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let rules = Arc::clone(&by_stream);
            std::thread::spawn(move || {
                let from = stream.peer_addr().expect("a peer");
                while let Ok(query) = framed(&mut stream) {
                    for answer in answers(&rules, &query, Over::Tcp, from) {
                        stream.write_all(&frame(&answer)).expect("answer");
                    }
                }
            });
        }
    });
    println!("listening");
    let mut piece = [0; 4096];
    loop {
        let (n, from) = socket.recv_from(&mut piece).expect("receive");
        let (query, socket, rules) = (piece[..n].to_vec(), Arc::clone(&socket), Arc::clone(&rules));
        let sleeps = rule_for(&rules, &query).is_some_and(|rule| rule.starts_with("slow"));
        let work = move || {
            for answer in answers(&rules, &query, Over::Udp, from) {
                socket.send_to(&answer, from).expect("answer");
            }
        };
        // A thread for each would be too slow for a thousand at once: the kernel keeps but a few hundred.
        if sleeps {
            std::thread::spawn(work);
        } else {
            work();
        }
    }
}

fn question(number: usize, question: &str) -> Vec<u8> {
    let (question, extended) = question.strip_suffix("+edns").map_or((question, false), |q| (q, true));
    let (name, kind) = question.split_once('/').unwrap_or((question, "1"));
    let mut out = (number as u16).to_be_bytes().to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(extended)]);
    out.extend(labels(name));
    out.extend(kind.parse::<u16>().expect("a type").to_be_bytes());
    out.extend([0, 1]);
    if extended {
        out.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    }
    out
}

/// `NAME CODE [cut] ADDRESSES`.
fn shown(answer: &[u8]) -> String {
    let (name, end) = name_at(answer, HEADER);
    let count = u16::from_be_bytes([answer[6], answer[7]]);
    let (mut at, mut out) = (end + 4, vec![name, (answer[3] & 15).to_string()]);
    if answer[2] & 2 != 0 {
        out.push("cut".to_owned());
    }
    for _ in 0..count {
        at = if answer[at] >= 0xc0 { at + 2 } else { name_at(answer, at).1 };
        let length = usize::from(u16::from_be_bytes([answer[at + 8], answer[at + 9]]));
        let data = &answer[at + 10..at + 10 + length];
        out.push(match (answer[at + 1], <[u8; 4]>::try_from(data), <[u8; 16]>::try_from(data)) {
            (1, Ok(four), _) => IpAddr::from(four).to_string(),
            (28, _, Ok(six)) => IpAddr::from(six).to_string(),
            _ => format!("type{}", answer[at + 1]),
        });
        at += 10 + length;
    }
    out.join(" ")
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Fails where an answer has a number that was not asked under.
pub fn query(transport: &str, server: &str, questions: &[&str]) {
    let mut expected: Vec<Vec<u8>> = questions.iter().enumerate().map(|(n, q)| question(n + 1, q)).collect();
    let mut take = |answer: &[u8]| {
        let asked = expected.iter().position(|q| q[..2] == answer[..2]).expect("the answer to a question");
        expected.remove(asked);
        println!("{}", shown(answer));
    };
    if transport == "tcp" {
        let mut stream = TcpStream::connect(server).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a time limit");
        let all: Vec<u8> = questions.iter().enumerate().flat_map(|(n, q)| frame(&question(n + 1, q))).collect();
        stream.write_all(&all).expect("send");
        questions.iter().for_each(|_| take(&framed(&mut stream).expect("an answer")));
    } else {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("set a time limit");
        socket.connect(server).expect("connect");
        for (n, q) in questions.iter().enumerate() {
            socket.send(&question(n + 1, q)).expect("send");
        }
        let mut piece = vec![0; 65_536];
        for _ in questions {
            let n = socket.recv(&mut piece).expect("an answer");
            take(&piece[..n]);
        }
    }
}

/// Prints `CODE COUNT` lines, then how many milliseconds the last answer took.
pub fn burst(server: &str, count: usize, domain: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
    socket.connect(server).expect("connect");
    let begin = Instant::now();
    // Longer than a server that gives up on others takes.
    socket.set_read_timeout(Some(Duration::from_secs(6))).expect("set a time limit");
    let mut codes: BTreeMap<u8, usize> = BTreeMap::new();
    let mut left: BTreeSet<u16> = (0..count as u16).collect();
    let mut piece = [0; 4096];
    // Datagrams get lost where many come at once; who asks asks again.
    for _ in 0..4 {
        let (sender, domain, round) = (socket.try_clone().expect("clone"), domain.to_owned(), left.clone());
        std::thread::spawn(move || {
            for n in round {
                sender.send(&question(n.into(), &format!("n{n}.{domain}"))).expect("send");
                // A socket holds a few hundred datagrams.
                if n % 64 == 63 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        while !left.is_empty() {
            let Ok(n) = socket.recv(&mut piece) else { break };
            assert!(n > HEADER);
            if left.remove(&u16::from_be_bytes([piece[0], piece[1]])) {
                *codes.entry(piece[3] & 15).or_default() += 1;
            }
        }
    }
    codes.iter().for_each(|(code, count)| println!("{code} {count}"));
    println!("{} ms", begin.elapsed().as_millis());
}
