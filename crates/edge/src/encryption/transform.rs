//! A document with some of its fields replaced, while it comes: what is fed in goes out as it is but for the values of
//! the fields that are named, each of which is handed out whole. Kept in memory is one such value, at most as large as
//! is said, and the way to the place in the document; whatever is not named may be of any size.

use keyward_core::denial::Refusal;
use zeroize::Zeroizing;

use super::paths::{FieldPaths, Ways, push_item, push_name};
use super::scan::{Kind, Mark, NotJson, Scanner};

/// What goes on growing is given room in steps of at least this many bytes.
const ROOM: usize = 256;

/// A document on its way.
#[derive(Debug)]
pub(crate) struct Transformer {
    paths: FieldPaths,
    scanner: Scanner,
    value_max: usize,
    /// The objects and arrays around this place that a field can be in.
    around: Vec<Around>,
    /// Where the value that comes next leads, after its key.
    next: Ways,
    path: String,
    holding: Holding,
    found: Vec<bool>,
}

/// What is done with the bytes that come.
#[derive(Debug)]
enum Holding {
    /// They go out.
    Nothing,
    /// They go out, and are looked at as a key: as much of it as could be one that is named.
    Key(Vec<u8>),
    /// They are a field's value.
    Value(Zeroizing<Vec<u8>>),
}

#[derive(Debug)]
struct Around {
    kind: Kind,
    ways: Ways,
    /// How long the path is without what stands in this.
    path_length: usize,
    /// How many items of the array came.
    items: usize,
    /// Names of the object that lead to fields and that came.
    seen: Vec<Box<str>>,
}

/// A field's value, to be replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Where it stands: names with dots between them, `*` for whichever item of an array.
    pub path: String,
    /// Its JSON text.
    pub value: Zeroizing<Vec<u8>>,
}

/// Why a document is not transformed, and which field of it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", .refusal.code(), .field.as_deref().map(|field| format!(": {field}")).unwrap_or_default())]
pub(crate) struct Unfit {
    /// Which refusal it is.
    pub refusal: Refusal,
    /// The field, where it is one's fault.
    pub field: Option<Box<str>>,
}

impl Unfit {
    /// A field's fault.
    pub fn field(refusal: Refusal, field: &str) -> Self {
        Unfit { refusal, field: Some(field.into()) }
    }
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Self {
        Unfit { refusal, field: None }
    }
}

impl From<NotJson> for Unfit {
    fn from(_: NotJson) -> Self {
        Refusal::NotJson.into()
    }
}

impl Transformer {
    /// A transformer of one document. `value_max`: the most bytes of one field's value.
    pub fn new(paths: FieldPaths, value_max: usize) -> Self {
        Transformer {
            next: paths.top(),
            found: vec![false; paths.named().len()],
            scanner: Scanner::new(),
            around: Vec::new(),
            path: String::new(),
            holding: Holding::Nothing,
            value_max,
            paths,
        }
    }

