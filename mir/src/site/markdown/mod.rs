//! Markdown to HTML: CommonMark with tables, footnotes, task lists, strikethrough and bare
//! addresses that become links; heading anchors; code in colours; links between sources turned into
//! links between pages.
//!
//! A text is read twice: once for what others must know of it ([`Outline`]), and again each time that
//! it is rendered.

use std::ops::Range;

use linkify::{LinkFinder, LinkKind};
use pulldown_cmark::{
    CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeWithOffset, html,
};

use super::config::Markdown;
use super::escape;

mod code;
mod highlight;
mod image;
mod notes;
mod outline;
mod table;

pub(crate) use image::{MAX_SVG, svg_size};
pub(crate) use outline::{Heading, Outline, attributes};

/// What a text became.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) html: String,
    /// Links that lead nowhere.
    pub(crate) broken: Vec<Broken>,
    /// Links to places in pages that may be there or not.
    pub(crate) anchors: Vec<Anchor>,
}

/// A link that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The line in the text, from 0.
    pub(crate) line: usize,
    /// The target as written.
    pub(crate) link: String,
    /// It is an error, not a warning.
    pub(crate) error: bool,
}

/// A link to a place in a page that the page's text does not have. Its template may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) line: usize,
    pub(crate) link: String,
    /// The path of the page.
    pub(crate) path: String,
    pub(crate) id: String,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Write the link like this. If it leads to a place in a page that its text does not have:
    /// the page's path and what the place is called.
    Url(String, Option<(String, String)>),
    /// Leave it as the author wrote it.
    Keep,
    /// It leads nowhere; this is what to write all the same, and whether it is an error.
    Broken(String, bool),
}

/// What a text is a part of.
pub(crate) trait Surroundings {
    /// Where a link leads.
    fn resolve(&self, link: &str) -> Target;
    /// The width and height of an image, by its path.
    fn size(&self, path: &str) -> Option<(u32, u32)>;
}

/// For whom a text is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody who looks at the page.
    Page,
    /// A program that shows the text by itself.
    Feed,
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
}

type Spanned<'a> = (Event<'a>, Range<usize>);

/// The events of a text, with text in one piece between others.
fn parse(body: &str, options: Options) -> impl Iterator<Item = Spanned<'_>> {
    TextMergeWithOffset::new(Parser::new_ext(body, options).into_offset_iter())
}

/// Renders `body`, whose outline this is.
pub(crate) fn render(
    body: &str,
    outline: &Outline,
    how: Markdown,
    reader: Reader,
    around: &impl Surroundings,
) -> Rendered {
    let mut options = options();
    options.set(Options::ENABLE_SMART_PUNCTUATION, how.smart_punctuation);
    let mut work = Work {
        how,
        reader,
        around,
        lines: Lines::new(body),
        out: Rendered::default(),
        headings: outline.headings.iter(),
        notes: notes::Notes::default(),
        columns: Vec::new(),
        column: 0,
        in_head: false,
        links: 0,
    };
    let mut source = parse(body, options).peekable();
    if outline.takes_title {
        outline::opening(&mut source);
    }
    let mut events = Vec::new();
    work.all(&mut source, &mut events);
    work.notes(&mut events);
    html::push_html(&mut work.out.html, events.into_iter());
    work.out
}

/// The text of `body` without what is only for the eye, for searching.
pub(crate) fn text(body: &str) -> String {
    let mut out = String::new();
    for (event, _) in parse(body, options()) {
        match event {
            Event::Text(text) | Event::Code(text) => out.push_str(&text),
            Event::SoftBreak | Event::HardBreak => out.push(' '),
            Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link) => {}
            Event::End(_) => out.push('\n'),
            _ => {}
        }
    }
    out
}

/// A text while it is rendered.
struct Work<'w, S> {
    how: Markdown,
    reader: Reader,
    around: &'w S,
    lines: Lines<'w>,
    out: Rendered,
    headings: std::slice::Iter<'w, Heading>,
    notes: notes::Notes<'w>,
    /// The columns of the table that is being written, and which is next.
    columns: Vec<pulldown_cmark::Alignment>,
    column: usize,
    in_head: bool,
    /// How many links are open, those in HTML included: a link holds no other.
    links: usize,
}

impl<'w, S: Surroundings> Work<'w, S> {
    /// Turns all events of a text, or of a part, into those that are written.
    fn all(&mut self, source: &mut impl Iterator<Item = Spanned<'w>>, out: &mut Vec<Event<'w>>) {
        while let Some((event, range)) = source.next() {
            match event {
                Event::Start(tag) => self.start(tag, range, source, out),
                Event::End(tag) => self.end(tag, out),
                Event::Text(text) => self.text(text, out),
                Event::Html(html) | Event::InlineHtml(html) => self.html(html, out),
                Event::FootnoteReference(label) => out.push(self.notes.reference(&label)),
                Event::TaskListMarker(done) => out.push(marker(done)),
                other => out.push(other),
            }
        }
    }

