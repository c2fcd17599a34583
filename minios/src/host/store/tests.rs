use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::daemon::absolute;
use super::*;
use crate::exec::Executor;

const GUEST: DomId = DomId(3);

/// A guest's end of the ring, without a client.
struct Raw {
    hypervisor: Hypervisor,
    server: Server,
    dom0: (Domain, Executor),
    guest: (Domain, Executor),
    ring: byte::Front<crate::share::BootPage>,
    port: Port,
}

impl Raw {
    fn new() -> Self {
        let hypervisor = Hypervisor::new();
        let dom0 = (hypervisor.domain(DomId::ZERO), Executor::new());
        let guest = (hypervisor.domain(GUEST), Executor::new());
        let server = Server::new(&hypervisor);
        server.attach(GUEST).unwrap();
        let serving = server.clone();
        let task = async move { serving.run().await };
        dom0.1.spawner().spawn(task).unwrap();
        let (page, port) = guest.0.store_ring();
        Self {
            hypervisor,
            server,
            dom0,
            guest,
            ring: byte::Front::new(page, byte::XENSTORE).unwrap(),
            port,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        assert_eq!(self.ring.write(bytes).unwrap(), bytes.len());
        self.port.notify();
        let parties = [(&self.dom0.0, &self.dom0.1), (&self.guest.0, &self.guest.1)];
        self.hypervisor.settle(&parties);
    }

    /// Sends a request and returns what comes back, as types and payloads.
    fn ask(&mut self, kind: Kind, tx_id: u32, payload: &[u8]) -> Vec<(Kind, String)> {
        let mut out = VecDeque::new();
        codec::encode(&mut out, kind, 9, tx_id, &[payload]).unwrap();
        self.send(out.make_contiguous());
        self.heard()
    }

    fn heard(&mut self) -> Vec<(Kind, String)> {
        let mut bytes = [0; 1024];
        let len = self.ring.read(&mut bytes).unwrap();
        let mut input = &bytes[..len];
        let mut decoder = codec::Decoder::new();
        let mut heard = Vec::new();
        while let Some(m) = decoder.next(&mut input).unwrap() {
            let payload = String::from_utf8_lossy(m.payload).to_string();
            heard.push((m.kind, payload));
        }
        heard
    }
}

fn error(errno: Errno) -> Vec<(Kind, String)> {
    [(Kind::Error, format!("{errno}\0"))].into()
}

fn ok(kind: Kind) -> Vec<(Kind, String)> {
    [(kind, "OK\0".to_string())].into()
}

#[test]
fn paths_are_checked_and_made_absolute() {
    let path = |said: &str| absolute(GUEST, said.as_bytes());
    assert_eq!(path("a/b").unwrap(), "/local/domain/3/a/b");
    assert_eq!(path("/a-b_c@d").unwrap(), "/a-b_c@d");
    assert_eq!(path("/").unwrap(), "/");
    for bad in ["", "a b", "a//b", "a/", "/a/", "é"] {
        assert_eq!(path(bad), Err(Errno::EINVAL), "{bad:?}");
    }
}

#[test]
fn malformed_requests_are_refused() {
    let mut raw = Raw::new();
    for (kind, payload) in [
        (Kind::Read, &b"domid"[..]),
        (Kind::Read, b"domid\0x"),
        (Kind::Read, b""),
        (Kind::Watch, b"path\0"),
        (Kind::Watch, b"path\0token"),
        (Kind::GetDomainPath, b"x\0"),
    ] {
        assert_eq!(
            raw.ask(kind, 0, payload),
            error(Errno::EINVAL),
            "{payload:?}"
        );
    }
    assert_eq!(raw.ask(Kind::Read, 5, b"domid\0"), error(Errno::ENOENT));
    assert_eq!(raw.ask(Kind::Introduce, 0, b""), error(Errno::ENOSYS));
    assert_eq!(
        raw.ask(Kind::Read, 0, b"domid\0"),
        [(Kind::Read, "3".into())]
    );
    assert!(!raw.server.has_cut_off(GUEST));
}

#[test]
fn a_client_that_breaks_the_stream_is_cut_off() {
    let mut raw = Raw::new();
    let header = Header {
        kind: Kind::Read as u32,
        req_id: 0,
        tx_id: 0,
        len: 4097,
    };
    raw.send(&header.encode());
    assert!(raw.server.has_cut_off(GUEST));
    assert_eq!(raw.ask(Kind::Read, 0, b"domid\0"), []);
}

#[test]
fn a_guest_writes_only_what_is_its_own() {
    let mut raw = Raw::new();
    for path in ["device/vif/0/state", "control/shutdown", "data/x", "error"] {
        let payload = format!("{path}\0v");
        assert_eq!(raw.ask(Kind::Write, 0, payload.as_bytes()), ok(Kind::Write));
    }
    for path in [
        "name",
        "control/feature-halt",
        "/local/domain/4/data",
        "device",
        "/local/domain/0/x",
    ] {
        let payload = format!("{path}\0v");
        assert_eq!(
            raw.ask(Kind::Write, 0, payload.as_bytes()),
            error(Errno::EACCES)
        );
    }
}

#[test]
fn watches_and_transactions_have_quotas_and_duplicates_are_refused() {
    let mut raw = Raw::new();
    let event = (Kind::WatchEvent, "data\0t\0".to_string());
    let mut both = ok(Kind::Watch);
    both.push(event.clone());
    assert_eq!(raw.ask(Kind::Watch, 0, b"data\0t\0"), both);
    assert_eq!(raw.ask(Kind::Watch, 0, b"data\0t\0"), error(Errno::EEXIST));
    raw.server.write("/local/domain/3/data/x", "1");
    raw.send(b"");
    assert_eq!(raw.heard(), [(Kind::WatchEvent, "data/x\0t\0".to_string())]);
    assert_eq!(raw.ask(Kind::Unwatch, 0, b"data\0t\0"), ok(Kind::Unwatch));
    assert_eq!(
        raw.ask(Kind::Unwatch, 0, b"data\0t\0"),
        error(Errno::ENOENT)
    );
    for n in 0..128 {
        let payload = format!("data\0{n}\0");
        assert_eq!(raw.ask(Kind::Watch, 0, payload.as_bytes()).len(), 2);
    }
    assert_eq!(
        raw.ask(Kind::Watch, 0, b"data\0more\0"),
        error(Errno::E2BIG)
    );
    assert_eq!(
        raw.ask(Kind::ResetWatches, 0, b"\0"),
        ok(Kind::ResetWatches)
    );
    assert_eq!(raw.ask(Kind::Watch, 0, b"data\0more\0").len(), 2);
    for n in 1..=10 {
        let id = [(Kind::TransactionStart, format!("{n}\0"))];
        assert_eq!(raw.ask(Kind::TransactionStart, 0, b"\0"), id);
    }
    let refused = raw.ask(Kind::TransactionStart, 0, b"\0");
    assert_eq!(refused, error(Errno::ENOSPC));
}

#[test]
fn a_device_is_plugged_in_as_libxl_does() {
    let raw = Raw::new();
    let (front, back) = raw.server.plug(
        "vif",
        0,
        (GUEST, &[("mac", "00:16:3e:00:00:01")]),
        (DomId::ZERO, &[("feature-sg", "1")]),
    );
    let read = |path: &str, key: &str| raw.server.read(&format!("{path}/{key}"));
    assert_eq!(front, "/local/domain/3/device/vif/0");
    assert_eq!(read(&front, "backend").as_deref(), Some(&*back));
    assert_eq!(read(&front, "backend-id").as_deref(), Some("0"));
    assert_eq!(read(&front, "state").as_deref(), Some("1"));
    assert_eq!(read(&back, "frontend").as_deref(), Some(&*front));
    assert_eq!(read(&back, "frontend-id").as_deref(), Some("3"));
    assert_eq!(read(&back, "feature-sg").as_deref(), Some("1"));
    assert_eq!(raw.server.list("/local/domain/3/device"), ["vif"]);
}

#[test]
fn domain_0_watches_too() {
    let raw = Raw::new();
    let watch = raw.server.watch("/local/domain/3/device");
    assert_eq!(watch.take(), ["/local/domain/3/device"]);
    raw.server.write("/local/domain/3/device/vif/0/state", "4");
    assert_eq!(watch.take(), ["/local/domain/3/device/vif/0/state"]);
    assert_eq!(watch.take(), [""; 0]);
}