    /// Reads on in `input` and puts out what stays as it is. Where it gives a field, what is to stand in its place must
    /// be put out before it is fed what is left of the input; where it gives none, all of the input was read.
    ///
    /// # Errors
    /// Where this is no JSON, a name that leads to a field stands twice, or a field's value is too large.
    pub fn feed(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Field>, Unfit> {
        while !input.is_empty() {
            let (read, mark) = self.scanner.read(input)?;
            let (done, left) = input.split_at(read);
            *input = left;
            self.take(done, out)?;
            match mark {
                Mark::Nothing => {}
                Mark::Key => self.holding = Holding::Key(Vec::new()),
                Mark::KeyEnd => self.key_ended()?,
                Mark::Value => self.value_begins(),
                Mark::Opened(kind) => self.opened(kind),
                Mark::ValueEnd => {
                    if let Some(field) = self.value_ended() {
                        return Ok(Some(field));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The document has ended.
    ///
    /// # Errors
    /// Where it is not whole, or a field that was named did not come.
    pub fn finish(&self) -> Result<(), Unfit> {
        if !self.scanner.is_whole() {
            return Err(Refusal::NotJson.into());
        }
        match self.found.iter().position(|found| !found) {
            Some(missing) => Err(Unfit::field(Refusal::FieldMissing, &self.paths.named()[missing])),
            None => Ok(()),
        }
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Unfit> {
        match &mut self.holding {
            Holding::Nothing => out.extend_from_slice(bytes),
            Holding::Key(key) => {
                // A sign of a name is written in six bytes at most, and two signs stand around it.
                let room = (self.paths.name_bytes_max() * 6 + 3).saturating_sub(key.len());
                key.extend_from_slice(&bytes[..bytes.len().min(room)]);
                out.extend_from_slice(bytes);
            }
            Holding::Value(value) => {
                if value.len() + bytes.len() > self.value_max {
                    return Err(Unfit::field(Refusal::FieldNotEncryptable, &self.path));
                }
                hold(value, bytes);
            }
        }
        Ok(())
    }

    fn key_ended(&mut self) -> Result<(), Unfit> {
        let Holding::Key(raw) = std::mem::replace(&mut self.holding, Holding::Nothing) else { return Ok(()) };
        let Some(object) = self.around.last_mut() else { return Ok(()) };
        self.path.truncate(object.path_length);
        // What was cut off because it is too long for any name that leads to a field is no JSON text any more.
        let key: Option<String> = serde_json::from_slice(&raw).ok();
        let Some(key) = key else {
            self.next = Ways::new();
            return Ok(());
        };
        self.next = self.paths.at_name(&object.ways, &key);
        if self.next.is_empty() {
            return Ok(());
        }
        push_name(&mut self.path, &key);
        if object.seen.iter().any(|seen| **seen == *key) {
            // Readers disagree on which of the two counts.
            return Err(Unfit::field(Refusal::NotJson, &self.path));
        }
        object.seen.push(key.into());
        Ok(())
    }

    fn value_begins(&mut self) {
        if let Some(array) = self.around.last_mut().filter(|around| around.kind == Kind::Array) {
            self.next = self.paths.at_item(&array.ways, array.items);
            array.items += 1;
            self.path.truncate(array.path_length);
            push_item(&mut self.path);
        }
        if self.next.is_empty() {
            self.scanner.skip_value();
        } else if self.paths.ends(&self.next) {
            self.scanner.skip_value();
            // Who names a field and another one inside it gets the outer one, and the inner one with it.
            let found = &mut self.found;
            self.paths.all_below(&self.next, &mut |field| found[field] = true);
            self.holding = Holding::Value(Zeroizing::default());
        }
    }

    fn opened(&mut self, kind: Kind) {
        let ways = std::mem::take(&mut self.next);
        self.around.push(Around { kind, ways, path_length: self.path.len(), items: 0, seen: Vec::new() });
    }

    fn value_ended(&mut self) -> Option<Field> {
        if let Holding::Value(value) = &mut self.holding {
            let value = std::mem::take(value);
            self.holding = Holding::Nothing;
            self.next.clear();
            return Some(Field { path: self.path.clone(), value });
        }
        if self.scanner.depth() >= self.around.len() {
            // It was skipped, or is a scalar where fields would have to be inside of it.
            return None;
        }
        let ended = self.around.pop()?;
        if ended.kind == Kind::Array && ended.items == 0 {
            // All of its items were replaced: there is none.
            let found = &mut self.found;
            self.paths.all_below(&ended.ways, &mut |field| found[field] = true);
        }
        self.path.truncate(ended.path_length);
        None
    }
}

/// Adds to what is held, leaving no copy behind where it must move to have room.
fn hold(value: &mut Zeroizing<Vec<u8>>, bytes: &[u8]) {
    let needed = value.len() + bytes.len();
    if needed > value.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity((needed * 2).max(ROOM)));
        larger.extend_from_slice(value);
        *value = larger;
    }
    value.extend_from_slice(bytes);
}

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
