//! Markdown to HTML: CommonMark with tables, footnotes, task lists and strikethrough, heading
//! anchors, and links between sources turned into links between pages.

use std::collections::HashMap;
use std::iter::Peekable;
use std::ops::Range;

use pulldown_cmark::{
    CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html,
};
use serde::Serialize;

use super::escape;

/// What a text became.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) html: String,
    pub(crate) toc: Vec<Heading>,
    /// Links that lead nowhere: the line in `body`, from 0, and the target as written.
    pub(crate) broken: Vec<(usize, String)>,
}

/// A heading, for a table of contents.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Heading {
    pub(crate) level: u8,
    pub(crate) id: String,
    pub(crate) title: String,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Write the link like this.
    Url(String),
    /// Leave it as the author wrote it.
    Keep,
    /// It leads nowhere; this is what to write all the same.
    Broken(String),
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
}

/// The text of a level-1 heading that opens `body`.
pub(crate) fn title(body: &str) -> Option<String> {
    let mut source = Parser::new_ext(body, options())
        .into_offset_iter()
        .peekable();
    opening(&mut source).filter(|title| !title.is_empty())
}

/// Takes a level-1 heading from the beginning of a text, if it has one there, and gives its own.
fn opening<'a, S: Iterator<Item = Spanned<'a>>>(source: &mut Peekable<S>) -> Option<String> {
    let h1 = |(event, _): &Spanned<'_>| matches!(event, Event::Start(Tag::Heading { level, .. }) if *level == HeadingLevel::H1);
    source.next_if(h1)?;
    Some(plain(&heading(source)))
}

/// Renders `body`, with `take_title` but for a level-1 heading that opens it.
pub(crate) fn render(body: &str, take_title: bool, resolve: impl Fn(&str) -> Target) -> Rendered {
    let mut out = Rendered::default();
    let mut line = Lines::new(body);
    let mut events = Vec::new();
    let mut ids = Ids::default();
    let mut source = Parser::new_ext(body, options())
        .into_offset_iter()
        .peekable();
    if take_title {
        opening(&mut source);
    }
    while let Some((event, range)) = source.next() {
        match event {
            Event::Start(Tag::Heading {
                level,
                id,
                classes,
                attrs,
            }) => {
                let inner = heading(&mut source);
                let title = plain(&inner);
                let id = ids.unique(id.as_deref(), &title);
                let anchor = format!(
                    "<a class=\"anchor\" href=\"#{}\" aria-hidden=\"true\" tabindex=\"-1\">#</a>",
                    escape::html(&escape::percent(&id)),
                );
                let end = TagEnd::Heading(level);
                let tag = Tag::Heading {
                    level,
                    id: Some(id.clone().into()),
                    classes,
                    attrs,
                };
                events.push(Event::Start(tag));
                for (event, range) in inner {
                    events.push(link(event, &range, &mut line, &resolve, &mut out.broken));
                }
                events.push(Event::InlineHtml(anchor.into()));
                events.push(Event::End(end));
                out.toc.push(Heading {
                    level: level as u8,
                    id,
                    title,
                });
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                events.push(Event::Html(code_start(&kind).into()));
            }
            Event::End(TagEnd::CodeBlock) => events.push(Event::Html("</code></pre>\n".into())),
            Event::Start(Tag::Table(columns)) => {
                let open =
                    "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"Table\">";
                events.push(Event::Html(open.into()));
                events.push(Event::Start(Tag::Table(columns)));
            }
            Event::End(TagEnd::Table) => {
                events.push(Event::End(TagEnd::Table));
                events.push(Event::Html("</div>\n".into()));
            }
            other => events.push(link(other, &range, &mut line, &resolve, &mut out.broken)),
        }
    }
    html::push_html(&mut out.html, events.into_iter());
    out
}

type Spanned<'a> = (Event<'a>, Range<usize>);

/// The events up to the end of the heading that has just begun.
fn heading<'a>(source: &mut impl Iterator<Item = Spanned<'a>>) -> Vec<Spanned<'a>> {
    source
        .take_while(|(event, _)| !matches!(event, Event::End(TagEnd::Heading(_))))
        .collect()
}

