//! One gantryd and the command lines that drive it.

use crate::api::{self, Answer, Caller};
use crate::place::Place;
use crate::process::{Output, Running, eventually, run, run_with_input};
use crate::pty::Pty;
use crate::{image, program};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How a daemon is to be started.
#[derive(Debug)]
pub struct Builder {
    place: Arc<Place>,
    how: How,
    with_image: bool,
}

/// The command line a daemon is started with.
#[derive(Debug, Clone)]
struct How {
    program: &'static str,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// A program that starts it, with that program's own arguments.
    through: Vec<String>,
    /// Its data root, in the place's folder.
    data: String,
}

impl Builder {
    /// In a place of its own.
    pub fn new() -> Self {
        Self::at(&Place::new())
    }

    /// In a place that other programs share.
    pub fn at(place: &Arc<Place>) -> Self {
        let how = How {
            program: "gantryd",
            args: Vec::new(),
            env: Vec::new(),
            through: Vec::new(),
            data: "data".to_owned(),
        };
        Self { place: Arc::clone(place), how, with_image: true }
    }

    /// Adds flags of the daemon.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.how.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Gives it a variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.how.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has it started by another program, which gets the daemon's command line behind these arguments.
    pub fn through(mut self, program: &[&str]) -> Self {
        self.how.through = program.iter().map(|a| (*a).to_owned()).collect();
        self
    }

    /// Where it will run.
    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Gives it a configuration file.
    pub fn config(self, config: &Value) -> Self {
        let file = self.place.path("daemon.json");
        std::fs::write(&file, config.to_string()).expect("write daemon.json");
        self.args([format!("--config-file={}", file.display())])
    }

    /// Leaves the image store empty; otherwise there is `busybox`, with the command `sh`.
    pub fn without_image(mut self) -> Self {
        self.with_image = false;
        self
    }

    /// Takes the build in which panics can be armed (`make fault`).
    pub fn faulty(mut self) -> Self {
        self.how.program = "gantryd-fault";
        self
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(self) -> Daemon {
        let with_image = self.with_image;
        std::fs::create_dir_all(self.place.path("docker"))
            .expect("make a folder for the CLI's configuration");
        let mut daemon = Daemon { place: self.place, how: self.how, running: None };
        daemon.start_again();
        if with_image {
            let tar = image::import_tar();
            let tar = tar.to_str().expect("a plain path");
            daemon.docker(["import", "-c", "CMD [\"sh\"]", tar, "busybox"]).ok();
        }
        daemon
    }

    /// Runs a daemon that is expected to refuse its flags or configuration.
    #[track_caller]
    pub fn refused(self) -> Output {
        let output = run(command(&self.place, &self.how));
        assert_ne!(output.code, 0, "{output}");
        output
    }

    /// Runs a daemon that is expected to end by itself, whatever comes.
    #[track_caller]
    pub fn run(self) -> Output {
        run(command(&self.place, &self.how))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

fn command(place: &Place, how: &How) -> Command {
    let binary = program(how.program);
    let mut command = match how.through.split_first() {
        None => place.command(binary),
        Some((first, rest)) => {
            let mut command = place.command(first);
            command.args(rest).arg(binary);
            command
        }
    };
    command.envs(how.env.iter().map(|(k, v)| (k, v)));
    command.args(["-H", &host(place), "--data-root"]).arg(place.path(&how.data));
    command.arg("--exec-root").arg(place.path("run")).args(["--cgroup-parent", &place.cgroup()]);
    command.args(&how.args);
    command
}

fn host(place: &Place) -> String {
    format!("unix://{}", place.path("s").display())
}

/// A gantryd of a test's own, with `gantry0` as 172.17.0.1/16 on the place's host. Dropping it removes its containers and
/// stops it; its log is shown if the test fails.
#[derive(Debug)]
pub struct Daemon {
    place: Arc<Place>,
    how: How,
    running: Option<Running>,
}

impl Daemon {
    /// With default settings, in a place of its own, with the image `busybox`.
    #[track_caller]
    pub fn start() -> Self {
        Builder::new().start()
    }

    /// Where it runs.
    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.place.path("s")
    }

    /// Its data root.
    pub fn data(&self) -> PathBuf {
        self.place.path(&self.how.data)
    }

    /// Its process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the daemon does not run").pid()
    }

    /// Starts it after [`Daemon::kill`] or [`Daemon::stop`], and waits until it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the daemon runs already");
        let mut running = Running::spawn(command(&self.place, &self.how));
        let socket = self.place.path("s");
        eventually("the daemon answers", || {
            if running.ended() {
                panic!("the daemon ended at once:\n{}", running.stderr());
            }
            api::request(&socket, "GET", "/_ping", None).ok().filter(|a| a.status == 200)
        });
        self.running = Some(running);
    }

    /// Starts it and kills it so long afterwards, whatever it is doing then.
    #[track_caller]
    pub fn die_starting(&mut self, after: Duration) {
        assert!(self.running.is_none(), "the daemon runs already");
        self.running = Some(Running::spawn(command(&self.place, &self.how)));
        std::thread::sleep(after);
        self.kill();
    }

    /// Ends it as a crash would, with SIGKILL, and waits until it is gone. Its containers live on.
    #[track_caller]
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("the daemon does not run").signal(signal);
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn finished(&mut self) -> Output {
        let output = self.running.take().expect("the daemon does not run").finish();
        let _ = std::fs::write(self.place.path("log"), self.log() + &output.stderr);
        output
    }

    /// Waits until it has logged this.
    #[track_caller]
    pub fn until_logged(&self, text: &str) {
        eventually(&format!("the daemon logs {text:?}"), || self.log().contains(text).then_some(()));
    }

