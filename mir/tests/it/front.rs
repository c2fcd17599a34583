//! Front matter in all the forms that people use says the same.

use proptest::prelude::*;

use crate::common::{errors, folder, html, item, render};

/// What a page is to say of itself.
#[derive(Clone, Debug)]
struct Meaning {
    title: String,
    date: (u16, u8, u8),
    time: Option<(u8, u8)>,
    authors: Vec<[String; 3]>,
    tags: Vec<String>,
    aliases: Vec<String>,
    slug: String,
    weight: i32,
}

/// Choices of forms, one byte each.
struct Forms<'a>(std::iter::Copied<std::slice::Iter<'a, u8>>);

impl Forms<'_> {
    fn of<const N: usize>(&mut self, forms: [String; N]) -> String {
        let at = usize::from(self.0.next().unwrap_or(0)) % N;
        forms.into_iter().nth(at).unwrap()
    }

    fn yes(&mut self) -> bool {
        self.0.next().is_some_and(|byte| byte % 2 == 1)
    }
}

fn meaning() -> impl Strategy<Value = Meaning> {
    let text = || "[A-Za-z][ -~äßж–]{0,20}[a-z.]".boxed();
    let word = "[a-z][a-z0-9]{0,8}";
    let author = [
        text(),
        "(https://[a-z]{1,8}\\.example/)?".boxed(),
        "([a-z]{1,8}@example\\.org)?".boxed(),
    ];
    let date = (1970..2100_u16, 1..=12_u8, 1..=28_u8);
    let time = proptest::option::of((0..24_u8, 0..60_u8));
    let lists = (
        proptest::collection::vec(author, 0..3),
        proptest::collection::btree_set(word, 0..4),
        proptest::collection::btree_set("/old/[a-z0-9]{1,8}", 0..3),
    );
    (text(), date, time, lists, word, -9..9).prop_map(
        |(title, date, time, (authors, tags, aliases), slug, weight)| Meaning {
            title,
            date,
            time,
            authors: authors.into_iter().collect(),
            tags: tags.into_iter().collect(),
            aliases: aliases.into_iter().collect(),
            slug,
            weight,
        },
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Meaning {
    fn dates(&self, native: bool, forms: &mut Forms<'_>) -> String {
        let (y, m, d) = self.date;
        let Some((hour, minute)) = self.time else {
            let full = format!("{y}-{m:02}-{d:02}");
            let short = format!("{y}-{m}-{d}");
            return match native {
                true => forms.of([full.clone(), quoted(&full), quoted(&short)]),
                false => forms.of([full.clone(), quoted(&full), short.clone(), quoted(&short)]),
            };
        };
        let clock = format!("{hour:02}:{minute:02}:07");
        let day = format!("{y}-{m:02}-{d:02}");
        let some = [
            format!("{day}T{clock}Z"),
            format!("{day}T{clock}"),
            format!("{day} {clock}.25"),
            format!("{day}T{clock}+05:30"),
        ];
        let quoted_too = [
            quoted(&some[0]),
            quoted(&format!("{y}-{m}-{d} {hour}:{minute:02}")),
            quoted(&format!("{day} {clock} -0800")),
        ];
        let bare = match native {
            true => some[0].clone(),
            false => format!("{day} {clock} -5"),
        };
        let [a, b, c, d] = some;
        let [e, f, g] = quoted_too;
        forms.of([a, b, c, d, e, f, g, bare])
    }

    fn yaml(&self, forms: &mut Forms<'_>) -> String {
        let string = |text: &str, forms: &mut Forms<'_>| {
            forms.of([quoted(text), format!("'{}'", text.replace('\'', "''"))])
        };
        let list = |items: &[String], forms: &mut Forms<'_>| match forms.yes() {
            true => format!("[{}]", items.join(", ")),
            false if items.is_empty() => String::new(),
            false => format!("\n  - {}", items.join("\n  - ")),
        };
        let mut out = String::from("---\n");
        let title = forms.of(["title".to_owned(), "subject".to_owned()]);
        out += &format!("{title}: {}\n", string(&self.title, forms));
        let date = forms.of(["date".to_owned(), "updated".to_owned()]);
        out += &format!("{date}: {}\n", self.dates(false, forms));
        let key = forms.of(["author".to_owned(), "authors".to_owned()]);
        let map = |[name, uri, email]: &[String; 3], indent: &str, forms: &mut Forms<'_>| {
            let part = |text: &str, forms: &mut Forms<'_>| match text {
                "" => forms.of([String::new(), "''".to_owned(), "~".to_owned()]),
                text => string(text, forms),
            };
            let (name, uri, email) = (part(name, forms), part(uri, forms), part(email, forms));
            format!("name: {name}\n{indent}uri: {uri}\n{indent}email: {email}\n")
        };
        match self.authors.as_slice() {
            [] if forms.yes() => {}
            [] => {
                out += &format!(
                    "{key}:{}\n",
                    forms.of(["".into(), " []".into(), " ''".into()])
                )
            }
            [[name, uri, email]] if forms.yes() => {
                out += &match uri.is_empty() && email.is_empty() && forms.yes() {
                    true => format!("{key}: {}\n", string(name, forms)),
                    false => {
                        let author = [name.clone(), uri.clone(), email.clone()];
                        format!("{key}:\n  {}", map(&author, "  ", forms))
                    }
                };
            }
            authors => {
                out += &format!("{key}:\n");
                for author in authors {
                    out += &format!("  - {}", map(author, "    ", forms));
                }
            }
        }
        if !self.tags.is_empty() {
            let tags = match forms.yes() {
                true => quoted(&self.tags.join(", ")),
                false => list(&self.tags, forms),
            };
            out += &format!("tags: {tags}\n");
        }
        out += &match self.aliases.as_slice() {
            [one] if forms.yes() => format!("aliases: {one}\n"),
            all => format!("aliases: {}\n", list(all, forms)),
        };
        let key = forms.of(["permalink", "slug", "path"].map(str::to_owned));
        let place = match &*key {
            "path" => format!("/x/{}", self.slug),
            _ => self.slug.clone(),
        };
        out += &format!(
            "{key}: {place}\nweight: {}\nmood: {}\ndraft: false\n",
            self.weight, self.weight
        );
        out + "---\n"
    }

    fn toml(&self, forms: &mut Forms<'_>) -> String {
        let string = |text: &str, forms: &mut Forms<'_>| match text.contains('\'') {
            true => quoted(text),
            false => forms.of([quoted(text), format!("'{text}'"), format!("'''{text}'''")]),
        };
        let list = |items: &[String]| {
            let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        };
        let mut out = String::from("+++\n");
        let title = forms.of(["title".to_owned(), "subject".to_owned()]);
        out += &format!("{title} = {}\n", string(&self.title, forms));
        let date = forms.of(["date".to_owned(), "updated".to_owned()]);
        out += &format!("{date} = {}\n", self.dates(true, forms));
        out += &format!(
            "tags = {}\naliases = {}\n",
            list(&self.tags),
            list(&self.aliases)
        );
        let key = forms.of(["permalink", "slug", "path"].map(str::to_owned));
        let place = match &*key {
            "path" => format!("x/{}", self.slug),
            _ => self.slug.clone(),
        };
        out += &format!(
            "{key} = \"{place}\"\nweight = {}\nmood = {}\n",
            self.weight, self.weight
        );
        let key = forms.of(["author".to_owned(), "authors".to_owned()]);
        let map = |[name, uri, email]: &[String; 3]| {
            format!(
                "name = {}\nuri = {}\nemail = {}\n",
                quoted(name),
                quoted(uri),
                quoted(email)
            )
        };
        match self.authors.as_slice() {
            [] => out += &format!("{key} = []\n"),
            [[name, uri, email]] if uri.is_empty() && email.is_empty() && forms.yes() => {
                out += &format!("{key} = {}\n", quoted(name));
            }
            [one] if forms.yes() => out += &format!("[{key}]\n{}", map(one)),
            all => all
                .iter()
                .for_each(|author| out += &format!("[[{key}]]\n{}", map(author))),
        }
        out + "+++\n"
    }
}