    fn start(
        &mut self,
        tag: Tag<'w>,
        range: Range<usize>,
        source: &mut impl Iterator<Item = Spanned<'w>>,
        out: &mut Vec<Event<'w>>,
    ) {
        match tag {
            Tag::Heading { .. } => self.heading(tag, out),
            Tag::CodeBlock(kind) => {
                let code = until_end(source);
                let block = code::block(&kind, &outline::plain(&code), self.how, self.reader);
                out.push(Event::Html(block.into()));
            }
            Tag::FootnoteDefinition(label) => self.notes.define(label, until_end(source)),
            Tag::Image {
                dest_url, title, ..
            } => {
                let alt = outline::plain(&until_end(source));
                let url = self.resolve(&dest_url, &range);
                let size = self.around.size(&url);
                let image = image::tag(&url, &alt, &title, size, self.reader);
                out.push(Event::InlineHtml(image.into()));
            }
            Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            } => {
                self.links += 1;
                let own = matches!(link_type, LinkType::Email | LinkType::Autolink);
                let dest_url = match own {
                    true => dest_url,
                    false => self.resolve(&dest_url, &range).into(),
                };
                out.push(Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                }));
            }
            Tag::HtmlBlock if !self.how.html => out.push(Event::Start(Tag::Paragraph)),
            Tag::Table(columns) => self.table(columns, out),
            Tag::TableHead | Tag::TableRow => self.row(&tag, out),
            Tag::TableCell => self.cell(out),
            other => out.push(Event::Start(other)),
        }
    }

    fn end(&mut self, tag: TagEnd, out: &mut Vec<Event<'w>>) {
        match tag {
            TagEnd::Heading(_) => {
                if self.reader == Reader::Page
                    && let Some(heading) = self.headings.next()
                {
                    out.push(Event::InlineHtml(anchor(&heading.id).into()));
                }
            }
            TagEnd::Link => self.links = self.links.saturating_sub(1),
            TagEnd::HtmlBlock if !self.how.html => return out.push(Event::End(TagEnd::Paragraph)),
            TagEnd::Table | TagEnd::TableHead | TagEnd::TableRow | TagEnd::TableCell => {
                return self.table_end(tag, out);
            }
            _ => {}
        }
        out.push(Event::End(tag));
    }

    /// A heading has the id that the outline gave it.
    fn heading(&mut self, tag: Tag<'w>, out: &mut Vec<Event<'w>>) {
        let known = self.headings.as_slice().first();
        let known = known.map(|heading| CowStr::from(heading.id.clone()));
        out.push(Event::Start(match tag {
            Tag::Heading {
                level,
                id,
                classes,
                attrs,
            } => Tag::Heading {
                level,
                id: match self.reader {
                    Reader::Page => known.or(id),
                    Reader::Feed => None,
                },
                classes,
                attrs,
            },
            other => other,
        }));
    }

    fn resolve(&mut self, link: &str, range: &Range<usize>) -> String {
        match self.around.resolve(link) {
            Target::Keep => link.to_owned(),
            Target::Url(url, place) => {
                if let Some((path, id)) = place {
                    let line = self.lines.of(range.start);
                    let link = link.to_owned();
                    self.out.anchors.push(Anchor {
                        line,
                        link,
                        path,
                        id,
                    });
                }
                url
            }
            Target::Broken(url, error) => {
                let line = self.lines.of(range.start);
                let link = link.to_owned();
                self.out.broken.push(Broken { line, link, error });
                url
            }
        }
    }

    /// Text, with links for the addresses in it.
    fn text(&mut self, text: CowStr<'w>, out: &mut Vec<Event<'w>>) {
        if self.links > 0 || !text.contains("://") {
            return out.push(Event::Text(text));
        }
        let mut finder = LinkFinder::new();
        finder.kinds(&[LinkKind::Url]);
        for span in finder.spans(&text) {
            let part = span.as_str();
            let address = part.starts_with("https://") || part.starts_with("http://");
            if span.kind().is_none() || !address {
                out.push(Event::Text(part.to_owned().into()));
                continue;
            }
            let tag = Tag::Link {
                link_type: LinkType::Autolink,
                dest_url: part.to_owned().into(),
                title: "".into(),
                id: "".into(),
            };
            out.push(Event::Start(tag));
            out.push(Event::Text(part.to_owned().into()));
            out.push(Event::End(TagEnd::Link));
        }
    }

    fn html(&mut self, html: CowStr<'w>, out: &mut Vec<Event<'w>>) {
        if !self.how.html {
            return out.push(Event::Text(html));
        }
        let tag = html.trim_start().to_ascii_lowercase();
        if tag.starts_with("<a ") {
            self.links += 1;
        } else if tag.starts_with("</a") {
            self.links = self.links.saturating_sub(1);
        }
        out.push(Event::InlineHtml(html));
    }
}

/// The events up to the end of what has just begun.
fn until_end<'a>(source: &mut impl Iterator<Item = Spanned<'a>>) -> Vec<Spanned<'a>> {
    let mut open = 1;
    let inner = source.take_while(|(event, _)| {
        match event {
            Event::Start(_) => open += 1,
            Event::End(_) => open -= 1,
            _ => {}
        }
        open > 0
    });
    inner.collect()
}

fn anchor(id: &str) -> String {
    let url = escape::html(&escape::percent(id));
    format!("<a class=\"anchor\" href=\"#{url}\" aria-hidden=\"true\" tabindex=\"-1\">#</a>")
}

fn marker<'a>(done: bool) -> Event<'a> {
    let (checked, label) = if done {
        (" checked", "done")
    } else {
        ("", "not done")
    };
    let tag = format!("<input type=\"checkbox\" disabled{checked} aria-label=\"{label}\"> ");
    Event::InlineHtml(tag.into())
}

/// Line numbers for offsets that mostly ascend: counts on from the last one.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.as_bytes();
        Self {
            text,
            at: 0,
            line: 0,
        }
    }

    fn of(&mut self, offset: usize) -> usize {
        if offset < self.at {
            (self.at, self.line) = (0, 0);
        }
        let passed = self.text.get(self.at..offset).unwrap_or_default();
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.at = offset;
        self.line
    }
}

#[cfg(test)]
mod tests;
