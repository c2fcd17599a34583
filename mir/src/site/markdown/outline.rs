//! What others must know of a text: its title, its headings, and the places that links may lead to.

use std::collections::{BTreeSet, HashMap};
use std::iter::Peekable;

use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};
use serde::Serialize;

use super::{Spanned, options, parse, until_end};

/// What a text is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outline {
    /// A level-1 heading that opens the text.
    pub(crate) title: Option<String>,
    /// That heading is shown as the page's title, and not again in the text.
    pub(crate) takes_title: bool,
    pub(crate) headings: Vec<Heading>,
    /// Places that have a name in HTML.
    pub(crate) places: BTreeSet<String>,
}

/// A heading, for a table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Heading {
    pub(crate) level: u8,
    pub(crate) id: String,
    pub(crate) title: String,
}

impl Outline {
    /// That of `body`; with `takes_title` a level-1 heading that opens it is the page's title.
    pub(crate) fn new(body: &str, takes_title: bool) -> Self {
        let mut source = parse(body, options()).peekable();
        let mut out = Self::default();
        let mut ids = Ids::default();
        if takes_title {
            out.title = opening(&mut source);
            out.takes_title = true;
        }
        while let Some((event, _)) = source.next() {
            match event {
                Event::Start(Tag::Heading { level, id, .. }) => {
                    let inner = until_end(&mut source);
                    inner.iter().for_each(|(event, _)| out.place(event));
                    let title = plain(&inner);
                    out.headings.push(Heading {
                        level: level as u8,
                        id: ids.unique(id.as_deref(), &title),
                        title,
                    });
                }
                // Headings of notes would be written in another order.
                Event::Start(Tag::FootnoteDefinition(_)) => drop(until_end(&mut source)),
                other => out.place(&other),
            }
        }
        out.title = out.title.filter(|title| !title.is_empty());
        out
    }

    /// Whether a link may lead to this place.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.places.contains(id) || self.headings.iter().any(|heading| heading.id == id)
    }

    fn place(&mut self, event: &Event<'_>) {
        if let Event::Html(html) | Event::InlineHtml(html) = event {
            let ids = attributes(html, "id").chain(attributes(html, "name"));
            self.places.extend(ids.map(str::to_owned));
        }
    }
}

/// Takes a level-1 heading from the beginning of a text, if it has one there, and gives its own.
pub(super) fn opening<'a, S: Iterator<Item = Spanned<'a>>>(
    source: &mut Peekable<S>,
) -> Option<String> {
    let h1 = |(event, _): &Spanned<'_>| matches!(event, Event::Start(Tag::Heading { level, .. }) if *level == HeadingLevel::H1);
    source.next_if(h1)?;
    Some(plain(&until_end(source)))
}

/// The words of some events.
pub(super) fn plain(events: &[Spanned<'_>]) -> String {
    let mut text = String::new();
    for (event, _) in events {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::End(TagEnd::Paragraph) => text.push('\n'),
            _ => {}
        }
    }
    match events {
        // Code is as it is.
        [(Event::Text(_), _)] => text,
        _ => text.trim().to_owned(),
    }
}

/// The values of an attribute in some HTML, as far as can be told without taking it apart.
pub(crate) fn attributes<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    html.match_indices(name).filter_map(move |(at, _)| {
        let before = html.as_bytes().get(at.checked_sub(1)?)?;
        let rest = html[at + name.len()..].trim_start().strip_prefix('=')?;
        let rest = rest.trim_start();
        let value = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
            _ => rest.split(|c: char| c.is_whitespace() || c == '>').next()?,
        };
        before.is_ascii_whitespace().then_some(value)
    })
}

/// Gives each heading an id of its own, as GitHub does.
#[derive(Default)]
struct Ids {
    used: HashMap<String, usize>,
}

impl Ids {
    fn unique(&mut self, wanted: Option<&str>, title: &str) -> String {
        let base = match wanted {
            Some(id) => id.to_owned(),
            None => slug(title),
        };
        let mut id = base.clone();
        loop {
            if !self.used.contains_key(&id) {
                self.used.insert(id.clone(), 0);
                return id;
            }
            let count = self.used.entry(base.clone()).or_insert(0);
            *count += 1;
            id = format!("{base}-{count}");
        }
    }
}

fn slug(title: &str) -> String {
    let mut id = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() || c == '_' || c == '-' {
            id.push(c);
        } else if c.is_whitespace() {
            id.push('-');
        }
    }
    if id.is_empty() {
        "section".to_owned()
    } else {
        id
    }
}
