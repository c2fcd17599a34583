//! A network namespace of a test's own, and the Unix binary with its own TCP/IP stack in it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Signal, getuid};
use tempfile::{NamedTempFile, TempDir};

use crate::program::Program;
use crate::unix::{binary, file, pack};

/// What these tests need, and who has it.
const NEEDS: &str = "`scripts/need netns` installs what these tests need";

/// A namespace with networks of its own. It goes away with this, and everything in it.
pub struct Namespace {
    holder: Child,
    /// It has users of its own, too, since this one is not root: none but root.
    pub lone: bool,
}

impl Namespace {
    /// A new one, with a loopback interface, and without checks for duplicates of the host's own
    /// IPv6 addresses, which would take a second each time.
    pub fn new() -> Self {
        let lone = !getuid().is_root();
        let mut unshare = Command::new("unshare");
        if lone {
            unshare.args(["--user", "--map-root-user"]);
        }
        Self::held(unshare, lone)
    }

    /// One more, with the users of this one, so that a link between them can be made.
    pub fn another(&self) -> Self {
        Self::held(self.command("unshare"), self.lone)
    }

    fn held(mut unshare: Command, lone: bool) -> Self {
        // Open for as long as the pipe to it.
        unshare.args(["--net", "sh", "-c", "echo there; exec cat"]);
        let mut holder = unshare
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("unshare: {error}; {NEEDS}"));
        let mut line = String::new();
        let stdout = holder.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        assert_eq!(
            line, "there\n",
            "unshare makes no network namespace: these tests need root, or a system on which users may make \
             namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
        );
        let namespace = Self { holder, lone };
        namespace.sh(
            "ip link set lo up; cd /proc/sys/net/ipv6/conf; echo 0 >all/accept_dad; echo 0 >default/accept_dad",
        );
        namespace
    }

    /// The process that it belongs to, as `ip link set DEVICE netns` wants it.
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// A command to be run in it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.holder.id()));
        if self.lone {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--net", "--"]).arg(program);
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        command.env("PATH", path).env("LC_ALL", "C.UTF-8");
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        command
    }

    /// Runs a program to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(program).args(arguments).output();
        output.unwrap_or_else(|error| panic!("nsenter: {error}; {NEEDS}"))
    }

    /// Runs a program, which must work; what it prints.
    pub fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let (out, err) = said(&output);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}: {out}{err}; {NEEDS}",
            output.status
        );
        out
    }

    /// Runs a line of shell, which must work; what it prints.
    pub fn sh(&self, script: &str) -> String {
        self.ok("sh", &["-ec", script])
    }

    /// Waits for an address to answer, by IPv4 or IPv6.
    pub fn ping(&self, address: &str) -> String {
        self.ok("ping", &["-n", "-i", "0.2", "-c", "2", "-w", "20", address])
    }

    /// What curl gets.
    pub fn curl(&self, arguments: &[&str], url: &str) -> Vec<u8> {
        let mut curl = self.command("curl");
        curl.args(["--silent", "--show-error", "--globoff", "--max-time", "30"]);
        let output = curl.args(arguments).arg(url).output().expect("nsenter");
        assert!(output.status.success(), "{url}: {output:?}");
        output.stdout
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its last process: the namespace goes with it.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The Unix binary with `--net=direct`, in a namespace.
pub struct Direct {
    /// It, and its log.
    pub program: Program,
    folder: TempDir,
    _pack: Option<NamedTempFile>,
    /// Where it says that it serves.
    pub urls: Vec<String>,
}

impl Direct {
    /// Starts one on the small site.
    pub fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let pack = file(&pack());
        let of = format!("--pack={}", pack.path().display());
        let command = namespace.command(binary());
        Self::begin(command, &[&[of.as_str()], arguments].concat(), Some(pack))
    }

    /// Starts one by a command that takes the server's arguments.
    pub fn begin(mut command: Command, arguments: &[&str], pack: Option<NamedTempFile>) -> Self {
        let command = command.arg("--net=direct").args(arguments);
        let mut program = Program::start("mir-www", command.stdout(Stdio::piped()));
        let mut line = String::new();
        let stdout = program.child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        let urls = line.trim_end().strip_prefix("mir-www serves ");
        let urls = urls.map(|urls| urls.split(" and ").map(str::to_owned).collect());
        let urls = urls.unwrap_or_else(|| {
            program.end();
            panic!("{line:?}, {:#?}", program.lines())
        });
        Self {
            program,
            folder: tempfile::tempdir().expect("a folder"),
            _pack: pack,
            urls,
        }
    }

    /// Waits for the log to have a line with this in it: the log until then.
    pub fn logs(&self, what: &str) -> String {
        self.program.says(what);
        text(&self.program)
    }

    /// Its link-local address, from the log.
    pub fn link_local(&self) -> String {
        let log = self.logs("http://[fe80::");
        let rest = log.split("http://[fe80::").nth(1).expect("a line");
        let address = rest.split(['%', ']']).next().expect("an address");
        format!("fe80::{address}")
    }

    /// Waits for its end: its status, and its log.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.program.end();
        (status, text(&self.program))
    }

    /// Stops it, in good order.
    pub fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, log) = self.end();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// A folder for files of its.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn text(program: &Program) -> String {
    program
        .lines()
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

/// Runs the binary to its end in a namespace: its status, and what it says at the end.
pub fn fails(command: &mut Command, arguments: &[&str]) -> (i32, String) {
    let output = command
        .arg("--net=direct")
        .args(arguments)
        .output()
        .expect("nsenter");
    let (_, err) = said(&output);
    let last = err.lines().last().unwrap_or_default().to_owned();
    (output.status.code().unwrap_or(-1), last)
}
