//! Values of a message by their numbers, for peers that know what they ask for. Of a field that is there twice the last counts, and
//! what has another wire type is not there.

use wire::protobuf::{FieldValue, Walk};

/// A message whose values are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a>(pub &'a [u8]);

impl<'a> Values<'a> {
    /// Everything of that number that has a length.
    pub fn all(self, number: u32) -> impl Iterator<Item = &'a [u8]> {
        let fields = Walk::new(self.0).map_while(Result::ok).filter(move |field| field.number == number);
        fields.filter_map(move |field| match field.value {
            FieldValue::Len(at) => self.0.get(at),
            _ => None,
        })
    }

    /// Bytes or a message.
    #[must_use]
    pub fn bytes(self, number: u32) -> Option<&'a [u8]> {
        self.all(number).last()
    }

    /// A message; an empty one where there is none.
    #[must_use]
    pub fn message(self, number: u32) -> Self {
        Self(self.bytes(number).unwrap_or_default())
    }

    /// Text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(self, number: u32) -> String {
        String::from_utf8_lossy(self.bytes(number).unwrap_or_default()).into_owned()
    }

    /// Texts of a list.
    #[must_use]
    pub fn texts(self, number: u32) -> Vec<String> {
        self.all(number).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    /// A number; 0 where there is none.
    #[must_use]
    pub fn uint(self, number: u32) -> u64 {
        let numbers = Walk::new(self.0).map_while(Result::ok).filter(|field| field.number == number);
        let numbers = numbers.filter_map(|field| match field.value {
            FieldValue::Varint(number) => Some(number),
            _ => None,
        });
        numbers.last().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use wire::protobuf::Writer;

    use super::*;

    #[test]
    fn the_last_of_its_number_counts_and_other_wire_types_do_not() {
        let inner = Writer::new().uint(1, 7);
        let bytes = Writer::new()
            .text(1, "a")
            .uint(1, 5)
            .text(1, "b")
            .message(2, inner)
            .uint(3, 1)
            .uint(3, 2)
            .finish();
        let values = Values(&bytes);
        assert_eq!(
            (values.text(1), values.uint(1), values.texts(1)),
            ("b".to_owned(), 5, vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!((values.message(2).uint(1), values.uint(3), values.uint(4)), (7, 2, 0));
        assert_eq!((values.bytes(4), values.message(4).uint(1)), (None, 0));
    }
}
