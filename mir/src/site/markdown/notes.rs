//! Footnotes: numbered in the order in which they are referred to, at the end of the text, with
//! links there and back that say what they are.

use std::collections::{BTreeMap, VecDeque};

use super::{CowStr, Event, Spanned, Surroundings, TagEnd, Work};

/// The footnotes of a text.
#[derive(Default)]
pub(super) struct Notes<'a> {
    defined: BTreeMap<String, Vec<Spanned<'a>>>,
    /// By label: the number, and how often it is referred to.
    numbers: BTreeMap<String, (usize, usize)>,
    /// Those that are still to be written.
    waiting: VecDeque<String>,
}

impl<'a> Notes<'a> {
    /// The first of a name is the one that counts.
    pub(super) fn define(&mut self, label: CowStr<'a>, events: Vec<Spanned<'a>>) {
        self.defined.entry(label.into_string()).or_insert(events);
    }

    pub(super) fn reference(&mut self, label: &str) -> Event<'a> {
        let next = self.numbers.len() + 1;
        let entry = self.numbers.entry(label.to_owned());
        let (number, times) = entry.or_insert_with(|| {
            self.waiting.push_back(label.to_owned());
            (next, 0)
        });
        *times += 1;
        let id = reference_id(*number, *times);
        let link = format!(
            "<sup class=\"note\"><a href=\"#fn-{number}\" id=\"{id}\" role=\"doc-noteref\" \
             aria-label=\"Footnote {number}\">{number}</a></sup>"
        );
        Event::InlineHtml(link.into())
    }
}

fn reference_id(number: usize, time: usize) -> String {
    match time {
        1 => format!("fnref-{number}"),
        _ => format!("fnref-{number}-{time}"),
    }
}

impl<'w, S: Surroundings> Work<'w, S> {
    /// Writes the footnotes that are referred to.
    pub(super) fn notes(&mut self, out: &mut Vec<Event<'w>>) {
        if self.notes.waiting.is_empty() {
            return;
        }
        // A note may refer to others, and to itself: all are written before the links back are.
        let mut written = Vec::new();
        while let Some(label) = self.notes.waiting.pop_front() {
            let source = self.notes.defined.remove(&label).unwrap_or_default();
            let mut events = Vec::new();
            self.all(&mut source.into_iter(), &mut events);
            written.push((label, events));
        }
        let open =
            "<section class=\"notes\" role=\"doc-endnotes\" aria-label=\"Footnotes\">\n<ol>\n";
        out.push(Event::Html(open.into()));
        for (label, mut events) in written {
            let (number, times) = self.notes.numbers.get(&label).copied().unwrap_or_default();
            let back = Event::InlineHtml(back(number, times).into());
            match events.pop() {
                Some(last @ Event::End(TagEnd::Paragraph)) => events.extend([back, last]),
                last => events.extend(last.into_iter().chain([back])),
            }
            out.push(Event::Html(format!("<li id=\"fn-{number}\">\n").into()));
            out.append(&mut events);
            out.push(Event::Html("</li>\n".into()));
        }
        out.push(Event::Html("</ol>\n</section>\n".into()));
    }
}

/// The links from a note to the places that refer to it.
fn back(number: usize, times: usize) -> String {
    let links = (1..=times).map(|time| {
        let id = reference_id(number, time);
        let which = if time > 1 {
            format!(", {time}")
        } else {
            String::new()
        };
        format!(
            " <a href=\"#{id}\" role=\"doc-backlink\" aria-label=\"Back to the text of footnote \
             {number}{which}\">↩</a>"
        )
    });
    links.collect()
}
