use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::DomId;
use crate::abi::console::{OUT, OUT_CONS, OUT_PROD};
use crate::exec::Executor;
use crate::host::Hypervisor;
use crate::host::console::Terminal;

const GUEST: DomId = DomId(1);
const RING: usize = OUT.end - OUT.start;

struct Rig {
    hypervisor: Hypervisor,
    guest: (Domain, Executor),
    terminal: Terminal,
    console: Rc<Console>,
}

impl Rig {
    fn new(index: u32) -> Self {
        let hypervisor = Hypervisor::new();
        let guest = (hypervisor.domain(GUEST), Executor::new());
        let (page, _) = guest.0.console_ring().unwrap();
        page.store_u32(OUT_CONS, index).unwrap();
        page.store_u32(OUT_PROD, index).unwrap();
        let terminal = Terminal::new(&hypervisor, GUEST).unwrap();
        let console = Rc::new(Console::new(&guest.0).unwrap());
        let running = Rc::clone(&console);
        let task = async move { running.run().await };
        guest.1.spawner().spawn(task).unwrap();
        Self {
            hypervisor,
            guest,
            terminal,
            console,
        }
    }

    fn settle(&self) {
        self.hypervisor.settle(&[(&self.guest.0, &self.guest.1)]);
    }

    /// All that comes out, taken in pieces.
    fn take_all(&mut self, piece: usize) -> String {
        let mut all = String::new();
        loop {
            self.settle();
            let taken = self.terminal.take(piece);
            if taken.is_empty() {
                return all;
            }
            all += &taken;
        }
    }
}

#[test]
fn lines_come_out_at_once_with_carriage_returns() {
    for index in [0, u32::MAX - 3] {
        let mut rig = Rig::new(index);
        rig.console.write(b"one\ntwo");
        rig.console.write(b"\n\nthree");
        // Without the executor having run.
        assert_eq!(rig.terminal.take(4096), "one\r\ntwo\r\n\r\nthree");
    }
}

#[test]
fn what_does_not_fit_follows_when_the_terminal_reads() {
    let mut rig = Rig::new(1000);
    let mut expected = String::new();
    for n in 0..200 {
        rig.console.write(format!("this is line {n}\n").as_bytes());
        expected += &format!("this is line {n}\r\n");
    }
    assert!(expected.len() > RING);
    assert_eq!(rig.take_all(100), expected);
    assert!(rig.console.broken().is_none());
}

#[test]
fn without_a_reader_the_oldest_lines_are_dropped_with_a_count() {
    let mut rig = Rig::new(0);
    let lines: Vec<String> = (0..5000).map(|n| format!("line {n:020}\n")).collect();
    for line in &lines {
        rig.console.write(line.as_bytes());
    }
    rig.settle();
    let out = rig.take_all(4096);
    // The ring's content was out of reach already; the newest lines are there.
    assert!(out.starts_with("line 00000000000000000000\r\n"));
    assert!(out.ends_with("line 00000000000000004999\r\n"));
    let (_, after) = out.split_once("\r\n[... ").unwrap();
    let (count, _) = after.split_once(" bytes dropped]\r\n").unwrap();
    let mark = "\r\n[...  bytes dropped]\r\n".len() + count.len();
    let count: usize = count.parse().unwrap();
    let written: usize = lines.iter().map(|line| line.len() + 1).sum();
    assert_eq!(out.len() - mark + count, written);
    // And it goes on as if nothing had been.
    rig.console.write(b"next\n");
    assert_eq!(rig.take_all(4096), "next\r\n");
}

#[test]
fn what_is_typed_can_be_read_and_is_bounded() {
    let mut rig = Rig::new(0);
    let console = Rc::clone(&rig.console);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let out = Rc::clone(&heard);
    let task = async move {
        let mut bytes = [0; 3];
        loop {
            let count = console.read(&mut bytes).await;
            out.borrow_mut().extend_from_slice(&bytes[..count]);
        }
    };
    rig.guest.1.spawner().spawn(task).unwrap();
    rig.settle();
    assert_eq!(rig.terminal.type_in("reboot\r"), 7);
    rig.settle();
    assert_eq!(*heard.borrow(), b"reboot\r");
}

#[test]
fn typing_that_nobody_reads_stalls_nobody() {
    let mut rig = Rig::new(0);
    for n in 0..100 {
        let text = format!("{n:0100}");
        assert_eq!(rig.terminal.type_in(&text), 100);
        rig.settle();
    }
    assert_eq!(rig.console.end.borrow().typed.len(), TYPED_MAX);
    assert!(
        rig.console
            .end
            .borrow()
            .typed
            .iter()
            .rev()
            .take(2)
            .eq(b"99")
    );
}

#[test]
fn a_terminal_that_lies_gets_nothing_and_harms_nobody() {
    let rig = Rig::new(0);
    rig.console.write(b"x");
    rig.terminal.lie();
    rig.settle();
    for _ in 0..10_000 {
        rig.console.write(b"some text\n");
    }
    rig.settle();
    assert!(rig.console.broken().is_some());
}

#[test]
fn printing_while_printing_is_counted() {
    let mut rig = Rig::new(0);
    let end = rig.console.end.borrow_mut();
    rig.console.write(b"12345");
    rig.console.take_backlog(|_| panic!("taken while printing"));
    drop(end);
    rig.console.write(b"6\n");
    assert_eq!(rig.take_all(4096), "\r\n[... 5 bytes dropped]\r\n6\r\n");
    rig.console.write(b"7\n");
    assert_eq!(rig.take_all(4096), "7\r\n");
}

#[test]
fn a_program_that_ends_takes_what_is_left() {
    let mut rig = Rig::new(0);
    install(Rc::clone(&rig.console));
    for n in 0..300 {
        print(format!("line {n:010}\n").as_bytes());
    }
    let mut last = Vec::new();
    take_backlog(|bytes| last.extend_from_slice(bytes));
    let mut out = rig.take_all(4096);
    assert_eq!(out.len(), RING);
    out += &String::from_utf8(last).unwrap();
    let expected: String = (0..300).map(|n| format!("line {n:010}\r\n")).collect();
    assert_eq!(out, expected);
}