    /// Ends it as an init system would, with SIGTERM. Its containers live on.
    #[track_caller]
    pub fn stop(&mut self) -> Output {
        self.end(Signal::SIGTERM)
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) -> Output {
        let running = self.running.take().expect("the daemon does not run");
        running.signal(signal);
        let output = running.finish();
        // Kept for the case that the test fails later.
        let _ = std::fs::write(self.place.path("log"), self.log() + &output.stderr);
        output
    }

    /// Goes on as another daemon, which knows nothing of what this one has: with this data root of the place's folder.
    #[track_caller]
    pub fn become_another(&mut self, data: &str) {
        self.stop();
        self.how.data = data.to_owned();
        self.start_again();
    }

    /// SIGKILL, then a new start.
    #[track_caller]
    pub fn crash(&mut self) {
        self.kill();
        self.start_again();
    }

    /// What it has logged, over all its starts.
    pub fn log(&self) -> String {
        let earlier = std::fs::read_to_string(self.place.path("log")).unwrap_or_default();
        earlier + &self.running.as_ref().map(Running::stderr).unwrap_or_default()
    }

    fn client(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        command.env("DOCKER_HOST", host(&self.place)).env("GANTRY_HOST", host(&self.place));
        command.env("DOCKER_CONFIG", self.place.path("docker")).env("TERM", "xterm");
        command.env_remove("DOCKER_CONTEXT").env_remove("DOCKER_API_VERSION");
        // The builder that gantry has.
        command.env("DOCKER_BUILDKIT", "0");
        command
    }

    /// The docker CLI with these arguments, to be run as the caller likes.
    pub fn docker_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.client("docker");
        command.args(args);
        command
    }

    /// gantry's CLI with these arguments.
    pub fn gantry_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.client(program("gantry"));
        command.args(args);
        command
    }

    /// Runs the docker CLI to its end.
    #[track_caller]
    pub fn docker<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        run(self.docker_command(args))
    }

    /// Makes a file for which a container waits. Its end may kill that command, or take it along: what follows shows whether
    /// the file was there.
    pub fn touch(&self, container: &str, file: &str) {
        let _ended = self.docker(["exec", container, "touch", file]);
    }

    /// Runs gantry's CLI to its end.
    #[track_caller]
    pub fn gantry<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        run(self.gantry_command(args))
    }

    /// Runs the docker CLI to its end with this on its standard input.
    #[track_caller]
    pub fn docker_with_input<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Output {
        run_with_input(self.docker_command(args), input)
    }

    /// Runs gantry's CLI to its end with this on its standard input.
    #[track_caller]
    pub fn gantry_with_input<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Output {
        run_with_input(self.gantry_command(args), input)
    }

    /// Starts the docker CLI beside the test.
    #[track_caller]
    pub fn docker_running<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::spawn(self.docker_command(args))
    }

    /// Starts gantry's CLI beside the test.
    #[track_caller]
    pub fn gantry_running<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::spawn(self.gantry_command(args))
    }

    /// Starts the docker CLI on a terminal of 80 columns and 24 rows.
    #[track_caller]
    pub fn docker_pty<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Pty {
        Pty::spawn(&self.docker_command(args))
    }

    /// Starts gantry's CLI on a terminal of 80 columns and 24 rows.
    #[track_caller]
    pub fn gantry_pty<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Pty {
        Pty::spawn(&self.gantry_command(args))
    }

    /// `docker inspect --format`, for one object.
    #[track_caller]
    pub fn inspect(&self, object: &str, format: &str) -> String {
        self.docker(["inspect", "--format", format, object]).ok().to_owned()
    }

    /// `docker inspect`, for one object.
    #[track_caller]
    pub fn inspected(&self, object: &str) -> Value {
        self.docker(["inspect", object]).json()[0].take()
    }

    /// Waits until a container has ended.
    #[track_caller]
    pub fn until_exited(&self, container: &str) {
        eventually("the container ends", || {
            let answer = self.api("GET", &format!("/containers/{container}/json"), None);
            (answer.json()["State"]["Status"] == "exited").then_some(())
        });
    }

    /// Calls the API.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = api::request(&self.socket(), method, path, body);
        answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// Calls of the API that other threads make, and that a dying daemon may leave without an answer.
    pub fn caller(&self) -> Caller {
        Caller::new(self.socket())
    }

    /// Calls the API with a body of any type.
    #[track_caller]
    pub fn api_with(&self, method: &str, path: &str, kind: &str, body: &str) -> Answer {
        let answer = api::request_with(&self.socket(), method, path, Some((kind, body)));
        answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// A file of the place's folder, written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.place.path(name);
        std::fs::write(&path, content).expect("write a file of the test");
        path
    }

    /// The json-file or local log of a container, where `inspect` says it lies.
    #[track_caller]
    pub fn log_path(&self, container: &str) -> PathBuf {
        Path::new(&self.inspect(container, "{{.LogPath}}")).to_owned()
    }

    fn remove_all(&self) {
        let ids = self.docker(["ps", "-aq", "--no-trunc"]);
        for id in ids.ok().lines() {
            self.docker(["rm", "-f", "-v", id]).ok();
        }
        let networks = self.docker(["network", "ls", "-q", "--no-trunc", "--filter", "type=custom"]);
        for id in networks.ok().lines() {
            self.docker(["network", "rm", id]).ok();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(60);
            let tail: Vec<&str> = log.lines().skip(from).collect();
            eprintln!("--- gantryd's log\n{}\n---", tail.join("\n"));
        } else if self.running.is_some() {
            self.remove_all();
            let ended = self.stop();
            assert_eq!(ended.code, 0, "{ended}");
        }
    }
}
