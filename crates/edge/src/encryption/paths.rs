//! The fields that a request names: paths into a JSON document, and which of them a place in it belongs to.
//!
//! A path is names with dots between them. On an array a number is that item, `*` is every item, and a name goes into
//! every item. A backslash takes the meaning from a sign that is part of a name: `a\.b` is the name `a.b`.

use smallvec::SmallVec;

/// Most fields that one request can name.
const FIELDS_MAX: usize = 64;
/// The longest path, in bytes as written.
const PATH_BYTES_MAX: usize = 512;
/// Most parts of a path: no document is deeper.
const PARTS_MAX: usize = 32;

/// The fields of one request, as a tree of names.
#[derive(Debug, Clone)]
pub(crate) struct FieldPaths {
    nodes: Vec<Node>,
    /// As written, in their order.
    named: Vec<Box<str>>,
    name_bytes_max: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    below: Vec<(Part, usize)>,
    /// The fields that end here, by their place among those named.
    field: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A name in an object; in an array, whatever has that name in any item.
    Name(Box<str>),
    /// An item of an array, or a name of the same digits in an object.
    Number(Box<str>, usize),
    /// Every item of an array.
    Every,
}

/// A text that names no field; which part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no field")]
pub(crate) struct NoField(pub String);

/// Paths that a place in the document may lead to the ends of.
pub(crate) type Ways = SmallVec<[Way; 4]>;

/// One node that stands at a place. Where an array was passed on the way, only names go on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    node: usize,
    only_names: bool,
}

impl FieldPaths {
    /// Reads a list of paths with commas between them.
    ///
    /// # Errors
    /// The part that is no path, or the last one that is too many.
    pub fn parse(list: &str) -> Result<Self, NoField> {
        let mut paths = FieldPaths { nodes: vec![Node::default()], named: Vec::new(), name_bytes_max: 0 };
        for text in split(list, ',') {
            let text = text.trim_matches([' ', '\t']);
            let parts = read_path(text).ok_or_else(|| NoField(text.chars().take(PATH_BYTES_MAX).collect()))?;
            if paths.named.len() == FIELDS_MAX {
                return Err(NoField(text.to_owned()));
            }
            paths.add(text, parts);
        }
        Ok(paths)
    }

    /// One field of this very name at the top of the document.
    pub fn only(name: &str) -> Self {
        let mut paths = FieldPaths { nodes: vec![Node::default()], named: Vec::new(), name_bytes_max: 0 };
        paths.add(name, vec![Part::Name(name.into())]);
        paths
    }

    fn add(&mut self, text: &str, parts: Vec<Part>) {
        let mut at = 0;
        for part in parts {
            if let Part::Name(name) | Part::Number(name, _) = &part {
                self.name_bytes_max = self.name_bytes_max.max(name.len());
            }
            let found = self.nodes[at].below.iter().find(|(known, _)| *known == part).map(|(_, node)| *node);
            at = found.unwrap_or_else(|| {
                self.nodes.push(Node::default());
                let new = self.nodes.len() - 1;
                self.nodes[at].below.push((part, new));
                new
            });
        }
        if self.nodes[at].field.is_none() {
            self.nodes[at].field = Some(self.named.len());
            self.named.push(text.into());
        }
    }

    /// The fields as they were named, in their order.
    pub fn named(&self) -> &[Box<str>] {
        &self.named
    }

    /// The longest name in any of them, in bytes: a longer one in the document is none of these.
    pub fn name_bytes_max(&self) -> usize {
        self.name_bytes_max
    }

    /// Where the document begins.
    pub fn top(&self) -> Ways {
        Ways::from_slice(&[Way { node: 0, only_names: false }])
    }

    /// Where a name in an object leads.
    pub fn at_name(&self, ways: &Ways, name: &str) -> Ways {
        let leads = |way: &Way, part: &Part| match part {
            Part::Name(text) => **text == *name,
            Part::Number(text, _) => !way.only_names && **text == *name,
            Part::Every => false,
        };
        self.next(ways, leads)
    }

    /// Where an item of an array leads.
    pub fn at_item(&self, ways: &Ways, index: usize) -> Ways {
        let leads = |way: &Way, part: &Part| match part {
            Part::Name(_) => false,
            Part::Number(_, number) => !way.only_names && *number == index,
            Part::Every => !way.only_names,
        };
        let mut next = self.next(ways, leads);
        let has_names =
            |way: &&Way| self.nodes[way.node].below.iter().any(|(part, _)| matches!(part, Part::Name(_)));
        next.extend(ways.iter().filter(has_names).map(|way| Way { node: way.node, only_names: true }));
        next
    }

    fn next(&self, ways: &Ways, leads: impl Fn(&Way, &Part) -> bool) -> Ways {
        let below = ways.iter().flat_map(|way| self.nodes[way.node].below.iter().map(move |below| (way, below)));
        below
            .filter(|(way, (part, _))| leads(way, part))
            .map(|(_, (_, node))| Way { node: *node, only_names: false })
            .collect()
    }

    /// Whether one of the fields ends here.
    pub fn ends(&self, ways: &Ways) -> bool {
        ways.iter().any(|way| !way.only_names && self.nodes[way.node].field.is_some())
    }

