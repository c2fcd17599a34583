//! Texts and what becomes of them.

use super::*;

/// Links stay, or lead nowhere.
struct Nowhere(bool);

impl Surroundings for Nowhere {
    fn resolve(&self, link: &str) -> Target {
        match self.0 {
            true => Target::Broken(format!("/{link}"), false),
            false => Target::Keep,
        }
    }

    fn size(&self, path: &str) -> Option<(u32, u32)> {
        (path == "a.png").then_some((3, 4))
    }
}

fn page(body: &str, take_title: bool, how: Markdown) -> (Outline, Rendered) {
    let outline = Outline::new(body, take_title);
    let rendered = render(body, &outline, how, Reader::Page, &Nowhere(false));
    (outline, rendered)
}

fn html(body: &str) -> String {
    page(body, false, Markdown::default()).1.html
}

#[test]
fn what_common_mark_has_not() {
    let table = html("| a | b |\n|---|--:|\n| 1 | 2 |\n");
    assert!(
        table.starts_with("<div class=\"table\" tabindex=\"0\""),
        "{table}"
    );
    let body = "<table><thead><tr><th scope=\"col\">a</th><th scope=\"col\" class=\"right\">b</th></tr></thead>\
                <tbody>\n<tr><td>1</td><td class=\"right\">2</td></tr>\n</tbody></table></div>\n";
    assert!(table.ends_with(body), "{table}");
    let task = html("- [x] done\n- [ ] open\n");
    assert!(
        task.contains("disabled checked aria-label=\"done\"> done"),
        "{task}"
    );
    assert!(html("~~gone~~").contains("<del>gone</del>"));
}

#[test]
fn bare_addresses_are_links() {
    assert_eq!(
        html("See https://ab.de/c_d?e=f&g=h. (http://xy.zz/)\n"),
        "<p>See <a href=\"https://ab.de/c_d?e=f&amp;g=h\">https://ab.de/c_d?e=f&amp;g=h</a>. \
         (<a href=\"http://xy.zz/\">http://xy.zz/</a>)</p>\n"
    );
    for text in [
        "`https://ab.de/`\n",
        "<a href=\"/x\">https://ab.de/</a>\n",
        "javascript://ab.de/ and README.md and www.ab.de\n",
    ] {
        assert!(
            html(text).matches("<a ").count() <= text.matches("<a ").count(),
            "{text}"
        );
    }
    assert_eq!(html("[https://ab.de](/c)").matches("<a ").count(), 1);
    assert_eq!(
        html("<a href=\"/x\">x</a> https://ab.de/")
            .matches("<a ")
            .count(),
        2
    );
}

#[test]
fn notes_lead_there_and_back() {
    let text = "a[^x] b[^y] c[^x]\n\n[^y]: Two[^z].\n\n[^x]: One.\n\n    more\n[^z]: Three.\n[^w]: unused\n";
    let page = html(text);
    let at = |part: &str| {
        page.find(part)
            .unwrap_or_else(|| panic!("{part} is not in {page}"))
    };
    let order = [
        "href=\"#fn-1\" id=\"fnref-1\" role=\"doc-noteref\"",
        "href=\"#fn-2\" id=\"fnref-2\"",
        "href=\"#fn-1\" id=\"fnref-1-2\"",
        "<section class=\"notes\" role=\"doc-endnotes\" aria-label=\"Footnotes\">",
        "<li id=\"fn-1\">\n<p>One.</p>\n<p>more <a href=\"#fnref-1\" role=\"doc-backlink\"",
        "href=\"#fnref-1-2\"",
        "<li id=\"fn-2\">\n<p>Two<sup",
        "<li id=\"fn-3\">\n<p>Three.",
    ];
    assert!(order.map(at).is_sorted(), "{page}");
    assert!(!page.contains("unused"));
    // One that refers to itself ends.
    assert!(html("a[^x]\n\n[^x]: b[^x]\n").contains("fnref-1-2"));
}

#[test]
fn code_has_its_language_alone() {
    assert_eq!(
        html("```nonsense,ignore\nlet a = \"<\";\n```\n"),
        "<pre tabindex=\"0\"><code class=\"language-nonsense\">let a = &quot;&lt;&quot;;\n</code></pre>\n"
    );
    assert!(html("```\" onclick=x\nb\n```").starts_with("<pre tabindex=\"0\"><code>b"));
    assert!(html("    a\n\n    b\n").contains("<code>a\n\nb\n</code>"));
    let rust = "```rust,ignore\nlet a = 1;\n```\n";
    assert!(
        html(rust).contains("<span class=\"hl-keyword\">let</span>"),
        "{}",
        html(rust)
    );
    let how = Markdown {
        highlight: false,
        ..Markdown::default()
    };
    assert!(page(rust, false, how).1.html.contains("\">let a = 1;\n<"));
}

