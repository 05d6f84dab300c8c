//! Runs programs with a deadline and keeps what they write.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it. Generous: the machine may be slow, and busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again until there is an answer; fails the test when there is none for too long.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; 128 + n after signal n, as a shell says it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    command: String,
}

impl Output {
    /// Standard output without the last newline, of a program that must have succeeded.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self}");
        self.stdout.strip_suffix('\n').unwrap_or(&self.stdout)
    }

    /// Standard error of a program that must have ended with `code`, without the last newline.
    #[track_caller]
    pub fn fails(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self}");
        self.stderr.trim_end()
    }

    /// The lines of standard output of a program that must have succeeded.
    #[track_caller]
    pub fn lines(&self) -> Vec<&str> {
        self.ok().lines().collect()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|e| panic!("not JSON ({e}): {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, command } = self;
        write!(f, "`{command}` ended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }
}

type Shared = Arc<Mutex<Vec<u8>>>;

/// A program that runs beside the test. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Shared,
    stderr: Shared,
    readers: Vec<JoinHandle<()>>,
    command: String,
}

impl Running {
    /// Starts it, with all three streams piped.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        let shown = std::iter::once(command.get_program()).chain(command.get_args());
        let shown = shown.map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start `{shown}`: {e}"));
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let readers = vec![
            collect(child.stdout.take().expect("piped"), Arc::clone(&stdout)),
            collect(child.stderr.take().expect("piped"), Arc::clone(&stderr)),
        ];
        let stdin = child.stdin.take();
        Self { child, stdin, stdout, stderr, readers, command: shown }
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard output has `wanted`.
    #[track_caller]
    pub fn wait_for(&self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stdout().contains(wanted) {
            let late = Instant::now() > deadline;
            assert!(
                !late,
                "`{}` never wrote {wanted:?}:\n{}\n{}",
                self.command,
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("its input is already closed");
        stdin.write_all(bytes.as_ref()).and_then(|()| stdin.flush()).expect("write to a running program");
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("signal a program of the test");
    }

    /// True once it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("ask for its end").is_some()
    }

    /// Closes its input and waits for its end; fails the test when it takes too long.
    #[track_caller]
    pub fn finish(self) -> Output {
        self.finish_within(PATIENCE)
    }

    #[track_caller]
    fn finish_within(mut self, patience: Duration) -> Output {
        self.stdin = None;
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("ask for its end") {
                break status;
            }
            let late = Instant::now() > deadline;
            assert!(!late, "`{}` does not end:\n{}\n{}", self.command, self.stdout(), self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("read its output");
        }
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let command = self.command.clone();
        Output { code, stdout: self.stdout(), stderr: self.stderr(), command }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static, into: Shared) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut piece = [0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            into.lock().expect("only appended to").extend_from_slice(&piece[..n]);
        }
    })
}

fn text(shared: &Shared) -> String {
    String::from_utf8_lossy(&shared.lock().expect("only appended to")).into_owned()
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: Command) -> Output {
    Running::spawn(command).finish()
}

/// The same for one that takes its time.
#[track_caller]
pub fn run_within(command: Command, patience: Duration) -> Output {
    Running::spawn(command).finish_within(patience)
}

/// Runs a program to its end with `input` on its standard input.
#[track_caller]
pub fn run_with_input(command: Command, input: &[u8]) -> Output {
    let mut running = Running::spawn(command);
    let mut stdin = running.stdin.take().expect("piped");
    let input = input.to_vec();
    // A program may end without reading all of it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = running.finish();
    writer.join().expect("write its input");
    output
}
