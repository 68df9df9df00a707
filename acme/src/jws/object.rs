//! JSON objects whose meaning does not depend on the reader. RFC 7515 4 demands it of the protected header; the
//! envelope around it gets no less. Nesting is bounded by serde_json (128).

use std::fmt;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::problem::{Problem, plain};

/// A JSON object in which, at any depth, no name stands twice: two readers could take different ones for true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Object(pub(super) Map<String, Value>);

impl Object {
    /// Reads `what`, which stands in the refusal.
    pub(super) fn read(json: &[u8], what: &str) -> Result<Self, Problem> {
        serde_json::from_slice(json)
            .map_err(|e| Problem::malformed(format!("the {what} is not one JSON object: {e}")))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Strict::deserialize(deserializer)?.0 {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(D::Error::custom("something else stands there")),
        }
    }
}

/// Any JSON without doubled names.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("member {} stands there twice", plain(&name, 40))));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        Object::read(json.as_bytes(), "test").expect_err(json).detail
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let json = r#"{"a":[null,true,-1,1,0.5,"x",{}],"b":{"c":"\u00e9"}}"#;
        let Object(members) = Object::read(json.as_bytes(), "test").unwrap();
        assert_eq!(Value::Object(members), serde_json::from_str::<Value>(json).unwrap());
    }

    #[test]
    fn no_name_stands_twice_at_any_depth() {
        assert!(refused(r#"{"a":1,"a":1}"#).contains("member a stands there twice"));
        assert!(refused(r#"{"a":[{"b":{"c":1,"c":2}}]}"#).contains("member c stands there twice"));
        assert!(refused(r#"{"a":1,"\u0061":2}"#).contains("twice"), "an escape hides nothing");
    }

    #[test]
    fn one_object_and_nothing_else_is_read() {
        for json in ["", "[]", "1", "null", "{}{}", "{} x", "{", "\u{feff}{}", "{'a':1}"] {
            assert!(refused(json).starts_with("the test is not one JSON object"), "{json}");
        }
        assert!(Object::read(b"{\"a\":\"\xff\"}", "test").is_err());
    }

    #[test]
    fn absurd_nesting_is_refused() {
        assert!(refused(&format!("{{\"a\":{}", "[".repeat(100_000))).contains("recursion limit"));
    }
}
