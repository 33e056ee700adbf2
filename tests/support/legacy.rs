//! Buckets of the older layout, built from its description.

use driftline::domain::Digest;

/// A tenant as that system names them.
pub const COMMUNITY: &str = "3f0a9c52-7b1e-4d7c-9e55-1f2a3b4c5d6e";

/// Content in the order in which it was made, as `JSON.stringify` writes it: what was hashed.
pub fn made(tag: &str) -> String {
    format!(
        r##"{{"schemaVersion":"1.0","tag":"{tag}","theme":{{"2":"#fff","10":"#000","themeId":"t"}},"roles":[{{"name":"Rôle","id":"r1","weight":1.5}}],"channels":[]}}"##
    )
}

/// The same as a column of type JSONB gives it back: keys by length, then by bytes.
pub fn from_jsonb(tag: &str) -> String {
    format!(
        r##"{{"tag":"{tag}","roles":[{{"id":"r1","name":"Rôle","weight":1.5}}],"theme":{{"2":"#fff","10":"#000","themeId":"t"}},"channels":[],"schemaVersion":"1.0"}}"##
    )
}

/// A version of the older layout.
#[derive(Debug, Clone)]
pub struct Version {
    pub number: u64,
    pub tag: String,
    /// The content as it is stored.
    pub stored: String,
    /// The digest on record.
    pub checksum: Digest,
    pub id: String,
}

impl Version {
    /// A version whose digest is that of its content.
    pub fn new(number: u64) -> Self {
        Self::tagged(number, &number.to_string())
    }

    /// The same with a tag of its own.
    pub fn tagged(number: u64, tag: &str) -> Self {
        Self {
            number,
            tag: tag.to_owned(),
            stored: made(tag),
            checksum: Digest::of(made(tag).as_bytes()),
            id: format!("0190b6a0-0000-7000-8000-{number:012}"),
        }
    }

    /// A version that went through JSONB: the digest is that of the content as it was made.
    pub fn reordered(number: u64) -> Self {
        let version = Self::new(number);
        Self {
            stored: from_jsonb(&version.tag),
            ..version
        }
    }

    /// The object, on one line.
    pub fn compact(&self) -> String {
        let Self {
            number,
            stored,
            checksum,
            id,
            ..
        } = self;
        format!(
            r#"{{"id":"{id}","communityId":"{COMMUNITY}","version":{number},"checksum":"{checksum}","synthesizedAt":"{}","createdBy":"alice","message":"v{number}","content":{stored}}}"#,
            time(*number)
        )
    }

    /// The object, spread over lines.
    pub fn pretty(&self) -> String {
        // No string of these contents has a comma or a colon beside a quotation mark.
        let text = self.compact().replace(",\"", ",\n  \"");
        text.replace("\":", "\": ").replace("{\"", "{\n  \"")
    }

    /// Its entry in the index, with a key under `prefix`.
    pub fn entry(&self, prefix: &str) -> String {
        let Self {
            number,
            checksum,
            id,
            ..
        } = self;
        format!(
            r#"{{"id":"{id}","communityId":"{COMMUNITY}","version":{number},"checksum":"{checksum}","createdAt":"{}","createdBy":null,"s3Key":"{prefix}{}","sizeBytes":null}}"#,
            time(*number),
            key(*number)
        )
    }
}

/// When a version was made.
pub fn time(number: u64) -> String {
    format!("2024-03-01T08:{:02}:{:02}.250Z", number / 60, number % 60)
}

/// The key of a version's object.
pub fn key(number: u64) -> String {
    format!("{COMMUNITY}/versions/v{number:06}.json")
}

/// The key of the index.
pub fn index_key() -> String {
    format!("{COMMUNITY}/index.json")
}

/// The index, with its entries in this order.
pub fn index(entries: &[String]) -> String {
    format!(
        r#"{{"communityId":"{COMMUNITY}","latestVersion":{0},"totalVersions":{0},"totalSizeBytes":null,"updatedAt":"2024-03-01T09:00:00.000Z","versions":[{1}]}}"#,
        entries.len(),
        entries.join(",")
    )
}

/// A whole bucket of these versions: every other object pretty, the index newest first.
pub fn objects(versions: &[Version]) -> Vec<(String, String)> {
    let mut objects: Vec<_> = versions
        .iter()
        .map(|version| {
            let text = if version.number % 2 == 0 {
                version.pretty()
            } else {
                version.compact()
            };
            (key(version.number), text)
        })
        .collect();
    let entries: Vec<_> = versions
        .iter()
        .rev()
        .map(|version| version.entry(""))
        .collect();
    objects.push((index_key(), index(&entries)));
    objects
}
