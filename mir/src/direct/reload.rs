//! How an open page learns that the site has changed.
//!
//! Each change of the folder begins a new generation. A page knows the generation that it is of, and
//! asks for what came after it: the answer waits until something has. Whatever happens between two
//! questions is therefore never missed.

use std::collections::VecDeque;

use www::pack::{Made, Page};

use crate::site::Change;

/// Where the script is.
pub const SCRIPT: &str = "/-/reload.js";

/// Where the events are; the page's generation follows.
pub const EVENTS: &str = "/-/reload/";

const TEXT: &str = include_str!("reload.js");

/// Changes that are remembered one by one.
const REMEMBERED: usize = 64;

/// The generations of the site in one run of the server.
pub(super) struct Generations {
    run: u64,
    current: u64,
    /// The last changes, the one that led to the current generation at the end.
    changes: VecDeque<Change>,
}

impl Generations {
    /// The first. Another run has other names.
    pub(super) fn new(run: u64) -> Self {
        Self {
            run,
            current: 0,
            changes: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, change: Change) {
        self.current += 1;
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED {
            self.changes.pop_front();
        }
    }

    pub(super) fn current(&self) -> u64 {
        self.current
    }

    /// What the current one is called.
    pub(super) fn name(&self) -> String {
        format!("{:x}-{}", self.run, self.current)
    }

    /// What has changed since the generation of this name; `None` if it is the current one.
    pub(super) fn since(&self, name: &str) -> Option<Change> {
        let number = || {
            let (run, number) = name.split_once('-')?;
            let run = u64::from_str_radix(run, 16).ok()?;
            let number = number.parse().ok()?;
            let age = self.current.checked_sub(number)?;
            (run == self.run).then_some(age)
        };
        // A page of another run may show anything.
        let Some(age) = number().and_then(|age| usize::try_from(age).ok()) else {
            return Some(Change::All);
        };
        if age == 0 {
            return None;
        }
        let first = self.changes.len().checked_sub(age);
        let styles = first.is_some_and(|first| {
            let mut changes = self.changes.range(first..);
            changes.all(|change| *change == Change::Styles)
        });
        Some(if styles { Change::Styles } else { Change::All })
    }

    /// A stream of one event: what has changed up to the current generation.
    pub(super) fn event(&self, change: Change) -> Made {
        let what = match change {
            Change::None => "nothing",
            Change::Styles => "styles",
            Change::All => "page",
        };
        let name = self.name();
        let body = format!("data: {{\"generation\":\"{name}\",\"changed\":\"{what}\"}}\n\n");
        made("text/event-stream", "no-store", body)
    }
}

/// The script.
pub(super) fn script() -> Made {
    made(
        "text/javascript; charset=utf-8",
        "no-cache",
        TEXT.to_owned(),
    )
}

fn made(media_type: &str, keep: &str, body: String) -> Made {
    let page = Page {
        media_type: media_type.to_owned(),
        body: body.into_bytes(),
        headers: vec![("Cache-Control".to_owned(), keep.to_owned())],
        ..Page::default()
    };
    // Nothing in it can be refused: it is written here.
    Made::page(200, page).unwrap_or(Made {
        status: 200,
        modified: None,
        variants: Vec::new(),
    })
}

/// A page with the script, which stands before the end of the body, if that is written down.
pub(super) fn insert(mut page: Vec<u8>, generation: &str) -> Vec<u8> {
    const END: &[u8] = b"</body";
    let end = page
        .windows(END.len())
        .rposition(|window| window.eq_ignore_ascii_case(END));
    let script =
        format!("<script src=\"{SCRIPT}\" data-generation=\"{generation}\" async></script>\n");
    let at = end.unwrap_or(page.len());
    page.splice(at..at, script.into_bytes());
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_told() {
        let mut generations = Generations::new(0xa1);
        let first = generations.name();
        assert_eq!(first, "a1-0");
        assert_eq!(generations.since(&first), None);
        generations.add(Change::Styles);
        let second = generations.name();
        assert_eq!(generations.since(&first), Some(Change::Styles));
        assert_eq!(generations.since(&second), None);
        generations.add(Change::All);
        generations.add(Change::Styles);
        assert_eq!(generations.since(&first), Some(Change::All));
        assert_eq!(generations.since(&second), Some(Change::All));
        assert_eq!(generations.since("a1-2"), Some(Change::Styles));
        for _ in 0..REMEMBERED {
            generations.add(Change::Styles);
        }
        assert_eq!(generations.since("a1-3"), Some(Change::Styles));
        // Nobody remembers what came right after this one.
        assert_eq!(generations.since("a1-2"), Some(Change::All));
    }

    #[test]
    fn what_is_not_ours_is_loaded_again() {
        let generations = Generations::new(1);
        for name in [
            "",
            "1",
            "1-1",
            "2-0",
            "x-0",
            "1-x",
            "1--1",
            "1-99999999999999999999",
        ] {
            assert_eq!(generations.since(name), Some(Change::All), "{name}");
        }
    }

    #[test]
    fn the_script_stands_before_the_end() {
        let script = "<script src=\"/-/reload.js\" data-generation=\"g\" async></script>\n";
        for (page, expected) in [
            ("<p></body></html>", format!("<p>{script}</body></html>")),
            ("</BODY> </Body >", format!("</BODY> {script}</Body >")),
            ("<p>", format!("<p>{script}")),
            ("", script.to_owned()),
        ] {
            let page = insert(page.as_bytes().to_vec(), "g");
            assert_eq!(String::from_utf8(page).unwrap(), expected);
        }
    }
}