/// Shows all that templates are told.
const DUMP: &[u8] = b"{% autoescape false %}{{ page.title }}
{{ page.date }}
{% for a in page.authors %}({{ a.name }}|{{ a.uri }}|{{ a.email }}){% endfor %}
{{ page.extra.mood }}
{{ page.content }}{% endautoescape %}";

fn dumped(matter: &str) -> (String, Vec<String>) {
    let text = format!("{matter}Body.\n");
    let site = folder(&[
        ("site.toml", b"[generate]\nyears = false\ntags = false\n"),
        ("content/x/page.md", text.as_bytes()),
        ("templates/page.html", DUMP),
        ("templates/list.html", b"list"),
    ]);
    let site = render(site.path()).unwrap_or_else(|problems| panic!("{problems:?}\n{matter}"));
    let path = site.items.iter().map(|item| item.path.clone());
    let path = path.filter(|path| path.starts_with("/x/")).collect();
    let page = |paths: &Vec<String>| html(&site, &paths[0]);
    (page(&path), path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_form_says_the_same(meaning in meaning(), choices in proptest::collection::vec(any::<u8>(), 60)) {
        let (y, m, d) = meaning.date;
        // The same author twice is one.
        let mut authors: Vec<_> = Vec::new();
        for [name, uri, email] in &meaning.authors {
            let shown = format!("({name}|{uri}|{email})");
            if !authors.contains(&shown) {
                authors.push(shown);
            }
        }
        let expected = format!(
            "{}\n{y}-{m:02}-{d:02}\n{}\n{}\n<p>Body.</p>\n",
            meaning.title, authors.concat(), meaning.weight,
        );
        let path = vec![format!("/x/{}", meaning.slug)];
        for matter in [
            meaning.yaml(&mut Forms(choices.iter().copied())),
            meaning.toml(&mut Forms(choices.iter().copied())),
        ] {
            let (page, paths) = dumped(&matter);
            prop_assert_eq!(&page, &expected, "{}", matter);
            prop_assert!(paths.starts_with(&path), "{:?} {}", paths, matter);
        }
    }
}

#[test]
fn all_mistakes_of_all_files_are_said() {
    assert_eq!(
        errors(&[
            ("content/a.md", b"---\ntitle: [unclosed\n---\nText\n"),
            (
                "content/b.md",
                b"---\ntitle:\n  a: b\ndate: 2016-2-30\nauthor:\n  - name: [x]\n  - 7\naliases: {}\ndraft: maybe\n---\n"
            ),
            (
                "content/c.md",
                b"+++\ndate = 07:30:00\nweight = 1.5\ntags = [1, [2]]\n[author]\nuri = {}\n+++\n"
            ),
            ("content/d.md", b"+++\na = \nweight = \"x\"\nb = 'c\n+++\n"),
            ("site.toml", b"title = 3\nnav = 4\nx = 5\n"),
        ]),
        [
            "content/a.md:2: front matter: unclosed bracket '['",
            "content/b.md:2: front matter: `title` must be text",
            "content/b.md:4: front matter: `date` must be a date such as 2026-02-28",
            "content/b.md:6: front matter: `author.name` must be text",
            "content/b.md:8: front matter: `aliases` must be text, or a list of texts",
            "content/b.md:9: front matter: `draft` must be true or false",
            "content/c.md:2: front matter: `date` must be a date such as 2026-02-28",
            "content/c.md:3: front matter: `weight` must be a whole number",
            "content/c.md:4: front matter: `tags` must be text, or a list of texts",
            "content/c.md:6: front matter: `author.uri` must be text",
            "content/d.md:2: front matter: string values must be quoted, expected literal string",
            "content/d.md:3: front matter: `weight` must be a whole number",
            "content/d.md:4: front matter: invalid literal string, expected `'`",
            "site.toml:2: `nav` must be a list of tables with title and url",
            "site.toml:3: unknown key `x`, expected `title`, `description`, `author`, `authors`, `base_url`, \
             `language`, `nav`, `redirects`, `headers`, `mount`, `markdown`, `generate`, `extra`",
        ]
    );
}

#[test]
fn drafts_are_shown_on_demand() {
    let made = folder(&[
        ("content/a.md", b"---\ndraft: true\n---\nA\n"),
        ("content/b.md", b"B\n"),
    ]);
    let site = |drafts| {
        let options = mir::site::Options {
            drafts,
            ..Default::default()
        };
        mir::site::render(made.path(), options).unwrap()
    };
    let has = |drafts| site(drafts).items.iter().any(|item| item.path == "/a");
    assert!(has(true) && !has(false));
    item(&site(true), "/b");
}
