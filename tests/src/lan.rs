//! A network of a test's own with several hosts, real servers of addresses, and the Unix binary on
//! our own TCP/IP stack that gets its addresses from them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::{NamedTempFile, TempDir};

use crate::capture::{self, Frame};
use crate::netns::{Direct, Namespace};
use crate::program::Program;
use crate::unix::{binary, file};
use www::pack::{Page, Writer};

/// The service's MAC address.
pub const MAC: &str = "02:00:00:00:00:07";

/// A bridge with the tap device `tap0` on it, and who else joins.
pub struct Lan {
    /// Where the bridge is, `br0`; the client of a test is there, too.
    pub hub: Namespace,
    joined: std::cell::Cell<u32>,
}

impl Lan {
    /// A new one, where the bridge has these addresses.
    pub fn new(addresses: &[&str]) -> Self {
        let hub = Namespace::new();
        hub.sh(
            "ip link add br0 type bridge forward_delay 0; ip link set br0 up
            ip tuntap add tap0 mode tap; ip link set tap0 master br0 up",
        );
        address(&hub, "br0", addresses);
        Self {
            hub,
            joined: 0.into(),
        }
    }

    /// One more host, at the other end of a cable: its interface is `eth0`.
    pub fn host(&self, addresses: &[&str]) -> Namespace {
        let host = self.hub.another();
        let n = self.joined.replace(self.joined.get() + 1);
        self.hub.sh(&format!(
            "ip link add port{n} type veth peer name eth0 netns {}; ip link set port{n} master br0 up",
            host.id()
        ));
        host.sh("ip link set eth0 up");
        address(&host, "eth0", addresses);
        // Until then the bridge forwards nothing that comes from there.
        let hub = self
            .hub
            .ok("ip", &["-6", "-oneline", "address", "show", "dev", "br0"]);
        let hub = hub
            .split_whitespace()
            .find(|word| word.starts_with("fe80::"));
        let hub = hub
            .and_then(|word| word.split('/').next())
            .expect("an address");
        host.ping(&format!("{hub}%eth0"));
        host
    }

    /// The service on the tap device.
    pub fn www(&self, arguments: &[&str]) -> Www {
        Www::start(&self.hub, arguments)
    }
}

fn address(namespace: &Namespace, device: &str, addresses: &[&str]) {
    for address in addresses {
        namespace.ok("ip", &["address", "add", address, "dev", device]);
    }
}

/// The Unix binary on the tap device.
pub struct Www {
    server: Direct,
    capture: NamedTempFile,
}

impl Www {
    fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let (capture, pack) = (file(&[]), file(&pack()));
        let mut command = namespace.command(binary());
        command.args(["--access-log=no", "--logs=net:debug,*:info"]);
        command.arg(format!("--mac={MAC}"));
        command.arg(format!("--pack={}", pack.path().display()));
        command.arg(format!("--pcap={}", capture.path().display()));
        let server = Direct::begin(command, arguments, Some(pack));
        Self { server, capture }
    }

    /// Waits for a line of its log with this in it.
    pub fn says(&self, what: &str) -> String {
        self.server.program.says(what)
    }

    /// Waits for the `nth` such line, the first being 1.
    pub fn says_nth(&self, what: &str, nth: usize, within: Duration) -> String {
        self.server.program.says_nth(what, nth, within)
    }

    /// Stops it in good order: what it has logged, and what was on its link.
    pub fn stop(self) -> (String, Vec<Frame>) {
        let log = self.server.stop();
        (log, capture::frames(self.capture.path()))
    }
}

/// A site of one page, `/small`: many of these tests run at once.
fn pack() -> Vec<u8> {
    let page = Page {
        media_type: "text/plain".into(),
        body: b"small\n".to_vec(),
        ..Page::default()
    };
    let mut writer = Writer::new();
    writer.page("/small", page).expect("a page");
    writer.finish(|_| [0; 32]).expect("a pack")
}

/// Somebody else's server, and its files.
pub struct Server {
    /// What it says.
    pub program: Program,
    folder: TempDir,
}

/// What all these tests need, and who has it.
const NEEDS: &str = "`scripts/need address-servers` installs what these tests need";

impl Server {
    /// busybox' DHCP server on a device; the lines are its configuration.
    pub fn udhcpd(namespace: &Namespace, device: &str, lines: &[&str]) -> Self {
        let folder = folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (leases, pid) = (path("leases"), path("pid"));
        fs::write(&leases, "").expect("a file");
        let common = format!(
            "interface {device}\nlease_file {leases}\npidfile {pid}\nmin_lease 4\noption subnet 255.255.255.0\n"
        );
        let config = common + &lines.join("\n") + "\n";
        fs::write(path("conf"), config).expect("a file");
        let mut command = namespace.command("busybox");
        // Who has an address already is asked for 100 ms instead of two seconds.
        command.args(["udhcpd", "-f", "-a", "100", &path("conf")]);
        let server = Self::begin("udhcpd", &mut command, folder);
        server.program.says("started");
        server
    }

