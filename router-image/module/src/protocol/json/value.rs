//! Documents that are small and asked more than once.

use super::{Kind, Read, Reader, Text};

/// A whole document, for the few that are used as one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Text<'a>),
    List(Vec<Value<'a>>),
    Object(Vec<(Text<'a>, Value<'a>)>),
}

impl<'a> Value<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        Ok(match reader.kind()? {
            Kind::Object => {
                let mut fields = Vec::new();
                reader.fields(|reader, key| {
                    fields.push((key, Self::read(reader)?));
                    Ok(())
                })?;
                Value::Object(fields)
            }
            Kind::List => {
                let mut items = Vec::new();
                reader.items(|reader| {
                    items.push(Self::read(reader)?);
                    Ok(())
                })?;
                Value::List(items)
            }
            Kind::Text => Value::Text(reader.text()?),
            Kind::Number => Value::Number(reader.number()?),
            kind => {
                reader.skip()?;
                if kind == Kind::Null {
                    Value::Null
                } else {
                    Value::Bool(kind == Kind::True)
                }
            }
        })
    }

    /// The field of that name; the last of several, none if it is no object.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.as_object()?
            .iter()
            .rev()
            .find(|(key, _)| key.is(name))
            .map(|(_, value)| value)
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<Text<'a>> {
        match self {
            Value::Text(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::List(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&[(Text<'a>, Value<'a>)]> {
        match self {
            Value::Object(value) => Some(value),
            _ => None,
        }
    }
}
