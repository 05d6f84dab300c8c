//! What the images' busybox lacks. Compiled static by the harness and put into the images as `/bin/guest`.

mod dns;

use std::io::Write;
use std::net::{TcpListener, UdpSocket};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        // Answers each datagram with the sender's address and what it sent.
        ["udp-echo", port] => {
            let socket = UdpSocket::bind(format!("0.0.0.0:{port}")).expect("bind");
            println!("listening");
            let mut piece = [0; 2048];
            loop {
                let (n, from) = socket.recv_from(&mut piece).expect("receive");
                let text = format!("{from} sent {}", String::from_utf8_lossy(&piece[..n]));
                socket.send_to(text.as_bytes(), from).expect("answer");
            }
        }
        // Tells each caller on these ports the host name, and sends datagrams back.
        ["greet", ports @ ..] => greet(ports),
        // Gives back what comes over connections and in datagrams.
        ["echo", port] => echo(port),
        // Sends one datagram and prints the answer.
        ["udp-ask", address, text] => {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
            socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("set a time limit");
            socket.send_to(text.as_bytes(), address).expect("send");
            let mut piece = [0; 2048];
            let n = socket.recv(&mut piece).expect("an answer");
            println!("{}", String::from_utf8_lossy(&piece[..n]));
        }
        // Writes numbered lines of a given length to both streams in turn, as fast as it can.
        ["lines", count, length] => {
            let (count, length): (u64, usize) = (count.parse().expect("a number"), length.parse().expect("a number"));
            let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
            for n in 0..count {
                let line = format!("{n:0length$}\n");
                let done = if n % 2 == 0 { out.write_all(line.as_bytes()) } else { err.write_all(line.as_bytes()) };
                done.expect("write a line");
            }
        }
        // Writes numbered lines to both streams, `block` of each in one write, then rests; ends with a line `end COUNT` on each
        // once `/ctl/stop` exists. With `long`, some lines are longer than a log line's piece.
        ["numbers", block, rest_us, lengths] => {
            let block: u64 = block.parse().expect("a number");
            let rest = std::time::Duration::from_micros(rest_us.parse().expect("a number"));
            let padding = |n: u64| match (*lengths, n % 97) {
                ("long", 0) => 40_000,
                _ => (n % 50) as usize,
            };
            let mut next = 0;
            while !std::path::Path::new("/ctl/stop").exists() {
                let mut text = String::new();
                for n in next..next + block {
                    text.push_str(&format!("{n:010}{}\n", "x".repeat(padding(n))));
                }
                std::io::stdout().write_all(text.as_bytes()).expect("write to stdout");
                std::io::stderr().write_all(text.as_bytes()).expect("write to stderr");
                next += block;
                if !rest.is_zero() {
                    std::thread::sleep(rest);
                }
            }
            println!("end {next}");
            eprintln!("end {next}");
        }
        // Writes lines of a ledger: `NAME RUN NUMBER` and some more, twenty in one write that is whole or not at all, to both
        // streams in turn. `/ctl/NAME.RUN` has the count of those that were taken; ends once `/ctl/stop` exists.
        ["ledger", name, rest_us] => ledger(name, std::time::Duration::from_micros(rest_us.parse().expect("a number"))),
        // Answers questions for names by rules `NAME WHAT`, in datagrams and over connections, and prints each question.
        ["dns", bind, rules @ ..] => dns::serve(bind, rules),
        // Asks all questions `NAME[/TYPE][+edns]` at once, over udp or tcp, and prints the answers as they come.
        ["dns-query", transport, server, questions @ ..] => dns::query(transport, server, questions),
        // Asks so many questions for different names at once and counts the answers by their codes.
        ["dns-burst", server, count, domain] => dns::burst(server, count.parse().expect("a number"), domain),
        _ => panic!("guest: unknown arguments {args:?}"),
    }
}

fn ledger(name: &str, rest: std::time::Duration) {
    use std::os::unix::fs::FileExt;
    let taken = |run: u32| format!("/ctl/{name}.{run:03}");
    let run = (0..).find(|run| !std::path::Path::new(&taken(*run)).exists()).expect("runs do not run out");
    let count = std::fs::File::create(taken(run)).expect("begin a run");
    let (mut streams, mut next) = ([true, false].into_iter().cycle(), 0u64);
    while !std::path::Path::new("/ctl/stop").exists() {
        let lines = (next..next + 20).map(|n| format!("{name} {run:03} {n:08} {}\n", "x".repeat((n % 90) as usize)));
        let text: String = lines.collect();
        // The standard library would write line by line to the one and all at once to the other.
        let path = if streams.next() == Some(true) { "/proc/self/fd/1" } else { "/proc/self/fd/2" };
        let mut stream = std::fs::OpenOptions::new().write(true).open(path).expect("open a stream");
        assert_eq!(stream.write(text.as_bytes()).expect("write a block"), text.len());
        next += 20;
        count.write_all_at(format!("{next:012}").as_bytes(), 0).expect("tell how many were taken");
        std::thread::sleep(rest);
    }
}

fn greet(ports: &[&str]) {
    let name = std::fs::read_to_string("/etc/hostname").expect("read the host name");
    for port in ports {
        // Of both families where the kernel has IPv6.
        let any = |to: &str| format!("{to}:{port}");
        let listener = TcpListener::bind(any("[::]")).or_else(|_| TcpListener::bind(any("0.0.0.0"))).expect("listen");
        let socket = UdpSocket::bind(any("[::]")).or_else(|_| UdpSocket::bind(any("0.0.0.0"))).expect("bind");
        let (greeting, answer) = (name.clone(), name.clone());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Who called may have gone.
                let _ = stream.write_all(greeting.as_bytes());
            }
        });
        std::thread::spawn(move || {
            let mut piece = [0; 64];
            while let Ok((_, from)) = socket.recv_from(&mut piece) {
                let _ = socket.send_to(answer.as_bytes(), from);
            }
        });
    }
    println!("listening");
    loop {
        std::thread::park();
    }
}

fn echo(port: &str) {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("listen");
    let socket = UdpSocket::bind(format!("0.0.0.0:{port}")).expect("bind");
    std::thread::spawn(move || {
        let mut piece = [0; 2048];
        while let Ok((n, from)) = socket.recv_from(&mut piece) {
            let _ = socket.send_to(&piece[..n], from);
        }
    });
    println!("listening");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut back = stream.try_clone().expect("a second handle");
            // Who called may have gone.
            let _ = std::io::copy(&mut &stream, &mut back);
        });
    }
}