    /// dnsmasq as a DHCP server on a device.
    pub fn dnsmasq(namespace: &Namespace, device: &str, arguments: &[&str]) -> Self {
        let folder = folder();
        let leases = folder.path().join("leases");
        let mut command = namespace.command("dnsmasq");
        command.args([
            "--no-daemon",
            "--conf-file=/dev/null",
            "--user=root",
            "--port=0",
        ]);
        command.args(["--bind-interfaces", "--no-ping", "--log-dhcp", "--pid-file"]);
        command.arg(format!("--interface={device}"));
        command.arg(format!("--dhcp-leasefile={}", leases.display()));
        command.args(arguments);
        let server = Self::begin("dnsmasq", &mut command, folder);
        server.program.says("DHCP, sockets bound");
        server
    }

    /// radvd on a device: what it says there.
    pub fn radvd(namespace: &Namespace, device: &str, says: &str) -> Self {
        let folder = folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        namespace.sh(&format!(
            "echo 1 >/proc/sys/net/ipv6/conf/{device}/forwarding"
        ));
        let mut command = namespace.command("radvd");
        command.args(["--nodaemon", "--logmethod=stderr", "--debug=2"]);
        command.arg(format!("--config={}", path("conf")));
        command.arg(format!("--pidfile={}", path("pid")));
        write_radvd(&folder, device, says);
        let server = Self::begin("radvd", &mut command, folder);
        server.program.says("version");
        server
    }

    /// Ends it, once udhcpd has written whom it has lent what: in dumpleases' words.
    pub fn dumped(mut self, namespace: &Namespace) -> String {
        self.program.signal(Signal::USR1);
        self.program.signal(Signal::TERM);
        self.program.end();
        let leases = self.leases().display().to_string();
        namespace.ok("busybox", &["dumpleases", "-f", &leases])
    }

    /// From now on it says this instead.
    pub fn radvd_says(&self, device: &str, says: &str) {
        write_radvd(&self.folder, device, says);
        self.program.signal(Signal::HUP);
    }

    fn begin(name: &str, command: &mut Command, folder: TempDir) -> Self {
        let program = Program::start(name, command.stdout(Stdio::null()));
        Self { program, folder }
    }

    /// Where it remembers whom it has lent what.
    pub fn leases(&self) -> PathBuf {
        self.folder.path().join("leases")
    }

    /// What dnsmasq has lent, in its words.
    pub fn leased(&self) -> String {
        fs::read_to_string(self.leases()).expect(NEEDS)
    }
}

/// As often as radvd can.
fn write_radvd(folder: &TempDir, device: &str, says: &str) {
    let config = format!(
        "interface {device} {{ AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; {says} }};\n"
    );
    fs::write(folder.path().join("conf"), config).expect("a file");
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Clients that ask all the time: one on a connection that it keeps, one on a new one each time.
pub struct Load([Program; 2]);

impl Load {
    /// Begins to ask `http://HOST/small`.
    pub fn start(namespace: &Namespace, host: &str) -> Self {
        let one = |more: &[&str]| {
            let mut curl = namespace.command("curl");
            curl.args([
                "--silent",
                "--show-error",
                "--max-time",
                "600",
                "--connect-timeout",
                "5",
            ]);
            curl.args([
                "--output",
                "/dev/null",
                "--write-out",
                "%{stderr}%{http_code} %{num_connects}\n",
            ]);
            curl.args(more)
                .arg(format!("http://{host}/small?[1-100000]"));
            Program::start("curl", curl.stdout(Stdio::null()))
        };
        let kept = one(&["--rate", "20/s"]);
        let fresh = one(&["--rate", "10/s", "--header", "Connection: close"]);
        Self([kept, fresh])
    }

    /// Ends it after so many requests on the one connection, which is still that one. No request
    /// has failed.
    pub fn stop(self, least: usize) {
        let within = Duration::from_secs(120);
        self.0[0].says_nth("", least, within);
        let [kept, fresh] = self.0.map(Program::stop);
        assert_eq!(kept[0], "200 1");
        let other = |lines: &[String], good: &str| {
            lines
                .iter()
                .filter(|line| **line != good)
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(other(&kept[1..], "200 0"), [""; 0], "on one connection");
        assert!(
            fresh.len() >= least / 3,
            "only {} requests: {fresh:?}",
            fresh.len()
        );
        assert_eq!(other(&fresh, "200 1"), [""; 0], "on new connections");
    }
}

/// A host's MAC address.
pub fn mac(host: &Namespace) -> String {
    // Not from /sys, which is that of the namespace that it was mounted in.
    let link = host.ok("ip", &["-oneline", "link", "show", "eth0"]);
    let mac = link.split_once("link/ether ").map(|(_, rest)| rest);
    let mac = mac.and_then(|rest| rest.split(' ').next());
    mac.unwrap_or_else(|| panic!("{link}")).to_owned()
}

/// Whether somebody answers by ARP for an address, within this time.
pub fn answers_arp(namespace: &Namespace, address: &str, within: Duration) -> bool {
    let seconds = within.as_secs().to_string();
    let asked = namespace.run(
        "busybox",
        &[
            "arping", "-q", "-f", "-c", &seconds, "-w", &seconds, "-I", "br0", address,
        ],
    );
    asked.status.success()
}
