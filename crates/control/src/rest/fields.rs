//! Reading a request field by field, so that everything that is wrong with it is told at once: missing
//! fields, wrong types, values that are none, and fields that this request does not have.

use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::key::Metadata;
use keyward_core::log::from_hex;
use keyward_core::people::Role;
use keyward_core::tenancy::{Boundary, Environment};
use serde_json::Value;

use crate::use_cases::{ControlError, Edit, Faults};

/// The fields of a request that are still to be read, and what is wrong with those that were.
pub(super) struct Fields {
    left: Metadata,
    faults: Faults,
}

impl Fields {
    pub fn new(object: Metadata) -> Self {
        Fields { left: object, faults: Faults::default() }
    }

    /// Reads a field; none where something is wrong with it, which is noted.
    pub fn take<T: Field>(&mut self, name: &str) -> Option<T> {
        let value = self.left.remove(name);
        T::take(name, value, &mut self.faults)
    }

    /// Ends the reading: what is left is no field of this request.
    pub fn finish<T>(mut self, read: Option<T>) -> Result<T, ControlError> {
        for name in self.left.keys() {
            let shown: String = name.chars().take(64).collect();
            self.faults.add(&shown, "is no field of this request");
        }
        self.faults.finish_with(read)
    }
}

/// A request's body that is read field by field.
pub(super) trait Shape: Sized {
    /// Reads all fields; none where something is wrong with any.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// Declares a request's body once: its fields, their types and what they mean become the struct, its schema
/// in the OpenAPI document and the way it is read.
macro_rules! body {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, utoipa::ToSchema)]
        pub(super) struct $name { $($(#[$meaning])* pub $field: $type,)* }

        impl crate::rest::fields::Shape for $name {
            fn read(fields: &mut crate::rest::fields::Fields) -> Option<Self> {
                // Every field is read before any is looked at: all that is wrong is told at once.
                let _ = &fields;
                $(let $field = fields.take(stringify!($field));)*
                Some($name { $($field: $field?,)* })
            }
        }
    };
}
pub(super) use body;

body! {
    /// A request without fields.
    Nothing {}
}

type Read<T> = Result<T, String>;

/// A field: required, optional or three-valued, by its type.
pub(super) trait Field: Sized {
    fn read(value: Option<Value>) -> Read<Self>;

    /// Reads it, or notes what is wrong: with the field as a whole, unless it knows its parts by name.
    fn take(name: &str, value: Option<Value>, faults: &mut Faults) -> Option<Self> {
        faults.take(name, Self::read(value))
    }
}

/// A value that a field can have.
pub(super) trait FromValue: Sized {
    fn from_value(value: Value) -> Read<Self>;
}

impl<T: FromValue> Field for T {
    fn read(value: Option<Value>) -> Read<Self> {
        value.map_or_else(|| Err("is required".into()), T::from_value)
    }
}

impl<T: FromValue> Field for Option<T> {
    fn read(value: Option<Value>) -> Read<Self> {
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::from_value(value).map(Some),
        }
    }
}

impl<T: FromValue> Field for Edit<T> {
    fn read(value: Option<Value>) -> Read<Self> {
        match value {
            None => Ok(Edit::Keep),
            Some(Value::Null) => Ok(Edit::Clear),
            Some(value) => T::from_value(value).map(Edit::Set),
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Read<Self> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err("must be a string".into()),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Read<Self> {
        value.as_bool().ok_or_else(|| "must be true or false".into())
    }
}

impl FromValue for u32 {
    fn from_value(value: Value) -> Read<Self> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| format!("must be a whole number from 0 to {}", u32::MAX))
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value) -> Read<Self> {
        let text = String::from_value(value)?;
        text.parse().map_err(|_| "must be an RFC 3339 time such as 2030-01-31T12:00:00Z".into())
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: Value) -> Read<Self> {
        let wrong = || "must be a list of strings".to_owned();
        let Value::Array(items) = value else { return Err(wrong()) };
        items.into_iter().map(|item| String::from_value(item).map_err(|_| wrong())).collect()
    }
}

impl FromValue for Metadata {
    fn from_value(value: Value) -> Read<Self> {
        match value {
            Value::Object(fields) => Ok(fields),
            _ => Err("must be an object".into()),
        }
    }
}

impl FromValue for Environment {
    fn from_value(value: Value) -> Read<Self> {
        match value.as_str() {
            Some("live") => Ok(Environment::Live),
            Some("test") => Ok(Environment::Test),
            _ => Err("must be \"live\" or \"test\"".into()),
        }
    }
}

impl FromValue for Role {
    fn from_value(value: Value) -> Read<Self> {
        let role = value.as_str().and_then(Role::named);
        role.ok_or_else(|| "must be \"owner\", \"developer\" or \"viewer\"".into())
    }
}