    /// Calls `found` with every field that ends here or further down.
    pub fn all_below(&self, ways: &Ways, found: &mut impl FnMut(usize)) {
        let mut left: Vec<usize> = ways.iter().map(|way| way.node).collect();
        while let Some(node) = left.pop() {
            if let Some(field) = self.nodes[node].field {
                found(field);
            }
            left.extend(self.nodes[node].below.iter().map(|(_, node)| *node));
        }
    }
}

/// Adds a name to a path, with a backslash before what would have a meaning in it. Paths of different places in
/// documents differ, but for items of one array.
pub(crate) fn push_name(path: &mut String, name: &str) {
    push_dot(path);
    if name == "*" {
        path.push('\\');
    }
    for sign in name.chars() {
        if matches!(sign, '.' | ',' | '\\') {
            path.push('\\');
        }
        path.push(sign);
    }
}

/// Adds an item of an array to a path: all of them are one.
pub(crate) fn push_item(path: &mut String) {
    push_dot(path);
    path.push('*');
}

fn push_dot(path: &mut String) {
    if !path.is_empty() {
        path.push('.');
    }
}

/// The parts of a text between signs that no backslash stands before.
fn split(text: &str, sign: char) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |c| {
        let is_end = c == sign && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })
}

fn read_path(text: &str) -> Option<Vec<Part>> {
    if text.is_empty() || text.len() > PATH_BYTES_MAX {
        return None;
    }
    let parts: Option<Vec<Part>> = split(text, '.').map(read_part).collect();
    parts.filter(|parts| parts.len() <= PARTS_MAX)
}

fn read_part(text: &str) -> Option<Part> {
    if text == "*" {
        return Some(Part::Every);
    }
    let mut name = String::with_capacity(text.len());
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => name.push(signs.next().filter(|sign| matches!(sign, '.' | ',' | '*' | '\\'))?),
            sign if sign.is_control() => return None,
            sign => name.push(sign),
        }
    }
    let is_number =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        _ if name.is_empty() => None,
        Ok(number) if is_number => Some(Part::Number(name.into(), number)),
        _ => Some(Part::Name(name.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_through_names_items_and_arrays() {
        let paths = FieldPaths::parse("title, items.*.d,list.0,deep.name").unwrap();
        assert_eq!(paths.named().len(), 4);
        let top = paths.top();
        assert!(paths.ends(&paths.at_name(&top, "title")));
        assert!(paths.at_name(&top, "Title").is_empty());
        let items = paths.at_name(&top, "items");
        assert!(paths.ends(&paths.at_name(&paths.at_item(&items, 7), "d")));
        assert!(paths.at_name(&items, "d").is_empty(), "* is an item of an array, no name");
        let list = paths.at_name(&top, "list");
        assert!(paths.ends(&paths.at_item(&list, 0)) && paths.ends(&paths.at_name(&list, "0")));
        assert!(paths.at_item(&list, 1).is_empty());
        let item = paths.at_item(&paths.at_item(&paths.at_name(&top, "deep"), 3), 4);
        assert!(!paths.ends(&item) && paths.ends(&paths.at_name(&item, "name")));
        // In an item that a name went into, digits are nobody's.
        let both = FieldPaths::parse("a.0,a.b").unwrap();
        let item = both.at_item(&both.at_name(&both.top(), "a"), 1);
        assert!(both.at_name(&item, "0").is_empty() && both.ends(&both.at_name(&item, "b")));
    }

    #[test]
    fn signs_are_escaped_and_what_names_nothing_is_refused() {
        let paths = FieldPaths::parse(r"a\.b.c\,d,\*,e\\").unwrap();
        let top = paths.top();
        let inner = paths.at_name(&paths.at_name(&top, "a.b"), "c,d");
        assert!(paths.ends(&inner));
        assert!(paths.ends(&paths.at_name(&top, "*")) && paths.ends(&paths.at_name(&top, "e\\")));
        assert_eq!(FieldPaths::parse("x,x, x").unwrap().named().len(), 1);
        let long = "x".repeat(513);
        let many = vec!["x"; 33].join(".");
        for bad in ["", "a,", ",a", "a..b", ".a", "a.", "a\\", "a\\x", "a\u{7}", &long, &many] {
            assert!(FieldPaths::parse(bad).is_err(), "{bad:?}");
        }
        let list: Vec<_> = (0..65).map(|i| format!("f{i}")).collect();
        assert_eq!(FieldPaths::parse(&list.join(",")).unwrap_err(), NoField("f64".into()));
    }

    #[test]
    fn written_paths_lead_back_to_the_place() {
        let mut path = String::new();
        push_name(&mut path, "a.b");
        push_item(&mut path);
        push_name(&mut path, "*");
        push_name(&mut path, "\\,");
        assert_eq!(path, r"a\.b.*.\*.\\\,");
        let paths = FieldPaths::parse(&path).unwrap();
        let item = paths.at_item(&paths.at_name(&paths.top(), "a.b"), 9);
        assert!(paths.ends(&paths.at_name(&paths.at_name(&item, "*"), "\\,")));
    }
}
