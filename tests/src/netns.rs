//! A network namespace of a test's own, and the Unix binary with its own TCP/IP stack in it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::{NamedTempFile, TempDir};

use crate::unix::{binary, file, pack};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

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
    child: Child,
    log: PathBuf,
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
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut child = command
            .arg("--net=direct")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("nsenter");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        let urls = line.trim_end().strip_prefix("mir-www serves ");
        let urls = urls.map(|urls| urls.split(" and ").map(str::to_owned).collect());
        let urls = urls.unwrap_or_else(|| panic!("{line:?}, {}", read(&log)));
        Self {
            child,
            log,
            folder,
            _pack: pack,
            urls,
        }
    }

    /// The log so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Waits for the log to have a line with this in it.
    pub fn logs(&self, what: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if log.lines().any(|line| line.contains(what)) {
                return log;
            }
            assert!(start.elapsed() < PATIENCE, "no {what:?}: {log}");
            std::thread::yield_now();
        }
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
        let status = self.child.wait().expect("an end");
        (status, self.log())
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
        // nsenter has become it.
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// A folder for files of its.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(log: &Path) -> String {
    let mut text = String::new();
    let mut file = fs::File::open(log).expect("the log");
    file.read_to_string(&mut text).expect("text");
    text
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
