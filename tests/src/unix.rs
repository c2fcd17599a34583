//! The real Unix binary, started on a loopback port of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::NamedTempFile;
use www::pack::{Page, Writer};

/// Longer than anything takes here; a read that lasts so long fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than images and folders are looked at again, many times over.
pub const LONG: Duration = Duration::from_secs(60);

/// Tries until it is so.
pub fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

/// Length of `/large`.
pub const LARGE: usize = 16 << 20;

/// The binary, built first if need be.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let profile = std::env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "unikernel",
            "--bin",
            "mir-www",
        ]);
        if profile.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        profile.join("mir-www")
    })
}

/// A small site with one large file.
pub fn pack() -> Vec<u8> {
    static PACK: OnceLock<Vec<u8>> = OnceLock::new();
    PACK.get_or_init(write_pack).clone()
}

fn write_pack() -> Vec<u8> {
    let page = |media_type: &str, body: Vec<u8>| Page {
        media_type: media_type.into(),
        modified: Some(784_111_777),
        body,
        ..Page::default()
    };
    let text = "All work and no play makes Jack a dull boy.\n"
        .repeat(200)
        .into_bytes();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&text).unwrap();
    let mut writer = Writer::new();
    let index = Page {
        gzip: Some(gzip.finish().unwrap()),
        ..page("text/html", text)
    };
    writer.page("/", index).unwrap();
    writer
        .page("/small", page("text/plain", b"small\n".to_vec()))
        .unwrap();
    writer
        .page("/large", page("application/octet-stream", large()))
        .unwrap();
    writer.redirect("/old", 301, "/small", &[]).unwrap();
    writer
        .not_found(page("text/plain", b"the site says no\n".to_vec()))
        .unwrap();
    writer.finish(|_| [0; 32]).unwrap()
}

/// The body of `/large`.
pub fn large() -> Vec<u8> {
    (0..LARGE as u32 / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// A file with these bytes.
pub fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A running server, stopped at the end of the test at the latest.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
    _pack: Option<NamedTempFile>,
}

impl Server {
    /// Starts one on any port that is free.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_as(Command::new(binary()), arguments)
    }

    /// Starts one by a command that takes the server's arguments.
    pub fn start_as(mut command: Command, arguments: &[&str]) -> Self {
        let pack = file(&pack());
        command.arg(format!("--pack={}", pack.path().display()));
        Self::begin(command, arguments, Some(pack))
    }

    /// Starts one whose log nobody reads before [`log`](Self::log).
    pub fn start_unread(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.stderr(Stdio::piped());
        Self::start_as(command, arguments)
    }

    /// All of its log, once it has ended.
    pub fn log(&mut self) -> String {
        let mut text = Vec::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Starts one whose site is where the arguments say; its log goes to `log`.
    pub fn start_bare(arguments: &[&str], log: &Path) -> Self {
        Self::start_bare_as(Command::new(binary()), arguments, log)
    }

    /// The same by a command that takes the server's arguments.
    pub fn start_bare_as(mut command: Command, arguments: &[&str], log: &Path) -> Self {
        command.stderr(std::fs::File::create(log).unwrap());
        Self::begin(command, arguments, None)
    }

    fn begin(mut command: Command, arguments: &[&str], pack: Option<NamedTempFile>) -> Self {
        let mut child = command
            .args(["--http-port=0", "--access-log=no"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let port = said_port(&mut child);
        Self {
            child,
            port,
            _pack: pack,
        }
    }

    /// Where it listens, by IPv4.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A connection on which nothing lasts for ever.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What the server says to these bytes until it closes the connection.
    pub fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        rest(&mut stream)
    }

    /// All that comes for a path, decoded, and these header fields, without the line that has the time.
    pub fn ask(&self, path: &str, fields: &str) -> Vec<u8> {
        let mut stream = self.connect();
        let path: String = path
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // An answer that breaks off ends with a reset.
        let _ = stream.read_to_end(&mut answer);
        let Some(at) = answer.windows(8).position(|part| part == b"\r\nDate: ") else {
            return answer;
        };
        let end = at + 2 + answer[at + 2..].iter().position(|b| *b == b'\n').unwrap();
        answer.drain(at + 2..=end);
        answer
    }

    /// Runs curl, silently, on a path.
    pub fn curl(&self, arguments: &[&str], path: &str) -> String {
        let output = curl(arguments, &[&self.url(path)]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Asks for a page and wants it within a second. A machine that is busy with other things has
    /// three attempts.
    pub fn serves(&self) {
        let soon = (0..3).any(|_| {
            let start = Instant::now();
            assert_eq!(self.curl(&[], "/small"), "small\n");
            start.elapsed() < Duration::from_secs(1)
        });
        assert!(soon);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Allows it so many descriptors, from now on and whatever it has open.
    pub fn limit_files(&self, files: u64) {
        let limit = Rlimit {
            current: Some(files),
            maximum: Some(files),
        };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in the line that a starting server prints.
pub fn said_port(child: &mut Child) -> u16 {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let port = line
        .trim_end()
        .strip_prefix("mir-www serves http://")
        .and_then(|rest| {
            let (_, port) = rest.strip_suffix('/')?.rsplit_once(':')?;
            port.parse().ok()
        });
    port.unwrap_or_else(|| panic!("the server said {line:?}"))
}

/// Runs curl, silently and not for ever.
pub fn curl(arguments: &[&str], urls: &[&str]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30"])
        .args(arguments)
        .args(urls);
    curl.output().expect("these tests need curl")
}

/// What else comes until the end.
pub fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// Runs the server to its end: status, and what it printed on stderr.
pub fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), text)
}