macro_rules! ids_from_values {
    ($($id:ident)*) => {$(
        impl FromValue for $id {
            fn from_value(value: Value) -> Read<Self> {
                let id = value.as_str().and_then(|text| text.parse().ok());
                id.ok_or_else(|| format!("must be an id that begins with {}_", $id::PREFIX))
            }
        }
    )*};
}

ids_from_values!(OrganizationId ProjectId);

/// The ids of keys. A text that can be none is told by its place in the list.
#[derive(Debug)]
pub(super) struct KeyIds(pub Vec<KeyId>);

impl FromValue for KeyIds {
    fn from_value(value: Value) -> Read<Self> {
        let texts = Vec::<String>::from_value(value)?;
        let read = |(number, text): (usize, &String)| {
            text.parse().map_err(|_| format!("has no id that begins with {}_ at {number}", KeyId::PREFIX))
        };
        texts.iter().enumerate().map(read).collect::<Read<_>>().map(KeyIds)
    }
}

/// Whole seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds(pub Duration);

impl FromValue for Seconds {
    fn from_value(value: Value) -> Read<Self> {
        let seconds = value.as_u64().ok_or("must be a whole number of seconds, 0 or more")?;
        Ok(Seconds(Duration::from_secs(seconds)))
    }
}

/// A key issued elsewhere, by its hash.
#[derive(Debug)]
pub(super) struct Import(pub [u8; 32]);

impl FromValue for Import {
    fn from_value(value: Value) -> Read<Self> {
        let wrong = || "must be {\"sha256\": \"<64 hexadecimal digits>\"}".to_owned();
        let Value::Object(fields) = value else { return Err(wrong()) };
        let (Some(Value::String(text)), 1) = (fields.get("sha256"), fields.len()) else { return Err(wrong()) };
        from_hex(text).and_then(|bytes| bytes.try_into().ok()).map(Import).ok_or_else(wrong)
    }
}

/// How far a management key is to reach.
#[derive(Debug)]
pub(super) struct Within(pub Boundary);

impl FromValue for Within {
    fn from_value(value: Value) -> Read<Self> {
        let wrong = || "must be {\"organization\": \"org_…\"} or {\"project\": \"proj_…\"}".to_owned();
        let Value::Object(fields) = value else { return Err(wrong()) };
        let mut fields = fields.iter();
        let (Some((kind, Value::String(id))), None) = (fields.next(), fields.next()) else { return Err(wrong()) };
        let boundary = match kind.as_str() {
            "organization" => id.parse().ok().map(Boundary::Organization),
            "project" => id.parse().ok().map(Boundary::Project),
            _ => None,
        };
        boundary.map(Within).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    body! {
        /// A body with a field of each sort.
        Sample {
            /// Required.
            name: String,
            /// Optional.
            limit: Option<u32>,
            /// Three-valued.
            #[schema(value_type = Option<String>)]
            note: Edit<String>,
        }
    }

    fn read(value: Value) -> Result<Sample, Vec<(String, String)>> {
        let mut fields = Fields::new(value.as_object().cloned().unwrap());
        let read = Sample::read(&mut fields);
        fields.finish(read).map_err(|error| match error {
            ControlError::Invalid(faults) => faults.into_iter().map(|fault| (fault.field, fault.message)).collect(),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn t05_everything_that_is_wrong_is_told_at_once() {
        let faults = read(json!({"limit": -1, "note": 5, "is_admin": true, "hash": "x"})).unwrap_err();
        let fields: Vec<_> = faults.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["name", "limit", "note", "hash", "is_admin"]);
    }

    #[test]
    fn what_is_left_out_null_and_given_differ() {
        let keep = read(json!({"name": "a"})).unwrap();
        assert_eq!((keep.limit, keep.note), (None, Edit::Keep));
        let clear = read(json!({"name": "a", "limit": null, "note": null})).unwrap();
        assert_eq!((clear.limit, clear.note), (None, Edit::Clear));
        let set = read(json!({"name": "a", "limit": 3, "note": "b"})).unwrap();
        assert_eq!((set.name.as_str(), set.limit, set.note), ("a", Some(3), Edit::Set("b".into())));
    }

    #[test]
    fn i03_numbers_are_in_range_or_refused() {
        for bad in [json!(-1), json!(4_294_967_296u64), json!(1.5), json!("1"), json!(i64::MAX), json!(true)] {
            assert!(u32::from_value(bad.clone()).is_err(), "{bad}");
        }
        assert!(Seconds::from_value(json!(i64::MAX)).is_ok() && Seconds::from_value(json!(-1)).is_err());
        for bad in [json!(0), json!("9999999999"), json!("+010000-01-01T00:00:00Z"), json!("1e18")] {
            assert!(Timestamp::from_value(bad.clone()).is_err(), "{bad}");
        }
    }
}