#[test]
fn headings_have_ids_of_their_own() {
    let text =
        "# Top `code`\n\n## One\n\n## One\n\n## One-1\n\n## x {#own}\n\n## ???\n\n## It's -- so\n";
    let how = Markdown {
        smart_punctuation: true,
        ..Markdown::default()
    };
    let (outline, page) = page(text, true, how);
    assert_eq!(outline.title.as_deref(), Some("Top code"));
    let ids: Vec<_> = outline
        .headings
        .iter()
        .map(|heading| &*heading.id)
        .collect();
    assert_eq!(
        ids,
        ["one", "one-1", "one-1-1", "own", "section", "its----so"]
    );
    assert!(
        page.html
            .starts_with("<h2 id=\"one\">One<a class=\"anchor\" href=\"#one\"")
    );
    assert!(
        page.html.contains("<h2 id=\"its----so\">It’s – so<a"),
        "{}",
        page.html
    );
}

#[test]
fn only_an_opening_heading_is_the_title() {
    let (outline, page) = page("Text\n\n# Later\n", true, Markdown::default());
    assert_eq!(outline.title, None);
    assert!(page.html.contains("<h1 id=\"later\">"));
}

#[test]
fn html_is_passed_through_or_shown() {
    let text = "<div id=\"x\">\n*a*\n</div>\n\nb <i name='y'>c</i>\n";
    let (outline, passed) = page(text, false, Markdown::default());
    assert!(passed.html.contains("<div id=\"x\">") && passed.html.contains("<i name='y'>c</i>"));
    assert!(outline.has("x") && outline.has("y") && !outline.has("z"));
    let how = Markdown {
        html: false,
        ..Markdown::default()
    };
    let shown = page(text, false, how).1.html;
    assert!(
        shown.contains("&lt;div id=") && shown.contains("b &lt;i name="),
        "{shown}"
    );
    assert!(!shown.contains("<div") && !shown.contains("<i"), "{shown}");
}

#[test]
fn images_say_how_large_they_are() {
    assert_eq!(
        html("![an *a* \"b\"](a.png \"t\")"),
        "<p><img src=\"a.png\" alt=\"an a &quot;b&quot;\" title=\"t\" width=\"3\" height=\"4\" \
         loading=\"lazy\" decoding=\"async\"></p>\n"
    );
    assert!(html("![](b.png)").contains("<img src=\"b.png\" alt=\"\" loading"));
}

#[test]
fn broken_links_have_lines() {
    let body = "<a@b.c> <https://d.e>\n\n[a](b.md) and\n![c](d.png)\n\n# [e][f]\n\n[f]: g\n";
    let outline = Outline::new(body, false);
    let page = render(
        body,
        &outline,
        Markdown::default(),
        Reader::Page,
        &Nowhere(true),
    );
    let broken: Vec<_> = page.broken.iter().map(|b| (b.line, &*b.link)).collect();
    assert_eq!(broken, [(2, "b.md"), (3, "d.png"), (5, "g")]);
    assert!(page.html.contains("href=\"/b.md\"") && page.html.contains("src=\"/d.png\""));
}

#[test]
fn feeds_have_the_text_alone() {
    let body = "## A\n\n```rust\nlet a = 1;\n```\n\n![b](a.png)\n\n|c|\n|-|\n|d|\n";
    let outline = Outline::new(body, false);
    let feed = render(
        body,
        &outline,
        Markdown::default(),
        Reader::Feed,
        &Nowhere(false),
    )
    .html;
    assert!(
        feed.starts_with("<h2>A</h2>\n<pre><code>let a = 1;\n</code></pre>"),
        "{feed}"
    );
    for part in ["class", "tabindex", "loading", " id="] {
        assert!(!feed.contains(part), "{part} {feed}");
    }
}

#[test]
fn what_is_searched_is_words() {
    assert_eq!(
        text("# A *b* `c`\n\nd\ne <i>f</i>\n\n- g\n"),
        "A b c\nd e f\ng\n\n"
    );
}
