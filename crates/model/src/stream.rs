//! The streams of a tenant: a table.
//!
//! Whatever differs from stream to stream stands in its row here, and everything else goes over the rows: keys, chains,
//! columns, indexes, recoveries. A stream more is a row more, and the record that its content is parsed as.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::VersionRef;
use super::content::Content;
use super::records::{Apply, Decision};

/// What is particular to a stream.
struct Row {
    name: &'static str,
    folder: &'static str,
    snapshots: &'static str,
    letter: char,
    refers_to: Option<Stream>,
    references: fn(&Content) -> Vec<VersionRef>,
}

/// Declares the streams and their table in one place.
macro_rules! streams {
    ($($(#[$doc:meta])* $stream:ident = $code:literal { $($row:tt)* })*) => {
        /// One of a tenant's append-only, densely numbered sequences of entries: a row of the table of streams.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum Stream {
            $($(#[$doc])* $stream = $code,)*
        }

        impl Stream {
            /// Every stream in the order of their codes; what a stream refers to comes before it.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$stream),*];

            /// How many there are.
            pub const COUNT: usize = [$(stringify!($stream)),*].len();
        }

        static TABLE: [Row; Stream::COUNT] = [$(Row { $($row)* }),*];
    };
}

streams! {
    /// Versions of the desired state; a version is the sequence number.
    Manifests = 0 {
        name: "manifests",
        // The layout that ours extends knew no other stream.
        folder: "",
        snapshots: "versions/",
        letter: 'v',
        refers_to: None,
        references: |_| Vec::new(),
    }
    /// What was applied: shadow states.
    Applies = 1 {
        name: "applies",
        folder: "applies/",
        snapshots: "applies/",
        letter: 'a',
        refers_to: Some(Stream::Manifests),
        references: Apply::references,
    }
    /// What an operator decided that is no manifest.
    Decisions = 2 {
        name: "decisions",
        folder: "decisions/",
        snapshots: "decisions/",
        letter: 'd',
        refers_to: Some(Stream::Manifests),
        references: Decision::references,
    }
}

impl Stream {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The stream's name, as it stands in chains, documents and messages.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The stream's number in database rows: its place in the table, from 0.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The stream with this number in database rows.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.code() == code)
    }

    /// The stream with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.name() == name)
    }

    /// Where its index and pages lie, within the tenant's folder: empty, or with a slash at the end.
    pub fn folder(self) -> &'static str {
        self.row().folder
    }

    /// Where its snapshots lie, within the tenant's folder.
    pub fn snapshots(self) -> &'static str {
        self.row().snapshots
    }

    /// What the names of its snapshots start with.
    pub fn letter(self) -> char {
        self.row().letter
    }

    /// The stream whose entries its own refer to: an entry is shadowed after the index there names what it refers to.
    pub fn refers_to(self) -> Option<Self> {
        self.row().refers_to
    }

    /// The versions that `content` of this stream refers to. Content that this build cannot read refers to nothing.
    pub fn references(self, content: &Content) -> Vec<VersionRef> {
        (self.row().references)(content)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::from_name(&name)
            .ok_or_else(|| D::Error::custom(format_args!("there is no stream {name:?}")))
    }
}

/// One value for each stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerStream<T>([T; Stream::COUNT]);

impl<T> From<[T; Stream::COUNT]> for PerStream<T> {
    /// Values in the order of [`Stream::ALL`].
    fn from(values: [T; Stream::COUNT]) -> Self {
        Self(values)
    }
}

impl<T> PerStream<T> {
    /// Fills every stream's place with `make(stream)`.
    pub fn from_fn(make: impl FnMut(Stream) -> T) -> Self {
        Self(Stream::ALL.map(make))
    }

    /// Streams with their values, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (Stream, &T)> {
        Stream::ALL.into_iter().zip(&self.0)
    }
}

impl<T: Serialize> Serialize for PerStream<T> {
    /// An object with a member for each stream.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<T> std::ops::Index<Stream> for PerStream<T> {
    type Output = T;

    fn index(&self, stream: Stream) -> &T {
        &self.0[stream as usize]
    }
}

impl<T> std::ops::IndexMut<Stream> for PerStream<T> {
    fn index_mut(&mut self, stream: Stream) -> &mut T {
        &mut self.0[stream as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn streams_keep_their_codes() {
        for (place, stream) in Stream::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(stream.code()), Ok(place));
            assert_eq!(Stream::from_code(stream.code()), Some(stream));
            assert_eq!(Stream::from_name(stream.name()), Some(stream));
            let text = serde_json::to_string(&stream).unwrap();
            assert_eq!(text, format!("\"{stream}\""));
            assert_eq!(serde_json::from_str::<Stream>(&text).unwrap(), stream);
        }
        assert_eq!(
            Stream::from_code(i16::try_from(Stream::COUNT).unwrap()),
            None
        );
        assert!(serde_json::from_str::<Stream>("\"nothing\"").is_err());
    }

    #[test]
    fn no_two_streams_share_a_name_or_a_place() {
        let apart = |what: fn(Stream) -> String| {
            let all: BTreeSet<_> = Stream::ALL.into_iter().map(what).collect();
            assert_eq!(all.len(), Stream::COUNT, "{all:?}");
        };
        apart(|stream| stream.name().to_owned());
        apart(|stream| stream.folder().to_owned());
        apart(|stream| stream.snapshots().to_owned());
        apart(|stream| stream.letter().to_string());
    }

    #[test]
    fn what_a_stream_refers_to_comes_before_it() {
        for stream in Stream::ALL {
            assert!(stream.refers_to().is_none_or(|to| to < stream), "{stream}");
        }
    }

    #[test]
    fn one_value_a_stream_is_an_object_with_a_member_each() {
        let codes = PerStream::from_fn(Stream::code);
        assert!(codes.iter().all(|(stream, code)| codes[stream] == *code));
        let text = serde_json::to_string(&codes).unwrap();
        assert!(
            text.starts_with(r#"{"manifests":0,"applies":1,"decisions":2"#),
            "{text}"
        );
    }
}
