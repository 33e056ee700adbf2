//! Reading manifests: parsed, checked, made canonical, hashed.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use driftline::domain::content::Content;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::harness::{Aim, Comparison, ROUND, Row, Unit, interleave};
use crate::support::root;

pub fn rows() -> Vec<Row> {
    vec![Row {
        name: "parse, check, canonicalise, hash",
        unit: Unit::MegabytesPerSecond,
        aim: Aim::Ratio(0.80),
        measure: || Box::pin(parse()),
    }]
}

async fn parse() -> Comparison {
    let documents = real().unwrap_or_else(generated);
    let size: usize = documents.iter().map(Vec::len).sum();
    eprintln!("  {} documents, {size} bytes", documents.len());
    let floor = async || {
        megabytes(&documents, |document| {
            let value = serde_json::from_slice::<Value>(document);
            drop(black_box(value.expect("the document is JSON")));
        })
    };
    let driftline = async || {
        megabytes(&documents, |document| {
            let content = Content::parse_manifest(document, Content::DEFAULT_LIMIT);
            drop(black_box(content.expect("the document is a manifest")));
        })
    };
    interleave(floor, driftline).await
}

/// Reads all documents again and again, and tells how many megabytes that was in a second.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn megabytes(documents: &[Vec<u8>], read: impl Fn(&[u8])) -> f64 {
    let (begin, mut bytes) = (Instant::now(), 0);
    while begin.elapsed() < ROUND {
        for document in documents {
            read(black_box(document));
            bytes += document.len();
        }
    }
    bytes as f64 / 1e6 / begin.elapsed().as_secs_f64()
}

/// The history of a real deployment, if it is at hand: see `DRIFTLINE_FIXTURES`.
fn real() -> Option<Vec<Vec<u8>>> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let directory = std::env::var_os("DRIFTLINE_FIXTURES")
        .map_or_else(|| root().join("../shared/fixtures"), PathBuf::from);
    let file = directory.join("argo-cd-namespace-install.ndjson.zst");
    let output = Command::new("zstd")
        .args(["-d", "-c", "--long=27"])
        .arg(&file)
        .stderr(Stdio::null())
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let lines = text.lines().map(|line| {
        let line = serde_json::from_str::<Line<'_>>(line).expect("a line of the fixture is JSON");
        line.content.get().as_bytes().to_vec()
    });
    eprintln!("  from {}", file.display());
    Some(lines.collect())
}

/// Documents of a similar shape: collections of nested resources, most of the text in long strings, keys out of order.
fn generated() -> Vec<Vec<u8>> {
    let document = |size: usize| {
        let mut text =
            "{\"schemaVersion\":\"1.0\",\"theme\":{\"themeId\":\"generated\"}".to_owned();
        for kind in ["deployments", "configMaps", "roles"] {
            // Writing to a String cannot fail.
            let _ = write!(text, ",\"{kind}\":[");
            for number in 0..size {
                let comma = if number == 0 { "" } else { "," };
                let _ = write!(
                    text,
                    "{comma}{{\"id\":\"{kind}-{number}\",\"name\":\"{kind}-{number}\",\"apiVersion\":\"apps/v1\",\
                     \"metadata\":{{\"name\":\"{kind}-{number}\",\"labels\":{{\"app.kubernetes.io/name\":\"{kind}\",\
                     \"app.kubernetes.io/component\":\"server\"}}}},\"spec\":{{\"replicas\":{number},\"description\":\
                     \"APIVersion defines the versioned schema of this representation of an object. Servers should \
                     convert \\\"recognized\\\" schemas to the latest internal value.\\n\",\"ports\":[{{\"port\":8080,\
                     \"protocol\":\"TCP\"}}],\"required\":true,\"limit\":null}}}}"
                );
            }
            text.push(']');
        }
        text.push('}');
        text.into_bytes()
    };
    (1..=100).map(document).collect()
}