fn plain(events: &[Spanned<'_>]) -> String {
    let mut text = String::new();
    for (event, _) in events {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    text.trim().to_owned()
}

fn link<'a>(
    mut event: Event<'a>,
    range: &Range<usize>,
    line: &mut Lines<'_>,
    resolve: impl Fn(&str) -> Target,
    broken: &mut Vec<(usize, String)>,
) -> Event<'a> {
    if let Event::Start(Tag::Link {
        link_type: LinkType::Email | LinkType::Autolink,
        ..
    }) = event
    {
        return event;
    }
    if let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = &mut event {
        match resolve(dest_url) {
            Target::Keep => {}
            Target::Url(url) => *dest_url = CowStr::from(url),
            Target::Broken(url) => {
                broken.push((line.of(range.start), dest_url.to_string()));
                *dest_url = CowStr::from(url);
            }
        }
    }
    event
}

/// A code block's opening tags. Only the language of the fence's words is kept: `rust,ignore` is
/// Rust. It can be scrolled sideways, so it can take the focus.
fn code_start(kind: &CodeBlockKind<'_>) -> String {
    let language: String = match kind {
        CodeBlockKind::Indented => String::new(),
        CodeBlockKind::Fenced(info) => info
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "+-_#".contains(*c))
            .collect(),
    };
    if language.is_empty() {
        "<pre tabindex=\"0\"><code>".to_owned()
    } else {
        format!("<pre tabindex=\"0\"><code class=\"language-{language}\">")
    }
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
mod tests {
    use super::*;

    fn html(body: &str) -> String {
        render(body, false, |_| Target::Keep).html
    }

    #[test]
    fn what_common_mark_has_not() {
        let table = html("| a | b |\n|---|---|\n| 1 | 2 |\n");
        assert!(table.starts_with("<div class=\"table\"") && table.contains("<td>1</td>"));
        assert!(html("- [x] done").contains("checked"));
        assert!(html("~~gone~~").contains("<del>gone</del>"));
        assert!(html("a[^1]\n\n[^1]: note\n").contains("footnote"));
    }

    #[test]
    fn code_has_its_language_alone() {
        assert_eq!(
            html("```rust,ignore\nlet a = \"<\";\n```\n"),
            "<pre tabindex=\"0\"><code class=\"language-rust\">let a = \"&lt;\";\n</code></pre>\n"
        );
        assert!(html("```\" onclick=x\nb\n```").starts_with("<pre tabindex=\"0\"><code>b"));
    }

    #[test]
    fn headings_have_ids_of_their_own() {
        let text = "# Top `code`\n\n## One\n\n## One\n\n## One-1\n\n## x {#own}\n\n## ???\n";
        let page = render(text, true, |_| Target::Keep);
        assert_eq!(title(text).as_deref(), Some("Top code"));
        let ids: Vec<_> = page.toc.iter().map(|heading| heading.id.as_str()).collect();
        assert_eq!(ids, ["one", "one-1", "one-1-1", "own", "section"]);
        assert!(
            page.html
                .starts_with("<h2 id=\"one\">One<a class=\"anchor\" href=\"#one\"")
        );
    }

    #[test]
    fn only_an_opening_heading_is_the_title() {
        let text = "Text\n\n# Later\n";
        let page = render(text, true, |_| Target::Keep);
        assert_eq!(title(text), None);
        assert!(page.html.contains("<h1 id=\"later\">"));
    }

    #[test]
    fn broken_links_have_lines() {
        let page = render(
            "<a@b.c> <https://d.e>\n\n[a](b.md) and\n![c](d.png)\n\n# [e][f]\n\n[f]: g\n",
            false,
            |url| Target::Broken(format!("/{url}")),
        );
        assert_eq!(
            page.broken,
            [(2, "b.md".into()), (3, "d.png".into()), (5, "g".into())]
        );
        assert!(page.html.contains("href=\"/b.md\"") && page.html.contains("src=\"/d.png\""));
    }
}
